/** Request bodies become requests: small ones at once, larger ones in a thread of their own, so that no body holds up the event loop. */

import { COUNTED_BYTES, createLaterCopies, type LaterCopies, type Room, type Steps } from '../dialects/codec/index.ts'
import { decodeNumbers } from '../dialects/index.ts'
import { ModelmountError } from '../errors.ts'
import type { AbortSignalLike } from '../host/abort.ts'
import { inTurns, tellWork } from '../host/turns.ts'
import type { ModelSignature } from '../tensor/types.ts'
import { type Body, isBytes, sizeOf } from './body.ts'
import { DECODERS, type Decoded, type JobOptions, type Kind } from './jobs.ts'
import { unpackRequest } from './parcel.ts'
import { createDecodingThread, type DecodingThread } from './thread.ts'

export type { Body } from './body.ts'
export type { Decoded, Kind } from './jobs.ts'

export interface DecodeOptions extends Omit<JobOptions, 'maxTextBytes'> {
  /** Buffers that may hold large tensors. */
  readonly room?: Room | undefined
  /** Fires when the request is no longer wanted. */
  readonly signal?: AbortSignalLike | undefined
  /** On the server's clock: deadline for reading the request. @default never */
  readonly deadline?: number | undefined
}

/**
 * @returns the request itself if its body is small, else a promise
 * @throws ModelmountError of the kind's decoder; `BODY_TOO_LARGE`, and errors of the decoding thread
 */
export type Decode = <K extends Kind>(
  kind: K,
  body: Body,
  signature: ModelSignature,
  opts: DecodeOptions,
) => Decoded[K] | Promise<Decoded[K]>

export interface Decoding {
  readonly decode: Decode
  close(): Promise<void>
}

/** For numbers: a body up to this size is read in about a millisecond, less than the cost of the way to the thread and back. */
const NUMBERS_BYTES = 256 * 1024

export function createDecoding(
  { maxJsonBytes }: { readonly maxJsonBytes: number },
  thread: DecodingThread = createDecodingThread(),
): Decoding {
  const decode: Decode = (kind, body, signature, opts) => {
    const bytes = sizeOf(body)
    refuseLong(kind, bytes, opts.headerLength, maxJsonBytes)
    if (isShort(body, bytes, signature, opts)) return here(kind, body, bytes, signature, opts)
    if (kind === 'infer' && opts.headerLength === undefined && bytes <= NUMBERS_BYTES) {
      const whole = wholeOf(body)
      // An infer request has the size that its kind implies.
      tellWork(bytes)
      const read = decodeNumbers(whole, signature, opts) as Decoded[typeof kind] | undefined
      if (read) return read
      return there(kind, whole === body.body ? body : { body: whole, given: [whole.buffer] }, signature, opts)
    }
    return there(kind, body, signature, opts)
  }

  function here<K extends Kind>(
    kind: K,
    body: Body,
    bytes: number,
    signature: ModelSignature,
    opts: DecodeOptions,
  ): Decoded[K] | Promise<Decoded[K]> {
    const { body: first, rest } = withHead(body, opts.headerLength ?? bytes)
    const copies = bytes > NUMBERS_BYTES ? createLaterCopies() : undefined
    try {
      const { maxElements, headerLength, mediaType, room } = opts
      const host = { maxElements, maxTextBytes: maxJsonBytes, headerLength, mediaType, room, rest, copies }
      const request = DECODERS[kind](first, signature, host)
      return copies && copies.bytes > 0 ? inTurns(afterCopying(copies, request)) : request
    } finally {
      // Of raw bytes only those count that are copied at once: views of the others cost nothing.
      tellWork(copies && opts.headerLength !== undefined ? opts.headerLength + copies.atOnce : bytes)
    }
  }

  async function there<K extends Kind>(
    kind: K,
    { body, rest, given }: Body,
    signature: ModelSignature,
    { maxElements, headerLength, mediaType, signal, deadline }: DecodeOptions,
  ): Promise<Decoded[K]> {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    const opts: JobOptions = { maxElements, maxTextBytes: maxJsonBytes, headerLength, ...(mediaType ? { mediaType } : {}) }
    const parcel = await thread.decode({ kind, body: { body: bytes, rest, given }, signature, opts, signal, deadline })
    return inTurns(unpackRequest<Decoded[K]>(parcel))
  }

  return { decode, close: () => thread.close() }
}

function* afterCopying<T>(copies: LaterCopies, request: T): Steps<T> {
  yield* copies.copy()
  return request
}

function wholeOf({ body, rest }: Body): Uint8Array {
  const bytes = typeof body === 'string' ? Buffer.from(body) : (body as Uint8Array)
  return rest ? Buffer.concat([bytes, ...rest]) : bytes
}

/** Tensors may be spread over pieces; the JSON before them, of that many bytes, is in the first. */
function withHead(given: Body, headerLength: number): Pick<Body, 'body' | 'rest'> {
  const { body, rest } = given
  if (!rest || rest.length === 0 || !isBytes(body)) return { body }
  let bytes = body.byteLength
  if (bytes >= headerLength) return given
  let taken = 0
  for (; bytes < headerLength && taken < rest.length; taken++) bytes += (rest[taken] as Uint8Array).byteLength
  const first = taken === 0 ? body : Buffer.concat([body, ...rest.slice(0, taken)], bytes)
  return taken === rest.length ? { body: first } : { body: first, rest: rest.slice(taken) }
}

/**
 * True for bodies that the host's thread reads at once: short ones, those that an app has parsed, and raw numbers, which need only views
 * and copies.
 */
function isShort({ body }: Body, bytes: number, { inputs }: ModelSignature, { headerLength }: DecodeOptions): boolean {
  if (bytes <= COUNTED_BYTES || (typeof body !== 'string' && !isBytes(body))) return true
  if (headerLength === undefined || headerLength > COUNTED_BYTES) return false
  if (inputs.some(({ type }) => type === 'string')) return false
  // Each byte of a boolean is checked, and each float of an input that refuses some values.
  return bytes <= NUMBERS_BYTES || !inputs.some(({ type, nonFinite }) => type === 'bool' || nonFinite === 'reject')
}

function refuseLong(kind: Kind, bytes: number, headerLength: number | undefined, maxJsonBytes: number): void {
  const json = headerLength === undefined ? bytes : Math.min(headerLength, bytes)
  if (json <= maxJsonBytes) return
  const advice = kind === 'infer' ? '; send tensors as binary data, or in several requests' : '; send several requests'
  throw new ModelmountError('BODY_TOO_LARGE', `the JSON of the body is larger than ${maxJsonBytes} bytes${advice}`, {
    details: { field: 'body', expected: `at most ${maxJsonBytes} bytes of JSON`, got: `${json}` },
  })
}
