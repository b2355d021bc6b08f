/**
 * JSON numbers straight into a typed array, a piece at a time, without a JavaScript array in between. Gives the same bits as
 * `JSON.parse` and a conversion would; whatever is not plainly a list of numbers is left to those.
 */

import { allocate, DTYPES, type ElementArrays } from '../tensor/index.ts'
import type { DType } from '../types.ts'

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

/** Any integer of 15 digits, and any power of ten up to 22, is exact in a double; so is one multiplication or division of the two, rounded once. */
const EXACT_DIGITS = 15
const EXACT_POWER = 22
const POWERS = Array.from({ length: 309 }, (_, exponent) => Number(`1e${exponent}`))
/** Beyond this the accumulated error of a double may exceed what `decided` allows for. */
const MOST_DIGITS = 40
/** Far more than the error of the accumulated digits, the power and the product together, which is below 2^-47. */
const LOW = 1 - 2 ** -44
const HIGH = 1 + 2 ** -44

const isDigit = (code: number | undefined): boolean => code !== undefined && code >= ZERO && code <= NINE
const isSpace = (code: number | undefined): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09

/**
 * @param from first byte after the opening bracket
 * @param to the closing bracket
 * @param count how many numbers there must be
 * @returns `undefined` for element types that are not read this way
 */
export function createNumberScanner(
  type: DType,
  bytes: Uint8Array,
  from: number,
  to: number,
  count: number,
): NumberScanner | undefined {
  // Each number takes a digit and a comma.
  if (type === 'string' || type === 'bool' || type === 'float16' || count > (to - from + 1) / 2) return undefined
  const elements = allocate(type, count)
  const isFloat = type === 'float32' || type === 'float64'
  const store = isFloat ? floatsInto(elements as Float32Array, type === 'float32') : integersInto(type, elements)
  let at = from
  let index = 0

  /** The last number that was read, but for its sign. */
  let digits = 0
  let mantissa = 0
  let power = 0
  let start = 0
  let isNegative = false
  let isInteger = true

  /** False where there is no number. */
  function number(): boolean {
    start = at
    isNegative = bytes[at] === MINUS
    if (isNegative) at++
    const first = bytes[at] as number
    if (!isDigit(first)) return false
    mantissa = first - ZERO
    digits = 1
    power = 0
    isInteger = true
    at++
    if (first !== ZERO) whole()
    if (bytes[at] === POINT && !fraction()) return false
    return ((bytes[at] as number) | 0x20) !== SMALL_E || exponent()
  }

  function whole(): void {
    for (let code = bytes[at] as number; code >= ZERO && code <= NINE; code = bytes[++at] as number) {
      mantissa = mantissa * 10 + (code - ZERO)
      digits++
    }
  }

  function fraction(): boolean {
    isInteger = false
    const begin = ++at
    for (let code = bytes[at] as number; code >= ZERO && code <= NINE; code = bytes[++at] as number) {
      mantissa = mantissa * 10 + (code - ZERO)
      digits++
    }
    power = begin - at
    return at > begin
  }

  function exponent(): boolean {
    isInteger = false
    const sign = bytes[++at]
    if (sign === PLUS || sign === MINUS) at++
    const begin = at
    let value = 0
    for (let code = bytes[at] as number; code >= ZERO && code <= NINE; code = bytes[++at] as number)
      value = Math.min(100_000, value * 10 + (code - ZERO))
    power += sign === MINUS ? -value : value
    return at > begin
  }

  const text = (): string => String.fromCharCode(...bytes.subarray(start, at))

  function floatsInto(target: Float32Array | Float64Array, isSingle: boolean): () => boolean {
    function decided(): number {
      if (digits <= EXACT_DIGITS && power >= -EXACT_POWER && power <= EXACT_POWER)
        return power < 0 ? mantissa / (POWERS[-power] as number) : mantissa * (POWERS[power] as number)
      if (isSingle && digits <= MOST_DIGITS && power > -290 && power < 290) {
        const near = power < 0 ? mantissa / (POWERS[-power] as number) : mantissa * (POWERS[power] as number)
        // Both ends round to the same float, so whatever lies between does too.
        const low = Math.fround(near * LOW)
        if (low === Math.fround(near * HIGH)) return low
      }
      return Math.abs(Number(text()))
    }
    return () => {
      const value = decided()
      target[index] = isNegative ? -value : value
      return Number.isFinite(target[index])
    }
  }

  function integersInto(type: DType, target: ElementArrays[DType]): () => boolean {
    const { min, max } = DTYPES[type]
    if (type === 'int64' || type === 'uint64') {
      return () => {
        if (!isInteger) return false
        const value = BigInt(digits <= EXACT_DIGITS ? (isNegative ? -mantissa : mantissa) : text())
        ;(target as BigInt64Array)[index] = value
        return value >= min && value <= max
      }
    }
    return () => {
      const value = isNegative ? -mantissa : mantissa
      ;(target as Int32Array)[index] = value
      return isInteger && digits <= EXACT_DIGITS && value >= min && value <= max
    }
  }

  function space(): void {
    while (isSpace(bytes[at])) at++
  }

  return {
    elements,
    read(budget) {
      const pause = at + budget
      while (at < pause) {
        space()
        if (index >= count || !number() || at > to || !store()) return 'odd'
        index++
        space()
        if (at === to) return index === count ? 'done' : 'odd'
        if (bytes[at] !== COMMA) return 'odd'
        at++
      }
      return 'more'
    },
  }
}
