import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseJson, parseJsonExact } from '../../../src/core/dialects/codec/json.ts'
import { INFINITE } from '../../../src/core/tensor/index.ts'
import { fault } from '../tensor/support.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const deep = (levels: number) => bytes('['.repeat(levels) + ']'.repeat(levels))

/** JSON.parse has no BigInt, so those are rounded for the comparison. */
function toNumbers(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (Array.isArray(value)) return value.map(toNumbers)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, toNumbers(member)]))
}

describe.each([
  ['parseJson', parseJson],
  ['parseJsonExact', parseJsonExact],
])('%s', (_, parse) => {
  const messageOf = (body: Uint8Array) => {
    const error = fault(() => parse(body))
    expect(error.code).toBe('REQUEST_INVALID')
    return error.message
  }

  test('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom(0, 2), (json, indent) => {
        const text = JSON.stringify(JSON.parse(json), null, indent)
        expect(toNumbers(parse(bytes(text)))).toEqual(JSON.parse(text))
      }),
      { numRuns: 500 },
    )
    const text = ' {"a\\u00e9\\n" : [ -0, 1.5e3, 0.1E-2,true,false , null, "\\ud83d\\ude00é\\u2028"], "" :{}, "b":[ ]}\r\n\t'
    expect(parse(bytes(text))).toEqual(JSON.parse(text))
    expect(Object.is(parse(bytes('-0')), -0)).toBe(true)
  })

  test('__proto__ is an ordinary key', () => {
    const parsed = parse(bytes('{"__proto__":{"polluted":1},"constructor":2,"__proto__":{"polluted":3}}')) as object
    expect(Object.keys(parsed)).toEqual(['__proto__', 'constructor'])
    expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype)
    expect((parsed as { polluted?: number }).polluted).toBeUndefined()
  })

  test('refuses an empty body, a byte order mark and bad UTF-8', () => {
    expect(messageOf(new Uint8Array())).toBe('the request body is empty')
    expect(messageOf(bytes('\ufeff{}'))).toContain('byte order mark')
    for (const bad of [[0xff], [0x22, 0xc3, 0x28, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22], [0x22, 0xc0, 0x80, 0x22]]) {
      expect(messageOf(Uint8Array.from(bad))).toBe('the request body is not valid UTF-8')
    }
  })

  test('bare NaN and Infinity are read, and told from numbers that overflow', () => {
    const { positive, negative } = INFINITE
    expect(parse(bytes('[NaN,Infinity, -Infinity ,1e400,{"a":NaN}]'))).toEqual([
      Number.NaN,
      positive,
      negative,
      Infinity,
      { a: Number.NaN },
    ])
    expect(parse(bytes('NaN'))).toBeNaN()
    for (const body of ['[nan]', '[-NaN]', '[+Infinity]', '[Infinit]', '[1, NaN1]', '{NaN:1}', '[- Infinity]'])
      expect(messageOf(bytes(body))).toMatch(/not valid JSON \(at character \d\)/)
  })

  test('nesting is bounded', () => {
    expect(parse(deep(512))).toBeDefined()
    expect(messageOf(deep(513))).toBe('the request body is nested deeper than 512 levels')
    expect(messageOf(deep(100_000))).toContain('deeper')
    expect(messageOf(bytes('['.repeat(5_000_000)))).toContain('deeper')
    expect(messageOf(bytes('{"a":'.repeat(600)))).toContain('deeper')
    const brackets = JSON.stringify({ a: '['.repeat(1000), b: '\\"{'.repeat(1000) })
    expect(parse(bytes(brackets))).toEqual(JSON.parse(brackets))
    expect(parse(bytes(`[${'[],'.repeat(2000)}[]]`))).toHaveLength(2001)
  })

  test('a fault names the place and nothing of the content', () => {
    for (const body of [
      '{"secret":s3cret}',
      '["s3cret',
      '{"s3cret"}',
      '["s3cret",]',
      '{s3cret:1}',
      '[1] s3cret',
      '["s3cret\\x"]',
      '["s3cret\n"]',
    ]) {
      const message = messageOf(bytes(body))
      expect(message).toMatch(/^the request body is not valid JSON(: it ends too early| \(at character \d+\))$/)
      const error = fault(() => parse(bytes(body)))
      expect(`${JSON.stringify(error)}${String(error.cause)}${error.stack}`).not.toContain('s3cret')
    }
    expect(messageOf(bytes('{"a":1,}'))).toContain('(at character 7)')
    expect(messageOf(bytes(' '))).toContain('ends too early')
  })
})

test('parseJson says what it can about a large body', () => {
  const large = (tail: string) => bytes(`[${'1,'.repeat(600_000)}${tail}`)
  expect((parseJson(large('NaN]')) as number[]).at(-1)).toBeNaN()
  expect((parseJson(large('-Infinity]')) as unknown[]).at(-1)).toBe(INFINITE.negative)
  expect(fault(() => parseJson(large('NaN 1]'))).message).toContain('(at character 1200005)')
  expect(fault(() => parseJson(large('s3cret]'))).message).toBe('the request body is not valid JSON')
  expect(fault(() => parseJson(large('1 1]'))).message).toContain('(at character 1200003)')
})

describe('parseJsonExact', () => {
  const parse = (text: string) => parseJsonExact(bytes(text))

  test('integers beyond 2^53 are exact', () => {
    expect(parse('[9007199254740991, 9007199254740992, -9007199254740993, 18446744073709551615]')).toEqual([
      9007199254740991,
      9007199254740992n,
      -9007199254740993n,
      18446744073709551615n,
    ])
    fc.assert(fc.property(fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }), (n) => BigInt(parse(`${n}`) as bigint) === n))
  })

  test('everything with a fraction or exponent is a number, and so is what no double can hold', () => {
    expect(parse('[9007199254740993.0, 1e300, 1e309, 123456789012345678e0]')).toEqual([
      9007199254740992,
      1e300,
      Infinity,
      123456789012345680,
    ])
    expect(parse('9'.repeat(1_000_000))).toBe(Infinity)
  })

  test('numbers are the doubles that JSON.parse makes of them, to the bit', () => {
    const finite = { noNaN: true, noDefaultInfinity: true } as const
    const written = fc.oneof(
      fc.tuple(fc.double({ min: -1e6, max: 1e6, ...finite }), fc.integer({ min: 0, max: 20 })).map(([v, n]) => v.toFixed(n)),
      fc
        .tuple(fc.double({ min: -1e20, max: 1e20, ...finite }), fc.integer({ min: 1, max: 18 }))
        .map(([v, n]) => v.toPrecision(n)),
      fc.double(finite).map((v) => (Object.is(v, -0) ? '-0' : String(v))),
      fc.constantFrom('-0', '-0.0', '0.000000000000001', '-0.00000000000000', '999999999999999', '0.1e1', '100000000000000.5'),
    )
    fc.assert(
      fc.property(fc.array(written, { minLength: 1, maxLength: 9 }), (list) => {
        const text = `[${list.join(', ')}]`
        const [got, expected] = [toNumbers(parse(text)) as number[], JSON.parse(text) as number[]]
        expect(
          got.every((value, i) => Object.is(value, expected[i])),
          text,
        ).toBe(true)
      }),
      { numRuns: 5000 },
    )
  })

  test('accepts and refuses exactly what JSON.parse does, but for the words of floats', () => {
    const bits = [
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '"a"',
      '\\',
      '\\u12',
      '\\u0041',
      '0',
      '1',
      '-',
      '+',
      '.',
      'e',
      'E5',
      'true',
      'null',
      'fals',
      ' ',
      '\n',
      '\u0001',
      '\u00a0',
      'é',
    ]
    const soup = fc.array(fc.constantFrom(...bits), { maxLength: 9 }).map((parts) => parts.join(''))
    const broken = fc.tuple(fc.json(), fc.nat(), fc.constantFrom('', ...bits)).map(([json, at, bit]) => {
      const i = at % (json.length + 1)
      return json.slice(0, i) + bit + json.slice(i + 1)
    })
    fc.assert(
      fc.property(fc.oneof(soup, broken, fc.double({ noNaN: true, noDefaultInfinity: true }).map(String)), (text) => {
        let expected: unknown
        try {
          expected = JSON.parse(text)
        } catch {
          expect(fault(() => parse(text)).code).toBe('REQUEST_INVALID')
          return
        }
        expect(toNumbers(parse(text))).toEqual(expected)
      }),
      { numRuns: 20_000 },
    )
  })
})
