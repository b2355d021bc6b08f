/** IEEE 754 half precision, as raw bits. */

const SIGN = 0x8000
const INFINITY = 0x7c00
const NOT_A_NUMBER = 0x7e00
/** From here up the nearest half is Infinity: halfway between the largest half (65504) and 2^16. */
const OVERFLOW = 65520
const SMALLEST_NORMAL = 2 ** -14
/** Adding and subtracting it rounds a smaller positive double to an integer, ties to even. */
const ROUNDER = 2 ** 52

const double = new Float64Array(1)
const halves = new Uint32Array(double.buffer)
// The half of a double's bits that holds its exponent; every Node platform but s390x is little-endian.
const HIGH = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0

/** 2^(exponent - 25) by exponent field: the weight of the lowest mantissa bit. */
const WEIGHT = Float64Array.from({ length: 32 }, (_, exponent) => 2 ** (exponent - 25))

/**
 * The half nearest to a number, ties to even, straight from the double (going through float32 would round twice).
 * Finite numbers of 65520 and more become Infinity; callers that must not lose them check with {@link isFiniteHalf}.
 * Every NaN becomes 0x7e00.
 */
export function toHalf(value: number): number {
  if (Number.isNaN(value)) return NOT_A_NUMBER
  const sign = value < 0 || Object.is(value, -0) ? SIGN : 0
  const size = Math.abs(value)
  if (size >= OVERFLOW) return sign | INFINITY
  if (size < SMALLEST_NORMAL) return sign | roundToEven(size * 2 ** 24)
  double[0] = size
  const exponent = ((halves[HIGH] ?? 0) >>> 20) - 1023
  // A mantissa that rounds up to 2048 carries into the exponent, as it should.
  return sign | (((exponent + 15) << 10) + roundToEven(size * 2 ** (10 - exponent)) - 1024)
}

/** The exact value of a half. */
export function fromHalf(bits: number): number {
  const exponent = (bits >>> 10) & 0x1f
  const mantissa = bits & 0x3ff
  const sign = (bits & SIGN) === 0 ? 1 : -1
  if (exponent === 0x1f) return mantissa === 0 ? sign * Infinity : Number.NaN
  if (exponent === 0) return sign * mantissa * 2 ** -24
  return sign * (mantissa + 1024) * (WEIGHT[exponent] ?? 0)
}

/** False for the bits of an infinity or NaN. */
export function isFiniteHalf(bits: number): boolean {
  return (bits & INFINITY) !== INFINITY
}

function roundToEven(value: number): number {
  return value + ROUNDER - ROUNDER
}

/** A way of keeping floats as bits, in numbers that an array of integers holds. */
export interface FloatCode {
  /** The nearest float, ties to even. */
  readonly toBits: (value: number) => number
  readonly toNumber: (bits: number) => number
  readonly isFinite: (bits: number) => boolean
}

const same = (value: number): number => value

/** Numbers as they are. */
export const PLAIN: FloatCode = { toBits: same, toNumber: same, isFinite: Number.isFinite }

/** IEEE 754 binary16. */
export const HALF: FloatCode = { toBits: toHalf, toNumber: fromHalf, isFinite: isFiniteHalf }
