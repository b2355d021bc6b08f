/** JSON and numbers, as all dialects read and write them. */

export { COUNTED_BYTES, MOST_STRINGS } from './bounds.ts'
export type { BufferPool } from './buffer-pool.ts'
export { type Copies, createLaterCopies, type LaterCopies } from './copies.ts'
export { COUNTED_WORDS, firstExcess } from './count.ts'
export type { Parameters } from './fields.ts'
export { parseJson, parseJsonExact } from './json.ts'
export type { Result } from './result.ts'
export { atOnce, type Steps } from './write-json.ts'
