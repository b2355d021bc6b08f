/** Failed calls of the Open Inference Protocol. */

import { type ErrorDetails, toModelmountError } from '../../errors.ts'

/**
 * The body of every failed call: `{ error, code, details? }`, where `error` is a sentence, as v2 clients want it.
 * Only what a client can act on leaves: the documented details of 4xx errors. Anything that is not a ModelmountError says `internal error`.
 */
export function encodeError(error: unknown): Uint8Array {
  const { code, message, status, details } = toModelmountError(error)
  const body = { error: message, code, details: status < 500 ? publicDetails(details) : undefined }
  return Buffer.from(JSON.stringify(body), 'utf8')
}

function publicDetails(details: ErrorDetails | undefined): object | undefined {
  const { field, input, expected, got } = details ?? {}
  const isEmpty = [field, input, expected, got].every((value) => value === undefined)
  return isEmpty ? undefined : { field, input, expected, got }
}
