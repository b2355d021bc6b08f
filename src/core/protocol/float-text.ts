/**
 * 32-bit floats as decimal text that reads back to the same bits: as few digits as `toPrecision(6..9)` needs, about half of what their double
 * would take. Most values are some decimals times a power of ten, found by trying, and written digit by digit.
 */

const ZERO = 0x30
const POINT = 0x2e
const MINUS = 0x2d
const COMMA = 0x2c

/** Decimals that are tried; with more, or for very large and very small values, the engine's own formatting is used. */
const LEAST_DECIMALS = 6
const MOST_DECIMALS = 9
const POWERS = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]
const LARGEST = 1e6
const SMALLEST = 1e-3
/** Sign, up to 7 digits, point, decimals, comma; and the longest text of the engine's. */
const MOST_BYTES = 24

/** The elements between commas; what JSON has no number for in quotes. */
export function floatsText(values: Float32Array): string {
  const bytes = Buffer.allocUnsafe(values.length * MOST_BYTES)
  let at = 0
  for (let i = 0; i < values.length; i++) {
    if (i > 0) bytes[at++] = COMMA
    const value = values[i] as number
    const size = Math.abs(value)
    const decimals = size < LARGEST && size >= SMALLEST ? decimalsOf(size) : 0
    if (decimals === 0) at += bytes.write(unusual(value), at, 'latin1')
    else {
      if (value < 0) bytes[at++] = MINUS
      at = write(bytes, at, size, decimals)
    }
  }
  return bytes.toString('latin1', 0, at)
}

/** How many decimals tell the float apart from all others; 0 where more would be needed. */
function decimalsOf(size: number): number {
  for (let decimals = LEAST_DECIMALS; decimals <= MOST_DECIMALS; decimals++) {
    const power = POWERS[decimals] as number
    // Both are exact, so this is what a reader of the text will get.
    if (Math.fround(Math.round(size * power) / power) === size) return decimals
  }
  return 0
}

function write(bytes: Buffer, start: number, size: number, decimals: number): number {
  const power = POWERS[decimals] as number
  const scaled = Math.round(size * power)
  const whole = Math.floor(scaled / power)
  let fraction = scaled - whole * power
  let at = writeInteger(bytes, start, whole)
  if (fraction === 0) return at
  bytes[at] = POINT
  let last = decimals
  while (fraction % 10 === 0) {
    fraction /= 10
    last--
  }
  for (let place = at + last; place > at; place--) {
    const rest = Math.floor(fraction / 10)
    bytes[place] = ZERO + fraction - rest * 10
    fraction = rest
  }
  at += last + 1
  return at
}

function writeInteger(bytes: Buffer, start: number, value: number): number {
  let length = 1
  for (let power = 10; value >= power; power *= 10) length++
  for (let place = start + length - 1; place >= start; place--) {
    const rest = Math.floor(value / 10)
    bytes[place] = ZERO + value - rest * 10
    value = rest
  }
  return start + length
}

function unusual(value: number): string {
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  return Number.isFinite(value) ? String(shortest(value)) : `"${value}"`
}

/** The double with the fewest digits that rounds to the same 32-bit float. */
export function shortest(value: number): number {
  if (!Number.isFinite(value) || (Number.isInteger(value) && Math.abs(value) < 2 ** 24)) return value
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return short
  }
  return Number(value.toPrecision(9))
}
