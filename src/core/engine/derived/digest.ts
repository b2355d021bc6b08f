/** Hashes files in the builder's process, because that keeps a core busy throughout. */

import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'

const CHUNK_BYTES = 2 ** 20

/** sha256 of each file in hex; '' for anything but a readable regular file. */
export function digestFiles(paths: readonly string[]): string[] {
  return paths.map((path) => {
    try {
      return digestFile(path)
    } catch {
      return ''
    }
  })
}

function digestFile(path: string): string {
  // Opening a FIFO would wait for a writer.
  const file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  try {
    if (!fstatSync(file).isFile()) return ''
    const hash = createHash('sha256')
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
    for (let read = readSync(file, chunk); read > 0; read = readSync(file, chunk)) hash.update(chunk.subarray(0, read))
    return hash.digest('hex')
  } finally {
    closeSync(file)
  }
}
