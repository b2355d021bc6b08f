/** Large tensors come and go in pieces. A reader that wants the body in one piece gets a copy in fresh memory. */

import type { HttpResponse } from './types.ts'

export function bytesIn({
  body,
  moreChunks,
}: Pick<HttpResponse, 'body'> & { readonly moreChunks?: HttpResponse['moreChunks'] | undefined }): number {
  let bytes = body.byteLength
  if (moreChunks) for (const { byteLength } of moreChunks) bytes += byteLength
  return bytes
}

/** The same with all bytes in `body`. */
export function joined<T extends { readonly body?: unknown; readonly moreChunks?: readonly Uint8Array[] | undefined }>(
  message: T,
): T {
  const { body, moreChunks } = message
  return moreChunks === undefined
    ? message
    : { ...message, body: Buffer.concat([body as Uint8Array, ...moreChunks]), moreChunks: undefined }
}
