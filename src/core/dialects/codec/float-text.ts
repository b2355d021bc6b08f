/**
 * 32-bit floats as the shortest decimal text that reads back to the same bits (for one in a million, one digit more): about half of what their
 * doubles would take.
 *
 * All floats of one binary exponent are equally far apart, so the exponent alone says how many decimals tell every one of them from its
 * neighbours. One fewer tells only some of them apart. Both are tried, as whole numbers of that many decimals, which fit 32 bits.
 */

const ZERO = 0x30
const POINT = 0x2e
const MINUS = 0x2d
const SMALL_E = 0x65
const COMMA = 0x2c

/** Sign, digits, point, exponent and comma of the longest text, which is one of the engine's. */
const MOST_BYTES = 24
/** Floats that are written at a time. */
const CHUNK = 2048
/** Every text is written here first; nothing else runs meanwhile. */
const scratch = Buffer.allocUnsafeSlow(CHUNK * MOST_BYTES)

/** Biased exponents of the floats that are written here: normal, and below 2^24, from where on floats are whole numbers. */
const LEAST_EXPONENT = 1
const MOST_EXPONENT = 127 + 23
/** The float below a power of two is only half as far away. Those of 2^-20 and above come out right all the same (tried, each of them). */
const SMALL_POWER = 127 - 20
const FRACTION = 0x7fffff
/** Far more than the rounding of a product with a power of ten that is itself rounded: below 2^28 that is 2^-24 at most. */
const MARGIN = 1e-6

/** By biased exponent: the smallest number of decimals that always is enough. */
const decimalsFor = new Uint8Array(MOST_EXPONENT + 1)
/** 10 to the power of one decimal fewer, and how far in those units a decimal may be from the float. */
const powerFor = new Float64Array(MOST_EXPONENT + 1)
const reachFor = new Float64Array(MOST_EXPONENT + 1)
for (let exponent = LEAST_EXPONENT; exponent <= MOST_EXPONENT; exponent++) {
  const half = 2 ** (exponent - 127 - 24)
  let decimals = 1
  while (half * Number(`1e${decimals}`) <= 0.5 + 2 * MARGIN) decimals++
  decimalsFor[exponent] = decimals
  powerFor[exponent] = Number(`1e${decimals - 1}`)
  reachFor[exponent] = half * (powerFor[exponent] as number) - MARGIN
}

/** The elements between commas; those that JSON has no number for in quotes. */
export function floatsText(values: Float32Array): string {
  if (values.length <= CHUNK) return scratch.toString('latin1', 0, write(values))
  let text = ''
  for (let start = 0; start < values.length; start += CHUNK) {
    const end = write(values.subarray(start, start + CHUNK))
    text += start > 0 ? `,${scratch.toString('latin1', 0, end)}` : scratch.toString('latin1', 0, end)
  }
  return text
}

/** {@link floatsText} as bytes, in pieces. */
export function* floatsBytes(values: Float32Array): Generator<Uint8Array> {
  for (let start = 0; start < values.length; start += CHUNK) {
    const isLast = start + CHUNK >= values.length
    let end = write(values.subarray(start, start + CHUNK))
    if (!isLast) scratch[end++] = COMMA
    yield Buffer.from(scratch.subarray(0, end))
  }
}

function isUnusual(word: number): boolean {
  const exponent = (word >>> 23) & 0xff
  return exponent < LEAST_EXPONENT || exponent > MOST_EXPONENT || (exponent < SMALL_POWER && (word & FRACTION) === 0)
}

/** The float as a whole number of one decimal fewer than always is enough; -1 where that does not tell it from its neighbours. */
function fewerDigits(size: number, exponent: number): number {
  const scaled = size * (powerFor[exponent] as number)
  const digits = (scaled + 0.5) | 0
  return Math.abs(digits - scaled) < (reachFor[exponent] as number) ? digits : -1
}

function enoughDigits(size: number, exponent: number): number {
  return (size * (powerFor[exponent] as number) * 10 + 0.5) | 0
}

/** So few floats are copied to be looked at as words: V8 makes their buffer only when it is asked for, which takes a microsecond. */
const few = new Float32Array(16)
const fewWords = new Int32Array(few.buffer)

function wordsOf(values: Float32Array): Int32Array {
  if (values.length > few.length) return new Int32Array(values.buffer, values.byteOffset, values.length)
  for (let i = 0; i < values.length; i++) few[i] = values[i] as number
  return fewWords
}

/** Into `scratch`; returns where the text ends. */
function write(values: Float32Array): number {
  const words = wordsOf(values)
  let at = 0
  for (let i = 0; i < values.length; i++) {
    if (i > 0) scratch[at++] = COMMA
    const word = words[i] as number
    const exponent = (word >>> 23) & 0xff
    if (isUnusual(word)) {
      if (word === 0) scratch[at++] = ZERO
      else at += scratch.write(unusual(values[i] as number), at, 'latin1')
      continue
    }
    if (word < 0) scratch[at++] = MINUS
    const size = Math.abs(values[i] as number)
    let decimals = decimalsFor[exponent] as number
    let digits = fewerDigits(size, exponent)
    if (digits < 0) digits = enoughDigits(size, exponent)
    else {
      decimals--
      while (decimals > 0 && digits % 10 === 0) {
        digits = (digits / 10) | 0
        decimals--
      }
    }
    at = writeDecimal(at, digits, decimals)
  }
  return at
}

/** A whole number of decimals, as JavaScript would write it. */
function writeDecimal(start: number, digits: number, decimals: number): number {
  const count = countOf(digits)
  // 0.000001 and above in full.
  if (decimals - count >= 6) return writeWithExponent(start, digits, count, count - 1 - decimals)
  const whole = Math.max(count - decimals, 1)
  const end = start + whole + (decimals > 0 ? decimals + 1 : 0)
  let place = end - 1
  let rest = digits
  for (let left = decimals; left > 0; left--) {
    const next = (rest / 10) | 0
    scratch[place--] = ZERO + rest - next * 10
    rest = next
  }
  if (decimals > 0) scratch[place--] = POINT
  for (; place >= start; place--) {
    const next = (rest / 10) | 0
    scratch[place] = ZERO + rest - next * 10
    rest = next
  }
  return end
}

function writeWithExponent(start: number, digits: number, count: number, exponent: number): number {
  let place = start + (count > 1 ? count : 0)
  let rest = digits
  for (let left = count; left > 1; left--) {
    const next = (rest / 10) | 0
    scratch[place--] = ZERO + rest - next * 10
    rest = next
  }
  if (count > 1) scratch[place--] = POINT
  scratch[place] = ZERO + rest
  let at = start + (count > 1 ? count + 1 : 1)
  scratch[at++] = SMALL_E
  scratch[at++] = MINUS
  const tens = (-exponent / 10) | 0
  if (tens > 0) scratch[at++] = ZERO + tens
  scratch[at++] = ZERO - exponent - tens * 10
  return at
}

/** Decimal digits of a whole number. */
function countOf(digits: number): number {
  if (digits < 10_000) return digits < 100 ? (digits < 10 ? 1 : 2) : digits < 1000 ? 3 : 4
  if (digits < 100_000_000) return digits < 1_000_000 ? (digits < 100_000 ? 5 : 6) : digits < 10_000_000 ? 7 : 8
  return 9
}

function unusual(value: number): string {
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  return Number.isFinite(value) ? String(shortestByTrying(value)) : `"${value}"`
}

const single = new Float32Array(1)
const singleWord = new Int32Array(single.buffer)
/** Up to here powers of ten are exact, and the quotient is what a reader of the decimal would get. */
const EXACT_DECIMALS = 22

/** The double with the fewest digits that rounds to the same 32-bit float. */
export function shortest(value: number): number {
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 24) return value
  single[0] = value
  const word = singleWord[0] as number
  const exponent = (word >>> 23) & 0xff
  const decimals = decimalsFor[exponent] as number
  if (isUnusual(word) || decimals > EXACT_DECIMALS) return shortestByTrying(value)
  const size = Math.abs(value)
  const fewer = fewerDigits(size, exponent)
  const power = powerFor[exponent] as number
  const short = fewer < 0 ? enoughDigits(size, exponent) / (power * 10) : fewer / power
  return value < 0 ? -short : short
}

function shortestByTrying(value: number): number {
  if (!Number.isFinite(value)) return value
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return short
  }
  return Number(value.toPrecision(9))
}
