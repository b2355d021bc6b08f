/** The way of a request's body to its decoder: unpacked, in the pieces in which it came. */

import type { Body } from '../decoding/index.ts'
import { bytesIn } from './chunks.ts'
import { packingOf } from './content-coding.ts'
import { createTurnstile } from './turnstile.ts'
import type { HeldBytes, HttpRequest } from './types.ts'
import { mayUnpackToMuch, type Packing, unpack } from './unpack.ts'

/** Of all servers of the process: they share the threads that unpack. */
const unpackings = createTurnstile(2)
/** Bodies that may unpack to much, from there until they are decoded: unpacked ones that wait take memory, packed ones little. */
const large = createTurnstile(2)

/**
 * Decodes a body. Two are unpacked at a time, in the order in which they came; one that can only unpack to little waits for no decoding of others.
 * @param maxBytes of a body that was packed
 * @throws ModelmountError `MEDIA_TYPE_UNSUPPORTED`, and what `unpack` and `decode` throw
 */
export function received<T>(request: HttpRequest, maxBytes: number, decode: (body: Body) => T | Promise<T>): T | Promise<T> {
  const packing = packingOf(request)
  return packing ? unpackedFirst(packing, request, maxBytes, decode) : decode(request)
}

async function unpackedFirst<T>(
  packing: Packing,
  request: HttpRequest,
  maxBytes: number,
  decode: (body: Body) => T | Promise<T>,
): Promise<T> {
  const { held, signal } = request
  const bytes = bytesIn({ body: request.body as Uint8Array, moreChunks: request.moreChunks })
  const leave = mayUnpackToMuch(bytes) ? await large.enter(signal) : undefined
  try {
    const { body, moreChunks } = request
    const opts = { moreChunks, maxBytes, held: held as HeldBytes, signal }
    const leaveUnpacking = await unpackings.enter(signal)
    const pieces = await unpack(packing, body as Uint8Array, opts).finally(leaveUnpacking)
    return await decode(asBody(pieces))
  } finally {
    leave?.()
  }
}

/** Unpacked bytes have no other owner. */
const asBody = ([body, ...moreChunks]: readonly Uint8Array[]): Body => {
  const given = [...new Set([body as Uint8Array, ...moreChunks].map(({ buffer }) => buffer))]
  return moreChunks.length > 0 ? { body, moreChunks, given } : { body, given }
}
