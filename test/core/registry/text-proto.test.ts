/** Protobuf's text format: everything that configuration files are written with, and nothing that makes the reader crash or hang. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isModelmountError } from '../../../src/core/errors.ts'
import { parseTextProto, type TextMessage, type TextValue } from '../../../src/core/registry/triton/text-proto.ts'

/** Values as they were written: words with a sign that they are no strings. */
type Plain = string | { readonly word: string } | { readonly [field: string]: readonly Plain[] }

const plain = (message: TextMessage): Record<string, readonly Plain[]> =>
  Object.fromEntries([...message.fields].map(([name, values]) => [name, values.map(plainValue)]))
const plainValue = (value: TextValue): Plain =>
  value.kind === 'message' ? plain(value.message) : value.kind === 'string' ? value.text : { word: value.text }
const read = (text: string) => plain(parseTextProto(text, 'config.pbtxt'))
const word = (text: string) => ({ word: text })

const refusal = (text: string): string => {
  try {
    parseTextProto(text, 'config.pbtxt')
  } catch (error) {
    if (isModelmountError(error) && error.code === 'CONFIG_INVALID') return error.message
    throw error
  }
  return 'none'
}

describe('what is written', () => {
  test.each<[string, string, object]>([
    ['nothing', '', {}],
    ['a comment alone', '# nothing\n  # at all', {}],
    ['a byte order mark', '\ufeffname: "a"', { name: ['a'] }],
    [
      'scalars',
      'a: 1 b: -2 c: 1.5e-3f d: 0x1F e: true f: KIND_CPU g: -inf h: .5',
      {
        a: [word('1')],
        b: [word('-2')],
        c: [word('1.5e-3f')],
        d: [word('0x1F')],
        e: [word('true')],
        f: [word('KIND_CPU')],
        g: [word('-inf')],
        h: [word('.5')],
      },
    ],
    ['separators', 'a: 1, b: 2; c: 3', { a: [word('1')], b: [word('2')], c: [word('3')] }],
    [
      'messages with and without colon, in braces and in angle brackets',
      'a { b: 1 } a: { b: 2 } a < b: 3 > a: <>',
      {
        a: [{ b: [word('1')] }, { b: [word('2')] }, { b: [word('3')] }, {}],
      },
    ],
    [
      'lists',
      'dims: [ 1, -1 ,3 ] dims: 4 dims: [] input [ { a: 1 }, { a: 2 } ] output: [<>]',
      {
        dims: [word('1'), word('-1'), word('3'), word('4')],
        input: [{ a: [word('1')] }, { a: [word('2')] }],
        output: [{}],
      },
    ],
    ['comments anywhere', 'a # one\n: # two\n[ # three ]\n 1 # }\n, 2 ]#end', { a: [word('1'), word('2')] }],
    ['strings side by side', `a: "one" 'two'\n  "three" b: ''`, { a: ['onetwothree'], b: [''] }],
    ['quotes of the other kind', `a: "it's" b: 'so "far"'`, { a: ["it's"], b: ['so "far"'] }],
    [
      'escapes',
      String.raw`a: "\n\t\r\a\b\f\v\\\'\"\?" b: "\101\60\x41\x4" c: "\u00e9\U0001F600" d: "\303\251"`,
      {
        a: ['\n\t\r\u0007\b\f\v\\\'"?'],
        b: ['A0A\u0004'],
        c: ['é😀'],
        d: ['é'],
      },
    ],
    ['text as it is', 'a: "naïve 🙂 # no comment"', { a: ['naïve 🙂 # no comment'] }],
    [
      'names that JavaScript knows',
      '__proto__: 1 constructor { toString: "x" }',
      {
        ['__proto__']: [word('1')],
        constructor: [{ toString: ['x'] }],
      },
    ],
  ])('%s', (_, text, expected) => {
    const got = parseTextProto(text, 'config.pbtxt')
    expect(Object.fromEntries([...got.fields].map(([name, values]) => [name, values.map(plainValue)]))).toEqual(expected)
  })

  test('lines are counted', () => {
    const { fields } = parseTextProto('a: 1\n\n# c\nb {\n  c: "x"\n}\n', 'config.pbtxt')
    const [b] = fields.get('b') ?? []
    expect([fields.get('a')?.[0]?.line, b?.line]).toEqual([1, 4])
    expect(b?.kind === 'message' && b.message.fields.get('c')?.[0]?.line).toBe(5)
  })
})

describe('what is refused, with its line', () => {
  test.each([
    ['a: 1\nb: }', `config.pbtxt, line 2: expected a value, got "}"`],
    ['a {\n b: 1\n', "config.pbtxt, line 3: expected a field or '}', got the end of the file"],
    ['a: [1, 2', "expected ',' or ']', got the end of the file"],
    ['a: [1,]', 'expected a value, got "]"'],
    ['a 1', `expected ':', '{' or '['`],
    ['a [1]', `expected ':', '{' or '['`],
    ['a: "open\n"', 'expected a string that ends on its line'],
    ['a: "\\q"', "expected a known escape before this, not '\\q'"],
    ['a: "\\xff"', 'expected text in UTF-8 before this'],
    ['a: "\\UFFFFFFFF"', 'expected a code point up to U+10FFFF'],
    ['}', `expected a field, got "}"`],
    ['1: 2', 'expected a field, got "1: 2"'],
    ['a { b: 1 >', "expected a field or '}'"],
    ['[a.b.c]: 1', 'expected a field'],
    ['a:', 'expected a value, got the end of the file'],
  ])('%j', (text, sentence) => {
    expect(refusal(text)).toContain(sentence)
  })

  test('depth beyond any configuration', () => {
    expect(refusal('a {'.repeat(60) + '}'.repeat(60))).toBe('none')
    expect(refusal('a {'.repeat(100_000))).toContain('at most 64 levels')
    expect(refusal(`a: ${'['.repeat(100_000)}`)).toContain('expected a value')
  })
})

test('a message that is written in any of the ways is read as it was meant', () => {
  const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,8}$/)
  const { tree } = fc.letrec<{ tree: Record<string, readonly Plain[]>; value: Plain }>((tie) => ({
    tree: fc.dictionary(name, fc.array(tie('value'), { minLength: 1, maxLength: 3 }), { maxKeys: 4, noNullPrototype: true }),
    value: fc.oneof(
      { depthSize: 'small' },
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('1', '-1', 'TYPE_FP32', 'true', '2.5').map(word),
      tie('tree'),
    ),
  }))
  fc.assert(
    fc.property(tree, fc.infiniteStream(fc.nat(5)), (fields, choices) => {
      const choose = (): number => choices.next().value ?? 0
      const space = (): string => ['', ' ', '\n', ' # "}\n', '\t', ' '][choose()] ?? ''
      const write = (value: Plain): string => {
        if (typeof value === 'string') return quoted(value, choose)
        if (isWord(value)) return value.word
        return choose() < 3 ? `{${space()}${writeAll(value)}}` : `<${writeAll(value)}${space()}>`
      }
      const writeAll = (all: Record<string, readonly Plain[]>): string =>
        Object.entries(all)
          .map(([field, values]) => {
            const areMessages = values.every((value) => typeof value === 'object' && !isWord(value))
            const colon = areMessages && choose() < 3 ? '' : ':'
            const end = [' ', ',', ';', '\n', ' ', ' '][choose()]
            if (choose() < 2) return `${field}${colon}${space()}[${values.map(write).join(`${space()},`)}]${end}`
            return values.map((value) => `${field}${space()}${colon}${space()}${write(value)}${end}`).join('')
          })
          .join('')
      expect(read(writeAll(fields))).toEqual(fields)
    }),
    { numRuns: 300 },
  )
})

const isWord = (value: Plain): value is { readonly word: string } =>
  typeof value === 'object' && typeof (value as { word?: unknown }).word === 'string'

/** A string in quotes of either kind, cut anywhere, with escapes where they are needed and where they are not. */
function quoted(text: string, choose: () => number): string {
  const bytes = [...Buffer.from(text, 'utf8')]
  const mark = choose() < 3 ? '"' : "'"
  const escaped = bytes.map((byte) => {
    const char = String.fromCharCode(byte)
    return /[A-Za-z0-9 ]/.test(char) && choose() < 4 ? char : `\\${byte.toString(8).padStart(3, '0')}`
  })
  return `${mark}${escaped.join('')}${mark}`
}

describe('whatever is thrown at it', () => {
  const PIECES = [
    'a',
    'b:',
    '{',
    '}',
    '[',
    ']',
    '<',
    '>',
    ',',
    ';',
    ':',
    '"',
    "'",
    '\\',
    '#',
    '\n',
    '-',
    '1',
    '0x',
    '1e',
    'inf',
    '\u0000',
    '"a"',
    'é',
    '\\x',
    '\\U',
  ]

  test('soup of tokens ends with a message or with one of our errors', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...PIECES), { maxLength: 60 }), (pieces) => void refusal(pieces.join(''))),
      { numRuns: 3000 },
    )
  })

  test('any text at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void refusal(Buffer.from(bytes).toString('latin1'))),
      { numRuns: 1000 },
    )
  })

  test.each([
    ['one long string', `a: "${'x'.repeat(256_000)}"`],
    ['one long open string', `a: "${'x'.repeat(256_000)}`],
    ['many strings', `a: ${'"x" '.repeat(50_000)}`],
    ['spaces', ' '.repeat(256_000)],
    ['comments', '#\n'.repeat(100_000)],
    ['fields on lines', 'a: 1\n'.repeat(40_000)],
    ['a list', `a: [${'1,'.repeat(100_000)}1]`],
    ['digits', `a: ${'9'.repeat(256_000)}`],
    ['backslashes', `a: "${'\\\\'.repeat(100_000)}"`],
    ['signs', '-'.repeat(256_000)],
    ['open quotes', '"'.repeat(256_000)],
    ['quotes that are no value', `a: ${'\'" '.repeat(80_000)}`],
  ])('a quarter of a megabyte of %s takes no more than its length', (_, text) => {
    const small = process.cpuUsage()
    refusal(text.slice(0, text.length / 8))
    const one = process.cpuUsage(small)
    const large = process.cpuUsage()
    refusal(text)
    const eight = process.cpuUsage(large)
    // Square growth would be 64 times as much; a floor for what cannot be measured.
    expect(eight.user + eight.system).toBeLessThan(30 * Math.max(one.user + one.system, 20_000))
  })
})
