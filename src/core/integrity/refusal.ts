/** How this room says no. */

import { type ErrorDetails, ModelmountError } from '../errors.ts'

/** The signature, the files or the policy say that this model must not run. */
export const refuse = (why: string, details?: ErrorDetails, cause?: unknown): ModelmountError =>
  new ModelmountError('MODEL_UNTRUSTED', why, { ...(details ? { details } : {}), cause })

/** A key, certificate or path that the caller gave cannot be used. */
export const badOption = (field: string, why: string, cause?: unknown): ModelmountError =>
  new ModelmountError('OPTIONS_INVALID', `${field} ${why}`, { details: { field }, cause })
