/** A request body during decoding. */

import { typedArrayName } from '../tensor/index.ts'

export interface Body {
  /** Bytes or text, or the output of the app's own parser; `undefined` for none. */
  readonly body?: unknown
  /** The pieces after the first, if the bytes came in pieces. */
  readonly moreChunks?: readonly Uint8Array[] | undefined
  /** BufferPool with no other owner. */
  readonly given?: readonly ArrayBufferLike[] | undefined
}

export const isBytes = (body: unknown): body is Uint8Array => typedArrayName(body) === 'Uint8Array'

/** Bytes of all pieces; 0 for a parsed body. */
export function sizeOf({ body, moreChunks }: Body): number {
  if (typeof body === 'string') return Buffer.byteLength(body)
  if (!isBytes(body)) return 0
  let bytes = body.byteLength
  if (moreChunks) for (const { byteLength } of moreChunks) bytes += byteLength
  return bytes
}
