/** The body of a request as it is decoded: unpacked, in the pieces in which it came. */

import type { Body } from '../decoding/index.ts'
import type { HttpRequest } from '../types.ts'
import { unpacked } from './content-coding.ts'
import { joined } from './rest.ts'

/**
 * @param maxBytes of a body that was packed
 * @throws ModelmountError what `unpacked` throws
 */
export function received(request: HttpRequest, maxBytes: number): Body | Promise<Body> {
  if (request.headers['content-encoding'] === undefined) return request
  const packed = joined(request)
  const result = unpacked(packed, maxBytes)
  if (!(result instanceof Promise)) return result === packed.body ? packed : { body: result }
  return result.then(asBody)
}

/** What was unpacked is nobody else's. */
const asBody = (bytes: Uint8Array): Body => ({ body: bytes, given: [bytes.buffer] })
