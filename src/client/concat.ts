/** Joins pieces into one. Without `Buffer`, which exists only in Node. */
export function concat(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0))
  let at = 0
  for (const piece of pieces) {
    result.set(piece, at)
    at += piece.byteLength
  }
  return result
}
