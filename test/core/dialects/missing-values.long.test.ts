/** Missing values: null, NaN and Infinity as clients write them, in every dialect, every form and every way of reading. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeInfer } from '../../../src/core/dialects/open-inference/request.ts'
import { createIntake } from '../../../src/core/model/view/intake.ts'
import { fromHalf, toHalf, toWireType } from '../../../src/core/tensor/index.ts'
import type { DType, ModelSignature, Tensor } from '../../../src/core/tensor/types.ts'
import { fault, input } from '../tensor/support.ts'
import { READERS } from './decoders.ts'

const MAX = { maxElements: 2 ** 22, maxTextBytes: 2 ** 24 }
const FLOATS = ['float32', 'float64', 'float16'] as const
type Float = (typeof FLOATS)[number]

/** x [N, 2], and long integers that a request may leave out. */
const modelOf = (type: DType, more: object = {}): ModelSignature => ({
  inputs: [{ ...input('x', type, ['N', 2]), ...more }, input('i', 'int64', ['M'], true)],
  outputs: [],
})
const onlyX = (type: DType, more: object = {}): ModelSignature => ({
  inputs: modelOf(type, more).inputs.slice(0, 1),
  outputs: [],
})

/** Numbers that all three types hold, and what stands for the others. */
const element = fc.oneof(
  fc.integer({ min: -2000, max: 2000 }).map((n) => ({ text: `${n / 4}`, value: n / 4 })),
  fc.constantFrom('null', 'NaN', '"NaN"').map((text) => ({ text, value: Number.NaN })),
  fc.constantFrom('Infinity', '"Infinity"').map((text) => ({ text, value: Number.POSITIVE_INFINITY })),
  fc.constantFrom('-Infinity', '"-Infinity"').map((text) => ({ text, value: Number.NEGATIVE_INFINITY })),
)
const rows = fc.array(fc.tuple(element, element), { minLength: 1, maxLength: 12 })
type Rows = readonly (readonly [{ text: string; value: number }, { text: string; value: number }])[]

const flat = (rows: Rows): string => rows.flatMap((row) => row.map(({ text }) => text)).join()
const nested = (rows: Rows): string => `[${rows.map((row) => `[${row.map(({ text }) => text).join(' , ')}]`).join()}]`
const LONG = '{"name":"i","shape":[1],"datatype":"INT64","data":[9007199254740993]}'

interface Way {
  readonly kind: 'infer' | 'generate' | 'tfPredict' | 'invocation'
  /** The model takes nothing else. */
  readonly alone?: boolean
  text(rows: Rows, type: DType): string
}

const infer = (data: string, { length }: Rows, type: DType, more = ''): string =>
  `{"inputs":[${more}{"name":"x","shape":[${length},2],"datatype":"${toWireType(type)}","data":${data}}]}`

const WAYS: Readonly<Record<string, Way>> = {
  'v2, flat': { kind: 'infer', text: (rows, type) => infer(`[${flat(rows)}]`, rows, type) },
  'v2, nested': { kind: 'infer', text: (rows, type) => infer(nested(rows), rows, type) },
  'v2, beside long integers': { kind: 'infer', text: (rows, type) => infer(`[${flat(rows)}]`, rows, type, `${LONG},`) },
  generate: { kind: 'generate', text: (rows) => `{"x":[${flat(rows)}]}` },
  'TensorFlow rows': { kind: 'tfPredict', alone: true, text: (rows) => `{"instances":${nested(rows)}}` },
  'TensorFlow named rows': {
    kind: 'tfPredict',
    text: (rows) => `{"instances":[${rows.map((row) => `{"x":[${row.map(({ text }) => text).join()}]}`).join()}]}`,
  },
  'TensorFlow columns': { kind: 'tfPredict', text: (rows) => `{"inputs":{"x":${nested(rows)},"i":[9007199254740993]}}` },
  'MLflow instances': { kind: 'invocation', alone: true, text: (rows) => `{"instances":${nested(rows)}}` },
  'MLflow inputs': { kind: 'invocation', text: (rows) => `{"inputs":{"x":${nested(rows)}}}` },
  dataframe_split: { kind: 'invocation', alone: true, text: (rows) => `{"dataframe_split":{"data":${nested(rows)}}}` },
  dataframe_records: {
    kind: 'invocation',
    alone: true,
    text: (rows) => `{"dataframe_records":[${rows.map(([a, b]) => `{"a":${a.text},"b":${b.text}}`).join()}]}`,
  },
}

/** Paddings that a reader treats in its own way: none, more than is parsed uncounted, more than is read twice to find a fault. */
const PADS = { short: 0, counted: 20_000, 'very long': 1_100_000 }

function read({ kind, alone, text }: Way, rows: Rows, type: DType, pad: number, more?: object): Tensor {
  const signature = alone ? onlyX(type, more) : modelOf(type, more)
  const body = Buffer.from(text(rows, type) + ' '.repeat(pad))
  return READERS[kind](body, signature, MAX).inputs.x as Tensor
}

const numbersOf = ({ type, data }: Tensor): number[] =>
  type === 'float16' ? Array.from(data as Uint16Array, fromHalf) : Array.from(data as Float64Array)

describe.each(Object.entries(WAYS))('%s', (_, way) => {
  test.each(FLOATS)('%s: as they are meant', (type: Float) => {
    for (const [pad, numRuns] of [
      [PADS.short, 200],
      [PADS.counted, 30],
      [PADS['very long'], 4],
    ] as const)
      fc.assert(
        fc.property(rows, (list) => {
          const tensor = read(way, list, type, pad)
          expect(tensor).toMatchObject({ type, dims: [list.length, 2] })
          expect(numbersOf(tensor)).toEqual(list.flatMap((row) => row.map(({ value }) => value)))
        }),
        { numRuns },
      )
  })

  test.each(['int32', 'int64', 'uint8', 'bool', 'string'] as const)('%s: refused in words', (type) => {
    const whole = { text: type === 'bool' ? 'true' : type === 'string' ? '"a"' : '7', value: 7 }
    for (const text of ['null', 'NaN', 'Infinity', '-Infinity'])
      for (const pad of Object.values(PADS)) {
        const error = fault(() => read(way, [[whole, { text, value: 0 }]], type, pad))
        expect(error).toMatchObject({ code: 'INPUT_INVALID', status: 400, details: { input: 'x' } })
        expect(error.details?.got).toBe(text.replace('-', ''))
      }
  })

  test('where the model’s settings refuse them', () => {
    const [one, none] = [
      { text: '1', value: 1 },
      { text: '0', value: 0 },
    ]
    for (const type of FLOATS)
      for (const text of ['null', 'NaN', '"NaN"', 'Infinity', '-Infinity']) {
        const list: Rows = [
          [one, none],
          [one, { text, value: 0 }],
        ]
        const error = fault(() => read(way, list, type, 0, { nonFinite: 'reject' }))
        expect(error).toMatchObject({
          code: 'INPUT_INVALID',
          details: { input: 'x', expected: 'finite numbers', got: 'a missing or infinite one as element 3' },
        })
        expect(error.details?.field).toMatch(/x|instances|inputs|dataframe/)
        expect(numbersOf(read(way, list.slice(0, 1), type, 0, { nonFinite: 'reject' }))).toEqual([1, 0])
      }
  })

  test('a number that overflows is refused as before', () => {
    const list: Rows = [
      [
        { text: '1e400', value: 0 },
        { text: 'Infinity', value: 0 },
      ],
    ]
    for (const type of FLOATS) expect(fault(() => read(way, list, type, 0)).details?.got).toContain('out of range')
  })
})

describe('lists of numbers', () => {
  const count = 5000
  const large = (words: readonly string[]): Rows =>
    Array.from({ length: count }, (_, i) => [
      { text: words[i % words.length] as string, value: Number(words[i % words.length]) },
      { text: `${i}.5`, value: i + 0.5 },
    ])

  test('with words among them are scanned all the same', () => {
    // Nothing that the JSON parsers take: only the scanner does not look at what stands before the list's first number again.
    for (const type of ['float32', 'float64'] as const) {
      const tensor = read(WAYS['v2, flat'] as Way, large(['NaN', 'Infinity', '-Infinity', '0.25']), type, 0)
      expect(numbersOf(tensor).slice(0, 8)).toEqual([Number.NaN, 0.5, Infinity, 1.5, -Infinity, 2.5, 0.25, 3.5])
      expect(numbersOf(read(WAYS['v2, flat'] as Way, large(['null', '1']), type, 0)).slice(0, 4)).toEqual([
        Number.NaN,
        0.5,
        1,
        1.5,
      ])
    }
  })

  test('that are refused by the settings are refused there, and in a body like one before', () => {
    const way = WAYS['v2, flat'] as Way
    const refused = (list: Rows, signature: ModelSignature) =>
      fault(() => decodeInfer(Buffer.from(way.text(list, 'float32')), signature, MAX)).details
    const signature = onlyX('float32', { nonFinite: 'reject' })
    expect(refused(large(['1', 'null']), signature)).toMatchObject({ field: 'inputs[0]', expected: 'finite numbers' })
    const finite: Rows = [
      [
        { text: '1', value: 1 },
        { text: '2', value: 2 },
      ],
    ]
    const missing: Rows = [
      [
        { text: '1', value: 1 },
        { text: 'null', value: 0 },
      ],
    ]
    decodeInfer(Buffer.from(way.text(finite, 'float32')), signature, MAX)
    expect(refused(missing, signature)).toMatchObject({ field: 'inputs[0]', expected: 'finite numbers' })
  })

  test.each(['nul', 'nulll', 'Nan', 'nan', 'Infinit', 'Infinityy', '+Infinity', '-NaN', '-null', '- Infinity', 'undefined'])(
    '%s is none of the words',
    (text) => {
      for (const way of Object.values(WAYS))
        expect(
          fault(() =>
            read(
              way,
              [
                [
                  { text: '1', value: 1 },
                  { text, value: 0 },
                ],
              ],
              'float32',
              0,
            ),
          ).code,
        ).toBe('REQUEST_INVALID')
    },
  )
})

describe('bytes and values in code', () => {
  const odd = [1, Number.NaN, Infinity, -Infinity]
  const arrays = { float32: Float32Array.from(odd), float64: Float64Array.from(odd), float16: Uint16Array.from(odd, toHalf) }

  const binary = (type: Float, signature: ModelSignature, headerLength?: number): Tensor => {
    const bytes = Buffer.from(arrays[type].buffer)
    const head = `{"inputs":[{"name":"x","shape":[2,2],"datatype":"${toWireType(type)}","parameters":{"binary_data_size":${bytes.length}}}]}`
    const body = headerLength === 0 ? bytes : Buffer.concat([Buffer.from(head), bytes])
    return decodeInfer(body, signature, { ...MAX, headerLength: headerLength ?? head.length }).inputs.x as Tensor
  }

  test.each(FLOATS)('%s: taken, unless the settings refuse them', (type) => {
    for (const headerLength of [undefined, 0]) {
      expect(numbersOf(binary(type, onlyX(type), headerLength))).toEqual(odd)
      const error = fault(() => binary(type, onlyX(type, { nonFinite: 'reject' }), headerLength))
      expect(error).toMatchObject({ code: 'INPUT_INVALID', details: { input: 'x', expected: 'finite numbers' } })
    }
    const [lax, strict] = [createIntake(onlyX(type), MAX), createIntake(onlyX(type, { nonFinite: 'reject' }), MAX)]
    const given = [arrays[type], { type, dims: [2, 2], data: arrays[type] } as Tensor]
    for (const x of given) {
      expect(numbersOf(lax({ x }).x as Tensor)).toEqual(odd)
      expect(fault(() => strict({ x }))).toMatchObject({ code: 'INPUT_INVALID', details: { field: 'x', input: 'x' } })
      const finite = 'data' in x ? { ...x, data: x.data.slice(0, 2), dims: [1, 2] } : x.slice(0, 2)
      expect(fault(() => strict({ x: finite as Tensor })).details?.got).toBe('a missing or infinite one as element 1')
    }
    expect(strict({ x: arrays[type].slice(0, 0) }).x?.dims).toEqual([0, 2])
  })
})

describe('elsewhere in a request', () => {
  const x = '{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}'
  test.each([
    [`{"id":NaN,"inputs":[${x}]}`, 'id'],
    [`{"inputs":[${x.replace('[1,2]', '[NaN,2]')}]}`, 'inputs[0].shape'],
    [`{"inputs":[${x.replace('"FP32"', 'Infinity')}]}`, 'inputs[0].datatype'],
    [`{"inputs":[${x.replace('"x"', '-Infinity')}]}`, 'inputs[0].name'],
    [`{"inputs":NaN}`, 'inputs'],
    [`{"inputs":[${x}],"outputs":[Infinity]}`, 'outputs[0]'],
    [`{"inputs":[${x}],"outputs":[{"name":"y","parameters":{"binary_data":NaN}}]}`, 'outputs[0].parameters.binary_data'],
    [`{"inputs":[${x}],"parameters":{"binary_data_output":Infinity}}`, 'parameters["binary_data_output"]'],
  ])('%s', (text, field) => {
    const signature = { inputs: onlyX('float32').inputs, outputs: [input('y', 'float32', ['N'])] }
    expect(fault(() => decodeInfer(Buffer.from(text), signature, MAX))).toMatchObject({
      code: 'REQUEST_INVALID',
      details: { field },
    })
  })
})
