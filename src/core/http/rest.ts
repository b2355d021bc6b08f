/** Large tensors come and go in pieces. A reader that wants the body in one piece gets a copy in fresh memory. */

import type { HttpResponse } from './types.ts'

export function bytesIn({
  body,
  rest,
}: Pick<HttpResponse, 'body'> & { readonly rest?: HttpResponse['rest'] | undefined }): number {
  let bytes = body.byteLength
  if (rest) for (const { byteLength } of rest) bytes += byteLength
  return bytes
}

/** The same with all bytes in `body`. */
export function joined<T extends { readonly body?: unknown; readonly rest?: readonly Uint8Array[] | undefined }>(message: T): T {
  const { body, rest } = message
  return rest === undefined ? message : { ...message, body: Buffer.concat([body as Uint8Array, ...rest]), rest: undefined }
}
