/** The two refusals of this room. */

import { type ErrorDetails, ModelmountError } from '../errors.ts'

/** By the signature, the files or the policy, this model must not run. */
export const refuse = (why: string, details?: ErrorDetails, cause?: unknown): ModelmountError =>
  new ModelmountError('MODEL_UNTRUSTED', why, { ...(details ? { details } : {}), cause })

/** A key, certificate or path from the caller cannot be used. */
export const badOption = (field: string, why: string, cause?: unknown): ModelmountError =>
  new ModelmountError('OPTIONS_INVALID', `${field} ${why}`, { details: { field }, cause })
