/** Request bodies become requests: small ones at once, larger ones in a thread of their own, so that no body holds up the event loop. */

import { type BufferPool, COUNTED_BYTES, createLaterCopies, type LaterCopies, type Steps } from '../dialects/codec/index.ts'
import type { Asked, Decoder } from '../dialects/index.ts'
import { ModelmountError } from '../errors.ts'
import type { AbortSignalLike } from '../host/abort.ts'
import { inTurns, tellWork } from '../host/turns.ts'
import type { ModelSignature } from '../tensor/types.ts'
import { type Body, isBytes, sizeOf } from './body.ts'
import { decodeBody, type JobOptions } from './jobs.ts'
import { unpackRequest } from './parcel.ts'
import { createDecodingThread, type DecodingThread } from './thread.ts'

export type { Body } from './body.ts'

export interface DecodeOptions extends Omit<JobOptions, 'maxTextBytes'> {
  /** BufferPool that may hold large tensors. */
  readonly buffers?: BufferPool | undefined
  /** Fires when the request is no longer wanted. */
  readonly signal?: AbortSignalLike | undefined
  /** On the server's clock: deadline for reading the request. @default never */
  readonly deadline?: number | undefined
}

/**
 * @returns the request itself if its body is small, else a promise
 * @throws ModelmountError of the decoder; `BODY_TOO_LARGE`, and errors of the decoding thread
 */
export type Decode = <A extends Asked>(
  decoder: Decoder<A>,
  body: Body,
  signature: ModelSignature,
  opts: DecodeOptions,
) => A | Promise<A>

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
  const decode: Decode = (decoder, body, signature, opts) => {
    const bytes = sizeOf(body)
    refuseLong(decoder, bytes, opts.headerLength, maxJsonBytes)
    if (isShort(body, bytes, signature, opts)) return here(decoder, body, bytes, signature, opts)
    if (decoder.decodeNumbers && opts.headerLength === undefined && bytes <= NUMBERS_BYTES) {
      const whole = wholeOf(body)
      // An infer request has the size that its kind implies.
      tellWork(bytes)
      const read = decoder.decodeNumbers(whole, signature, opts)
      if (read) return read
      return there(decoder, whole === body.body ? body : { body: whole, given: [whole.buffer] }, signature, opts)
    }
    return there(decoder, body, signature, opts)
  }

  function here<A extends Asked>(
    decoder: Decoder<A>,
    body: Body,
    bytes: number,
    signature: ModelSignature,
    opts: DecodeOptions,
  ): A | Promise<A> {
    const { body: first, moreChunks } = withHead(body, opts.headerLength ?? bytes)
    const copies = bytes > NUMBERS_BYTES ? createLaterCopies() : undefined
    try {
      const { maxElements, headerLength, mediaType, buffers } = opts
      const host = { maxElements, maxTextBytes: maxJsonBytes, headerLength, mediaType, buffers, moreChunks, copies }
      const request = decodeBody(decoder, first, signature, host)
      return copies && copies.bytes > 0 ? inTurns(afterCopying(copies, request)) : request
    } finally {
      // Of raw bytes only those count that are copied at once: views of the others cost nothing.
      tellWork(copies && opts.headerLength !== undefined ? opts.headerLength + copies.atOnce : bytes)
    }
  }

  async function there<A extends Asked>(
    { name: kind }: Decoder<A>,
    { body, moreChunks, given }: Body,
    signature: ModelSignature,
    { maxElements, headerLength, mediaType, signal, deadline }: DecodeOptions,
  ): Promise<A> {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    const opts: JobOptions = { maxElements, maxTextBytes: maxJsonBytes, headerLength, ...(mediaType ? { mediaType } : {}) }
    const parcel = await thread.decode({ kind, body: { body: bytes, moreChunks, given }, signature, opts, signal, deadline })
    return inTurns(unpackRequest<A>(parcel))
  }

  return { decode, close: () => thread.close() }
}

function* afterCopying<T>(copies: LaterCopies, request: T): Steps<T> {
  yield* copies.copy()
  return request
}

function wholeOf({ body, moreChunks }: Body): Uint8Array {
  const bytes = typeof body === 'string' ? Buffer.from(body) : (body as Uint8Array)
  return moreChunks ? Buffer.concat([bytes, ...moreChunks]) : bytes
}

/** Tensors may be spread over pieces; the JSON before them, of that many bytes, is in the first. */
function withHead(given: Body, headerLength: number): Pick<Body, 'body' | 'moreChunks'> {
  const { body, moreChunks } = given
  if (!moreChunks || moreChunks.length === 0 || !isBytes(body)) return { body }
  let bytes = body.byteLength
  if (bytes >= headerLength) return given
  let taken = 0
  for (; bytes < headerLength && taken < moreChunks.length; taken++) bytes += (moreChunks[taken] as Uint8Array).byteLength
  const first = taken === 0 ? body : Buffer.concat([body, ...moreChunks.slice(0, taken)], bytes)
  return taken === moreChunks.length ? { body: first } : { body: first, moreChunks: moreChunks.slice(taken) }
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

function refuseLong(
  { advice = 'send several requests' }: Decoder,
  bytes: number,
  headerLength: number | undefined,
  maxJsonBytes: number,
): void {
  const json = headerLength === undefined ? bytes : Math.min(headerLength, bytes)
  if (json <= maxJsonBytes) return
  throw new ModelmountError('BODY_TOO_LARGE', `the JSON of the body is larger than ${maxJsonBytes} bytes; ${advice}`, {
    details: { field: 'body', expected: `at most ${maxJsonBytes} bytes of JSON`, got: `${json}` },
  })
}
