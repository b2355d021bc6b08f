/** Reads a request body, within its limits, and signals when the client goes away. */

import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import type { HeldBytes } from '../core/http/types.ts'
import { type BodyCollector, type Collected, collectorFor } from './collector.ts'

/** How much of a refused body is read and dropped, so that a client which still sends gets to see the answer. */
export const DISCARD_BYTES = 16 * 1024 * 1024
export const DISCARD_MS = 5000

interface Read extends Collected {
  /** Buffers of the body without another owner. */
  readonly given?: readonly ArrayBufferLike[] | undefined
}

export interface BodyLimits {
  readonly maxBodyBytes: number
  readonly bodyTimeoutMs: number
}

/** Why a body was not read; `broken` is a stream of the app's that failed while its client waits. */
export type BodyFault = 'too-large' | 'too-slow' | 'too-much' | 'gone' | 'broken'

export type BodyResult = ({ readonly kind: 'body' } & Read) | { readonly kind: Exclude<BodyFault, 'broken'> }

/**
 * @param stream the body, of which nothing has been read
 * @param announced value of `content-length`, if the stream is the one that came over the wire
 * @param held counts its bytes
 * @param inPieces whether a body that comes in large pieces may stay in them
 */
export function readBody(
  stream: Readable,
  announced: string | undefined,
  limits: BodyLimits,
  held: HeldBytes,
  inPieces = false,
): Promise<BodyResult> {
  const length = announced === undefined ? Number.NaN : Number(announced)
  if (length > limits.maxBodyBytes) return Promise.resolve({ kind: 'too-large' })
  if (!Number.isNaN(length) && !held.fits(length)) return Promise.resolve({ kind: 'too-much' })
  // A stream that has failed by now emits nothing any more.
  if (stream.destroyed) return Promise.resolve({ kind: 'gone' })
  return new Promise((resolve) => {
    const collectIt = (): void => collect(stream, collectorFor(length, inPieces), limits, held, resolve)
    // The app listens, too: nothing waits for us.
    if (stream.readableFlowing !== null) return collectIt()
    // A small body comes in one piece with its head, and is there once the parser has finished with that piece. Not a microtask: a listener
    // added in this turn, after us, would have the body before it.
    process.nextTick(() => {
      const whole = takeWhole(stream, length, held)
      if (whole) resolve(whole)
      else if (stream.destroyed) resolve({ kind: 'gone' })
      else collectIt()
    })
  })
}

/** A body that has arrived as a whole and has no other reader: no listeners, no timer. */
function takeWhole(stream: Readable, length: number, held: HeldBytes): BodyResult | undefined {
  if (stream.readableLength !== length || length === 0 || stream.readableFlowing !== null) return undefined
  if (!held.add(length)) return { kind: 'too-much' }
  const body = stream.read() as Uint8Array | null
  // A destroyed stream emits nothing any more.
  if (!body) return undefined
  // Its end has no data to bring it about.
  if (stream.listenerCount('end') > 0 || stream.listenerCount('close') > 0) stream.resume()
  return { kind: 'body', body }
}

/** Signs that an app, or a tool that watches it, wants to see a body, too. */
const TAPS = ['on', 'addListener', 'emit', 'push', 'pipe'] as const

/** True if the pieces of a stream went to one listener alone. */
function isOnlyReader(stream: Readable): boolean {
  if (stream.listenerCount('data') !== 1 || stream.listenerCount('readable') !== 0) return false
  for (const name of TAPS) if (Object.hasOwn(stream, name)) return false
  return true
}

/** Buffers that hold a piece and nothing else. */
function ownBuffers(first: Uint8Array, moreChunks: readonly Uint8Array[]): ArrayBufferLike[] {
  const own = first.byteLength === first.buffer.byteLength ? [first.buffer] : []
  for (const { buffer, byteLength } of moreChunks) if (byteLength === buffer.byteLength) own.push(buffer)
  return own
}

function collect(
  stream: Readable,
  collector: BodyCollector,
  limits: BodyLimits,
  held: HeldBytes,
  resolve: (result: BodyResult) => void,
): void {
  const finish = (result: BodyResult): void => {
    clearTimeout(timer)
    stream.off('data', onData)
    stream.off('end', onEnd)
    stream.off('error', onGone)
    stream.off('close', onGone)
    resolve(result)
  }
  const onData = (chunk: Uint8Array): void => {
    if (collector.length() + chunk.length > limits.maxBodyBytes) finish({ kind: 'too-large' })
    else if (held.add(chunk.length)) collector.add(chunk)
    else finish({ kind: 'too-much' })
  }
  const onEnd = (): void => {
    const { body, moreChunks } = collector.take()
    // Small bodies are not worth freeing.
    if (moreChunks)
      finish({ kind: 'body', body, moreChunks, given: isOnlyReader(stream) ? ownBuffers(body, moreChunks) : undefined })
    else finish({ kind: 'body', body })
  }
  const onGone = (): void => finish({ kind: 'gone' })
  const timer = setTimeout(() => finish({ kind: 'too-slow' }), limits.bodyTimeoutMs)
  stream.on('data', onData)
  stream.on('end', onEnd)
  stream.on('error', onGone)
  stream.on('close', onGone)
  // Paused by earlier code, until the body is read.
  if (stream.isPaused()) stream.resume()
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
  req.on('data', (chunk: Uint8Array) => {
    left -= chunk.length
    if (left < 0) stop()
  })
  req.on('close', () => clearTimeout(timer))
  req.on('end', () => clearTimeout(timer))
  req.resume()
}

/**
 * The answer to a body that was not read. Adapters hold no code of the core (a CommonJS build would hold it twice): the brand is enough.
 */
export function bodyFault(kind: BodyFault, { maxBodyBytes, bodyTimeoutMs }: BodyLimits): unknown {
  const brand = { [Symbol.for('modelmount.error')]: true }
  switch (kind) {
    case 'too-large':
      return { ...brand, code: 'BODY_TOO_LARGE', status: 413, message: `the body is larger than ${maxBodyBytes} bytes` }
    case 'too-slow':
      return { ...brand, code: 'BODY_TIMEOUT', status: 408, message: `the body did not arrive within ${bodyTimeoutMs} ms` }
    case 'too-much':
      return { ...brand, code: 'OVERLOADED', status: 503, message: 'the server holds as many bytes of requests as it may' }
    case 'broken':
      return { ...brand, code: 'REQUEST_INVALID', status: 400, message: 'the body could not be unpacked, or read to its end' }
    case 'gone':
      return { ...brand, code: 'ABORTED', status: 499, message: 'the client went away' }
  }
}
