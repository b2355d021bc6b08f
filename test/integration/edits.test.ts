/** Graphs that are edited after verification: their outputs in both tiers, and the facts that stay those of the file. */

import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encryptModel, type ModelServer, type ModelServerOptions, type ModelSpec, signModel } from 'modelmount'
import * as ort from 'onnxruntime-node'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { manifestIdOf } from '../../src/core/integrity/index.ts'
import {
  attr,
  node,
  optionalValue,
  sequenceValue,
  tensor,
  type,
  typedValue,
  untypedValue,
  value,
  writeModel,
} from '../../tools/onnx-writer.mjs'
import { workerPids } from '../support/children.ts'
import { type Classes, dictionaries, FORMS, scoresOf, scoring, zipMap } from '../support/classifiers.ts'
import { watch } from '../support/events.ts'
import { callerOf } from '../support/mount.ts'
import { ecPair } from '../support/openssl.ts'
import { provedServerFor } from '../support/server.ts'

const CLASSES: Classes = ['cat', 'dog', 'emu']
const ROWS = [
  [1, 2],
  [-3, 0.5],
] as const
const TIERS = ['thread', 'process'] as const

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'edits-test-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
})

function written(bytes: Uint8Array, name = 'model.onnx'): string {
  const path = join(dir, name)
  writeFileSync(path, bytes)
  return path
}

const serve = (spec: Partial<ModelSpec> & Pick<ModelSpec, 'source'>, options: Partial<ModelServerOptions> = {}) =>
  provedServerFor({ models: [{ name: 'm', ...spec }], strict: true, ...options })

async function expectScores(server: ModelServer, rows: readonly (readonly [number, number])[] = ROWS): Promise<void> {
  const { outputs } = await server.predict('m', { x: rows })
  const scores = scoresOf(rows, CLASSES).flat()
  const isWide = outputs.probabilities?.type === 'float64'
  expect(outputs.probabilities).toEqual({
    type: isWide ? 'float64' : 'float32',
    dims: [rows.length, 3],
    data: isWide ? Float64Array.from(scores) : Float32Array.from(scores),
  })
  expect(outputs.label?.data).toHaveLength(rows.length)
}

describe.each(TIERS)('%s tier', (isolation) => {
  test.each(Object.entries(FORMS))('probabilities %s', async (form, make) => {
    const server = await serve({ source: written(make(CLASSES)), isolation })
    await expectScores(server)
    expect(server.model('m')).toMatchObject({
      edits: expect.arrayContaining([expect.objectContaining({ edit: 'zipmap', target: 'probabilities' })]),
      leftOut: [],
      labels: { probabilities: CLASSES },
    })
    expect(server.model('m').outputs[1]).toMatchObject({
      name: 'probabilities',
      type: form === 'of doubles' ? 'float64' : 'float32',
      dims: [null, 3],
    })
  })

  test('every instance, the trial before it, and those that come later load the same graph', async () => {
    const server = await serve({ source: written(zipped()), isolation, instances: 2, trialRun: true, idleUnloadMs: 1000 })
    expect(server.model('m')).toMatchObject({ instances: { ready: 2 }, batching: { enabled: true } })
    await Promise.all(Array.from({ length: 20 }, (_, i) => expectScores(server, [[i, 1]])))
    if (isolation === 'process') {
      const lost = watch(server).next(({ type }) => type === 'worker-lost')
      process.kill(workerPids()[0] as number, 'SIGKILL')
      await lost
    } else {
      const gone = watch(server).next(({ type }) => type === 'residency')
      expect(await gone).toMatchObject({ resident: false })
    }
    await expectScores(server)
  })

  test('from bytes', async () => {
    await expectScores(await serve({ source: zipped(), isolation }))
  })

  test('with weights in another file, and with weights that instances share', async () => {
    const source = written(weighted())
    writeFileSync(join(dir, 'weights.bin'), WEIGHTS)
    const server = await provedServerFor({ models: [], cacheDirectory: join(dir, 'cache') })
    const events = watch(server)
    const settled = events.next(({ type }) => type === 'weights')
    await server.load({ name: 'm', source, isolation, shareWeights: true })
    const answer = async (): Promise<unknown> =>
      (await server.predict('m', { x: { type: 'float32', dims: [1, WIDTH], data: ONES } })).outputs.probabilities
    const expected = { type: 'float32', dims: [1, 3], data: Float32Array.of(2, 4, 6) }
    expect(await answer()).toEqual(expected)
    expect(await settled).toMatchObject({ form: 'shared', failed: false })
    expect(await answer()).toEqual(expected)
    // Found again, and by what the edits make of it.
    await server.unload('m')
    await server.load({ name: 'm', source, isolation, shareWeights: true })
    expect(server.model('m').weights).toMatchObject({ form: 'shared' })
    expect(await answer()).toEqual(expected)
  })
})

const zipped = (): Uint8Array => (FORMS['behind the classifier'] as (classes: Classes) => Uint8Array)(CLASSES)

const WIDTH = 512
const ONES = new Float32Array(WIDTH).fill(1)
/** [512, 2], such that ones become 1 and 1. */
const WEIGHTS = new Float32Array(WIDTH * 2).fill(1 / WIDTH)
const weighted = (): Uint8Array =>
  writeModel({
    opsets: { '': 17, 'ai.onnx.ml': 1 },
    graph: {
      inputs: [value('x', 'float', ['N', WIDTH])],
      outputs: [value('label', 'string', ['N']), dictionaries('probabilities', CLASSES)],
      nodes: [
        node('MatMul', ['x', 'w'], ['two']),
        scoring(CLASSES, 'label', 'scores', 'two'),
        zipMap('scores', 'probabilities', CLASSES),
      ],
      initializers: [
        tensor('w', 'float', [WIDTH, 2], undefined, {
          external: { location: 'weights.bin', offset: 0, length: WEIGHTS.byteLength },
        }),
      ],
    },
  })

test('id, signature and lock are those of the file', async () => {
  const path = written(zipped())
  const pair = ecPair()
  const { signer } = await signModel(path, { privateKey: pair.privateKey, signature: `${path}.sig` })
  const server = await serve(
    { source: path },
    { trust: { signers: [{ publicKey: pair.publicKey }] }, store: { dir: join(dir, 'store') } },
  )
  await expectScores(server)
  const bytes = readFileSync(path)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const manifestId = manifestIdOf([{ name: '.', sha256, size: bytes.length }])
  expect(server.model('m')).toMatchObject({ manifestId, signer, edits: [{ edit: 'zipmap' }] })
})

test('an encrypted model', async () => {
  const path = written(zipped())
  const key = { id: 'k', key: new Uint8Array(32).fill(7) }
  const keys = { current: () => key, byId: () => key }
  await encryptModel(path, { keys, model: 'm', out: join(dir, 'out') })
  const server = await serve({ source: join(dir, 'out', 'model.onnx.enc') }, { encryption: { keys } })
  await expectScores(server)
})

test('a file that has changed is not loaded again, and is once it is put back', async () => {
  const [path, before] = [written(zipped()), zipped()]
  const after = (FORMS['behind a Cast'] as (classes: Classes) => Uint8Array)(CLASSES)
  const server = await serve({ source: path, isolation: 'process' })
  writeFileSync(path, after)
  const refused = watch(server).next(({ type }) => type === 'start-refused')
  process.kill(workerPids()[0] as number, 'SIGKILL')
  expect(await refused).toMatchObject({ reason: expect.stringContaining('changed on disk') })
  const ready = watch(server).next(({ type }) => type === 'worker-ready')
  writeFileSync(path, before)
  await ready
  await expectScores(server)
})

test('results that are kept, and rows that share a run', async () => {
  const server = await serve({ source: zipped(), cache: { maxBytes: 2 ** 20 } })
  await expectScores(server)
  const { cached, outputs } = await server.predict('m', { x: ROWS })
  expect(cached).toBe(true)
  expect(outputs.probabilities?.dims).toEqual([2, 3])
})

test('settings of such an output hold, and its labels can be others', async () => {
  const labels = { probabilities: ['a', 'b', 'c'] }
  const server = await serve({ source: zipped(), labels, outputs: { probabilities: { type: 'float32', dims: [-1, 3] } } })
  expect(server.model('m').labels).toEqual(labels)
})

test('every dialect answers the probabilities, and metadata says what they are', async () => {
  const server = await serve({ source: zipped() })
  const { get, post } = callerOf(server.http)
  const [row] = scoresOf([[1, 2]], CLASSES)
  const input = { name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }
  expect((await post('/v2/models/m/infer', { inputs: [input] })).json).toMatchObject({
    outputs: [{ name: 'label' }, { name: 'probabilities', datatype: 'FP32', shape: [1, 3], data: row }],
  })
  const classes = { name: 'probabilities', parameters: { classification: 2 } }
  expect((await post('/v2/models/m/infer', { inputs: [input], outputs: [classes] })).json).toMatchObject({
    outputs: [{ datatype: 'BYTES', data: ['9.000000:2:emu', '6.000000:1:dog'] }],
  })
  expect((await get('/v2/models/m')).json).toMatchObject({
    outputs: [{ name: 'label' }, { name: 'probabilities', datatype: 'FP32', shape: [-1, 3] }],
  })
  expect((await get('/v2/models/m')).json).not.toHaveProperty('parameters')
  const all = callerOf(server.http.mount({ dialects: ['open-inference', 'tf-serving', 'mlflow'] }))
  expect((await all.post('/v1/models/m:predict', { instances: [{ x: [1, 2] }] })).json).toEqual({
    predictions: [{ label: 'emu', probabilities: row }],
  })
  const scored = await all.post('/invocations', { inputs: { x: [[1, 2]] } })
  expect(JSON.stringify(scored.json)).toContain(JSON.stringify(row))
})

describe('outputs that cannot be carried', () => {
  const x = value('x', 'float', ['N', 2])
  const y = value('y', 'float', ['N', 2])
  const cast = (to: number, into: string) => node('Cast', ['x'], [into], { to: attr.int(to) })
  const mixed = (): Uint8Array =>
    writeModel({
      irVersion: 14,
      opset: 23,
      graph: {
        inputs: [x],
        outputs: [
          value('half', 'bfloat16', ['N', 2]),
          y,
          value('tiny', 'int4', ['N', 2]),
          sequenceValue('list', 'float'),
          optionalValue('maybe', 'float'),
        ],
        nodes: [
          node('Identity', ['x'], ['y']),
          cast(16, 'half'),
          cast(22, 'tiny'),
          node('SequenceConstruct', ['x', 'x'], ['list']),
          node('Optional', ['x'], ['maybe']),
        ],
      },
    })
  const NAMES = ['half', 'tiny', 'list', 'maybe']

  test.each(TIERS)('are cut and the rest served, in the %s tier', async (isolation) => {
    const server = await provedServerFor({ models: [] })
    const { seen } = watch(server)
    await server.load({ name: 'm', source: written(mixed()), isolation })
    expect((await server.predict('m', { x: ROWS })).outputs).toEqual({
      y: { type: 'float32', dims: [2, 2], data: Float32Array.from(ROWS.flat()) },
    })
    const { edits, leftOut, outputs } = server.model('m')
    expect(outputs.map(({ name }) => name)).toEqual(['y'])
    expect(edits.map(({ edit, target }) => `${edit} ${target}`)).toEqual([
      ...NAMES.map((name) => `cut-output ${name}`),
      'ir-version ir_version',
    ])
    expect(leftOut.map(({ name }) => name)).toEqual(NAMES)
    const warnings = seen.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
    expect(warnings).toEqual(leftOut.map(({ name, reason }) => `m@1: output '${name}' is left out: ${reason}`))
    expect(warnings[0]).toContain('it is tensor(bfloat16), which onnxruntime-node cannot carry: let it end with a Cast to float')
  })

  test('and asking for one says its type and what helps', async () => {
    const server = await serve({ source: mixed() })
    const left = { code: 'OUTPUT_NOT_FOUND', status: 400, details: { type: 'tensor(bfloat16)', got: 'half' } }
    await expect(server.predict('m', { x: ROWS }, { outputs: ['half'] })).rejects.toMatchObject({
      ...left,
      message: expect.stringMatching(
        /does not serve its output 'half': it is tensor\(bfloat16\), .*: let it end with a Cast to float$/,
      ),
    })
    await expect(server.predict('m', { x: ROWS }, { outputs: ['none'] })).rejects.toThrow(/has no output 'none'; it has 'y'/)
    const { get, post } = callerOf(server.http)
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }]
    // Also where the body is read in another thread.
    const wide = [{ name: 'x', datatype: 'FP32', shape: [8192, 2], data: Array.from({ length: 16384 }, () => 1.5) }]
    for (const given of [inputs, wide]) {
      const { status, json } = await post('/v2/models/m/infer', { inputs: given, outputs: [{ name: 'list' }] })
      expect(status).toBe(400)
      expect(json).toMatchObject({
        code: 'OUTPUT_NOT_FOUND',
        error: expect.stringMatching(
          /output "list" is not served: it is seq\(tensor\(float\)\), .*: let it end with ConcatFromSequence/,
        ),
      })
    }
    expect((await get('/v2/models/m')).json).toMatchObject({
      outputs: [{ name: 'y' }],
      parameters: {
        left_out: [
          { name: 'half', datatype: 'tensor(bfloat16)', reason: expect.stringContaining('Cast to float') },
          { name: 'tiny' },
          { name: 'list' },
          { name: 'maybe' },
        ],
      },
    })
    await expect(serve({ source: mixed(), outputs: { half: { type: 'float32' } } })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('which is not served: it is tensor(bfloat16)'),
    })
  })

  test('a model without any other is refused, and says why', async () => {
    const source = writeModel({
      irVersion: 11,
      opset: 23,
      graph: { inputs: [x], outputs: [value('z', 'int4', ['N', 2])], nodes: [cast(22, 'z')] },
    })
    await expect(serve({ source })).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message:
        'its only output, "z", is tensor(int4), which onnxruntime-node cannot carry: let it end with a Cast to an integer of 8 bits',
    })
  })

  test('a format version that cannot be lowered says what to do', async () => {
    const source = writeModel({ irVersion: 15, graph: { inputs: [x], outputs: [y], nodes: [node('Identity', ['x'], ['y'])] } })
    await expect(serve({ source })).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringContaining('ir_version=10'),
    })
  })
})

describe('outputs of no declared type', () => {
  const x = value('x', 'float', ['N', 2])
  const of = (nodes: Parameters<typeof writeModel>[0]['graph']['nodes'], z = untypedValue('z')) =>
    writeModel({
      irVersion: 11,
      opset: 23,
      graph: {
        inputs: [x],
        outputs: [value('y', 'float', ['N', 2]), z],
        nodes: [node('Identity', ['x'], ['y']), ...(nodes ?? [])],
      },
    })

  test.each(TIERS)('are served with the type and shape that ONNX Runtime knows, in the %s tier', async (isolation) => {
    const server = await serve({
      source: of([node('Shape', ['x'], ['s']), node('Cast', ['x'], ['z'], { to: attr.int(11) })]),
      isolation,
    })
    expect(server.model('m').outputs[1]).toMatchObject({
      name: 'z',
      type: 'float64',
      declaredType: 'tensor(double)',
      dims: ['N', 2],
    })
    expect((await server.predict('m', { x: ROWS })).outputs.z).toEqual({
      type: 'float64',
      dims: [2, 2],
      data: Float64Array.from(ROWS.flat()),
    })
    expect(server.model('m').batching.enabled).toBe(true)
  })

  test('and with a sample, which tells nothing of their shape before they are loaded', async () => {
    const source = of([node('Exp', ['x'], ['z'])])
    expect((await serve({ source, warmup: [{ x: [[1, 2]] }] })).model('m').batching.enabled).toBe(true)
  })

  test('also where only the session can tell: it is computed by an operator of another domain', async () => {
    const server = await serve({ source: of([node('FastGelu', ['x'], ['z'], {}, { domain: 'com.microsoft' })]) })
    expect(server.model('m').outputs[1]).toMatchObject({ name: 'z', type: 'float32' })
    expect((await server.predict('m', { x: [[0, 0]] })).outputs.z?.data).toEqual(Float32Array.of(0, 0))
  })

  test('a declared type without a shape gets the shape', async () => {
    const server = await serve({ source: of([node('Exp', ['x'], ['z'])], value('z', 'float')) })
    expect(server.model('m').outputs[1]).toMatchObject({ declaredType: 'tensor(float)', dims: ['N', 2] })
  })

  test('one that turns out to be a sequence is left out', async () => {
    const server = await serve({ source: of([node('SplitToSequence', ['x'], ['z'])]) })
    expect(server.model('m')).toMatchObject({ outputs: [{ name: 'y' }], leftOut: [{ name: 'z', declaredType: 'not a tensor' }] })
    expect(Object.keys((await server.predict('m', { x: ROWS })).outputs)).toEqual(['y'])
  })
})

describe('an .ort file', () => {
  test('is left as it is, and says what it does not serve', async () => {
    const path = join(dir, 'model.ort')
    const session = await ort.InferenceSession.create(zipped(), {
      optimizedModelFilePath: path,
      extra: { session: { save_model_format: 'ORT' } },
      graphOptimizationLevel: 'basic',
      logSeverityLevel: 4,
    })
    await session.release()
    const server = await serve({ source: path, allowOrtFormat: true })
    expect(Object.keys((await server.predict('m', { x: ROWS })).outputs)).toEqual(['label'])
    expect(server.model('m')).toMatchObject({
      edits: [],
      leftOut: [{ name: 'probabilities', reason: expect.stringContaining('graphs of .ort files are left as they are') }],
    })
    await expect(server.predict('m', { x: ROWS }, { outputs: ['probabilities'] })).rejects.toMatchObject({
      code: 'OUTPUT_NOT_FOUND',
    })
  })
})

test('a dictionary of one row that is no sequence is left out with its type', async () => {
  const source = writeModel({
    opsets: { '': 17, 'ai.onnx.ml': 1 },
    graph: {
      inputs: [value('x', 'float', ['N', 2])],
      outputs: [value('label', 'string', ['N']), typedValue('one', type.map('string', type.tensor('float', [])))],
      nodes: [scoring(CLASSES), zipMap('scores', 'all', CLASSES), node('SequenceAt', ['all', 'first'], ['one'])],
      initializers: [tensor('first', 'int64', [], [0])],
    },
  })
  const server = await serve({ source })
  expect(server.model('m').leftOut).toMatchObject([{ name: 'one', declaredType: 'map(string,tensor(float))' }])
})
