/** A request body as it is decoded. */

import { typedArrayName } from '../tensor/index.ts'

export interface Body {
  /** Bytes or text; or what the app's own parser made of them; `undefined` for none. */
  readonly body?: unknown
  /** What follows bytes that came in pieces. */
  readonly rest?: readonly Uint8Array[] | undefined
  /** Buffers that nobody else has. */
  readonly given?: readonly ArrayBufferLike[] | undefined
}

export const isBytes = (body: unknown): body is Uint8Array => typedArrayName(body) === 'Uint8Array'

/** Bytes of all pieces; 0 for what is no text any more. */
export function sizeOf({ body, rest = [] }: Body): number {
  if (typeof body === 'string') return Buffer.byteLength(body)
  return isBytes(body) ? rest.reduce((sum, { byteLength }) => sum + byteLength, body.byteLength) : 0
}
