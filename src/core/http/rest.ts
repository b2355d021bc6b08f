/** Large tensors come and go in pieces. A reader that wants the body in one piece gets a copy in fresh memory. */

import type { HttpRequest, HttpResponse } from './types.ts'

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

/** All of a short body, or its pieces up to so many bytes: enough to see that it is longer. */
export function startOf({ body, rest = [] }: HttpRequest, bytes: number): unknown {
  if (!(body instanceof Uint8Array) || rest.length === 0) return body
  const pieces = [body]
  let length = body.byteLength
  for (const piece of rest) {
    if (length >= bytes) break
    pieces.push(piece)
    length += piece.byteLength
  }
  return pieces.length === 1 ? body : Buffer.concat(pieces, length)
}
