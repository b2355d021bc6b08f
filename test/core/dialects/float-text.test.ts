/** 32-bit floats as text: short, and the same bits when they are read again. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { floatsBytes, floatsText, shortest } from '../../../src/core/dialects/codec/float-text.ts'
import { atOnce, createTextSink, writeElements } from '../../../src/core/dialects/codec/write-json.ts'

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

test('powers of two and the floats beside them, all there are', () => {
  const words = Int32Array.from({ length: 255 * 4 }, (_, i) => ((i >> 2) << 23) + (i & 3) - 1)
  const values = new Float32Array(words.buffer).filter(Number.isFinite)
  const text = floatsText(values).split(',')
  for (const [i, value] of values.entries()) {
    expect(Math.fround(Number(text[i])), text[i]).toBe(value)
    expect(Math.fround(shortest(value)), text[i]).toBe(value)
  }
})

test('spelled as JavaScript spells the same number, with no more digits than needed', () => {
  fc.assert(
    fc.property(float.filter(Number.isFinite), (value) => {
      const text = floatsText(Float32Array.of(value))
      expect(text).toBe(Object.is(value, -0) ? '-0' : String(Number(text)))
      // One digit less reads back as another float, but for one in a million.
      const digits = (
        text
          .replace(/e.*/, '')
          .replace(/\D/g, '')
          .replace(/^0+|0+$/g, '') || '0'
      ).length
      if (digits >= 8) expect(Math.fround(Number(value.toPrecision(digits - 2)))).not.toBe(value)
      expect(String(shortest(value))).toBe(text === '-0' ? '0' : text)
    }),
    { numRuns: 3000 },
  )
})

test('many floats, in bytes and in pieces', () => {
  const values = Float32Array.from({ length: 5000 }, (_, i) => (i % 7 === 0 ? -Math.exp(-i / 40) : i / 8))
  const text = floatsText(values)
  expect(Buffer.concat([...floatsBytes(values)]).toString()).toBe(text)
  expect(Float32Array.from(JSON.parse(`[${text}]`) as number[])).toEqual(values)
  const sink = createTextSink()
  sink.write('ü')
  atOnce(writeElements({ type: 'float32', dims: [5000], data: values }, sink))
  sink.write('é')
  expect(Buffer.concat(sink.finish()).toString()).toBe(`ü[${text}]é`)
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

test('long strings are written in parts that read back the same', () => {
  const long = ['a'.repeat(65_535), `${'b'.repeat(65_535)}😀c`, '"'.repeat(70_000), '😀'.repeat(70_000), '\ud800'.repeat(70_000)]
  const sink = createTextSink()
  atOnce(writeElements({ type: 'string', dims: [long.length], data: long }, sink))
  expect(JSON.parse(Buffer.concat(sink.finish()).toString())).toEqual(long)
})
