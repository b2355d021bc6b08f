/**
 * Protobuf's text format, as far as configuration files use it: https://protobuf.dev/reference/protobuf/textformat-spec/
 * Knows no message types; fields.ts gives the values their meaning.
 */

import { ModelmountError } from '../../errors.ts'

/** Values by field name, in order of appearance; a list counts as that many values. */
export interface TextMessage {
  readonly fields: ReadonlyMap<string, readonly TextValue[]>
  readonly line: number
}

export type TextValue =
  | { readonly kind: 'message'; readonly message: TextMessage; readonly line: number }
  /** Quoted text, its escapes resolved. */
  | { readonly kind: 'string'; readonly text: string; readonly line: number }
  /** A number, a truth value or the name of an enum value, as written. */
  | { readonly kind: 'word'; readonly text: string; readonly line: number }

/** Deeper than any configuration, and far from the end of the stack. */
const MAX_DEPTH = 64

/** Each is tried where the last token ended. */
const SKIP = /(?:\s+|#[^\n]*)+/y
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y
const NUMBER = /-?\s*(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fF]?|[A-Za-z_][A-Za-z0-9_]*)/y
const STRING = /"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*'/y

/**
 * @param label name of the text in errors
 * @throws ModelmountError `CONFIG_INVALID` that names the line
 */
export function parseTextProto(text: string, label: string): TextMessage {
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0
  /** End of the counted lines: positions only grow. */
  let countedTo = 0
  let lines = 1

  function line(): number {
    for (; countedTo < at; countedTo++) if (text.charCodeAt(countedTo) === 10) lines++
    return lines
  }

  function fail(expected: string): never {
    const rest = text.slice(at, at + 20).split('\n', 1)[0]
    const got = at >= text.length ? 'the end of the file' : JSON.stringify(rest)
    throw new ModelmountError('CONFIG_INVALID', `${label}, line ${line()}: expected ${expected}, got ${got}`, {
      details: { field: label, expected, got },
    })
  }

  function take(pattern: RegExp): string | undefined {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found !== undefined) at += found.length
    return found
  }

  function skip(): void {
    take(SKIP)
  }

  /** Takes one character of punctuation, if it comes next. */
  function takeChar(char: string): boolean {
    skip()
    if (text[at] !== char) return false
    at++
    return true
  }

  function message(end: string | undefined, depth: number): TextMessage {
    if (depth > MAX_DEPTH) fail(`at most ${MAX_DEPTH} levels of messages`)
    const started = line()
    const fields = new Map<string, TextValue[]>()
    for (;;) {
      skip()
      if (end === undefined ? at >= text.length : takeChar(end)) return { fields, line: started }
      const name = take(NAME) ?? fail(end === undefined ? 'a field' : `a field or '${end}'`)
      const values = fields.get(name) ?? []
      fields.set(name, values)
      field(values, depth)
      if (!takeChar(',')) takeChar(';')
    }
  }

  function field(values: TextValue[], depth: number): void {
    const colon = takeChar(':')
    if (!takeChar('[')) {
      values.push(value(colon, depth))
      return
    }
    if (takeChar(']')) return
    do values.push(value(colon, depth))
    while (takeChar(','))
    if (!takeChar(']')) fail("',' or ']'")
  }

  /** A scalar needs the colon that a message may have. */
  function value(colon: boolean, depth: number): TextValue {
    skip()
    const started = line()
    const end = takeChar('{') ? '}' : takeChar('<') ? '>' : undefined
    if (end !== undefined) return { kind: 'message', message: message(end, depth + 1), line: started }
    if (!colon) fail("':', '{' or '['")
    if (text[at] === '"' || text[at] === "'") return { kind: 'string', text: strings(), line: started }
    const word = take(NUMBER) ?? fail('a value')
    return { kind: 'word', text: word.replace(/\s/g, ''), line: started }
  }

  /** Adjacent strings are one. */
  function strings(): string {
    const bytes: number[] = []
    while (text[at] === '"' || text[at] === "'") {
      const token = take(STRING) ?? fail('a string that ends on its line')
      resolveEscapes(token.slice(1, -1), bytes, fail)
      skip()
    }
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes))
    } catch {
      return fail('text in UTF-8 before this')
    }
  }

  return message(undefined, 0)
}

const ESCAPE = /\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([\s\S]))|[^\\]+/g
const SIMPLE = new Map(Object.entries({ a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11, '\\': 92, "'": 39, '"': 34, '?': 63 }))
const encoder = new TextEncoder()

/** Appends the bytes inside a string. */
function resolveEscapes(inside: string, bytes: number[], fail: (expected: string) => never): void {
  for (const [whole, octal, hex, short, long, simple] of inside.matchAll(ESCAPE)) {
    if (octal !== undefined) bytes.push(Number.parseInt(octal, 8) & 255)
    else if (hex !== undefined) bytes.push(Number.parseInt(hex, 16))
    else if (simple !== undefined) bytes.push(SIMPLE.get(simple) ?? fail(`a known escape before this, not '\\${simple}'`))
    else {
      const code = Number.parseInt(short ?? long ?? '', 16)
      if (code > 0x10ffff) fail('a code point up to U+10FFFF before this')
      for (const byte of encoder.encode(Number.isNaN(code) ? whole : String.fromCodePoint(code))) bytes.push(byte)
    }
  }
}
