/** Files that are not what they should be: a clear refusal, never a hang, never much memory. */

import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, open, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isModelmountError, type ModelmountError } from '../../../src/core/errors.ts'
import { readOnnx } from '../../../src/core/onnx/index.ts'
import * as models from '../../../tools/models.mjs'
import { attr, type GraphSpec, node, tensor, type, typedValue, value, writeModel } from '../../../tools/onnx-writer.mjs'
import { POSIX } from '../../support/needs.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'modelmount-hostile-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

async function refusal(source: string | Uint8Array): Promise<ModelmountError> {
  const error = await readOnnx(source).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!isModelmountError(error)) throw new Error('readOnnx did not refuse', { cause: error })
  expect(error.details?.field).toBe('source')
  return error
}

/** Facts or MODEL_INVALID; anything else fails the test. */
async function accepted(bytes: Uint8Array): Promise<boolean> {
  try {
    await readOnnx(bytes)
    return true
  } catch (error) {
    if (isModelmountError(error) && error.code === 'MODEL_INVALID') return false
    throw error
  }
}

const text = (s: string) => new TextEncoder().encode(s)
const written = async (name: string, content: Uint8Array) => {
  const path = join(dir, name)
  await writeFile(path, content)
  return path
}

/** A bit of everything that the reader looks at. */
const rich = () =>
  writeModel({
    doc: 'doc',
    metadata: { key: 'text' },
    graph: {
      name: 'rich',
      inputs: [value('x', 'float', ['N', 4, null], { doc: 'rows' }), typedValue('s', type.sequence(type.tensor('int64', [2])))],
      outputs: [value('y', 'float', ['N', 4])],
      nodes: [
        node('If', ['c'], ['y'], {
          then_branch: attr.graph({
            nodes: [node('Constant', [], ['k'], { value: attr.tensor(tensor('k', 'int64', [2], [1, 2])) })],
          }),
        }),
      ],
      initializers: [tensor('w', 'float', [2], undefined, { external: { location: 'w.bin', offset: 0, length: 8 } })],
    },
  })

describe('paths', () => {
  test('missing', async () => {
    const error = await refusal(join(dir, 'nope.onnx'))
    expect(error.code).toBe('MODEL_LOAD_FAILED')
    expect(error.message).toMatch(/nope\.onnx" does not exist$/)
  })

  test('below a file, with a NUL byte, too long', async () => {
    const file = await written('file', rich())
    for (const path of [join(file, 'x'), `${file}\0`, join(dir, 'n'.repeat(5000))]) {
      expect((await refusal(path)).code).toBe('MODEL_LOAD_FAILED')
    }
  })

  test('directory', async () => {
    await mkdir(join(dir, 'd'))
    expect(await refusal(join(dir, 'd'))).toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringContaining('is a directory'),
    })
  })

  test('FIFO, device and symlink circle', POSIX, async () => {
    execFileSync('mkfifo', [join(dir, 'fifo')])
    await symlink(join(dir, 'circle'), join(dir, 'circle'))
    expect(await refusal(join(dir, 'fifo'))).toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringContaining('not a regular file'),
    })
    expect(await refusal('/dev/zero')).toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringContaining('not a regular file'),
    })
    expect(await refusal(join(dir, 'circle'))).toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringContaining('in a circle'),
    })
  })

  test('a symlink to a model is followed', async () => {
    const target = await written('target.onnx', models.addModel())
    await symlink(target, join(dir, 'link.onnx'))
    expect((await readOnnx(join(dir, 'link.onnx'))).graphName).toBe('add')
  })

  test('empty', async () => {
    expect(await refusal(await written('empty', new Uint8Array()))).toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringMatching(/is empty$/),
    })
    expect((await refusal(new Uint8Array())).message).toBe('the model is empty')
  })
})

describe('other content', () => {
  const long = 'x'.repeat(600)
  test.each([
    ['text', text(`hello, this is no model\n${long}`), 'a text file'],
    ['HTML', text('<!doctype html><title>404</title>'), 'an HTML'],
    ['Git LFS', text('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n'), 'a Git LFS pointer'],
    ['ZIP', text('PK\x03\x04rest'), 'a ZIP archive'],
    ['zeros', new Uint8Array(4096), 'a file of zero bytes'],
    ['no graph', Uint8Array.of(8, 8, 18, 1, 65), 'it has no graph'],
    ['cut off', models.mlpModel().subarray(0, 900), 'it is cut off or damaged'],
    ['eleven-byte number', Uint8Array.from([8, ...Array(10).fill(0x80), 1]), 'longer than ten bytes'],
    ['field 0', Uint8Array.of(2, 0), 'no valid field at byte 0'],
    ['group', Uint8Array.of(8, 8, 11, 12), 'unknown wire type 3'],
    ['inner length beyond its message', Uint8Array.of(0x3a, 2, 0x0a, 40, 8, 8), 'does not fit into the message around it'],
    ['two graphs', Uint8Array.from([...models.addModel(), 0x3a, 0]), 'it has two graphs'],
  ])('%s', async (name, bytes, message) => {
    for (const source of [bytes, await written(`${name}.onnx`, bytes)]) {
      const error = await refusal(source)
      expect(error.code).toBe('MODEL_INVALID')
      expect(error.message).toContain(message)
    }
  })

  test('.ort', async () => {
    const error = await refusal(Uint8Array.of(0x20, 0, 0, 0, ...text('ORTM'), 0, 0))
    expect(error.code).toBe('MODEL_UNSUPPORTED')
    expect(error.message).toContain('allowOrtFormat: true')
    expect(error.details).toMatchObject({ format: 'ort' })
  })
})

describe('limits', () => {
  const io = (graph: GraphSpec) => writeModel({ graph })
  const many = (count: number) => Array.from({ length: count }, (_, i) => value(`v${i}`, 'float', [1]))

  test.each([
    ['duplicate inputs', io({ inputs: [value('x', 'float'), value('x', 'int8')] }), 'input 1 has the name of another input'],
    ['duplicate outputs', io({ outputs: [value('x', 'float'), value('x', 'int8')] }), 'output 1 has the name of another output'],
    ['nameless input', io({ inputs: [value('', 'float')] }), 'input 0 has no name'],
    ['long name', io({ inputs: [value('n'.repeat(4097), 'float')] }), 'the name of input 0 is 4097 bytes long'],
    ['many inputs', io({ inputs: many(10_001) }), 'more than 10000 inputs'],
    ['many outputs', io({ outputs: many(10_001) }), 'more than 10000 outputs'],
  ])('%s', async (_, bytes, message) => {
    const error = await refusal(bytes)
    expect(error.code).toBe('MODEL_INVALID')
    expect(error.message).toContain(message)
  })

  test('as many and as long as allowed', async () => {
    expect((await readOnnx(io({ inputs: many(10_000), outputs: [value('n'.repeat(4096), 'float')] }))).inputs).toHaveLength(
      10_000,
    )
  })

  test('an input and an output may share a name', async () => {
    expect((await readOnnx(io({ inputs: [value('x', 'float')], outputs: [value('x', 'float')] }))).outputs).toHaveLength(1)
  })

  test('a name that is not UTF-8', async () => {
    const bytes = io({ inputs: [value('????', 'float')] })
    bytes.set([0xff, 0xfe], Buffer.from(bytes).indexOf('????'))
    expect((await refusal(bytes)).message).toContain('not valid UTF-8')
  })

  test('two types for one value', async () => {
    // an int4 behind a float must not hide from the support check
    const twice = [...Buffer.from([0x12, 4, 0x0a, 2, 8, 1]), ...Buffer.from([0x12, 4, 0x0a, 2, 8, 22])]
    const output = [0x0a, 1, 0x79, ...twice]
    const graph = [0x62, output.length, ...output]
    expect((await refusal(Uint8Array.from([0x3a, graph.length, ...graph]))).message).toContain('output 0 has two types')
  })

  const nested = (levels: number) => {
    let graph: GraphSpec = {}
    for (let i = 0; i < levels; i++) graph = { nodes: [node('If', [], [], { then_branch: attr.graph(graph) })] }
    return writeModel({ graph })
  }
  const nestedType = (levels: number) => {
    let inner = type.tensor('float')
    for (let i = 0; i < levels; i++) inner = type.sequence(inner)
    return writeModel({ graph: { inputs: [typedValue('x', inner)] } })
  }
  test('nesting', async () => {
    expect((await readOnnx(nested(33))).nodeCount).toBe(33)
    expect((await refusal(nested(34))).message).toContain('deeper than 100 levels')
    expect((await refusal(nested(2000))).message).toContain('deeper than 100 levels')
    expect((await readOnnx(nestedType(40))).inputs[0]?.declaredType).toMatch(/^(seq\(){40}tensor/)
    expect((await refusal(nestedType(60))).message).toContain('deeper than 100 levels')
  })

  test('text without end', async () => {
    const metadata = Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`k${i}`, 'x'.repeat(1024 * 1024)]))
    expect((await refusal(writeModel({ metadata, graph: {} }))).message).toContain('take more than')
  })
})

describe('damage', () => {
  test.each([
    ['rich', rich()],
    ['loop', models.slowLoopModel().slice()],
    ['sequence', models.sequenceModel()],
  ])('%s, cut at every byte', async (_, bytes) => {
    expect(await accepted(bytes)).toBe(true)
    let refused = 0
    for (let length = 0; length < bytes.length; length++) if (!(await accepted(bytes.subarray(0, length)))) refused++
    expect(refused).toBeGreaterThan(bytes.length * 0.8)
  })

  test('bytes changed at random', async () => {
    const original = rich()
    const seen = { accepted: 0, refused: 0 }
    const change = fc.record({ at: fc.nat(original.length - 1), byte: fc.nat(255) })
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const bytes = original.slice()
        for (const { at, byte } of changes) bytes[at] = byte
        seen[(await accepted(bytes)) ? 'accepted' : 'refused']++
      }),
      { numRuns: 3000 },
    )
    expect(seen.accepted).toBeGreaterThan(100)
    expect(seen.refused).toBeGreaterThan(100)
  })

  test('random bytes', () =>
    fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        await accepted(bytes)
      }),
      { numRuns: 1000 },
    ))
})

describe('size', () => {
  const GIB3 = 3 * 1024 ** 3

  test('a graph larger than the window reads the same from a file and from memory, and lets the event loop turn', async () => {
    const count = 20_000
    const bytes = writeModel({
      graph: {
        inputs: [value('h0', 'float', ['N'])],
        outputs: [value(`h${count}`, 'float', ['N'])],
        nodes: Array.from({ length: count }, (_, i) => node('Relu', [`h${i}`], [`h${i + 1}`], {}, { name: `relu-${i}` })),
        initializers: [tensor('w', 'float', [100_000], new Float32Array(100_000))],
      },
    })
    let turns = 0
    let counting = true
    const tick = () => {
      turns++
      if (counting) setImmediate(tick)
    }
    setImmediate(tick)
    const fromMemory = await readOnnx(bytes)
    counting = false
    expect(turns).toBeGreaterThan(8)
    expect(fromMemory).toMatchObject({ nodeCount: count, initializerBytes: 400_000 })
    expect(await readOnnx(await written('many.onnx', bytes))).toEqual(fromMemory)
  })

  test('text that lies across windows', async () => {
    const long = 'é'.repeat(100_000)
    const inputs = Array.from({ length: 3000 }, (_, i) =>
      value(`a rather long name for an input, number ${i}`, 'float', [`symbol-${i}`]),
    )
    const facts = await readOnnx(writeModel({ doc: long, metadata: { long }, graph: { inputs } }))
    expect(facts.doc).toBe(long)
    expect(facts.metadata.long).toBe(long)
    for (const [i, { name, dims }] of facts.inputs.entries()) {
      expect(name).toBe(`a rather long name for an input, number ${i}`)
      expect(dims).toEqual([`symbol-${i}`])
    }
  })

  test('3 GiB of weights are stepped over', async () => {
    const path = await writeHugeModel(join(dir, 'huge.onnx'), GIB3)
    const before = process.memoryUsage().rss
    let peak = before
    const sampler = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss)
    }, 1)
    const started = process.cpuUsage()
    const facts = await readOnnx(path)
    const used = process.cpuUsage(started)
    clearInterval(sampler)
    peak = Math.max(peak, process.memoryUsage().rss)
    expect(facts.initializerBytes).toBe(GIB3)
    expect(facts.outputs.map(({ name }) => name)).toEqual(['y'])
    // Of the processor, in microseconds: not of the clock, which runs on while others are at work.
    expect(used.user + used.system).toBeLessThan(1_000_000)
    expect(peak - before).toBeLessThan(64 * 1024 * 1024)
  })

  /** A sparse file: graph { initializer { name, raw_data of `weights` zero bytes }, output y }. */
  async function writeHugeModel(path: string, weights: number): Promise<string> {
    const varint = (n: number): number[] => (n < 128 ? [n] : [(n % 128) + 128, ...varint(Math.floor(n / 128))])
    const output = [0x62, 9, 0x0a, 1, 0x79, 0x12, 4, 0x0a, 2, 8, 1]
    const tensorHead = [0x42, 1, 0x77, 0x4a, ...varint(weights)]
    const graphHead = [0x2a, ...varint(tensorHead.length + weights), ...tensorHead]
    const head = [8, 8, 0x3a, ...varint(graphHead.length + weights + output.length), ...graphHead]
    const file = await open(path, 'w')
    await file.write(Uint8Array.from(head), 0, head.length, 0)
    await file.write(Uint8Array.from(output), 0, output.length, head.length + weights)
    await file.close()
    return path
  }
})
