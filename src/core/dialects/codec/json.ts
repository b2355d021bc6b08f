/**
 * Request bodies as JSON: strict UTF-8, bounded nesting, faults that never repeat what was sent, and exact long integers. The tokens `NaN`,
 * `Infinity` and `-Infinity`, which JSON lacks and Python writes, are read too.
 */

import { ModelmountError } from '../../errors.ts'
import { INFINITE } from '../../tensor/index.ts'
import { stringEnd } from './count.ts'

/** Deepest nesting of arrays and objects. V8 itself takes any depth, but 32 million levels cost it 15 s and 3 GB (measured, Node 20). */
const MAX_DEPTH = 512

/** Longest body, in characters, that is read a second time only to find where a fault stands. */
const LOCATE_LIMIT = 1 << 20

/** A number of 310 digits is beyond every double; longer ones are not worth a BigInt. */
const LONGEST_INTEGER = 310

/** An integer of so many digits is exact in a double, and so are powers of ten up to there. */
const EXACT_DIGITS = 15
const POWERS = Array.from({ length: EXACT_DIGITS + 1 }, (_, exponent) => 10 ** exponent)

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The text of a body.
 * @throws ModelmountError `REQUEST_INVALID` when it is empty, not UTF-8, or starts with a byte order mark
 */
export function readText(body: Uint8Array | string): string {
  const text = typeof body === 'string' ? body : decode(body)
  if (text.length === 0) throw invalid('the request body is empty')
  if (text.charCodeAt(0) === 0xfeff) throw invalid('the request body starts with a byte order mark; send plain UTF-8 JSON')
  return text
}

function decode(body: Uint8Array): string {
  try {
    return decoder.decode(body)
  } catch (cause) {
    throw invalid('the request body is not valid UTF-8', cause)
  }
}

/**
 * A body as `JSON.parse` reads it; NaN and {@link INFINITE} for the tokens that JSON lacks.
 * @throws ModelmountError `REQUEST_INVALID`, with the position where that is cheap to find
 */
export function parseJson(body: Uint8Array | string): unknown {
  const text = readText(body)
  refuseDepth(text)
  return parseText(text)
}

/**
 * The same of text whose nesting is known to be bounded.
 * @throws ModelmountError `REQUEST_INVALID`
 */
export function parseText(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    // V8's own message quotes the body, so it is neither shown nor kept as the cause. Our parser takes a few words more, or finds the place.
    if (text.length <= LOCATE_LIMIT || text.includes('NaN') || text.includes('Infinity')) return parseTextExact(text)
    throw largeBodyFault(cause)
  }
}

/**
 * A body as `JSON.parse` reads it, but integers beyond 2^53 - 1 (of at most 310 digits) come back as exact BigInts.
 * Two to five times slower than {@link parseJson}.
 * @throws ModelmountError `REQUEST_INVALID`, also for nesting deeper than 512 levels
 */
export function parseJsonExact(body: Uint8Array | string): unknown {
  return parseTextExact(readText(body))
}

function invalid(message: string, cause?: unknown): ModelmountError {
  return new ModelmountError('REQUEST_INVALID', message, { cause })
}

function largeBodyFault(cause: unknown): ModelmountError {
  const message = cause instanceof Error ? cause.message : ''
  const position = / at position (\d+)/.exec(message)?.[1]
  return invalid(`the request body is not valid JSON${position === undefined ? '' : ` (at character ${position})`}`)
}

function tooDeep(): ModelmountError {
  return invalid(`the request body is nested deeper than ${MAX_DEPTH} levels`)
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const COMMA = 0x2c
const COLON = 0x3a
const MINUS = 0x2d
const PLUS = 0x2b
const POINT = 0x2e
const ZERO = 0x30
const NINE = 0x39

/** One pass over the brackets, before anything is built. Most bodies, flat arrays above all, have too few of them to need it. */
function refuseDepth(text: string): void {
  if (occurrences(text, '[') + occurrences(text, '{') <= MAX_DEPTH) return
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) {
      i = stringEnd(text, i)
    } else if (code === OPEN_ARRAY || code === OPEN_OBJECT) {
      if (++depth > MAX_DEPTH) throw tooDeep()
    } else if (code === CLOSE_ARRAY || code === CLOSE_OBJECT) depth--
  }
}

/** How often a character occurs, counted to one more than the depth limit at most. */
function occurrences(text: string, character: string): number {
  let count = 0
  for (let at = text.indexOf(character); at !== -1 && count <= MAX_DEPTH; at = text.indexOf(character, at + 1)) count++
  return count
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE
}

/** A recursive-descent parser: the grammar is small, and the depth is bounded. */
function parseTextExact(text: string): unknown {
  let at = 0
  let depth = 0

  function fault(): ModelmountError {
    if (at >= text.length) return invalid('the request body is not valid JSON: it ends too early')
    return invalid(`the request body is not valid JSON (at character ${at})`)
  }

  /** Skips white space and returns the character code there, NaN at the end. */
  function peek(): number {
    let code = text.charCodeAt(at)
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) code = text.charCodeAt(++at)
    return code
  }

  function value(): unknown {
    const code = peek()
    if (code === OPEN_ARRAY) return array()
    if (code === OPEN_OBJECT) return object()
    if (code === QUOTE) return string()
    if (isDigit(code)) return number()
    if (code === MINUS) return text.startsWith('Infinity', at + 1) ? literal(9, INFINITE.negative) : number()
    if (text.startsWith('true', at)) return literal(4, true)
    if (text.startsWith('false', at)) return literal(5, false)
    if (text.startsWith('null', at)) return literal(4, null)
    if (text.startsWith('NaN', at)) return literal(3, Number.NaN)
    if (text.startsWith('Infinity', at)) return literal(8, INFINITE.positive)
    throw fault()
  }

  function literal<T>(length: number, result: T): T {
    at += length
    return result
  }

  function array(): unknown[] {
    const items: unknown[] = []
    enter()
    if (peek() === CLOSE_ARRAY) return leave(items)
    for (;;) {
      items.push(value())
      const code = peek()
      if (code === CLOSE_ARRAY) return leave(items)
      if (code !== COMMA) throw fault()
      at++
    }
  }

  function object(): Record<string, unknown> {
    const members: Record<string, unknown> = {}
    enter()
    if (peek() === CLOSE_OBJECT) return leave(members)
    for (;;) {
      if (peek() !== QUOTE) throw fault()
      const key = string()
      if (peek() !== COLON) throw fault()
      at++
      setMember(members, key, value())
      const code = peek()
      if (code === CLOSE_OBJECT) return leave(members)
      if (code !== COMMA) throw fault()
      at++
    }
  }

  function enter(): void {
    if (++depth > MAX_DEPTH) throw tooDeep()
    at++
  }

  function leave<T>(result: T): T {
    depth--
    at++
    return result
  }

  function string(): string {
    const start = at
    let isPlain = true
    for (at++; ; at++) {
      const code = text.charCodeAt(at)
      if (code === QUOTE) break
      if (code === BACKSLASH) {
        isPlain = false
        at++
      }
      // Not a number past the end, so this also ends an unterminated string.
      if (!(code >= 0x20)) throw fault()
    }
    at++
    return isPlain ? text.slice(start + 1, at - 1) : escaped(start)
  }

  function escaped(start: number): string {
    try {
      return JSON.parse(text.slice(start, at)) as string
    } catch {
      at = start
      throw fault()
    }
  }

  /** Its place is a local variable, which costs a fraction of one that functions share. */
  function number(): number | bigint {
    const start = at
    let i = text.charCodeAt(start) === MINUS ? start + 1 : start
    const begin = i
    let code = text.charCodeAt(i)
    let mantissa = 0
    let point = 0
    if (code === ZERO) code = text.charCodeAt(++i)
    else for (; isDigit(code); code = text.charCodeAt(++i)) mantissa = mantissa * 10 + (code - ZERO)
    if (i === begin) throw faultIn(start, i)
    if (code === POINT) {
      point = i++
      for (code = text.charCodeAt(i); isDigit(code); code = text.charCodeAt(++i)) mantissa = mantissa * 10 + (code - ZERO)
      if (i === point + 1) throw faultIn(start, i)
    }
    const decimals = point > 0 ? i - point - 1 : 0
    // 0x20 turns E into e.
    const hasExponent = (code | 0x20) === 0x65
    if (hasExponent) {
      code = text.charCodeAt(++i)
      if (code === PLUS || code === MINUS) i++
      const exponent = i
      while (isDigit(text.charCodeAt(i))) i++
      if (i === exponent) throw faultIn(start, i)
    }
    at = i
    // Both are exact, so one division rounds once, as a reader of the whole text does.
    if (!hasExponent && i - begin - Number(point > 0) <= EXACT_DIGITS) {
      const value = decimals > 0 ? mantissa / (POWERS[decimals] as number) : mantissa
      return begin > start ? -value : value
    }
    return numberIn(text.slice(start, i), point === 0 && !hasExponent)
  }

  /** A number that goes on with something else is told at its start, one that ends too early as such. */
  function faultIn(start: number, end: number): ModelmountError {
    at = end < text.length ? start : end
    return fault()
  }

  const result = value()
  if (!Number.isNaN(peek())) throw fault()
  return result
}

function numberIn(token: string, isInteger: boolean): number | bigint {
  const rounded = Number(token)
  return isInteger && !Number.isSafeInteger(rounded) && token.length <= LONGEST_INTEGER ? BigInt(token) : rounded
}

/** Assigning to `__proto__` would set the prototype; JSON.parse makes it an ordinary property, and so do we. */
function setMember(members: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(members, key, { value, enumerable: true, configurable: true, writable: true })
  else members[key] = value
}
