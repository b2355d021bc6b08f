/** 32-bit floats as text: short, and the same bits when they are read again. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { floatsText } from '../../../src/core/protocol/float-text.ts'

const float = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.float({ noNaN: true, min: -1, max: 1 }),
  fc.integer({ min: -(2 ** 24), max: 2 ** 24 }).map(Math.fround),
  fc.nat(2 ** 32 - 1).map((bits) => new Float32Array(Uint32Array.of(bits).buffer)[0]!),
)

test('reads back bit for bit, and is never longer than its double', () => {
  fc.assert(
    fc.property(fc.array(float, { minLength: 1, maxLength: 30 }), (list) => {
      const values = Float32Array.from(list.filter(Number.isFinite))
      const text = floatsText(values)
      const read = Float32Array.from(JSON.parse(`[${text}]`) as number[])
      expect(Buffer.from(read.buffer).toString('hex')).toBe(Buffer.from(values.buffer).toString('hex'))
      expect(text.length).toBeLessThanOrEqual(Math.max(String(values.join()).length, values.length * 13))
    }),
    { numRuns: 5000 },
  )
})

test('as a person would write it', () => {
  const values = Float32Array.of(
    0,
    -0,
    1,
    -1.5,
    0.1,
    100,
    999999,
    1e6,
    0.001,
    1e-4,
    3.4028235e38,
    1e-45,
    16777216,
    0.30000001192092896,
  )
  expect(floatsText(values)).toBe('0,-0,1,-1.5,0.1,100,999999,1000000,0.001,0.0001,3.4028235e+38,1.4013e-45,16777216,0.3')
  expect(floatsText(Float32Array.of(Number.NaN, Infinity, -Infinity))).toBe('"NaN","Infinity","-Infinity"')
  expect(floatsText(new Float32Array())).toBe('')
})
