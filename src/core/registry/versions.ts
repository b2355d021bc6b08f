/** The names of versions, and their order: one rule for the repository, the routes, `typegen` and `lock`. */

const NUMBER = /^[1-9][0-9]{0,18}$/
/** Triton and TensorFlow Serving keep versions in signed integers of 64 bits. */
const HIGHEST = 2n ** 63n - 1n

/** A whole number from 1 to 2^63 - 1 without leading zeros: the only valid name of a version directory. */
export const isVersionNumber = (name: string): boolean => NUMBER.test(name) && BigInt(name) <= HIGHEST

/** A name that was meant as a version, or hides one: it starts with a digit, perhaps behind a sign, a dot or a space. */
export const looksLikeVersion = (name: string): boolean => /^[\s.+-]?\p{Nd}/u.test(name)

export const VERSION_RULE = 'versions are whole numbers from 1 to 2^63 - 1 without leading zeros'

const numeric = new Intl.Collator('en', { numeric: true })

/**
 * A total order. Numbers compare as integers of any size. Other names from code (`v10`) compare by their letters and the numbers
 * between them.
 */
export function compareVersions(a: string, b: string): number {
  if (isVersionNumber(a) && isVersionNumber(b)) return sign(BigInt(a), BigInt(b))
  return numeric.compare(a, b) || sign(a, b)
}

const sign = <T extends bigint | string>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0)
