/** Bytes with replacements: the result of a graph's edits, small enough to be sent to every worker. */

/** Replaces the bytes from `at` to `end`. */
export interface Splice {
  readonly at: number
  readonly end: number
  readonly bytes: Uint8Array
}

/** Splices in order that do not overlap; none leaves the bytes as they are. */
export type Patch = readonly Splice[]

export const NO_PATCH: Patch = []

/** A piece of the result: new bytes, or old ones from an offset on. */
export interface Piece {
  /** Its position in the result. */
  readonly at: number
  readonly length: number
  readonly from: number | Uint8Array
}

/** The pieces of the result for `size` old bytes, in order and without gaps. */
export function piecesOf(size: number, patch: Patch): readonly Piece[] {
  const pieces: Piece[] = []
  let at = 0
  let old = 0
  const add = (from: number | Uint8Array, length: number): void => {
    if (length > 0) pieces.push({ at, length, from })
    at += length
  }
  for (const splice of patch) {
    add(old, splice.at - old)
    add(splice.bytes, splice.bytes.length)
    old = splice.end
  }
  add(old, size - old)
  return pieces
}

export const splicedSize = (size: number, patch: Patch): number =>
  patch.reduce((sum, { at, end, bytes }) => sum + bytes.length - (end - at), size)

/**
 * @param read fills `into` with the old bytes from `from` on
 * @returns the new bytes, in memory of their own
 */
export function spliced(size: number, patch: Patch, read: (into: Uint8Array, from: number) => void): Uint8Array {
  const result = new Uint8Array(splicedSize(size, patch))
  for (const { at, length, from } of piecesOf(size, patch)) {
    if (typeof from === 'number') read(result.subarray(at, at + length), from)
    else result.set(from, at)
  }
  return result
}
