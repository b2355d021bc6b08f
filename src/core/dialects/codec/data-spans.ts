/**
 * Where in a large request body the numbers are: `inputs[i].data` as flat lists. A small tokenizer walks what stands around them; anything out of
 * the ordinary, such as an escaped or repeated key, ends the attempt, and the body is read the usual way.
 */

export interface Span {
  /** First byte after the opening bracket. */
  readonly from: number
  /** The closing bracket. */
  readonly to: number
}

export interface Spans {
  /** The body with `null` in place of each list. */
  readonly envelope: Uint8Array
  /** By index of the input. */
  readonly spans: ReadonlyMap<number, Span>
}

/** More around the numbers than that is no usual request. */
const MAX_ENVELOPE_BYTES = 64 * 1024
const MAX_DEPTH = 16

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const COMMA = 0x2c
const COLON = 0x3a
const MINUS = 0x2d

const NULL = Buffer.from('null')

/** Ends the attempt; never leaves this file. */
const unusual = Symbol('unusual')

export function findDataSpans(body: Uint8Array): Spans | undefined {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const spans = new Map<number, Span>()
  const pieces: Uint8Array[] = []
  let at = 0
  /** Bytes of the body up to here are in `pieces` or replaced. */
  let kept = 0
  let skipped = 0

  function walk(): void {
    expect(OPEN_OBJECT)
    let seen = false
    members((key) => {
      if (key !== 'inputs') return value(1)
      if (seen) throw unusual
      seen = true
      inputs()
    })
    if (peek() !== undefined) throw unusual
  }

  function inputs(): void {
    expect(OPEN_ARRAY)
    if (peek() === CLOSE_ARRAY) throw unusual
    for (let index = 0; ; index++) {
      expect(OPEN_OBJECT)
      let seen = false
      members((key) => {
        if (key !== 'data') return value(3)
        if (seen) throw unusual
        seen = true
        if (peek() === OPEN_ARRAY) list(index)
        else value(3)
      })
      if (next() === CLOSE_ARRAY) return
    }
  }

  function list(index: number): void {
    const from = at + 1
    let first = from
    while (isSpace(bytes[first])) first++
    const code = bytes[first]
    // Strings, nested lists, booleans, none at all.
    if (code === undefined || !beginsNumber(code)) throw unusual
    const to = bytes.indexOf(CLOSE_ARRAY, from)
    if (to < 0) throw unusual
    pieces.push(bytes.subarray(kept, at), NULL)
    spans.set(index, { from, to })
    at = to + 1
    kept = at
    skipped += at - from
  }

  function members(member: (key: string) => void): void {
    if (peek() === CLOSE_OBJECT) {
      at++
      return
    }
    for (;;) {
      const key = string()
      expect(COLON)
      peek()
      member(key)
      if (next() === CLOSE_OBJECT) return
    }
  }

  /** A comma, or the end of the object or list. */
  function next(): number | undefined {
    const code = peek()
    if (code !== COMMA && code !== CLOSE_OBJECT && code !== CLOSE_ARRAY) throw unusual
    at++
    return code
  }

  function value(depth: number): void {
    if (depth > MAX_DEPTH) throw unusual
    const code = peek()
    if (code === QUOTE) string()
    else if (code === OPEN_OBJECT) {
      at++
      members(() => value(depth + 1))
    } else if (code === OPEN_ARRAY) {
      at++
      if (peek() === CLOSE_ARRAY) at++
      else
        do value(depth + 1)
        while (next() === COMMA)
    } else {
      const begin = at
      while (isPlain(bytes[at])) at++
      if (at === begin) throw unusual
    }
  }

  function string(): string {
    expect(QUOTE)
    const end = bytes.indexOf(QUOTE, at)
    if (end < 0 || end - at > MAX_ENVELOPE_BYTES) throw unusual
    const text = bytes.subarray(at, end)
    if (text.includes(BACKSLASH)) throw unusual
    at = end + 1
    return text.toString('latin1')
  }

  function expect(code: number): void {
    if (peek() !== code) throw unusual
    at++
  }

  function peek(): number | undefined {
    while (isSpace(bytes[at])) at++
    if (at - skipped > MAX_ENVELOPE_BYTES) throw unusual
    return bytes[at]
  }

  try {
    walk()
  } catch (reason) {
    if (reason !== unusual) throw reason
    return undefined
  }
  if (spans.size === 0) return undefined
  pieces.push(bytes.subarray(kept))
  return { envelope: Buffer.concat(pieces), spans }
}

const isSpace = (code: number | undefined): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09

/** A number, or one of the words that stand for a float: null, NaN, Infinity. */
const beginsNumber = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) || code === MINUS || code === 0x6e || code === 0x4e || code === 0x49

/** Of numbers and of the words true, false and null; whether they are right is for the parser to say. */
const isPlain = (code: number | undefined): boolean =>
  code !== undefined &&
  ((code >= 0x30 && code <= 0x39) ||
    (code >= 0x61 && code <= 0x7a) ||
    code === MINUS ||
    code === 0x2b ||
    code === 0x2e ||
    code === 0x45)
