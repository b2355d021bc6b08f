/** Reads a file piece by piece into reused memory: most of the cost of reading a piece is fresh memory, faulted in page by page. */

import { open } from 'node:fs/promises'

interface Lent {
  readonly memory: Uint8Array<ArrayBuffer>
  /** Position in the file of the byte after it. */
  readonly end: number
}

/** @param doneUpTo position in the file before which the bytes are no longer needed */
export async function* piecesOf(path: string, pieceBytes: number, doneUpTo: () => number): AsyncGenerator<Uint8Array> {
  const file = await open(path)
  try {
    const lent: Lent[] = []
    for (let position = 0; ; ) {
      const [first] = lent
      const memory = first && first.end <= doneUpTo() ? first.memory : new Uint8Array(pieceBytes)
      if (memory === first?.memory) lent.shift()
      const { bytesRead } = await file.read(memory, 0, pieceBytes, position)
      if (bytesRead === 0) return
      position += bytesRead
      lent.push({ memory, end: position })
      // A Buffer: the encryption library's streams accept no other kind.
      yield Buffer.from(memory.buffer, 0, bytesRead)
    }
  } finally {
    await file.close()
  }
}
