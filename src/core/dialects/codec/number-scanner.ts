/**
 * JSON numbers straight into a typed array, a piece at a time, without a JavaScript array in between. Gives the same bits as
 * `JSON.parse` and a conversion would; whatever is not plainly a list of numbers is left to those.
 */

import { allocate, DTYPES, type ElementArrays, type Kind } from '../../tensor/index.ts'
import type { DType } from '../../tensor/types.ts'
import { type BufferPool, FEW_BYTES, takeBuffer } from './buffer-pool.ts'
import type { Span } from './data-spans.ts'

/** `odd`: not a list of exactly that many numbers of that type, or not worth deciding here. */
export type Progress = 'more' | 'done' | 'odd'

export interface NumberScanner {
  readonly elements: ElementArrays[DType]
  /** Reads about that many bytes more. */
  read(bytes: number): Progress
}

const MINUS = 0x2d
const PLUS = 0x2b
const POINT = 0x2e
const COMMA = 0x2c
const ZERO = 0x30
const NINE = 0x39
const SMALL_E = 0x65

/** Four characters in one word are digits when the high half of each is 3, and still is when 6 is added: the character after 9 is then 0x40. */
const HIGH_HALVES = 0xf0f0f0f0 | 0
const LOW_HALVES = 0x0f0f0f0f
const ZEROS = 0x30303030
const SIXES = 0x06060606
/** Any integer of 15 digits, and any power of ten up to 22, is exact in a double; so is one multiplication or division of the two, rounded once. */
const EXACT_DIGITS = 15
const EXACT_POWER = 22
const POWERS = Array.from({ length: 309 }, (_, exponent) => Number(`1e${exponent}`))
/** Beyond this the accumulated error of a double may exceed what LOW and HIGH allow for. */
const MOST_DIGITS = 40
/** Powers up to here keep products and quotients clear of the ends of the range. */
const MOST_POWER = 260
/** Characters of a number; longer ones cannot all be arguments of one call, and no client means them. */
const LONGEST = 400
/** An exponent beyond every double, whatever stands before it. */
const MANY = 1_000_000_000
/** Far more than the error of the accumulated digits, the power and the product together, which is below 2^-47. */
const LOW = 1 - 2 ** -44
const HIGH = 1 + 2 ** -44

const SPACE = 0x20

/** The words for a float that no number stands for: nothing, as strict JSON has it, and the tokens that Python writes. */
const WORDS = [
  { bytes: Buffer.from('null'), value: Number.NaN },
  { bytes: Buffer.from('NaN'), value: Number.NaN },
  { bytes: Buffer.from('Infinity'), value: Number.POSITIVE_INFINITY },
  { bytes: Buffer.from('-Infinity'), value: Number.NEGATIVE_INFINITY },
] as const

const wordAt = (bytes: Uint8Array, at: number): (typeof WORDS)[number] | undefined =>
  WORDS.find((word) => word.bytes.every((byte, i) => bytes[at + i] === byte))

const isSpace = (code: number | undefined): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09

function afterSpace(bytes: Uint8Array, at: number): number {
  let end = at
  while (isSpace(bytes[end])) end++
  return end
}

/** The list as it is read. */
interface Cursor {
  readonly bytes: Uint8Array
  /** The same bytes. */
  readonly view: DataView
  /** The closing bracket. */
  readonly to: number
  readonly count: number
  /** Where the next number begins, or space before it. */
  at: number
  /** Numbers read. */
  index: number
}

/**
 * @param from first byte after the opening bracket
 * @param to the closing bracket
 * @param count how many numbers there must be
 * @param buffers where many of them may lie; all of it is written before anybody sees it
 * @returns `undefined` for element types that are not read this way
 */
export function createNumberScanner(
  type: DType,
  bytes: Uint8Array,
  from: number,
  to: number,
  count: number,
  buffers?: BufferPool,
): NumberScanner | undefined {
  // Each number takes a digit and a comma.
  if (!isScannable(type) || count > (to - from + 1) / 2) return undefined
  const elements = takeBuffer(buffers, type, count, FEW_BYTES + 1) ?? allocate(type, count)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const cursor: Cursor = { bytes, view, to, count, at: from, index: 0 }
  const { kind, bytes: width } = DTYPES[type]
  return {
    elements,
    read: (budget) =>
      kind === 'float'
        ? readFloats(cursor, elements as Float32Array, width === SINGLE, cursor.at + budget)
        : readIntegers(cursor, elements as Int32Array, type, cursor.at + budget),
  }
}

/** True for element types that are read this way. */
export const isScannable = (type: DType): type is Exclude<DType, 'string'> => SCANNABLE[DTYPES[type].kind]

const SCANNABLE: Readonly<Record<Kind, boolean>> = {
  float: true,
  coded: false,
  integer: true,
  long: true,
  bool: false,
  string: false,
}

/** Bytes of a float of single precision. */
const SINGLE = 4

/**
 * Reads a short list in one go.
 * @param elements as many as there must be, of a type that {@link isScannable}; their content is undefined where the list is another
 */
export function scanAll(type: DType, bytes: Uint8Array, { from, to }: Span, elements: ElementArrays[DType]): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const cursor: Cursor = { bytes, view, to, count: elements.length, at: from, index: 0 }
  const progress =
    DTYPES[type].kind === 'float'
      ? readFloats(cursor, elements as Float32Array, DTYPES[type].bytes === SINGLE, Number.POSITIVE_INFINITY)
      : readIntegers(cursor, elements as Int32Array, type, Number.POSITIVE_INFINITY)
  return progress === 'done'
}

const textAt = (bytes: Uint8Array, from: number, to: number): string => String.fromCharCode(...bytes.subarray(from, to))

/** One function with nothing but local variables: a double that outlives a call, in a closure or a field, costs an allocation per digit. */
function readFloats(cursor: Cursor, target: Float32Array | Float64Array, isSingle: boolean, pause: number): Progress {
  const { bytes, view, to, count } = cursor
  const words = bytes.length - 3
  let { at, index } = cursor
  while (at < pause) {
    let code = bytes[at] as number
    while (code <= SPACE && isSpace(code)) code = bytes[++at] as number
    const start = at
    // Without a branch: half of all signs would be guessed wrong.
    const negative = Number(code === MINUS)
    at += negative
    code = bytes[at] as number
    const begin = at
    let mantissa = 0
    let power = 0
    while (code >= ZERO && code <= NINE) {
      mantissa = mantissa * 10 + (code - ZERO)
      code = bytes[++at] as number
    }
    let digits = at - begin
    if (digits === 0) {
      // Such words are few. None of them has a bracket in it, so none goes beyond the list.
      const word = index < count ? wordAt(bytes, start) : undefined
      if (!word) return 'odd'
      target[index++] = word.value
      at = afterSpace(bytes, start + word.bytes.length)
      if (at === to) return index === count ? 'done' : 'odd'
      if (bytes[at++] !== COMMA) return 'odd'
      continue
    }
    if (digits > 1 && bytes[begin] === ZERO) return 'odd'
    if (code === POINT) {
      const fraction = ++at
      // Four at a time: most of what a float costs is its decimals.
      while (at < words) {
        const word = view.getInt32(at, true)
        if (((word & HIGH_HALVES) ^ ZEROS) | (((word + SIXES) & HIGH_HALVES) ^ ZEROS)) break
        const low = word & LOW_HALVES
        const pairs = Math.imul(low, 10) + (low >>> 8)
        mantissa = mantissa * 10_000 + ((pairs & 0xff) * 100 + ((pairs >>> 16) & 0xff))
        at += 4
      }
      code = bytes[at] as number
      while (code >= ZERO && code <= NINE) {
        mantissa = mantissa * 10 + (code - ZERO)
        code = bytes[++at] as number
      }
      if (at === fraction) return 'odd'
      power = fraction - at
      digits -= power
    }
    if ((code | 0x20) === SMALL_E) {
      const sign = bytes[++at] as number
      if (sign === PLUS || sign === MINUS) at++
      const exponent = at
      let value = 0
      for (code = bytes[at] as number; code >= ZERO && code <= NINE; code = bytes[++at] as number)
        value = Math.min(MANY, value * 10 + (code - ZERO))
      if (at === exponent) return 'odd'
      power += sign === MINUS ? -value : value
    }
    if (index >= count || at > to || at - start > LONGEST) return 'odd'

    let value = Number.NaN
    if (power >= -EXACT_POWER && power <= EXACT_POWER && digits <= EXACT_DIGITS)
      value = power < 0 ? mantissa / (POWERS[-power] as number) : mantissa * (POWERS[power] as number)
    else if (isSingle && digits <= MOST_DIGITS && power > -MOST_POWER && power < MOST_POWER) {
      const near = power < 0 ? mantissa / (POWERS[-power] as number) : mantissa * (POWERS[power] as number)
      // Both ends round to the same float, so whatever lies between does too.
      const low = Math.fround(near * LOW)
      if (low === Math.fround(near * HIGH)) value = low
    }
    if (Number.isNaN(value)) value = Math.abs(Number(textAt(bytes, start, at)))
    value = isSingle ? Math.fround(value) : value
    // An overflow is not for us to judge.
    if (value === Number.POSITIVE_INFINITY) return 'odd'
    target[index++] = value * (1 - 2 * negative)

    if (code !== COMMA) {
      while (isSpace(code)) code = bytes[++at] as number
      if (at === to) return index === count ? 'done' : 'odd'
      if (code !== COMMA) return 'odd'
    }
    at++
  }
  cursor.at = at
  cursor.index = index
  return 'more'
}

function readIntegers(cursor: Cursor, target: Int32Array, type: DType, pause: number): Progress {
  const { bytes, to, count } = cursor
  const { min, max, kind } = DTYPES[type]
  const isLong = kind === 'long'
  let { at, index } = cursor
  while (at < pause) {
    let code = bytes[at] as number
    while (isSpace(code)) code = bytes[++at] as number
    const start = at
    const isNegative = code === MINUS
    if (isNegative) code = bytes[++at] as number
    const begin = at
    let value = 0
    while (code >= ZERO && code <= NINE) {
      value = value * 10 + (code - ZERO)
      code = bytes[++at] as number
    }
    const digits = at - begin
    // A fraction or an exponent may still make an integer; that is for others to say.
    if (digits === 0 || (digits > 1 && bytes[begin] === ZERO) || index >= count || at > to || at - start > LONGEST) return 'odd'
    if (isNegative) value = -value
    if (isLong) {
      const exact = BigInt(digits <= EXACT_DIGITS ? value : textAt(bytes, start, at))
      if (exact < min || exact > max) return 'odd'
      ;(target as unknown as BigInt64Array)[index++] = exact
    } else {
      if (digits > EXACT_DIGITS || value < min || value > max) return 'odd'
      target[index++] = value
    }
    while (isSpace(code)) code = bytes[++at] as number
    if (at === to) return index === count ? 'done' : 'odd'
    if (code !== COMMA) return 'odd'
    at++
  }
  cursor.at = at
  cursor.index = index
  return 'more'
}
