/** The way of a request's body to its decoder: unpacked, in the pieces in which it came. */

import type { Body } from '../decoding/index.ts'
import type { HeldBytes, HttpRequest } from '../types.ts'
import { packingOf } from './content-coding.ts'
import { createTurnstile } from './turnstile.ts'
import { type Packing, unpack } from './unpack.ts'

/** Of all servers of the process: they share the threads that unpack. */
const turnstile = createTurnstile(2)

/**
 * Decodes a body. Two packed ones are in the work at a time, from the first byte that is unpacked until they are decoded: what is unpacked and
 * waits takes memory, what is packed and waits takes little.
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
  const leave = await turnstile.enter(signal)
  try {
    const { body, rest } = request
    const pieces = await unpack(packing, body as Uint8Array, { rest, maxBytes, held: held as HeldBytes, signal })
    return await decode(asBody(pieces))
  } finally {
    leave()
  }
}

/** What was unpacked is nobody else's. */
const asBody = ([body, ...rest]: readonly Uint8Array[]): Body => {
  const given = [...new Set([body as Uint8Array, ...rest].map(({ buffer }) => buffer))]
  return rest.length > 0 ? { body, rest, given } : { body, given }
}
