/** Reads a request body, within its limits, and says when the client went away. */

import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'

/** How much of a refused body is read and dropped, so that a client which still sends gets to see the answer. */
export const DISCARD_BYTES = 16 * 1024 * 1024
export const DISCARD_MS = 5000

/** What a length that is only announced is worth: a client that says 64 MiB and sends a byte gets no more than this. */
const TRUSTED_BYTES = 1024 * 1024

export interface BodyLimits {
  readonly maxBodyBytes: number
  readonly bodyTimeoutMs: number
}

export type BodyResult = ({ readonly kind: 'body' } & Collected) | { readonly kind: 'too-large' | 'too-slow' | 'gone' }

export interface Collected {
  readonly body: Uint8Array
  /** What follows, in pieces. */
  readonly rest?: readonly Uint8Array[]
  /** Nobody else has the pieces. */
  readonly isGiven?: boolean
}

/** Bytes that come in pieces. They are copied as they come: a million pieces of one byte cost a megabyte, not a million views. */
export interface Collector {
  add(piece: Uint8Array): void
  /** Bytes so far. A function: V8 makes a hidden class for every object literal with a getter. */
  length(): number
  take(): Uint8Array
}

/** @param announced the length that the client promised, a hint; not a number where it promised none */
export function createCollector(announced = Number.NaN): Collector {
  let bytes: Uint8Array | undefined
  let owned = false
  let length = 0

  function makeRoom(needed: number): void {
    const grown = Math.max(needed, 2 * length, Math.min(announced || 0, TRUSTED_BYTES))
    // Announced lengths are mostly true: the last step of growth then fits exactly.
    const size = announced >= needed && announced < grown ? announced : grown
    const larger = Buffer.allocUnsafeSlow(size)
    if (bytes) larger.set(bytes.subarray(0, length))
    bytes = larger
    owned = true
  }

  return {
    length: () => length,
    add(piece) {
      if (length === 0) {
        // Most bodies are one piece, which needs no copy.
        bytes = piece
        owned = false
      } else {
        if (!bytes || !owned || bytes.length < length + piece.length) makeRoom(length + piece.length)
        bytes?.set(piece, length)
      }
      length += piece.length
    },
    take: () => bytes?.subarray(0, length) ?? new Uint8Array(0),
  }
}

/** Pieces from this size are worth keeping as they are; what comes between them is joined, so that there are never many. */
const LARGE_PIECE_BYTES = 16 * 1024

/** A body whose large pieces stay as they came, for whoever copies out of them. */
function createPieces(): Pick<Collector, 'add' | 'length'> & { take(): Collected } {
  const pieces: Uint8Array[] = []
  let small = createCollector()
  let length = 0

  function endSmall(): void {
    if (small.length() === 0) return
    pieces.push(small.take())
    small = createCollector()
  }

  return {
    length: () => length,
    add(piece) {
      length += piece.length
      if (piece.length < LARGE_PIECE_BYTES) return small.add(piece)
      endSmall()
      pieces.push(piece)
    },
    take() {
      endSmall()
      const [body = new Uint8Array(0), ...rest] = pieces
      return rest.length > 0 ? { body, rest } : { body }
    },
  }
}

/**
 * @param stream the body; nobody has read of it
 * @param announced value of `content-length`, where the stream is what came over the wire
 * @param inPieces whether a body that comes in large pieces may stay in them
 */
export function readBody(
  stream: Readable,
  announced: string | undefined,
  limits: BodyLimits,
  inPieces = false,
): Promise<BodyResult> {
  const length = announced === undefined ? Number.NaN : Number(announced)
  if (length > limits.maxBodyBytes) return Promise.resolve({ kind: 'too-large' })
  const collected = (): Promise<BodyResult> => collect(stream, inPieces ? createPieces() : oneBody(length), limits)
  // Somebody of the app listens, too: nothing waits for us.
  if (stream.readableFlowing !== null) return collected()
  return new Promise((resolve) => {
    // A small body comes in one piece with its head, and is there once the parser is through with that piece. Not a microtask: what begins to
    // listen in this turn, after us, would have the body before those.
    process.nextTick(() => {
      if (stream.destroyed) resolve({ kind: 'gone' })
      else resolve(takeWhole(stream, length) ?? collected())
    })
  })
}

/** A body that has arrived as a whole and that nobody else reads: no listeners, no timer. */
function takeWhole(stream: Readable, length: number): BodyResult | undefined {
  if (stream.readableLength !== length || length === 0 || stream.readableFlowing !== null) return undefined
  const body = stream.read() as Uint8Array
  // Its end has no data to bring it about.
  if (stream.listenerCount('end') > 0 || stream.listenerCount('close') > 0) stream.resume()
  return { kind: 'body', body }
}

function oneBody(announced: number): ReturnType<typeof createPieces> {
  const collector = createCollector(announced)
  return { ...collector, take: () => ({ body: collector.take() }) }
}

/** What stands between a stream and its listeners where an app, or what watches it, wants to see a body too. */
const TAPS = ['on', 'addListener', 'emit', 'push', 'pipe'] as const

/** True when the pieces of a stream went to one listener alone. */
const isOnlyReader = (stream: Readable): boolean =>
  stream.listenerCount('data') === 1 &&
  stream.listenerCount('readable') === 0 &&
  !TAPS.some((name) => Object.hasOwn(stream, name))

function collect(stream: Readable, collector: ReturnType<typeof createPieces>, limits: BodyLimits): Promise<BodyResult> {
  return new Promise((resolve) => {
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
      else collector.add(chunk)
    }
    const onEnd = (): void => finish({ kind: 'body', ...collector.take(), isGiven: isOnlyReader(stream) })
    const onGone = (): void => finish({ kind: 'gone' })
    const timer = setTimeout(() => finish({ kind: 'too-slow' }), limits.bodyTimeoutMs)
    stream.on('data', onData)
    stream.on('end', onEnd)
    stream.on('error', onGone)
    stream.on('close', onGone)
    // Paused by what came before us, until somebody should read.
    if (stream.isPaused()) stream.resume()
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
  req.on('data', (chunk: Uint8Array) => {
    left -= chunk.length
    if (left < 0) stop()
  })
  req.on('close', () => clearTimeout(timer))
  req.on('end', () => clearTimeout(timer))
  req.resume()
}

/** What a body that was not read is answered with. Adapters hold no code of the core (a CommonJS build would hold it twice): the brand is enough. */
export function bodyFault(kind: 'too-large' | 'too-slow' | 'gone', { maxBodyBytes, bodyTimeoutMs }: BodyLimits): unknown {
  const brand = { [Symbol.for('modelmount.error')]: true }
  switch (kind) {
    case 'too-large':
      return { ...brand, code: 'BODY_TOO_LARGE', status: 413, message: `the body is larger than ${maxBodyBytes} bytes` }
    case 'too-slow':
      return { ...brand, code: 'BODY_TIMEOUT', status: 408, message: `the body did not arrive within ${bodyTimeoutMs} ms` }
    case 'gone':
      return { ...brand, code: 'ABORTED', status: 499, message: 'the client went away' }
  }
}
