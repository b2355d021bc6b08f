/** Maps failures between client and server to the codes of `predict()`, and decides whether the call may be made again. */

import { ERROR_TABLE, type ErrorCode, type ErrorDetails, ModelmountError } from '../core/errors.ts'
import { printable } from '../core/host/printable.ts'
import { isObject, type Json } from './json.ts'

/** For servers that send no code of ours. */
const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'REQUEST_INVALID',
  404: 'MODEL_NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  408: 'BODY_TIMEOUT',
  413: 'BODY_TOO_LARGE',
  415: 'MEDIA_TYPE_UNSUPPORTED',
  422: 'REQUEST_INVALID',
  429: 'QUOTA_EXCEEDED',
  500: 'INFERENCE_FAILED',
  503: 'MODEL_UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
}

const isKnown = (code: unknown): code is ErrorCode => typeof code === 'string' && Object.hasOwn(ERROR_TABLE, code)

/** The error for an answer other than 2xx. `details.status` has the status. */
export function fromAnswer(status: number, headers: Headers, text: string): ModelmountError {
  const { error, code, details } = bodyOf(text)
  const message = textOf(error) || `the server answered with ${status}`
  return new ModelmountError(isKnown(code) ? code : (BY_STATUS[status] ?? 'REMOTE_FAILED'), message, {
    details: { ...detailsOf(details), status },
    retryAfterS: retryAfterOf(headers),
  })
}

function bodyOf(text: string): Json {
  try {
    const body: unknown = JSON.parse(text)
    return isObject(body) ? body : {}
  } catch {
    // A proxy's page, or nothing.
    return {}
  }
}

/** Most characters of a server's sentence. */
const LONGEST_TEXT = 2000

/** Made safe for a log or a terminal; `undefined` if it is no text. */
const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' ? printable(value.slice(0, LONGEST_TEXT)) : undefined

/** The documented ones. */
function detailsOf(details: unknown): ErrorDetails {
  if (!isObject(details)) return {}
  const { field, input, expected, got } = details
  const known = { field: textOf(field), input: textOf(input), expected: textOf(expected), got: textOf(got) }
  return Object.fromEntries(Object.entries(known).filter(([, text]) => text !== undefined))
}

/** @param maxBytes the caller's limit */
export const tooLong = (maxBytes: number): ModelmountError =>
  new ModelmountError('REMOTE_FAILED', `the answer is longer than ${maxBytes} bytes`, {
    details: { field: 'maxAnswerBytes', expected: `at most ${maxBytes} bytes`, got: 'more' },
  })

/** Seconds, or a date; `undefined` if the header is missing or unreadable. */
function retryAfterOf(headers: Headers): number | undefined {
  const text = headers.get('retry-after')
  if (text === null) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text)
  // RFC 9110, 5.6.7: all three forms begin with the day's name, and are in GMT with or without saying so.
  if (!/^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(text)) return undefined
  const at = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`)
  return Number.isNaN(at) ? undefined : Math.max(0, Math.ceil((at - Date.now()) / 1000))
}

/** These prove that the request was not sent. */
const NEVER_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])

/** An error of `fetch` that this client did not cause by aborting. */
export function fromFetch(cause: unknown, url: string): ModelmountError {
  const reason = reasonOf(cause)
  const { origin } = new URL(url)
  return new ModelmountError('REMOTE_UNREACHABLE', `no answer from ${origin}${reason ? `: ${reason}` : ''}`, {
    cause,
    details: { neverSent: reason !== undefined && NEVER_SENT.has(reason) },
  })
}

/** The system's code of a failed connection, which undici keeps in `cause`, or in the first of several causes. */
function reasonOf(error: unknown): string | undefined {
  const { cause } = (error ?? {}) as { cause?: { code?: unknown; errors?: readonly { code?: unknown }[] } }
  const code = cause?.code ?? cause?.errors?.[0]?.code
  return typeof code === 'string' ? code : undefined
}

/**
 * True if a repeated call cannot do anything twice: the server was never reached, or has refused with a time for the retry.
 * @param isIdempotent calls may be made twice: retry even if it is unknown whether the first one arrived
 */
export function mayRetry(error: ModelmountError, isIdempotent: boolean): boolean {
  const { neverSent, status } = error.details ?? {}
  if (error.code === 'REMOTE_UNREACHABLE') return neverSent === true || isIdempotent
  // It may have run until its worker died.
  if (error.code === 'WORKER_LOST') return isIdempotent
  if (status !== 503 && status !== 429) return isIdempotent && status === 502
  return error.retryAfterS !== undefined || isIdempotent
}
