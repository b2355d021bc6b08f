import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromHalf, isFiniteHalf, toHalf } from '../../../src/core/tensor/float16.ts'

/** The value of half bits, written down from the standard and in another way than the code does it. */
function reference(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15, (bits >> 10) & 31, bits & 1023]
  const size = exponent === 0 ? 2 ** -14 * (fraction / 1024) : 2 ** (exponent - 15) * (1 + fraction / 1024)
  if (exponent === 31) return fraction === 0 ? (sign ? -Infinity : Infinity) : Number.NaN
  return sign ? -size : size
}

test('all 65536 patterns have the value of the standard and survive the way back', () => {
  let wrong = 0
  for (let bits = 0; bits < 65536; bits++) {
    const value = fromHalf(bits)
    if (!Object.is(value, reference(bits))) wrong++
    if (toHalf(value) !== (Number.isNaN(value) ? 0x7e00 : bits)) wrong++
    if (isFiniteHalf(bits) !== Number.isFinite(value)) wrong++
  }
  expect(wrong).toBe(0)
})

test('every midpoint between neighbours goes to the even one, and its double neighbours to the nearer one', () => {
  let wrong = 0
  for (let bits = 0; bits < 0x7bff; bits++) {
    const low = fromHalf(bits)
    const high = fromHalf(bits + 1)
    const middle = (low + high) / 2
    const even = bits % 2 === 0 ? bits : bits + 1
    const nudge = (high - low) * 2 ** -30
    for (const sign of [0, 0x8000]) {
      const f = sign === 0 ? 1 : -1
      if (toHalf(f * middle) !== (sign | even)) wrong++
      if (toHalf(f * (middle - nudge)) !== (sign | bits)) wrong++
      if (toHalf(f * (middle + nudge)) !== (sign | (bits + 1))) wrong++
    }
  }
  expect(wrong).toBe(0)
})

test('rounds once: a double that float32 would round to a midpoint is not rounded to even', () => {
  const justAboveMiddle = 1 + 2 ** -11 + 2 ** -40
  expect(toHalf(justAboveMiddle)).toBe(0x3c01)
  expect(toHalf(Math.fround(justAboveMiddle))).toBe(0x3c00)
})

test('the largest finite input is just below 65520', () => {
  expect(toHalf(65504)).toBe(0x7bff)
  expect(toHalf(65519.999)).toBe(0x7bff)
  expect(toHalf(65520)).toBe(0x7c00)
  expect(toHalf(-1e300)).toBe(0xfc00)
})

test('signed zero, infinities, NaN and the smallest subnormals', () => {
  expect(toHalf(0)).toBe(0)
  expect(toHalf(-0)).toBe(0x8000)
  expect(toHalf(Infinity)).toBe(0x7c00)
  expect(toHalf(-Infinity)).toBe(0xfc00)
  expect(toHalf(Number.NaN)).toBe(0x7e00)
  expect(toHalf(2 ** -25)).toBe(0)
  expect(toHalf(2 ** -25 * 1.0001)).toBe(1)
  expect(toHalf(Number.MIN_VALUE)).toBe(0)
})

test('any double lands on the nearest half', () => {
  fc.assert(
    fc.property(fc.double({ min: -65519, max: 65519, noNaN: true }), (value) => {
      const bits = toHalf(value)
      const error = Math.abs(fromHalf(bits) - value)
      for (const neighbour of [bits - 1, bits + 1]) {
        const other = fromHalf(neighbour & 0xffff)
        if (Number.isFinite(other)) expect(error).toBeLessThanOrEqual(Math.abs(other - value))
      }
    }),
    { numRuns: 2000 },
  )
})
