/** A short answer is the same text, whichever of the two ways has written it. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { atOnce } from '../../../src/core/dialects/codec/write-json.ts'
import { ALL_BINARY } from '../../../src/core/dialects/open-inference/forms.ts'
import { encodeInfer, encodeRaw, encodeShort } from '../../../src/core/dialects/open-inference/response.ts'
import type { PredictResult } from '../../../src/core/predict/types.ts'
import type { Tensor } from '../../../src/core/tensor/types.ts'

const float = fc
  .float32Array({ maxLength: 130, size: 'max' })
  .map((data) => ({ type: 'float32', dims: [data.length], data }) as const)
const double = fc
  .float64Array({ maxLength: 130, size: 'max' })
  .map((data) => ({ type: 'float64', dims: [1, data.length, 1], data }) as const)
const long = fc.bigInt64Array({ maxLength: 20 }).map((data) => ({ type: 'int64', dims: [data.length, 1], data }) as const)
const text = fc
  .array(fc.string({ unit: 'binary', maxLength: 20 }), { maxLength: 130 })
  .map((data) => ({ type: 'string', dims: [data.length], data }) as const)
const scalar = fc.boolean().map((on) => ({ type: 'bool', dims: [], data: Uint8Array.of(on ? 1 : 0) }) as const)
const tensor: fc.Arbitrary<Tensor> = fc.oneof(float, double, long, text, scalar)

const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 12 })
const results = fc
  .record({ model: name, version: name, outputs: fc.dictionary(name, tensor, { maxKeys: 4 }) })
  .map((parts) => parts as unknown as PredictResult)

const resultOf = (data: Float32Array): PredictResult =>
  ({ model: 'm', version: '1', outputs: { y: { type: 'float32', dims: [data.length], data } } }) as unknown as PredictResult

test('any answer that is short has the text of the longer way, and any other is left to it', () => {
  const seen = { short: 0, other: 0 }
  fc.assert(
    fc.property(results, fc.option(name, { nil: undefined }), (result, id) => {
      const short = encodeShort(result, { id })
      const isShort = Object.values(result.outputs).every(({ data }) => data.length <= 128)
      expect(short !== undefined).toBe(isShort)
      seen[isShort ? 'short' : 'other']++
      if (!short) return
      const { body, moreChunks } = atOnce(encodeInfer(result, { id }))
      expect(moreChunks).toBeUndefined()
      expect(Buffer.from(short).toString('utf8')).toBe(Buffer.from(body).toString('utf8'))
    }),
    // Whatever is drawn, both ways are seen.
    { numRuns: 300, examples: [[resultOf(new Float32Array(129)), undefined]] },
  )
  expect(seen.short).toBeGreaterThan(100)
  expect(seen.other).toBeGreaterThan(0)
})

test('binary answers, those with classes and long text take the longer way', () => {
  const y: Tensor = { type: 'float32', dims: [1], data: Float32Array.of(1) }
  const result = { model: 'm', version: '1', outputs: { y } } as unknown as PredictResult
  expect(encodeShort(result)).toBeDefined()
  expect(encodeShort(result, { forms: ALL_BINARY })).toBeUndefined()
  const named = new Map([['y', { binary: false, classes: 1 }]])
  expect(encodeShort(result, { forms: { named, otherwise: { binary: false, classes: 0 } } })).toBeUndefined()
  const s: Tensor = { type: 'string', dims: [1], data: ['x'.repeat(70_000)] }
  expect(encodeShort({ ...result, outputs: { s } })).toBeUndefined()
  // Many outputs of which each is short.
  const half: Tensor = { type: 'string', dims: [1], data: ['x'.repeat(40_000)] }
  expect(encodeShort({ ...result, outputs: { a: half, b: half, c: half } })).toBeUndefined()
})

test('an answer of nothing but raw numbers is the same, whichever of the two ways has written it', () => {
  const seen = { raw: 0, other: 0 }
  fc.assert(
    fc.property(results, fc.option(name, { nil: undefined }), (result, id) => {
      const raw = encodeRaw(result, { id, forms: ALL_BINARY })
      const tensors = Object.values(result.outputs)
      const isRaw = tensors.length > 0 && tensors.every(({ type, data }) => type !== 'string' && data.length > 0)
      expect(raw !== undefined).toBe(isRaw)
      seen[isRaw ? 'raw' : 'other']++
      if (raw) expect(raw).toEqual(atOnce(encodeInfer(result, { id, forms: ALL_BINARY })))
    }),
    { numRuns: 300, examples: [[resultOf(new Float32Array(8192)), undefined]] },
  )
  expect(seen.raw).toBeGreaterThan(20)
  expect(seen.other).toBeGreaterThan(0)
})

test('labels and answers in JSON are left to the longer way', () => {
  const result = resultOf(new Float32Array(4))
  const formsOf = (binary: boolean, classes: number) => ({
    named: new Map([['y', { binary, classes }]]),
    otherwise: { binary: true, classes: 0 },
  })
  expect(encodeRaw(result, {})).toBeUndefined()
  expect(encodeRaw(result, { forms: formsOf(false, 0) })).toBeUndefined()
  expect(encodeRaw(result, { forms: formsOf(true, 2) })).toBeUndefined()
  expect(encodeRaw(result, { forms: formsOf(true, 0) })).toBeDefined()
})
