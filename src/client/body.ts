/** The body of an answer, as far as it is allowed to go after unpacking. */

/** @returns its bytes; `undefined` where there are more, and then the rest is not read */
export async function readBody(response: Response, maxBytes: number): Promise<Uint8Array | undefined> {
  const pieces: Uint8Array[] = []
  let total = 0
  // Leaving the loop ends the connection.
  for await (const piece of response.body ?? []) {
    total += piece.byteLength
    if (total > maxBytes) return undefined
    pieces.push(piece)
  }
  const [first] = pieces
  return first && pieces.length === 1 ? first : Buffer.concat(pieces, total)
}
