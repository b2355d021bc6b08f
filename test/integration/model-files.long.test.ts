/** Model repositories as Triton has them, and our own model.json: their files decide about the served models. */

import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ModelInfo, ModelServer, ModelServerOptions } from 'modelmount'
import { describe, expect, test } from 'vitest'
import { externalDataModel, slowLoopModel } from '../../tools/models.mjs'
import { node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { hold } from '../support/children.ts'
import { LINUX, needs } from '../support/needs.ts'
import { provedServerFor } from '../support/server.ts'
import { constantOf } from '../support/small-models.ts'
import { type Files, treeFor } from '../support/tree.ts'

/** x float32 [N,4] -> p float32 [N,4] = 2x; n int64 [N] -> m int64 [N], the same. */
const double = writeModel({
  graph: {
    name: 'double',
    inputs: [value('x', 'float', ['N', 4]), value('n', 'int64', ['N'])],
    outputs: [value('p', 'float', ['N', 4]), value('m', 'int64', ['N'])],
    nodes: [node('Add', ['x', 'x'], ['p']), node('Identity', ['n'], ['m'])],
  },
})

/** words string [N,'W'] unchanged. */
const echo = writeModel({
  graph: {
    name: 'echo',
    inputs: [value('words', 'string', ['N', 'W'])],
    outputs: [value('same', 'string', ['N', 'W'])],
    nodes: [node('Identity', ['words'], ['same'])],
  },
})

const IO = `
  input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] }, { name: "n" data_type: TYPE_INT64 dims: [ 1 ] reshape { shape: [ ] } } ]
  output [ { name: "p" data_type: TYPE_FP32 dims: [ 2, 2 ] reshape { shape: [ 4 ] } }, { name: "m" data_type: TYPE_INT64 dims: [ 1 ] reshape { shape: [ ] } } ]`

async function serve(files: Files, opts: Omit<ModelServerOptions, 'repository'> = {}) {
  const warnings: string[] = []
  const logger = { info() {}, warn: (line: string) => warnings.push(line), error() {} }
  const server = await provedServerFor({ logger, ...opts, repository: treeFor(files) })
  return { server, warnings }
}

const infoOf = async (files: Files, opts?: Omit<ModelServerOptions, 'repository'>): Promise<ModelInfo> => {
  const { server } = await serve(files, opts)
  expect(server.models().map(({ reason }) => reason)).toEqual([undefined])
  return server.model(server.models()[0]?.name ?? '')
}

const reasons = (server: ModelServer) =>
  server.models().map(({ name, version, state, reason }) => [name, version, state, reason?.code, reason?.message])
/** One server with a model for each case; each is expected to fail with a reason that holds the sentence. */
async function failures(
  cases: readonly (readonly [files: Files, sentence: string | RegExp])[],
  code: unknown = 'CONFIG_INVALID',
) {
  const files = cases.flatMap(([own], i) => Object.entries(own).map(([path, content]) => [`m${i}/${path}`, content]))
  const { server } = await serve(Object.fromEntries(files))
  for (const [i, [, sentence]] of cases.entries()) {
    const message = typeof sentence === 'string' ? expect.stringContaining(sentence) : expect.stringMatching(sentence)
    expect(server.model(`m${i}`)).toMatchObject({ state: 'failed', reason: { code, message } })
  }
  expect(server.health().ready).toBe(false)
}

const codeOf = (promise: Promise<unknown>): Promise<[string, string]> =>
  promise.then(
    () => ['none', ''] as [string, string],
    ({ code, message }) => [code, message] as [string, string],
  )

describe('config.pbtxt', () => {
  test('requests see the shapes of the config, the graph its own', async () => {
    const { server, warnings } = await serve({ 'm/1/model.onnx': double, 'm/config.pbtxt': `max_batch_size: 3 ${IO}` })
    const info = server.model('m')
    expect(info.inputs.map(({ name, dims }) => [name, dims])).toEqual([
      ['x', ['N', 4]],
      ['n', ['N', 1]],
    ])
    expect(info.outputs.map(({ name, dims }) => [name, dims])).toEqual([
      ['p', ['N', 2, 2]],
      ['m', ['N', 1]],
    ])
    expect(info.batching.maxSize).toBeLessThanOrEqual(3)
    expect(warnings).toEqual([])

    const { outputs } = await server.predict('m', {
      x: [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
      ],
      n: [[9n], [10n]],
    })
    expect(outputs.p).toMatchObject({ dims: [2, 2, 2], data: Float32Array.of(2, 4, 6, 8, 10, 12, 14, 16) })
    expect(outputs.m).toMatchObject({ dims: [2, 1], data: BigInt64Array.of(9n, 10n) })
  })

  test('kept results and shared runs have the shapes of the config too', async () => {
    const { server } = await serve({
      'm/1/model.onnx': double,
      'm/config.pbtxt': `max_batch_size: 8 ${IO} response_cache { enable: true }`,
    })
    const input = { x: [[1, 2, 3, 4]], n: [[7n]] }
    const all = await Promise.all(Array.from({ length: 5 }, (_, i) => server.predict('m', { ...input, n: [[BigInt(i)]] })))
    expect(all.map(({ outputs }) => [outputs.m?.dims, Number(outputs.m?.data[0])])).toEqual(
      [0, 1, 2, 3, 4].map((i) => [[1, 1], i]),
    )
    const again = await server.predict('m', { ...input, n: [[3n]] })
    expect(again).toMatchObject({ cached: true, outputs: { p: { dims: [1, 2, 2] }, m: { dims: [1, 1] } } })
  })

  test('more rows than max_batch_size, rows that differ and a missing batch dimension are the caller’s mistake', async () => {
    const { server } = await serve({ 'm/1/model.onnx': double, 'm/config.pbtxt': `max_batch_size: 2 ${IO}` })
    const rows = (n: number) => Array.from({ length: n }, () => [1, 2, 3, 4])
    const ns = (n: number) => Array.from({ length: n }, () => [1n])
    expect(await codeOf(server.predict('m', { x: rows(3), n: ns(3) }))).toEqual([
      'INPUT_INVALID',
      'input "x": expected at most 2 rows, got 3',
    ])
    expect(await codeOf(server.predict('m', { x: rows(2), n: ns(1) }))).toEqual(['INPUT_INVALID', expect.stringContaining('N')])
    expect(await codeOf(server.predict('m', { x: [1, 2, 3, 4], n: [1n] }))).toEqual([
      'INPUT_INVALID',
      expect.stringContaining('[N,4]'),
    ])
    expect(await codeOf(server.predict('m', { x: rows(2), n: ns(2) }))).toEqual(['none', ''])
  })

  test('inputs agree on their rows though the graph has no name for them', async () => {
    const graph = {
      name: 'two',
      inputs: [value('a', 'float', [null, 1]), value('b', 'float', [null, 1])],
      outputs: [value('y', 'float', [null, 1])],
      nodes: [node('Identity', ['a'], ['y'])],
    }
    const { server } = await serve({ 'm/1/model.onnx': writeModel({ graph }), 'm/config.pbtxt': 'max_batch_size: 4' })
    expect(await codeOf(server.predict('m', { a: [[1]], b: [[1], [2]] }))).toEqual([
      'INPUT_INVALID',
      expect.stringContaining('symbol "batch" is 1 in input a and 2 in input b'),
    ])
  })

  test('dims of the config narrow what the graph leaves open', async () => {
    const config =
      'input { name: "words" data_type: TYPE_STRING dims: [ 1, -1 ] } output { name: "same" data_type: TYPE_STRING dims: [ -1, -1 ] }'
    const { server } = await serve({ 'm/1/model.onnx': echo, 'm/config.pbtxt': config })
    expect(server.model('m').inputs[0]?.dims).toEqual([1, 'W'])
    expect(server.model('m').batching).toMatchObject({ enabled: false, reason: 'switched off' })
    expect(await codeOf(server.predict('m', { words: [['a'], ['b']] }))).toEqual([
      'INPUT_INVALID',
      expect.stringContaining('[1,W]'),
    ])
  })

  test('a config that contradicts the graph fails the load', async () => {
    const cases: [title: string, config: string, sentence: string][] = [
      [
        'an input that there is not',
        'input { name: "z" data_type: TYPE_FP32 dims: 4 }',
        'name an input "z", but the inputs of the graph are "x", "n"',
      ],
      ['an output that there is not', 'output { name: "x" }', 'name an output "x", but the outputs of the graph are "p", "m"'],
      [
        'another type',
        'input { name: "x" data_type: TYPE_FP64 dims: [ -1, 4 ] }',
        'say that input "x" is float64, but the graph says float32',
      ],
      [
        'another size',
        'input { name: "x" dims: [ -1, 5 ] }',
        'give input "x" the shape [-1,5] (-1 for any size), but the graph has [-1,4]',
      ],
      ['any size where the graph has one', 'input { name: "x" dims: [ -1, -1 ] }', 'the shape [-1,-1]'],
      ['another rank', 'max_batch_size: 2 input { name: "x" dims: [ -1, 4 ] }', 'the shape [-1,-1,4]'],
      [
        'a reshape to other elements',
        'input { name: "x" dims: [ -1, 3 ] reshape { shape: [ -1, 4 ] } }',
        'from [-1,3] to [-1,4], which has other elements',
      ],
      [
        'a reshape to what the graph has not',
        'input { name: "x" dims: [ -1, 4 ] reshape { shape: [ -1, 2, 2 ] } }',
        'reshape input "x" to [-1,2,2]',
      ],
    ]
    await failures(cases.map(([, config, sentence]) => [{ '1/model.onnx': double, 'config.pbtxt': config }, sentence]))
  })

  test('max_batch_size needs rows', async () => {
    const fixed = writeModel({
      graph: {
        name: 'fixed',
        inputs: [value('x', 'float', [1, 4])],
        outputs: [value('y', 'float', [1, 4])],
        nodes: [node('Identity', ['x'], ['y'])],
      },
    })
    const { server } = await serve({ 'm/1/model.onnx': fixed, 'm/config.pbtxt': 'max_batch_size: 4' })
    expect(reasons(server)).toEqual([
      ['m', '1', 'failed', 'CONFIG_INVALID', expect.stringContaining('the model takes no batches')],
    ])
  })

  test('a config that cannot be read fails its model alone, once', async () => {
    const { server } = await serve({
      'bad/1/model.onnx': double,
      'bad/2/model.onnx': double,
      'bad/config.pbtxt': 'name: "bad"\nmax_batch_size: four',
      'good/1/model.onnx': double,
      'python/1/model.py': '',
      'python/config.pbtxt': 'backend: "python"',
      'fifo/1/model.onnx': double,
    })
    expect(reasons(server)).toEqual([
      ['bad', '2', 'failed', 'CONFIG_INVALID', expect.stringMatching(/^config.pbtxt, line 2: max_batch_size must be an integer/)],
      ['fifo', '1', 'ready', undefined, undefined],
      ['good', '1', 'ready', undefined, undefined],
      ['python', '1', 'failed', 'MODEL_UNSUPPORTED', expect.stringContaining('backend "python"')],
    ])
    await expect(
      provedServerFor({ strict: true, repository: treeFor({ 'm/1/model.onnx': double, 'm/config.pbtxt': '{' }) }),
    ).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    })
  })

  test('a directory in place of a config', async () => {
    const root = treeFor({ 'm/1/model.onnx': double })
    mkdirSync(join(root, 'm/config.pbtxt'))
    const server = await provedServerFor({ repository: root })
    expect(reasons(server)).toEqual([['m', '1', 'failed', 'CONFIG_INVALID', expect.stringContaining('config.pbtxt')]])
  })

  test('what is not honoured is warned of once, and listed', async () => {
    const config = `max_batch_size: 2 version_policy { all { } } metric_tags { key: "team" value: "risk" } extra: 1
      input { name: "x" data_type: TYPE_FP32 dims: 4 optional: true }`
    const { server, warnings } = await serve({ 'm/1/model.onnx': double, 'm/2/model.onnx': double, 'm/config.pbtxt': config })
    expect(warnings.filter((line) => line.startsWith('m: '))).toEqual([
      'm: config.pbtxt: extra is not honoured as written: modelmount does not know this field',
      'm: config.pbtxt: metric_tags is not honoured as written: they are not labels of the metrics',
    ])
    expect(server.model('m').configNotes.map(({ field }) => field)).toEqual(['extra', 'metric_tags', 'inputs.x.optional'])
    expect(server.model('m').tritonConfig).toMatchObject({ max_batch_size: 2, metric_tags: { team: 'risk' } })
  })
})

describe('versions', () => {
  const versions = (policy: string, extra: Files = {}): Files => ({
    'm/1/model.onnx': constantOf(1),
    'm/2/model.onnx': constantOf(2),
    'm/10/model.onnx': constantOf(10),
    'm/config.pbtxt': policy,
    ...extra,
  })
  const served = async (files: Files, opts?: Omit<ModelServerOptions, 'repository'>) => {
    const { server, warnings } = await serve(files, opts)
    return { versions: server.models().map(({ version }) => version), warnings }
  }

  test.each<[string, string[]]>([
    ['', ['10']],
    ['version_policy { all { } }', ['1', '2', '10']],
    ['version_policy { latest { num_versions: 2 } }', ['2', '10']],
    ['version_policy { specific { versions: [ 1, 10 ] } }', ['1', '10']],
  ])('%s', async (policy, expected) => {
    expect((await served(versions(policy))).versions).toEqual(expected)
  })

  test('code has the last word', async () => {
    expect((await served(versions('version_policy { latest { } }'), { versionPolicy: 'all' })).versions).toEqual(['1', '2', '10'])
    expect((await served(versions('version_policy { all { } }'), { versionPolicy: { specific: ['2'] } })).versions).toEqual(['2'])
    expect((await served(versions(''), { versionPolicy: { latest: 2 } })).versions).toEqual(['2', '10'])
  })

  test('a version that is named and missing, and directories that Triton would pass over, are told of', async () => {
    const { versions: found, warnings } = await served(
      versions('version_policy { specific { versions: [ 2, 7 ] } }', {
        'm/old/model.onnx': constantOf(0),
        'm/03/model.onnx': constantOf(3),
      }),
    )
    expect(found).toEqual(['2'])
    expect(warnings.map((line) => line.replace(/^.*(?=m\/)/, ''))).toEqual([
      expect.stringMatching(/^m\/03 is not served: .*whole numbers/),
      expect.stringMatching(/^m\/old is not served: .*whole numbers/),
      expect.stringMatching(/^m\/7 is not served: the version policy names it/),
    ])
  })
})

describe('files', () => {
  test('another name for the model file', async () => {
    const { server } = await serve({
      'm/1/net.onnx': constantOf(5),
      'm/1/model.onnx': constantOf(1),
      'm/config.pbtxt': 'default_model_filename: "net.onnx"',
    })
    expect((await server.predict('m', {})).outputs.y?.data[0]).toBe(5)
  })

  test('a directory in place of the model file, with its external data', async () => {
    const root = treeFor({})
    for (const dir of ['a/1/model.onnx', 'b/model.onnx']) {
      mkdirSync(join(root, dir), { recursive: true })
      externalDataModel(join(root, dir))
    }
    const server = await provedServerFor({ repository: root, strict: true })
    expect(server.models().map(({ name, version }) => [name, version])).toEqual([
      ['a', '1'],
      ['b', '1'],
    ])
  })

  test('labels', async () => {
    const config = `max_batch_size: 2 output { name: "p" label_filename: "words/p.txt" }`
    const { labels } = await infoOf({
      'm/1/model.onnx': double,
      'm/config.pbtxt': config,
      'm/words/p.txt': 'cat\r\ndog\n\nowl\n',
    })
    expect(labels).toEqual({ p: ['cat', 'dog', '', 'owl'] })
  })

  test('a label file that is not there, or not of the model, fails the load', async () => {
    const cases = [
      ['../secret.txt', 'inside the model\'s directory, got "../secret.txt"'],
      ['/etc/passwd', 'inside the model\'s directory, got "/etc/passwd"'],
      ['none.txt', 'there is no file "none.txt"'],
      ['a\\000b', "inside the model's directory"],
    ]
    await failures(
      cases.map(([file = '', sentence = '']) => [
        { '1/model.onnx': double, 'config.pbtxt': `output { name: "p" label_filename: "${file}" }`, '../secret.txt': 'a' },
        sentence,
      ]),
    )
  })
})

describe('warm-up', () => {
  const warm = (inputs: string, files: Files = {}): Files => ({
    'm/1/model.onnx': double,
    'm/config.pbtxt': `max_batch_size: 4 model_warmup [ { name: "w" batch_size: 2 count: 2 ${inputs} } ]`,
    ...files,
  })
  const input = (name: string, value: string): string => `inputs { key: "${name}" value { ${value} } }`

  test('zeros, random numbers and a file', async () => {
    const n = Buffer.from(BigInt64Array.of(1n, 2n).buffer)
    const files = warm(
      input('x', 'data_type: TYPE_FP32 dims: 4 random_data: true') +
        input('n', 'data_type: TYPE_INT64 dims: [] input_data_file: "n.bin"'),
      { 'm/warmup/n.bin': n },
    )
    expect((await infoOf(files)).state).toBe('ready')
    const zeros = warm(
      input('x', 'data_type: TYPE_FP32 dims: 4 zero_data: true') + input('n', 'data_type: TYPE_INT64 zero_data: true'),
    )
    expect((await infoOf(zeros)).state).toBe('ready')
  })

  test('strings in a file', async () => {
    const bytes = Buffer.concat(
      ['naïve', '', 'b'].map((text) => {
        const length = Buffer.alloc(4)
        length.writeUInt32LE(Buffer.byteLength(text))
        return Buffer.concat([length, Buffer.from(text)])
      }),
    )
    const config = (dims: string) =>
      `max_batch_size: 4 model_warmup { ${input('words', `data_type: TYPE_STRING dims: ${dims} input_data_file: "w"`)} }`
    expect((await infoOf({ 'm/1/model.onnx': echo, 'm/config.pbtxt': config('3'), 'm/warmup/w': bytes })).state).toBe('ready')
    const { server } = await serve({ 'm/1/model.onnx': echo, 'm/config.pbtxt': config('2'), 'm/warmup/w': bytes })
    expect(reasons(server)).toEqual([['m', '1', 'failed', 'CONFIG_INVALID', expect.stringContaining('expected 2 strings')]])
  })

  test('samples that cannot be made, or that the model does not take, fail the load', async () => {
    const cases = [
      [input('x', 'data_type: TYPE_FP32 dims: 5 zero_data: true'), 'warmup[0] failed'],
      [input('q', 'data_type: TYPE_FP32 dims: 4'), 'warmup[0] failed: unknown input "q"'],
      [input('x', 'data_type: TYPE_FP32 dims: 4 input_data_file: "../../secret"'), "inside the model's directory"],
      [input('x', 'data_type: TYPE_FP32 dims: 4 input_data_file: "none"'), 'there is no file "none" in the directory warmup'],
      [input('x', 'data_type: TYPE_FP32 dims: [ 100000, 100000 ]'), 'more than 67108864 elements'],
      [input('x', 'data_type: TYPE_FP32 dims: [ -1 ]'), 'must be sizes'],
    ]
    await failures(
      cases.map(([inputs = '', sentence = '']) => [
        { '1/model.onnx': double, 'config.pbtxt': `max_batch_size: 4 model_warmup { ${inputs} }` },
        sentence,
      ]),
      expect.any(String),
    )
  })
})

describe('model.json', () => {
  test('says all that code can say, and wins over config.pbtxt', async () => {
    const json = {
      $schema: '../node_modules/modelmount/model.schema.json',
      instances: 2,
      isolation: 'thread',
      priority: 'low',
      timeoutMs: 1234,
      maxBatch: 3,
      batching: { maxDelayMs: 2 },
      cache: { maxBytes: 100_000 },
      session: { intraOpNumThreads: 1 },
      warmup: [{ x: [[1, 2, 3, 4]], n: [[1]] }],
      labels: { p: ['a', 'b'], m: 'm.txt' },
      metadata: { team: 'risk' },
      inputs: { n: { dims: [-1, 1], reshape: [-1] } },
    }
    const config = `max_batch_size: 8 instance_group { count: 1 } dynamic_batching { max_queue_delay_microseconds: 9000 }
      parameters { key: "mine" value { string_value: "1" } } output { name: "p" label_filename: "none-needed.txt" }`
    const info = await infoOf({
      'm/1/model.onnx': double,
      'm/model.json': JSON.stringify(json),
      'm/config.pbtxt': config,
      'm/m.txt': 'one\n',
      'm/none-needed.txt': 'x\n',
    })
    expect(info).toMatchObject({
      instances: { min: 2, max: 2, threads: 1 },
      labels: { p: ['a', 'b'], m: ['one'] },
      metadata: { team: 'risk', mine: '1' },
      cache: { hits: 0 },
    })
    expect(info.batching.maxSize).toBeLessThanOrEqual(8)
    expect(info.inputs.map(({ dims }) => dims)).toEqual([
      ['N', 4],
      ['N', 1],
    ])
  })

  test('code wins over both', async () => {
    const files = {
      'm/1/model.onnx': double,
      'm/model.json': '{"instances":2,"maxBatch":2}',
      'm/config.pbtxt': 'max_batch_size: 8',
    }
    const { server } = await serve(files, { instances: 1 })
    expect(server.model('m').instances.max).toBe(1)
    const rows = (n: number) => ({ x: Array.from({ length: n }, () => [1, 2, 3, 4]), n: Array.from({ length: n }, () => 1) })
    expect(await codeOf(server.predict('m', rows(3)))).toEqual(['INPUT_INVALID', expect.stringContaining('at most 2 rows')])
    const { server: other } = await serve(files, { maxBatch: 4 })
    expect(await codeOf(other.predict('m', rows(3)))).toEqual(['none', ''])
  })

  test('what is wrong in it fails the load, with all problems', async () => {
    const cases: [json: string, sentence: string | RegExp][] = [
      ['{', 'model.json is not valid JSON'],
      ['[]', 'model.json: it must be an object, got an array'],
      ['{"instances":0,"speed":9}', /^model.json: 2 problems: .*instances must be .*speed is not an option/],
      ['{"cache":{"maxBytes":10000,"store":{}}}', 'cache.store is not an option'],
      ['{"file":"../x.onnx"}', 'file must be the name of a file'],
      ['{"__proto__":{"instances":3}}', '__proto__ is not an option'],
      ['{"labels":{"p":[1]}}', 'labels.p[0] must be a string'],
      ['{"inputs":{"x":{"reshape":[1]}}}', 'inputs.x.reshape needs inputs.x.dims'],
      ['{"inputs":{"q":{}}}', 'name an input "q"'],
      ['{"maxMemoryBytes":2000000}', "maxMemoryBytes needs isolation: 'process'"],
    ]
    await failures(cases.map(([json, sentence]) => [{ '1/model.onnx': double, 'model.json': json }, sentence]))
  })
})

describe('the same settings in code', () => {
  test('labels, metadata and shapes of a model that is loaded later', async () => {
    const server = await provedServerFor({ models: [] })
    const info = await server.load({
      name: 'm',
      source: double,
      labels: JSON.parse('{"p":["a"]}'),
      metadata: { team: 'risk' },
      inputs: { x: { dims: [-1, 2, 2], reshape: [-1, 4] } },
    })
    expect(info).toMatchObject({ labels: { p: ['a'] }, metadata: { team: 'risk' }, configNotes: [] })
    const { outputs } = await server.predict('m', {
      x: [
        [
          [1, 2],
          [3, 4],
        ],
      ],
      n: [1],
    })
    expect(outputs.p?.data).toEqual(Float32Array.of(2, 4, 6, 8))
    await expect(server.load({ name: 'm', source: double, labels: { q: ['a'] } })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    })
    // The one that serves stays.
    expect(server.model('m').state).toBe('ready')
  })

  test('an input that always has its default is noted', async () => {
    const source = writeModel({
      graph: {
        name: 'default',
        inputs: [value('x', 'float', [1]), value('b', 'float', [1])],
        outputs: [value('y', 'float', [1])],
        nodes: [node('Add', ['x', 'b'], ['y'])],
        initializers: [tensor('b', 'float', [1], [1])],
      },
    })
    const server = await provedServerFor({ models: [{ name: 'm', source, inputs: { b: { optional: true } } }] })
    expect((await server.predict('m', { x: [1] })).outputs.y?.data[0]).toBe(2)
    expect(server.model('m').configNotes).toEqual([
      { file: 'settings', field: 'inputs.b', reason: expect.stringContaining('always has the default') },
    ])
  })
})

test('a request that waits longer than maxWaitMs is refused, whatever its deadline', LINUX, async () => {
  const server = await provedServerFor({ models: [{ name: 'm', source: slowLoopModel(), maxWaitMs: 50 }], isolation: 'process' })
  const release = hold()
  const [running, waiting] = [1n, 2n].map((trips) => codeOf(server.predict('m', { trips })))
  expect(await waiting).toEqual(['OVERLOADED', 'no instance was free within maxWaitMs (50 ms)'])
  release()
  expect(await running).toEqual(['none', ''])
})

describe('Triton’s own examples', () => {
  const root = fileURLToPath(new URL('../../../shared/data/triton-simple', import.meta.url))
  const EXAMPLES = needs('models of Triton’s client examples', existsSync(root))

  test('are served as they are', EXAMPLES, async () => {
    const server = await provedServerFor({ repository: root })
    expect(server.models().map(({ name, version, state }) => `${name}@${version} ${state}`)).toEqual([
      'simple@1 ready',
      'simple_dyna_sequence@1 ready',
      'simple_int8@1 ready',
      'simple_sequence@1 ready',
      'simple_string@1 ready',
    ])
    const a = Array.from({ length: 16 }, (_, i) => i)
    const b = a.map(() => 1)
    const { outputs } = await server.predict('simple', { INPUT0: [a], INPUT1: [b] })
    expect([...(outputs.OUTPUT0?.data ?? [])]).toEqual(a.map((x) => x + 1))
    expect([...(outputs.OUTPUT1?.data ?? [])]).toEqual(a.map((x) => x - 1))
    const words = await server.predict('simple_string', { INPUT0: [a.map(String)], INPUT1: [b.map(String)] })
    expect(words.outputs.OUTPUT0?.data).toEqual(a.map((x) => String(x + 1)))
    expect(await codeOf(server.predict('simple', { INPUT0: Array(9).fill(a), INPUT1: Array(9).fill(b) }))).toEqual([
      'INPUT_INVALID',
      'input "INPUT0": expected at most 8 rows, got 9',
    ])
    expect(server.model('simple').configNotes).toEqual([])
    expect(server.model('simple_sequence').configNotes).toEqual([])
    expect(server.model('simple_dyna_sequence').configNotes.map(({ field }) => field)).toEqual([
      'sequence_batching.oldest.max_candidate_sequences',
      'sequence_batching.oldest.max_queue_delay_microseconds',
      'parameters["execute_delay_ms"]',
    ])
    expect(server.model('simple').tritonConfig).toMatchObject({
      platform: 'onnxruntime_onnx',
      input: [{ dims: [16] }, { dims: [16] }],
    })
  })
})
