import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Change, message, patchOf, text, varint } from '../../../src/core/onnx/edits/changes.ts'
import { editOnnx, readOnnx } from '../../../src/core/onnx/index.ts'
import { bytesSource, splicedSource } from '../../../src/core/onnx/source.ts'
import { type Patch, spliced } from '../../../src/core/onnx/splice.ts'
import { createReader, drive, type Reader, type Reading, type Span } from '../../../src/core/onnx/wire.ts'
import {
  attr,
  type ElemTypeName,
  modelFunction,
  node,
  optionalValue,
  sequenceValue,
  tensor,
  type,
  typedValue,
  untypedValue,
  type ValuePart,
  value,
  writeModel,
} from '../../../tools/onnx-writer.mjs'
import { type Classes, dictionaries, FORMS, graphOf, labelsOf, scoresOf, scoring, zipMap } from '../../support/classifiers.ts'

const ROWS = [
  [1, 2],
  [-3, 0.5],
  [0, 0],
] as const

async function edited(bytes: Uint8Array) {
  const result = await editOnnx(bytes, await readOnnx(bytes))
  const patched = spliced(bytes.length, result.patch, (into, from) => into.set(bytes.subarray(from, from + into.length)))
  return { ...result, bytes: patched }
}

async function run(bytes: Uint8Array, outputs?: readonly string[]) {
  const session = await InferenceSession.create(bytes, { logSeverityLevel: 4 })
  try {
    const feeds = { x: new Tensor('float32', Float32Array.from(ROWS.flat()), [ROWS.length, 2]) }
    return await session.run(feeds, outputs ?? session.outputNames)
  } finally {
    await session.release()
  }
}

const TEXTS: Classes = ['cat', 'dog', 'Ünï\n']
const NUMBERS: Classes = [0n, 1n, -(2n ** 62n)]

describe('ZipMap', () => {
  const cases = Object.entries(FORMS).flatMap(([form, make]) => [
    { form, classes: TEXTS, make },
    { form, classes: NUMBERS, make },
  ])

  test.each(cases)('$form, classes $classes', async ({ form, classes, make }) => {
    const { edits, facts, labels, bytes, leftOut, refusal } = await edited(make(classes))
    expect(refusal).toBeUndefined()
    expect(leftOut).toEqual([])
    expect(edits).toContainEqual(expect.objectContaining({ edit: 'zipmap', target: 'probabilities' }))
    expect(labels.probabilities).toEqual(classes.map(String))
    const [type, declaredType] = form === 'of doubles' ? ['float64', 'tensor(double)'] : ['float32', 'tensor(float)']
    expect(facts.outputs.find(({ name }) => name === 'probabilities')).toEqual({
      name: 'probabilities',
      type,
      declaredType,
      dims: [null, 3],
    })
    const results = await run(bytes)
    expect(results.probabilities).toMatchObject({ type, dims: [3, 3] })
    expect(Array.from((results.probabilities?.data ?? []) as Float32Array)).toEqual(scoresOf(ROWS, classes).flat())
    if (results.again) expect(results.again.data).toEqual(results.probabilities?.data)
  })

  test('a row without others stays as it is', async () => {
    const model = writeModel({
      opsets: { '': 17, 'ai.onnx.ml': 1 },
      graph: {
        inputs: [value('x', 'float', [null, 2])],
        outputs: [dictionaries('p', ['a'])],
        nodes: [
          node('ReduceSum', ['x'], ['s'], { keepdims: attr.int(0) }),
          node('Reshape', ['s', 'one'], ['v']),
          zipMap('v', 'p', ['a']),
        ],
        initializers: [tensor('one', 'int64', [1], [1])],
      },
    })
    const { bytes } = await edited(model)
    expect((await run(bytes)).p).toMatchObject({ dims: [1] })
  })

  test('may have many classes', async () => {
    const classes = Array.from({ length: 200_000 }, (_, i) => BigInt(i))
    const { labels } = await edited(graphOf({ outputs: [dictionaries('p', classes)], nodes: [zipMap('x', 'p', classes)] }))
    expect(labels.p).toHaveLength(200_000)
    expect(labels.p?.at(-1)).toBe('199999')
  })

  test('one in a branch, or in a function, is left out', async () => {
    const branch = (name: string) => ({
      name,
      outputs: [dictionaries(`${name}_p`, TEXTS)],
      nodes: [zipMap('scores', `${name}_p`, TEXTS)],
    })
    const inBranch = graphOf({
      outputs: [value('label', 'string', ['N']), dictionaries('p', TEXTS)],
      nodes: [
        scoring(TEXTS),
        node('Constant', [], ['yes'], { value: attr.tensor(tensor('', 'bool', [], [true])) }),
        node('If', ['yes'], ['p'], { then_branch: attr.graph(branch('a')), else_branch: attr.graph(branch('b')) }),
      ],
    })
    const own = { domain: 'own' }
    const inFunction = writeModel({
      opsets: { '': 17, 'ai.onnx.ml': 1, own: 1 },
      functions: [
        modelFunction({
          ...own,
          name: 'Zip',
          inputs: ['in'],
          outputs: ['out'],
          opsets: { '': 17, 'ai.onnx.ml': 1 },
          nodes: [node('ZipMap', ['in'], ['out'], labelsOf(TEXTS), { domain: 'ai.onnx.ml' })],
        }),
      ],
      graph: {
        inputs: [value('x', 'float', ['N', 2])],
        outputs: [value('label', 'string', ['N']), dictionaries('p', TEXTS)],
        nodes: [scoring(TEXTS), node('Zip', ['scores'], ['p'], {}, own)],
      },
    })
    for (const model of [inBranch, inFunction]) {
      const { edits, leftOut, bytes } = await edited(model)
      expect(edits).toEqual([
        { edit: 'cut-output', target: 'p', detail: 'onnxruntime-node cannot carry seq(map(string,tensor(float)))' },
      ])
      expect(leftOut).toEqual([
        {
          name: 'p',
          declaredType: 'seq(map(string,tensor(float)))',
          reason: 'it is seq(map(string,tensor(float))), which onnxruntime-node cannot carry: export the model with zipmap=False',
        },
      ])
      expect(Object.keys(await run(bytes))).toEqual(['label'])
    }
  })
})

const x = value('x', 'float', ['N', 2])
const y = value('y', 'float', ['N', 2])
const echo = node('Identity', ['x'], ['y'])
const TO: Readonly<Record<string, number>> = {
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
}
const cast = (to: number, from = 'x', into = 'z') => node('Cast', [from], [into], { to: attr.int(to) })
const withY = (z: ValuePart, nodes: Parameters<typeof graphOf>[0]['nodes']) =>
  writeModel({ irVersion: 11, opset: 23, graph: { inputs: [x], outputs: [y, z], nodes: [echo, ...nodes] } })

describe('outputs that cannot be carried', () => {
  test.each(Object.entries(TO))('one of %s is cut, with the node that made it', async (name, to) => {
    for (const z of [value('z', name as ElemTypeName, ['N', 2]), untypedValue('z')]) {
      const { edits, facts, leftOut, bytes } = await edited(withY(z, [cast(to)]))
      expect(edits).toEqual([{ edit: 'cut-output', target: 'z', detail: `onnxruntime-node cannot carry tensor(${name})` }])
      expect(leftOut).toEqual([
        { name: 'z', declaredType: `tensor(${name})`, reason: expect.stringMatching(/: let it end with a Cast to/) },
      ])
      expect(facts).toMatchObject({ nodeCount: 1, operators: ['ai.onnx:Identity'] })
      expect(Object.keys(await run(bytes))).toEqual(['y'])
    }
  })

  test.each<[string, ValuePart]>([
    ['tensor(float4e2m1)', value('z', 'float4e2m1', ['N', 2])],
    ['tensor(float8e8m0)', value('z', 'float8e8m0', ['N', 2])],
    ['tensor(uint2)', value('z', 'uint2', ['N', 2])],
    ['tensor(int2)', value('z', 'int2', ['N', 2])],
    ['tensor(complex64)', value('z', 'complex64', ['N', 2])],
    ['tensor(complex128)', value('z', 'complex128', ['N', 2])],
    ['tensor(type 77)', value('z', 77, ['N', 2])],
    ['seq(tensor(float))', sequenceValue('z', 'float')],
    ['optional(tensor(float))', optionalValue('z', 'float')],
    ['map(int64,tensor(float))', typedValue('z', type.map('int64', type.tensor('float', [])))],
    ['tensor(undefined)', typedValue('z', type.tensor(0))],
    ['sparse_tensor(float)', typedValue('z', type.sparseTensor('float', [4]))],
  ])('%s is cut, whatever makes it', async (declaredType, z) => {
    const { facts, leftOut, bytes, refusal } = await edited(
      withY(z, [node('Anything', ['x'], ['z'], {}, { domain: 'com.microsoft' })]),
    )
    expect(refusal).toBeUndefined()
    expect(leftOut).toEqual([
      { name: 'z', declaredType, reason: expect.stringContaining(`it is ${declaredType}, which onnxruntime-node`) },
    ])
    expect(facts.outputs.map(({ name }) => name)).toEqual(['y'])
    expect(Object.keys(await run(bytes))).toEqual(['y'])
  })

  test('nodes that others need stay, and so do those that worked for nothing before', async () => {
    const model = withY(value('z', 'bfloat16', ['N', 2]), [
      node('Exp', ['x'], ['shared']),
      cast(16, 'shared'),
      node('Neg', ['shared'], ['idle']),
      node('Constant', [], ['yes'], { value: attr.tensor(tensor('', 'bool', [], [true])) }),
    ])
    expect((await edited(model)).facts.nodeCount).toBe(3)
    const below = (name: string) => ({
      name,
      outputs: [value(`${name}_o`, 'float', ['N', 2])],
      nodes: [node('Neg', ['shared'], [`${name}_o`])],
    })
    const captured = writeModel({
      irVersion: 11,
      opset: 23,
      graph: {
        inputs: [x],
        outputs: [y, value('z', 'bfloat16', ['N', 2])],
        nodes: [
          node('Exp', ['x'], ['shared']),
          cast(16, 'shared'),
          node('Constant', [], ['yes'], { value: attr.tensor(tensor('', 'bool', [], [true])) }),
          node('If', ['yes'], ['y'], { then_branch: attr.graph(below('a')), else_branch: attr.graph(below('b')) }),
        ],
      },
    })
    const { bytes, facts } = await edited(captured)
    expect(facts.operators).not.toContain('ai.onnx:Cast')
    expect((await run(bytes)).y?.data[0]).toBeCloseTo(-Math.E)
  })

  test('a graph without any other is refused', async () => {
    const one = writeModel({
      irVersion: 11,
      opset: 23,
      graph: { inputs: [x], outputs: [value('z', 'bfloat16')], nodes: [cast(16)] },
    })
    expect(await edited(one)).toMatchObject({
      edits: [],
      refusal: 'its only output, "z", is tensor(bfloat16), which onnxruntime-node cannot carry: let it end with a Cast to float',
    })
    const two = writeModel({
      graph: { inputs: [x], outputs: [sequenceValue('s', 'float'), optionalValue('o', 'float')], nodes: [] },
    })
    expect((await edited(two)).refusal).toMatch(/^each of its outputs, like "s", is seq\(tensor\(float\)\), which/)
  })
})

describe('outputs of no declared type', () => {
  const TYPES = ['float', 'double', 'float16', 'int8', 'int64', 'uint32', 'bool'] as const
  test.each(TYPES)('one of %s is known from the graph', async (name) => {
    const to = { float: 1, double: 11, float16: 10, int8: 3, int64: 7, uint32: 12, bool: 9 }[name]
    for (const z of [untypedValue('z')]) {
      const { facts, edits } = await edited(withY(z, [cast(to, 'x', 'c'), node('Identity', ['c'], ['z'])]))
      expect(edits).toEqual([])
      expect(facts.outputs[1]).toMatchObject({ declaredType: `tensor(${name})` })
    }
  })

  test('one that does not follow is left to ONNX Runtime', async () => {
    const { facts, refusal } = await edited(
      withY(untypedValue('z'), [node('Tokenizer', ['x'], ['z'], {}, { domain: 'com.microsoft' })]),
    )
    expect(refusal).toBeUndefined()
    expect(facts.outputs[1]).toEqual({ name: 'z', type: undefined, declaredType: 'undeclared', dims: undefined })
  })
})

describe('IR version 14', () => {
  const of = (outputs: readonly ValuePart[], irVersion = 14, attributes = {}) =>
    writeModel({ irVersion, graph: { inputs: [x], outputs, nodes: [node('Identity', ['x'], ['y'], attributes)] } })

  test('is lowered where nothing of it is used', async () => {
    const { edits, facts, bytes } = await edited(of([y]))
    expect(edits).toEqual([
      { edit: 'ir-version', target: 'ir_version', detail: 'lowered from 14 to 13, of which nothing newer is used' },
    ])
    expect(facts.irVersion).toBe(13)
    expect((await run(bytes)).y?.dims).toEqual([3, 2])
  })

  const opaque = message(7, text(1, 'own'), text(2, 'Thing')) as unknown as Parameters<typeof typedValue>[1]
  test.each<[string, Uint8Array, string]>([
    ['an opaque type', of([y, typedValue('z', opaque)]), 'field 7 of a type'],
    ['an element type', of([y, value('z', 28, ['N'])]), 'element type 28'],
    ['an attribute', of([y], 14, { to: attr.tensor(tensor('', 27, [1], new Uint8Array(1))) }), 'element type 27'],
    ['a field of the model', Buffer.concat([of([y]), Buffer.from([0xda, 0x01, 0])]), 'field 27 of a model'],
  ])('is refused with %s that is newer', async (_, bytes, what) => {
    expect((await edited(bytes)).refusal).toBe(
      `it has IR version 14 and uses ${what}, which ONNX Runtime does not know: export it with ir_version=10`,
    )
  })

  test('and what comes after it is not read', async () => {
    expect((await edited(of([y], 15))).refusal).toBe(
      'it has IR version 15; the highest supported is 13: export it with ir_version=10',
    )
  })
})

describe('what is left as it is', () => {
  const plain = writeModel({
    irVersion: 11,
    opset: 23,
    graph: { inputs: [x], outputs: [y, sequenceValue('s', 'float')], nodes: [echo] },
  })
  const newest = writeModel({ irVersion: 14, graph: { inputs: [x], outputs: [y], nodes: [echo] } })
  /** Behind a field that no reader knows, which makes up the size: a hole, of which nothing is written. */
  async function sparse(model: Uint8Array, size: number): Promise<string> {
    const dir = await mkdtemp(join(tmpdir(), 'edits-large-'))
    onTestFinished(() => rm(dir, { recursive: true }))
    const path = join(dir, 'model.onnx')
    const file = await open(path, 'w')
    const head = Buffer.concat([model, varint(30 * 8 + 2), varint(size)])
    await file.write(head)
    await file.truncate(head.length + size)
    await file.close()
    return path
  }

  test('a file above 2 GB, with the reason', async () => {
    const path = await sparse(plain, 2 ** 31)
    const { edits, patch, leftOut, refusal } = await editOnnx(path, await readOnnx(path))
    expect({ edits, patch, refusal }).toEqual({ edits: [], patch: [], refusal: undefined })
    expect(leftOut).toMatchObject([
      { name: 's', reason: expect.stringMatching(/\(the file has \d+ bytes, and is left as it is above 2147483647\)/) },
    ])
    const newer = await sparse(newest, 2 ** 31)
    expect((await editOnnx(newer, await readOnnx(newer))).refusal).toMatch(
      /^it has IR version 14; .*ir_version=10; the file has \d+ bytes/,
    )
    const small = await sparse(plain, 2 ** 20)
    expect((await editOnnx(small, await readOnnx(small))).edits).toMatchObject([{ edit: 'cut-output' }])
  })

  test('a file whose weights lie elsewhere', async () => {
    const location = { external: { location: '../w.bin' } }
    const model = writeModel({
      irVersion: 11,
      opset: 23,
      graph: {
        inputs: [x],
        outputs: [y, sequenceValue('s', 'float')],
        nodes: [node('Add', ['x', 'w'], ['y'])],
        initializers: [tensor('w', 'float', [2], undefined, location)],
      },
    })
    expect(await edited(model)).toMatchObject({
      edits: [],
      leftOut: [{ name: 's', reason: expect.stringContaining('lie outside its folder') }],
    })
  })
})

test('a model that needs nothing is left alone', async () => {
  expect(await edited(writeModel({ graph: { inputs: [x], outputs: [y], nodes: [echo] } }))).toMatchObject({
    edits: [],
    patch: [],
    leftOut: [],
    labels: {},
  })
})

test('damaged files are refused or edited, and what comes of them can be read', async () => {
  const models = Object.values(FORMS).map((make) => make(TEXTS))
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...models), damage, async (model, places) => {
      const bytes = model.slice()
      for (const [at, byte] of places) bytes[at % bytes.length] = byte
      const facts = await readOnnx(bytes).catch((error: unknown) => {
        expect(error).toMatchObject({ code: expect.stringMatching(/^MODEL_/) })
      })
      if (!facts) return
      const result = await edited(bytes)
      const again = await readOnnx(result.bytes)
      expect(again.outputs.map(({ name }) => name)).toEqual(result.facts.outputs.map(({ name }) => name))
    }),
    { numRuns: 500 },
  )
})

// ---------------------------------------------------------------- splices

/** A message as a tree: a text, or messages in it. */
type Tree = string | readonly Tree[]
const trees = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof({ maxDepth: 5, depthSize: 'small' }, fc.string({ maxLength: 200 }), fc.array(tie('tree'), { maxLength: 4 })),
})).tree

const encode = (tree: Tree): Uint8Array => (typeof tree === 'string' ? text(1, tree) : message(2, ...tree.map(encode)))

/** Changes that empty, double or leave every text, by its place in the order of reading, and the tree that they should make. */
function* changesOf(
  reader: Reader,
  within: readonly Span[],
  fate: (i: number) => number,
  counter: { i: number },
): Reading<Change[]> {
  const changes: Change[] = []
  while (yield* reader.next()) {
    const span = reader.span()
    if (reader.is(2, 2)) {
      reader.enter()
      changes.push(...(yield* changesOf(reader, [...within, span], fate, counter)))
      continue
    }
    const old = yield* reader.text()
    const what = fate(counter.i++)
    if (what === 1) changes.push({ at: span.start, end: span.end, bytes: new Uint8Array(0), within })
    if (what === 2) changes.push({ at: span.start, end: span.end, bytes: text(1, old.repeat(3)), within })
    if (what === 3) changes.push({ at: span.end, end: span.end, bytes: text(1, 'new'), within })
  }
  return changes
}

function expectedOf(tree: Tree, fate: (i: number) => number, counter: { i: number }): Uint8Array {
  if (typeof tree !== 'string') return message(2, ...tree.map((one) => expectedOf(one, fate, counter)))
  const what = fate(counter.i++)
  if (what === 1) return new Uint8Array(0)
  if (what === 2) return text(1, tree.repeat(3))
  return what === 3 ? Buffer.concat([text(1, tree), text(1, 'new')]) : text(1, tree)
}

test('splices put the lengths right, at any depth', async () => {
  const one = fc.tuple(fc.array(trees, { maxLength: 5 }), fc.array(fc.nat(3), { minLength: 1, maxLength: 7 }))
  await fc.assert(
    fc.asyncProperty(one, fc.integer({ min: 1, max: 300 }), async ([roots, fates], step) => {
      const fate = (i: number): number => fates[i % fates.length] ?? 0
      const bytes = Buffer.concat(roots.map(encode))
      const reader = createReader(bytes.length)
      const patch: Patch = patchOf(await drive(reader, bytesSource(bytes), changesOf(reader, [], fate, { i: 0 })))
      const counter = { i: 0 }
      const expected = Buffer.concat(roots.map((tree) => expectedOf(tree, fate, counter)))
      const result = spliced(bytes.length, patch, (into, from) => into.set(bytes.subarray(from, from + into.length)))
      expect(Buffer.from(result)).toEqual(expected)
      // Read in steps, without being put together.
      const source = splicedSource(bytesSource(bytes), patch)
      expect(source.size).toBe(expected.length)
      const parts: Uint8Array[] = []
      for (let at = 0; at < source.size; at += step) parts.push((await source.read(at, step)).slice())
      expect(Buffer.concat(parts)).toEqual(expected)
    }),
    { numRuns: 200 },
  )
})

test('numbers as protobuf writes them', () => {
  expect([...varint(0), ...varint(127), ...varint(128), ...varint(2 ** 31)]).toEqual([0, 127, 128, 1, 128, 128, 128, 128, 8])
})
