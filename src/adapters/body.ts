/** Reads a request body into one buffer, refuses it as soon as it is known to be too large, and says when the client went away. */

import type { IncomingMessage } from 'node:http'

/** How much of a refused body is read and dropped, so that a client which still sends gets to see the answer. */
const DISCARD_BYTES = 16 * 1024 * 1024
const DISCARD_MS = 5000

export type BodyResult =
  | { readonly kind: 'body'; readonly body: Uint8Array }
  | { readonly kind: 'too-large' }
  | { readonly kind: 'gone' }

export function readBody(req: IncomingMessage, maxBytes: number): Promise<BodyResult> {
  const announced = Number(req.headers['content-length'])
  if (announced > maxBytes) return Promise.resolve({ kind: 'too-large' })
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const finish = (result: BodyResult): void => {
      req.off('data', onData)
      req.off('end', onEnd)
      req.off('error', onGone)
      req.off('close', onGone)
      resolve(result)
    }
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length
      if (bytes > maxBytes) finish({ kind: 'too-large' })
      else chunks.push(chunk)
    }
    const onEnd = (): void =>
      finish({ kind: 'body', body: chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, bytes) })
    const onGone = (): void => finish({ kind: 'gone' })
    req.on('data', onData)
    req.on('end', onEnd)
    req.on('error', onGone)
    req.on('close', onGone)
  })
}

/** Drops the rest of a refused body, within bounds; a client that does not stop loses its connection. */
export function discardRest(req: IncomingMessage): void {
  if (req.readableEnded || req.destroyed) return
  let left = DISCARD_BYTES
  const stop = (): void => {
    req.destroy()
  }
  const timer = setTimeout(stop, DISCARD_MS)
  timer.unref()
  req.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) stop()
  })
  req.on('close', () => clearTimeout(timer))
  req.on('end', () => clearTimeout(timer))
  req.resume()
}
