/** Large tensors come and go in pieces. Who cannot do with that gets the body in one, which is a copy of all of it into fresh memory. */

import type { HttpResponse } from '../types.ts'

export const bytesIn = ({ body, rest = [] }: Pick<HttpResponse, 'body' | 'rest'>): number =>
  rest.reduce((sum, { byteLength }) => sum + byteLength, body.byteLength)

/** The same with all bytes in `body`. */
export function joined<T extends { readonly body?: unknown; readonly rest?: readonly Uint8Array[] | undefined }>(message: T): T {
  const { body, rest } = message
  return rest === undefined ? message : { ...message, body: Buffer.concat([body as Uint8Array, ...rest]), rest: undefined }
}
