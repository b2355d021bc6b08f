/** The client's own deadline. */

import { ModelmountError } from '../errors.ts'
import type { HttpRequest } from './types.ts'

export const TIMEOUT_HEADER = 'x-request-timeout-ms'
const MAX_TIMEOUT_MS = 3_600_000

/**
 * The header's, if the client names one.
 * @throws ModelmountError `REQUEST_INVALID`
 */
export function timeoutOf({ headers }: HttpRequest): number | undefined {
  const text = headers[TIMEOUT_HEADER]
  if (text === undefined) return undefined
  const ms = typeof text === 'string' && /^\d{1,7}$/.test(text) ? Number(text) : 0
  if (ms >= 1 && ms <= MAX_TIMEOUT_MS) return ms
  const expected = `a whole number of milliseconds from 1 to ${MAX_TIMEOUT_MS}`
  throw new ModelmountError('REQUEST_INVALID', `the header ${TIMEOUT_HEADER} must be ${expected}`, {
    details: { field: TIMEOUT_HEADER, expected, got: String(text).slice(0, 50) },
  })
}

/** The shorter of two times, of which either may be none. */
export const earlier = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? (a ?? b) : Math.min(a, b)
