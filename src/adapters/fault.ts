/** Errors of adapters. They hold no code of the core (a CommonJS build would hold it twice): the brand is enough. */

import type { ErrorCode } from '../core/errors.ts'

/** An error that the core, and `isModelmountError()`, recognise as their own. */
export function fault(
  code: ErrorCode,
  status: number,
  message: string,
  more: { readonly details?: object; readonly retryAfterS?: number; readonly cause?: unknown } = {},
): Error {
  const error = new Error(message)
  return Object.assign(error, more, { name: 'ModelmountError', code, status, [Symbol.for('modelmount.error')]: true })
}
