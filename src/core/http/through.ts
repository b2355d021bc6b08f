/** Bytes in pieces through a stream of zlib and out again in pieces: nothing is joined, and each step is off the host's thread. */

import type { Transform } from 'node:stream'

/** Put into the stream at a time: no code copies it, and its result is little enough for one turn of the event loop. */
const STEP_BYTES = 256 * 1024
/** Less than that of memory is not left lying behind a few bytes. */
const WORTH_COPYING = 4

/**
 * @returns the pieces that come out
 * @throws the error of the stream
 */
export function through(stream: Transform, pieces: readonly Uint8Array[]): Promise<readonly Uint8Array[]> {
  return new Promise((resolve, reject) => {
    const out: Uint8Array[] = []
    stream.on('data', (chunk: Uint8Array) => {
      // Little is not left in much memory.
      out.push(chunk.byteLength * WORTH_COPYING < chunk.buffer.byteLength ? new Uint8Array(chunk) : chunk)
    })
    stream.on('end', () => resolve(out))
    stream.on('error', reject)
    const steps = stepsOf(pieces)
    const feed = (): void => {
      if (stream.writableEnded || stream.destroyed) return
      const { value, done } = steps.next()
      if (done) stream.end()
      else stream.write(value, (error) => error ?? feed())
    }
    feed()
  })
}

function* stepsOf(pieces: readonly Uint8Array[]): Generator<Uint8Array, void, void> {
  for (const piece of pieces) for (let at = 0; at < piece.byteLength; at += STEP_BYTES) yield piece.subarray(at, at + STEP_BYTES)
}
