/** Reads the body of an answer, up to a limit after unpacking. */

import { concat } from './concat.ts'

/** @returns its bytes; `undefined` if there are more, and the rest is then not read */
export async function readBody({ body }: Response, maxBytes: number): Promise<Uint8Array | undefined> {
  if (!body) return new Uint8Array()
  // An iterator would do the same at twice the price.
  const reader = body.getReader()
  const pieces: Uint8Array[] = []
  let total = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    total += value.byteLength
    if (total > maxBytes) {
      // Ends the connection; the way that it ends is irrelevant.
      reader.cancel().catch(() => {})
      return undefined
    }
    pieces.push(value)
  }
  const [first] = pieces
  return first && pieces.length === 1 ? first : concat(pieces)
}
