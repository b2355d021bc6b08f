/** Bodies are counted before anything is built: against what the model's inputs can take, in every dialect. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Bounds, boundsOf } from '../../../src/core/dialects/codec/bounds.ts'
import { refuseExcess, refuseExcessIn } from '../../../src/core/dialects/codec/count.ts'
import { parseBody } from '../../../src/core/dialects/codec/long-integers.ts'
import { decodeInvocation } from '../../../src/core/dialects/mlflow/request.ts'
import { decodeGenerate } from '../../../src/core/dialects/open-inference/generate.ts'
import { decodeInfer } from '../../../src/core/dialects/open-inference/request.ts'
import { decodeTfPredict } from '../../../src/core/dialects/tf-serving/request.ts'
import { isModelmountError } from '../../../src/core/errors.ts'
import type { Dim, DType, ModelSignature } from '../../../src/core/tensor/types.ts'
import { input } from '../tensor/support.ts'

const WIDE: Bounds = { depth: 100, nodes: 1e6, values: 1e6, strings: 1e6, members: 1e6 }
const limit = { maxElements: 2 ** 24 }
const single = (type: DType, dims: readonly Dim[] | undefined): ModelSignature => ({
  inputs: [input('x', type, dims)],
  outputs: [input('y', 'float32', ['N', 3])],
})
const bytes = (text: string): Uint8Array => Buffer.from(text)

function refusal(work: () => unknown): { code: string; message: string; field: unknown } | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    if (!isModelmountError(error)) throw error
    return { code: error.code, message: error.message, field: error.details?.field }
  }
}

/** The contents of a tree, counted by walking it. */
function countOf(tree: unknown, depth = 1): { depth: number; nodes: number; strings: number; members: number } {
  if (typeof tree !== 'object' || tree === null)
    return { depth: 0, nodes: 0, strings: Number(typeof tree === 'string' && !/^(NaN|-?Infinity)$/.test(tree)), members: 0 }
  const inside = Object.values(tree).map((value) => countOf(value, depth + 1))
  return {
    depth: 1 + Math.max(0, ...inside.map((count) => count.depth)),
    nodes: 1 + inside.reduce((sum, { nodes }) => sum + nodes, 0),
    strings: inside.reduce((sum, { strings }) => sum + strings, 0),
    members: Math.max(0, Array.isArray(tree) ? 0 : Object.keys(tree).length, ...inside.map(({ members }) => members)),
  }
}

describe('counting', () => {
  const trees = fc.jsonValue({ maxDepth: 6 }).filter((value) => typeof value === 'object' && value !== null)

  test.each(['depth', 'nodes', 'strings', 'members'] as const)('%s: as many as there are, and no fewer', (what) => {
    fc.assert(
      fc.property(trees, fc.constantFrom(undefined, 1), (tree, space) => {
        const count = countOf(tree)[what]
        const text = JSON.stringify(tree, undefined, space)
        // One string more may be under way: a key, until its colon says so.
        const slack = what === 'strings' ? 1 : 0
        expect(refusal(() => refuseExcess(text, { ...WIDE, [what]: count }))).toBeUndefined()
        expect(refusal(() => refuseExcessIn(tree, { ...WIDE, [what]: count }))).toBeUndefined()
        if (count <= slack) return
        expect(refusal(() => refuseExcess(text, { ...WIDE, [what]: count - 1 - slack }))?.code).toBe('REQUEST_INVALID')
        expect(refusal(() => refuseExcessIn(tree, { ...WIDE, [what]: count - 1 }))?.code).toBe('REQUEST_INVALID')
      }),
      { numRuns: 500 },
    )
  })

  test('quotes, brackets and commas inside strings count for nothing', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('"', '\\', '[', '{', ',', ':', 'é', '\\"')), (parts) => {
        const text = JSON.stringify([parts.join(''), { [parts.join('')]: 1 }])
        expect(refusal(() => refuseExcess(text, { depth: 2, nodes: 2, values: 1, strings: 2, members: 1 }))).toBeUndefined()
      }),
    )
  })

  test('what is broken, or contains itself, ends', () => {
    for (const text of ['"', '"\\', ']]]]', '{"a', '[[[', '\\"', ':::', ''])
      expect(refusal(() => refuseExcess(text, WIDE))).toBeUndefined()
    const self: unknown[] = []
    self.push(self, self)
    expect(refusal(() => refuseExcessIn(self, WIDE))?.code).toBe('REQUEST_INVALID')
  })
})

describe('bounds of a model', () => {
  const dim = fc.constantFrom<Dim>(1, 2, 3, 'N', null)
  const shapes = fc.array(dim, { minLength: 1, maxLength: 4 })

  /** A nest of a shape that fits. */
  function nest(dims: readonly Dim[], open: number): unknown {
    const [first, ...rest] = dims
    if (first === undefined) return 1
    return Array.from({ length: typeof first === 'number' ? first : open }, () => nest(rest, open))
  }

  test('whatever fits the signature fits them, in every form', () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 0, max: 6 }), (dims, open) => {
        const values = nest(dims, open) as unknown[]
        const flat = values.flat(9)
        const shape = dims.map((size) => (typeof size === 'number' ? size : open))
        const bounds = boundsOf(single('float32', dims), limit.maxElements)
        for (const body of [
          { inputs: [{ name: 'x', datatype: 'FP32', shape, data: values }] },
          { inputs: [{ name: 'x', datatype: 'FP32', shape, data: flat }] },
          { instances: values },
          { instances: values.map((x) => ({ x })) },
          { inputs: { x: values } },
          { dataframe_split: { columns: ['x'], data: values.map((x) => [x]) } },
          { dataframe_records: values.map((x) => ({ x })) },
          { x: flat },
        ])
          expect(refusal(() => refuseExcess(JSON.stringify(body), bounds))).toBeUndefined()
      }),
    )
  })

  test('exactly where no size is open: a list more than it takes is refused', () => {
    const bounds = boundsOf(single('float32', [2, 3]), limit.maxElements)
    const { nodes, values } = bounds
    expect(nodes).toBeLessThan(5000)
    expect(values).toBeLessThan(5000)
    expect(refusal(() => refuseExcess(`[${'[],'.repeat(nodes)}[]]`, bounds))?.message).toBe(
      `the request body must have at most ${nodes} lists and objects for the inputs of this model, got more`,
    )
    expect(refusal(() => refuseExcess(`[${'1,'.repeat(values + 1)}1]`, bounds))?.field).toBe('body')
  })
})

describe('bodies that hold more than the model takes', () => {
  const MANY = 400_000
  const deep = `${'['.repeat(490)}1${']'.repeat(490)}`
  const FORMS: Readonly<Record<string, string>> = {
    'one-element lists': `[${'[1],'.repeat(MANY)}[1]]`,
    'deep lists, repeated': `[${`${deep},`.repeat(800)}1]`,
    'empty objects': `[${'{},'.repeat(2 * MANY)}{}]`,
    strings: `[${'"ab",'.repeat(MANY)}"ab"]`,
    members: `{${Array.from({ length: MANY }, (_, i) => `"k${i}":1`).join()}}`,
    'a long integer and lists': `[9007199254740993,${'[1],'.repeat(MANY)}[1]]`,
  }
  const DIALECTS: Readonly<Record<string, (value: string, signature: ModelSignature) => unknown>> = {
    'open-inference data': (value, signature) =>
      decodeInfer(bytes(`{"inputs":[{"name":"x","datatype":"INT64","shape":[1,4],"data":${value}}]}`), signature, limit),
    'open-inference inputs': (value, signature) => decodeInfer(bytes(`{"inputs":${value}}`), signature, limit),
    'open-inference parameters': (value, signature) => decodeInfer(bytes(`{"parameters":${value}}`), signature, limit),
    'binary head': (value, signature) => {
      const body = bytes(`{"inputs":${value}}`)
      return decodeInfer(body, signature, { ...limit, headerLength: body.length })
    },
    'tf-serving': (value, signature) => decodeTfPredict(bytes(`{"instances":${value}}`), signature, limit),
    'mlflow split': (value, signature) =>
      decodeInvocation(bytes(`{"dataframe_split":{"data":${value}}}`), 'json', signature, limit),
    'mlflow records': (value, signature) => decodeInvocation(bytes(`{"dataframe_records":${value}}`), 'json', signature, limit),
    generate: (value, signature) => decodeGenerate(bytes(`{"x":${value}}`), signature, limit),
  }
  const SIGNATURES = [single('float32', [1, 4]), single('int64', [1, 4]), single('string', [1, 4])]

  describe.each(Object.keys(DIALECTS))('%s', (dialect) => {
    test.each(Object.keys(FORMS))('%s: refused while they are counted, nothing is built', (form) => {
      const parse = JSON.parse
      let parsed = 0
      JSON.parse = (...args: Parameters<typeof parse>) => {
        parsed += args[0].length
        return parse(...args)
      }
      try {
        for (const signature of SIGNATURES) {
          const refused = refusal(() => DIALECTS[dialect]?.(FORMS[form] as string, signature))
          expect(refused).toMatchObject({ code: 'REQUEST_INVALID', field: 'body' })
          expect(refused?.message).toMatch(
            /^the request body must have at most \d+ [a-z ]+ for the inputs of this model, got more$/,
          )
        }
      } finally {
        JSON.parse = parse
      }
      expect(parsed).toBe(0)
    })
  })

  test('parsed by the app, too', () => {
    for (const [form, text] of Object.entries(FORMS)) {
      if (form === 'a long integer and lists') continue
      const refused = refusal(() => decodeInfer({ inputs: JSON.parse(text) }, SIGNATURES[0] as ModelSignature, limit))
      expect([form, refused]).toMatchObject([form, { code: 'REQUEST_INVALID', field: 'body' }])
    }
  })
})

describe('one tree', () => {
  test.each([
    ['a model of floats', single('float32', [null]), 'INT64', 1],
    ['a model of long integers', single('int64', [null]), 'FP32', 0],
  ] as const)(
    '%s: what the signature says decides how a body is parsed, and it is parsed once',
    (_, signature, datatype, fast) => {
      const parse = JSON.parse
      let calls = 0
      JSON.parse = (...args: Parameters<typeof parse>) => {
        calls++
        return parse(...args)
      }
      try {
        const body = `{"inputs":[{"name":"x","datatype":"${datatype}","shape":[2],"data":[9007199254740993,[1]]}]}`
        expect(refusal(() => decodeInfer(bytes(body), signature, limit))).toMatchObject({
          code: 'INPUT_INVALID',
          field: 'inputs[0].datatype',
        })
      } finally {
        JSON.parse = parse
      }
      expect(calls).toBe(fast)
    },
  )

  test('the id of a sequence keeps its digits, whatever the model takes', () => {
    const body = '{"parameters":{"sequence_id":9007199254740993}}'
    expect(parseBody(body, { exact: false })).toEqual({ parameters: { sequence_id: 9007199254740993n } })
    expect(parseBody('[9007199254740993]', { exact: false })).toEqual([9007199254740992])
    expect(parseBody('[9007199254740993]', { exact: true })).toEqual([9007199254740993n])
  })
})

describe('outside of tensors', () => {
  const model = single('float32', [null])
  const x = { name: 'x', datatype: 'FP32', shape: [1], data: [1] }
  const decode = (body: object) => refusal(() => decodeInfer(bytes(JSON.stringify(body)), model, limit))

  test('256 parameters of one object, ids of 1,024 characters', () => {
    const some = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${i}`, i]))
    expect(decode({ parameters: some(256), inputs: [x] })).toBeUndefined()
    expect(decode({ parameters: some(257), inputs: [x] })).toMatchObject({ code: 'REQUEST_INVALID', field: 'parameters' })
    expect(decode({ inputs: [{ ...x, parameters: some(257) }] })).toMatchObject({ field: 'inputs[0].parameters' })
    expect(refusal(() => decodeGenerate(bytes(JSON.stringify({ x: 1, ...some(257) })), model, limit))).toMatchObject({
      field: 'parameters',
    })
    expect(decode({ id: 'i'.repeat(1024), inputs: [x] })).toBeUndefined()
    expect(decode({ id: 'i'.repeat(1025), inputs: [x] })).toMatchObject({ code: 'REQUEST_INVALID', field: 'id' })
  })

  test('65,536 characters of names and texts of one object of parameters', () => {
    expect(decode({ parameters: { p: 'v'.repeat(65_535) }, inputs: [x] })).toBeUndefined()
    expect(decode({ parameters: { p: 'v'.repeat(65_536) }, inputs: [x] })).toMatchObject({
      code: 'REQUEST_INVALID',
      field: 'parameters',
    })
    expect(decode({ inputs: [{ ...x, parameters: { ['n'.repeat(65_537)]: 1 } }] })).toMatchObject({
      field: 'inputs[0].parameters',
    })
  })

  test('65,536 labels of all rows and outputs, before the run where the shapes tell', () => {
    const named: ModelSignature = {
      inputs: [input('x', 'float32', ['N'])],
      outputs: [input('y', 'float32', ['N', 1000]), input('z', 'float32', ['N', null])],
    }
    const ask = (rows: number, outputs: object[]) =>
      refusal(() => decodeInfer({ inputs: [{ ...x, shape: [rows], data: new Float32Array(rows) }], outputs }, named, limit))
    const top = (name: string, classification: number) => ({ name, parameters: { classification } })
    expect(ask(65, [top('y', 1000)])).toBeUndefined()
    expect(ask(66, [top('y', 1000)])).toMatchObject({ code: 'REQUEST_INVALID', field: 'outputs' })
    expect(ask(33, [top('y', 65_536)])).toBeUndefined()
    expect(ask(60_000, [top('z', 10)])).toBeUndefined()
    expect(ask(1, [top('y', 65_537)])).toMatchObject({ field: 'outputs[0].parameters.classification' })
  })
})
