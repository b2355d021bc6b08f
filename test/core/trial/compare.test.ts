/** When a row's answer counts as the same: `|d| <= 1e-3 * |x| + 1e-5 * max(1, max|row|)`, exact for what is no float. */

import { describe, expect, test } from 'vitest'
import { toHalf } from '../../../src/core/tensor/index.ts'
import type { Tensor } from '../../../src/core/tensor/types.ts'
import { sameWithin } from '../../../src/core/trial/compare.ts'

const floats = (...data: number[]): Tensor => ({ type: 'float64', dims: [1, data.length], data: Float64Array.from(data) })
const halves = (...data: number[]): Tensor => ({
  type: 'float16',
  dims: [1, data.length],
  data: Uint16Array.from(data, toHalf),
})
const bits = (half: number): Tensor => ({ type: 'float16', dims: [1, 1], data: Uint16Array.of(half) })

describe('floats', () => {
  test.each<[string, Tensor, Tensor, boolean]>([
    ['a small number, by its own share', floats(1), floats(1.001), true],
    ['a little more', floats(1), floats(1.00102), false],
    ['near zero, alone', floats(0), floats(0.99e-5), true],
    ['a little more near zero', floats(0), floats(1.01e-5), false],
    ['near zero, beside a hundred', floats(0, -100), floats(0.99e-3, -100), true],
    ['a little more beside a hundred', floats(0, -100), floats(1.01e-3, -100), false],
    ['a hundred of the other sign', floats(100), floats(-100), false],
    ['the larger of two in the batch is no excuse', floats(0, 0.5), floats(1e-3, 1000), false],
    ['NaN is NaN', floats(Number.NaN, 1), floats(Number.NaN, 1), true],
    ['NaN is no number', floats(Number.NaN), floats(0), false],
    ['a number is not NaN', floats(0), floats(Number.NaN), false],
    ['infinity is itself', floats(Number.POSITIVE_INFINITY, 0), floats(Number.POSITIVE_INFINITY, 0), true],
    ['and makes no room for others', floats(Number.POSITIVE_INFINITY, 0), floats(Number.POSITIVE_INFINITY, 1), false],
    ['infinity is not its opposite', floats(Number.POSITIVE_INFINITY), floats(Number.NEGATIVE_INFINITY), false],
    ['a number is not infinity', floats(1e300), floats(Number.POSITIVE_INFINITY), false],
    ['half precision, four steps apart', halves(1), bits(toHalf(1) + 4), true],
    ['half precision, five steps apart', halves(1), bits(toHalf(1) + 5), false],
    ['half precision, near zero beside a hundred', halves(0, 100), halves(0.0009, 100), true],
  ])('%s', (_, alone, other, isSame) => {
    expect(sameWithin(alone, other)).toBe(isSame)
  })
})

test.each<[string, Tensor, Tensor]>([
  [
    'integers',
    { type: 'int32', dims: [1], data: Int32Array.of(1e6) },
    { type: 'int32', dims: [1], data: Int32Array.of(1e6 + 1) },
  ],
  [
    'long integers',
    { type: 'int64', dims: [1], data: BigInt64Array.of(2n ** 60n) },
    { type: 'int64', dims: [1], data: BigInt64Array.of(2n ** 60n + 1n) },
  ],
  ['text', { type: 'string', dims: [1], data: ['a'] }, { type: 'string', dims: [1], data: ['a '] }],
  ['types', { type: 'int8', dims: [1], data: Int8Array.of(1) }, { type: 'uint8', dims: [1], data: Uint8Array.of(1) }],
  ['dimensions', floats(1, 2), { type: 'float64', dims: [2, 1], data: Float64Array.of(1, 2) }],
  ['ranks', floats(1, 2), { type: 'float64', dims: [2], data: Float64Array.of(1, 2) }],
  ['lengths', floats(1, 2), floats(1)],
])('%s are compared exactly', (_, a, b) => {
  expect(sameWithin(a, a)).toBe(true)
  expect(sameWithin(a, b)).toBe(false)
})
