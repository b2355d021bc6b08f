/** Bodies that differ in their numbers alone are read by what was learned from one of them: the same request, or the same refusal. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formOf } from '../../../src/core/dialects/open-inference/forms.ts'
import { decodeInfer } from '../../../src/core/dialects/open-inference/request.ts'
import { createTemplates } from '../../../src/core/dialects/open-inference/templates.ts'
import type { DType, ModelSignature } from '../../../src/core/tensor/types.ts'

const MAX_ELEMENTS = 1000

const WIRE: Partial<Record<DType, string>> = { float32: 'FP32', float64: 'FP64', int32: 'INT32', int64: 'INT64', uint8: 'UINT8' }

function signatureOf(types: readonly DType[]): ModelSignature {
  const inputs = types.map((type, i) => ({ name: `x${i}`, type, declaredType: type, dims: ['N', null] }))
  return { inputs, outputs: [{ name: 'y', type: 'float32', declaredType: 'float32', dims: ['N'] }] }
}

/** All facts about an outcome, bit for bit. */
function outcomeOf(body: Uint8Array | string, signature: ModelSignature, maxElements = MAX_ELEMENTS): unknown {
  try {
    const { inputs, forms, ...rest } = decodeInfer(body, signature, { maxElements })
    const tensors = Object.entries(inputs).map(([name, { type, dims, data }]) => {
      if (type === 'string') return [name, type, dims, data]
      return [name, type, dims, Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex')]
    })
    return [tensors, formOf(forms, 'y'), rest]
  } catch (error) {
    const { code, message, details } = error as { code: string; message: string; details: unknown }
    return [code, message, details]
  }
}

const number = fc.oneof(
  fc.integer({ min: 0, max: 255 }).map(String),
  fc.integer().map(String),
  fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }).map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.float({ noNaN: true, noDefaultInfinity: true }).map((x) => x.toPrecision(7)),
  fc.constantFrom('-0', '1e999', '01', '1.', '-', 'null', '"NaN"', 'true', '[1]', '1 2', '1\n', '{}', '"]"'),
)

const type = fc.constantFrom<DType>('float32', 'float64', 'int32', 'int64', 'uint8')
const space = fc.constantFrom('', '', '', ' ', '\n\t')
const more = fc.constantFrom(
  '',
  ',"outputs":[{"name":"y"}]',
  ',"outputs":[]',
  ',"extra":{"data":[1,"]"]}',
  ',"id":"a"',
  ',"parameters":{"priority":1}',
)

const client = fc.record({
  types: fc.array(type, { minLength: 1, maxLength: 3 }),
  gap: space,
  more,
  rows: fc.integer({ min: 1, max: 3 }),
})

interface Client {
  readonly types: readonly DType[]
  readonly gap: string
  readonly more: string
  readonly rows: number
}

const bodyOf = ({ types, gap, more, rows }: Client, numbers: readonly string[]): string => {
  const inputs = types.map((type, i) => {
    const data = Array.from({ length: 2 * rows }, (_, n) => numbers[(i * 2 * rows + n) % numbers.length])
    return `{"name":"x${i}",${gap}"datatype":"${WIRE[type]}","shape":[${rows},2],"data":${gap}[${gap}${data.join(`${gap},`)}${gap}]}`
  })
  return `{"inputs":[${inputs.join(gap === '' ? ',' : `,${gap}`)}]${more}}`
}

const shape = fc.oneof(
  fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }).map((dims) => `[${dims}]`),
  fc.constantFrom('[1,2]', '[2,2]', '[ 2 ,\n2 ]', '[02,2]', '[-1,2]', '[1.0,2]', '[1e0,2]', '[]', '[0,2]', '[1,2', '["1",2]'),
  fc.constantFrom(
    '[1,,2]',
    '[1 2]',
    '[4294967296,2]',
    '[99999999999999999999,2]',
    '[[1,2]]',
    'null',
    '{}',
    '[1,2],"shape":[2,2]',
  ),
)

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

test('whatever the numbers are, the outcome is that of reading the body as a whole', () => {
  fc.assert(
    fc.property(
      client,
      fc.array(fc.array(number, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 6 }),
      (one, lists) => {
        const signature = signatureOf(one.types)
        outcomeOf(encode(bodyOf(one, ['1', '2', '3'])), signature)
        for (const numbers of lists) {
          const text = bodyOf(one, numbers)
          // Text is never read by a template.
          expect(outcomeOf(encode(text), signature)).toEqual(outcomeOf(text, signature))
        }
      },
    ),
    { numRuns: 500 },
  )
})

test('whatever the shapes are, the outcome is that of reading the body as a whole', () => {
  const place = fc.record({ shape, count: fc.integer({ min: 1, max: 8 }) })
  const dims = fc.constantFrom<ModelSignature['inputs'][number]['dims']>(
    ['N', null],
    ['N', 'S'],
    ['N', 2],
    [null, null],
    undefined,
  )
  fc.assert(
    fc.property(
      client,
      fc.array(dims, { minLength: 3, maxLength: 3 }),
      fc.array(fc.array(place, { minLength: 3, maxLength: 3 })),
      (one, all, bodies) => {
        const { inputs, outputs } = signatureOf(one.types)
        const signature = { inputs: inputs.map((info, i) => ({ ...info, dims: all[i] })), outputs }
        outcomeOf(encode(bodyOf(one, ['1', '2', '3'])), signature)
        for (const places of bodies) {
          let index = 0
          const text = bodyOf(one, ['1', '2', '3']).replaceAll(/"shape":\[[^\]]*\],"data":(\s*)\[[^\]]*\]/g, (_, space) => {
            const { shape, count } = places[index++] as (typeof places)[number]
            return `"shape":${shape},"data":${space}[${Array.from({ length: count }, (_, n) => n)}]`
          })
          expect(outcomeOf(encode(text), signature)).toEqual(outcomeOf(text, signature))
        }
      },
    ),
    { numRuns: 1000 },
  )
})

test('whatever is changed anywhere in the body, the outcome is that of reading it as a whole', () => {
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    cut: fc.nat(3),
    put: fc.constantFrom('', ']', '[', ',', '"', '1', ' ', '}', '-', 'e', '\\', '.'),
  })
  fc.assert(
    fc.property(client, fc.array(edit, { minLength: 1, maxLength: 3 }), (one, edits) => {
      const signature = signatureOf(one.types)
      let text = bodyOf(one, ['1', '25', '3'])
      outcomeOf(encode(text), signature)
      for (const { at, cut, put } of edits) {
        const from = Math.floor(at * text.length)
        text = text.slice(0, from) + put + text.slice(from + cut)
      }
      expect(outcomeOf(encode(text), signature)).toEqual(outcomeOf(text, signature))
    }),
    { numRuns: 1000 },
  )
})

test('what stands between the last list and a known end counts', () => {
  const signature = signatureOf(['float32'])
  const text = bodyOf({ types: ['float32'], gap: '', more: '', rows: 1 }, ['1', '2'])
  outcomeOf(encode(text), signature)
  const more = text.replace('2]}', '2],"shape":[2,1]}')
  expect(outcomeOf(encode(more), signature)).toEqual(outcomeOf(more, signature))
  expect(JSON.stringify(outcomeOf(encode(more), signature))).toContain('[2,1]')
})

test('limits hold, also where they were wider when the body was learned from', () => {
  const signature = signatureOf(['float32'])
  const body = encode(bodyOf({ types: ['float32'], gap: '', more: '', rows: 3 }, ['1']))
  expect(outcomeOf(body, signature)).not.toContain('INPUT_INVALID')
  expect(outcomeOf(body, signature, 5)).toContain('INPUT_INVALID')
})

const learned = (text: string, more = '') => {
  const signature = signatureOf(['float32', 'int64'])
  const templates = createTemplates(signature)
  const body = encode(text)
  const request = decodeInfer(text, signature, { maxElements: MAX_ELEMENTS })
  templates.learn(body, ['x1', 'x0'], request)
  return templates.read(encode(text.replaceAll('[7,', '[8,') + more), MAX_ELEMENTS)
}

const TWO =
  '{"inputs":[{"name":"x1","shape":[1,2],"datatype":"INT64","data":[7,9007199254740993]},{"name":"x0","shape":[1,2],"datatype":"FP32","data":[7,0.5]}]'

test('what was learned is used: other numbers, in the order of the signature', () => {
  const request = learned(`${TWO}}`)
  expect(Object.keys(request?.inputs ?? {})).toEqual(['x0', 'x1'])
  expect(request?.inputs.x0?.data).toEqual(Float32Array.of(8, 0.5))
  expect(request?.inputs.x1?.data).toEqual(BigInt64Array.of(8n, 9007199254740993n))
})

test('what was learned is used for other shapes that fit, each with as many numbers', () => {
  const signature = signatureOf(['float32', 'int64'])
  const templates = createTemplates(signature)
  templates.learn(encode(`${TWO}}`), ['x1', 'x0'], decodeInfer(`${TWO}}`, signature, { maxElements: MAX_ELEMENTS }))
  const read = (first: string, second: string) =>
    templates.read(encode(`${TWO}}`.replace('[1,2]', first).replace('[1,2]', second).replaceAll('[7,', '[7,8,9,')), MAX_ELEMENTS)
  expect(read('[2,2]', '[2,2]')?.inputs.x0).toEqual({ type: 'float32', dims: [2, 2], data: Float32Array.of(7, 8, 9, 0.5) })
  expect(read('[1,4]', '[1,4]')?.inputs.x1?.dims).toEqual([1, 4])
  // The rows of both have one name.
  expect([read('[2,2]', '[1,4]'), read('[2,3]', '[2,2]'), read('[4]', '[2,2]')]).toEqual([undefined, undefined, undefined])
})

test('a shape inside parameters is not taken for that of the input', () => {
  const signature = signatureOf(['float32'])
  const text = (inner: string, outer: string) =>
    `{"inputs":[{"name":"x0","parameters":{"shape":${inner}},"datatype":"FP32","data":[1,2,3,4],"shape":${outer}}]}`
  for (const [inner, outer] of [
    ['[2,2]', '[2,2]'],
    ['[1,4]', '[2,2]'],
    ['[2,2]', '[1,4]'],
  ] as const) {
    const body = text(inner, outer)
    expect(outcomeOf(encode(body), signature)).toEqual(outcomeOf(body, signature))
  }
})

test('labels are bounded for the rows of each request', () => {
  const signature = {
    inputs: signatureOf(['float32']).inputs,
    outputs: [{ name: 'y', type: 'float32', declaredType: 'float32', dims: ['N', 10_000] }],
  } as const
  const text = (rows: number) =>
    `{"inputs":[{"name":"x0","datatype":"FP32","shape":[${rows},1],"data":[${Array(rows).fill(1)}]}],"outputs":[{"name":"y","parameters":{"classification":10000}}]}`
  for (const rows of [1, 5, 7, 5]) expect(outcomeOf(encode(text(rows)), signature)).toEqual(outcomeOf(text(rows), signature))
  expect(outcomeOf(encode(text(7)), signature)).toContain('REQUEST_INVALID')
})

test('nothing is learned from what a caller says of itself', () => {
  expect(learned(`${TWO},"id":"mine"}`)).toBeUndefined()
  expect(learned(`${TWO},"parameters":{"priority":1}}`)).toBeUndefined()
  expect(learned(`${TWO}}`, ' ')).toBeUndefined()
})

test('results of two requests share nothing that either could change', () => {
  const signature = signatureOf(['float32'])
  const read = (numbers: string[]) =>
    decodeInfer(encode(bodyOf({ types: ['float32'], gap: '', more: '', rows: 1 }, numbers)), signature, {
      maxElements: MAX_ELEMENTS,
    })
  read(['1'])
  const [a, b] = [read(['2', '3']), read(['4', '5'])]
  expect([...(a.inputs.x0?.data ?? []), ...(b.inputs.x0?.data ?? [])]).toEqual([2, 3, 4, 5])
  expect(a.inputs).not.toBe(b.inputs)
})

test('clients that write in many ways, one after the other', () => {
  const signature = signatureOf(['float32'])
  for (let round = 0; round < 200; round++) {
    const text = `{"inputs":[{"name":"x0","shape":[1,2],"datatype":"FP32","data":[${round},2]}]${' '.repeat(round % 7)}}`
    expect(outcomeOf(encode(text), signature)).toEqual(outcomeOf(text, signature))
  }
})
