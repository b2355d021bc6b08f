/** Large bodies whose numbers are scanned: the same bits as JSON.parse gives, or nothing. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { findDataSpans } from '../../../src/core/dialects/codec/data-spans.ts'
import { readLargeJson } from '../../../src/core/dialects/codec/large-json.ts'
import { createNumberScanner } from '../../../src/core/dialects/codec/number-scanner.ts'
import type { DType, ModelSignature } from '../../../src/core/tensor/types.ts'

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

function scan(type: DType, list: string, count: number, slice = 1e9): ArrayLike<unknown> | undefined {
  const bytes = encode(`[${list}]`)
  const scanner = createNumberScanner(type, bytes, 1, bytes.length - 1, count)
  for (;;) {
    const progress = scanner?.read(slice)
    if (progress === 'done') return scanner?.elements as ArrayLike<unknown>
    if (progress !== 'more') return undefined
  }
}

const bits = (array: Float32Array | Float64Array): string =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString('hex')

/** Numbers as programs write them: shortest, rounded, with exponents, with far too many digits. */
const written = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? '-0' : String(value))),
  fc.float({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc
    .tuple(fc.float({ noNaN: true, noDefaultInfinity: true, min: -(2 ** 99), max: 2 ** 99 }), fc.integer({ min: 1, max: 30 }))
    .map(([v, n]) => v.toPrecision(n)),
  fc.tuple(fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.integer({ min: 0, max: 20 })).map(([v, n]) => v.toFixed(n)),
  fc
    .tuple(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer({ min: 0, max: 20 }))
    .map(([v, n]) => v.toExponential(n)),
  // Halfway between two floats, where rounding twice would show.
  fc.float({ noNaN: true, noDefaultInfinity: true, min: 2 ** -100, max: 2 ** 100 }).map((v) => {
    const next = new Float32Array(new Uint32Array([new Uint32Array(new Float32Array([v]).buffer)[0]! + 1]).buffer)[0]!
    return String((v + next) / 2)
  }),
  fc.constantFrom(
    '0',
    '-0',
    '0.0',
    '1e0',
    '1E+5',
    '1e-400',
    '5e-324',
    '1.17549435e-38',
    '1e-45',
    '3.4028235e38',
    '0.1e1',
    '-0e-5',
  ),
)

describe('numbers', () => {
  test.each(['float32', 'float64'] as const)('%s bit for bit as JSON.parse', (type) => {
    const ArrayOf = type === 'float32' ? Float32Array : Float64Array
    fc.assert(
      fc.property(fc.array(written, { minLength: 1, maxLength: 20 }), fc.integer({ min: 1, max: 50 }), (list, slice) => {
        const expected = ArrayOf.from(JSON.parse(`[${list}]`) as number[])
        const got = scan(type, list.join(', \n'), list.length, slice)
        if (!expected.every(Number.isFinite)) return got === undefined
        expect(bits(got as Float32Array)).toBe(bits(expected))
        return true
      }),
      { numRuns: 2000 },
    )
  })

  test('only digits are taken for digits, whatever stands in their place', () => {
    const text = Buffer.from('[-0.12345678,1]')
    const expected = (bytes: Uint8Array): unknown => {
      try {
        const list = JSON.parse(Buffer.from(bytes).toString('latin1')) as unknown[]
        return list.length === 2 &&
          list.every((item) => Number.isFinite(Math.fround(item as number))) &&
          list.every((item) => typeof item === 'number')
          ? (list as number[]).map(Math.fround)
          : undefined
      } catch {
        return undefined
      }
    }
    for (let at = 1; at < text.length - 1; at++)
      for (let code = 0; code < 256; code++) {
        const bytes = Uint8Array.from(text)
        bytes[at] = code
        const scanner = createNumberScanner('float32', bytes, 1, bytes.length - 1, 2)
        const got = scanner?.read(1e9) === 'done' ? Array.from(scanner.elements as Float32Array) : undefined
        expect(got, `${code} at ${at}`).toEqual(expected(bytes))
      }
  })

  test.each(['int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32'] as const)('%s', (type) => {
    expect(Array.from(scan(type, '0,1,100', 3) ?? [])).toEqual([0, 1, 100])
    for (const text of ['1.0', '1e1', '4294967296', '-2147483649', '99999999999999999999'])
      expect(scan(type, text, 1), text).toBeUndefined()
    expect(scan(type, '-1', 1) === undefined).toBe(type.startsWith('u'))
  })

  test('long integers are exact', () => {
    const list = ['9007199254740993', '-9223372036854775808', '9223372036854775807', '0', '-1']
    expect(Array.from(scan('int64', list.join(), 5) ?? [])).toEqual(list.map(BigInt))
    expect(Array.from(scan('uint64', '18446744073709551615', 1) ?? [])).toEqual([18446744073709551615n])
    for (const text of ['9223372036854775808', '1.0', '1e3']) expect(scan('int64', text, 1)).toBeUndefined()
    for (const text of ['-1', '18446744073709551616']) expect(scan('uint64', text, 1)).toBeUndefined()
  })

  test.each([
    '01',
    '1.',
    '.5',
    '+1',
    '-NaN',
    'Nan',
    'nulll',
    'null null',
    '-',
    '1e',
    '1e+',
    '--1',
    '1,',
    ',1',
    '1,,2',
    '1 2',
    '"1"',
    '[1]',
    '0x1',
    '1e400',
    '+Infinity',
    '- Infinity',
    '',
  ])('not a number: %s', (text) => {
    for (const type of ['float32', 'float64', 'int32', 'int64'] as const)
      for (const count of [1, 2]) expect(scan(type, text, count)).toBeUndefined()
  })

  test('words that stand for a float, and for nothing else', () => {
    const words = ['null', 'NaN', 'Infinity', '-Infinity']
    const values = [Number.NaN, Number.NaN, Infinity, -Infinity, 1.5]
    for (const type of ['float32', 'float64'] as const) {
      expect(Array.from(scan(type, [...words, '1.5'].join(' , '), 5, 3) ?? [])).toEqual(values)
      for (const word of words) {
        expect(Array.from(scan(type, word, 1) ?? [])).toEqual([values[words.indexOf(word)]])
        expect(scan(type, word, 2)).toBeUndefined()
        expect(scan(type, `${word},${word}`, 1)).toBeUndefined()
      }
    }
    for (const type of ['int8', 'uint32', 'int64'] as const) for (const word of words) expect(scan(type, word, 1)).toBeUndefined()
  })

  test('a number of a million digits is left to others', () => {
    for (const type of ['float32', 'float64', 'int64'] as const)
      for (const text of ['1'.repeat(1_000_000), `0.${'1'.repeat(1_000_000)}`, `1${'0'.repeat(1_000_000)}`])
        expect(scan(type, text, 1)).toBeUndefined()
  })

  test('one more or one less than the shape says', () => {
    expect(scan('float32', '1,2,3', 2)).toBeUndefined()
    expect(scan('float32', '1,2,3', 4)).toBeUndefined()
    // A shape that promises more than the body can hold allocates nothing.
    expect(createNumberScanner('float32', encode('[1]'), 1, 2, 2 ** 40)).toBeUndefined()
  })
})

describe('bodies', () => {
  const signature: ModelSignature = {
    inputs: ['a', ']\u00e9['].map((name) => ({ name, type: 'float32', declaredType: 'float32', dims: [null] })),
    outputs: [],
  }
  const readLarge = (bytes: Uint8Array, maxElements = 100) => readLargeJson(bytes, signature, { maxElements })
  const body = (inputs: string, rest = ''): Uint8Array =>
    encode(`{"id":"x",${rest}"inputs":[${inputs}],"outputs":[{"name":"y"}]}`)
  const input = (data: string, rest = '') => `{"name":"a",${rest}"shape":[3],"datatype":"FP32","data":${data}}`

  test('flat lists are cut out, the rest is what it was', async () => {
    const read = readLarge(body(`${input('[1, 2.5 ,-3e0]')}, ${input('[4,5,6]')}`))
    expect(read).toEqual({
      id: 'x',
      inputs: [
        { name: 'a', shape: [3], datatype: 'FP32', data: Float32Array.of(1, 2.5, -3) },
        { name: 'a', shape: [3], datatype: 'FP32', data: Float32Array.of(4, 5, 6) },
      ],
      outputs: [{ name: 'y' }],
    })
  })

  test('keys in any order, data that are words elsewhere', async () => {
    const read = readLarge(
      body(
        '{"data":[1,2,3],"parameters":{"data":"[9]","inputs":[1]},"datatype":"FP32","shape":[3],"name":"]\u00e9["}',
        '"parameters":{"data":[7]},',
      ),
      100,
    )
    expect(read).toMatchObject({ parameters: { data: [7] }, inputs: [{ name: ']\u00e9[', data: Float32Array.of(1, 2, 3) }] })
  })

  test.each([
    ['nested', input('[[1],[2],[3]]')],
    ['strings', input('["1","2","3"]')],
    ['words of others', input('[1,nil,3]')],
    ['none', input('[]')],
    ['given twice', input('[1,2,3]', '"data":[4,5,6],')],
    ['given twice, once escaped', input('[1,2,3]', '"d\\u0061ta":"x",')],
    ['not closed', '{"name":"a","shape":[3],"datatype":"FP32","data":[1,2,3'],
    ['with another shape', input('[1,2,3]').replace('[3]', '[2,2]')],
  ])('data that are %s are read the usual way', (_, inputs) => {
    expect(readLarge(body(inputs))).toBeUndefined()
  })

  test('numbers of an input that the model does not take, or not so, are not read', () => {
    const unread = (text: string) => readLarge(body(text))
    const isUnread = { inputs: [{ data: [] }] }
    expect(unread(input('[1,2,3]').replace('FP32', 'INT64'))).toMatchObject(isUnread)
    expect(unread(input('[1,2,3]').replace('FP32', 'BF16'))).toMatchObject(isUnread)
    expect(unread(input('[1,2,3]').replace('"a"', '"b"'))).toMatchObject(isUnread)
    expect(unread(input(`[1${',x'.repeat(1000)}]`).replace('"a"', '"b"'))).toMatchObject(isUnread)
  })

  test('more elements than allowed, inputs twice, something behind the end', async () => {
    expect(readLarge(body(input('[1,2,3]')), 2)).toBeUndefined()
    expect(readLarge(body(input('[1,2,3]'), `"inputs":[${input('[1,2,3]')}],`))).toBeUndefined()
    expect(findDataSpans(encode(`${Buffer.from(body(input('[1,2,3]')))}x`))).toBeUndefined()
  })

  const isElement = (item: unknown): boolean =>
    typeof item === 'number' || item === null || item === 'NaN' || item === '-Infinity'
  const elementOf = (item: unknown): number => (item === null ? Number.NaN : Number(item))

  test('any mutilated body: nothing, or what JSON.parse says', async () => {
    const intact = Buffer.from(body(`${input('[1,2.5,-3e1]')},${input('[4,5,6]', '"parameters":{"a":[1,{"b":null}]},')}`))
    await fc.assert(
      fc.property(
        fc.nat(intact.length - 1),
        fc.constantFrom(...'{}[],:"\\ 0e.-x', 'null', 'NaN', '-Infinity'),
        fc.boolean(),
        (at, character, insert) => {
          const text = insert
            ? intact.toString().slice(0, at) + character + intact.toString().slice(at)
            : intact.toString().slice(0, at) + character + intact.toString().slice(at + 1)
          const read = readLarge(encode(text))
          if (read === undefined) return
          const quoted = text.replaceAll(/(?<=[[,\s])-?(?:NaN|Infinity)(?=[\],\s])/g, (word) => JSON.stringify(word))
          const plain = JSON.parse(quoted, (key, value: unknown) =>
            key === 'data' && Array.isArray(value) && value.every(isElement) ? Float32Array.from(value, elementOf) : value,
          ) as unknown
          for (const item of (plain as { inputs: Record<string, unknown>[] }).inputs)
            if ((item.name !== 'a' || item.datatype !== 'FP32') && item.data instanceof Float32Array) item.data = []
          expect(read).toEqual(plain)
        },
      ),
      { numRuns: 2000 },
    )
  })
})
