/** The kind of a body, by its headers. */

import { ModelmountError } from '../errors.ts'
import type { HttpRequest } from '../http/types.ts'

const FRAMING_HEADER = 'inference-header-content-length'

/**
 * How many bytes of JSON a binary body begins with; `undefined` for a body that is JSON as a whole.
 * @throws ModelmountError `REQUEST_INVALID`
 */
export function headerLengthOf({ headers }: HttpRequest): number | undefined {
  const text = headers[FRAMING_HEADER]
  if (text === undefined) return undefined
  if (typeof text === 'string' && /^\d{1,15}$/.test(text)) return Number(text)
  const expected = 'a number of bytes'
  throw new ModelmountError('REQUEST_INVALID', `the header ${FRAMING_HEADER} must be ${expected}`, {
    details: { field: FRAMING_HEADER, expected, got: String(text).slice(0, 50) },
  })
}

const JSON_TYPES = /^\s*application\/(?:octet-stream|(?:[\w.+-]+\+)?json)\s*$/
/** The label that curl gives to what it is told to send. */
const FORM = /^\s*application\/x-www-form-urlencoded\s*$/

/**
 * JSON, no content type at all, or "bytes": the protocol's own clients send none, or the label that their HTTP library gives to every body.
 * A type that is certainly another is refused, and so is a form, which a page of any site can make a browser send.
 * @throws ModelmountError `MEDIA_TYPE_UNSUPPORTED`
 */
export function checkJsonType(request: HttpRequest): void {
  check(request, (essence) => JSON_TYPES.test(essence))
}

/**
 * The same for requests that run a model. JSON may be labelled as a form, as `curl -d` does it; a form that was parsed before it got here is none.
 * @throws ModelmountError `MEDIA_TYPE_UNSUPPORTED`
 */
export function checkInferenceType(request: HttpRequest): void {
  check(request, (essence) => JSON_TYPES.test(essence) || FORM.test(essence))
  refuseParsedForm(request)
}

/**
 * Of JSON that a form parser of the app took for a form nothing is left that could be read.
 * @throws ModelmountError `MEDIA_TYPE_UNSUPPORTED`
 */
export function refuseParsedForm({ headers, body }: HttpRequest): void {
  if (typeof body !== 'object' || body === null || body instanceof Uint8Array) return
  const [essence = ''] = textOf(headers).split(';')
  if (!FORM.test(essence)) return
  const message =
    'the body was parsed as a form before it got here: send content-type: application/json, or mount the router before express.urlencoded()'
  throw new ModelmountError('MEDIA_TYPE_UNSUPPORTED', message, {
    details: { field: 'content-type', expected: 'application/json', got: essence.trim() },
  })
}

const textOf = ({ 'content-type': type = '' }: HttpRequest['headers']): string => String(type).toLowerCase()

function check({ headers }: HttpRequest, isTaken: (essence: string) => boolean): void {
  const type = headers['content-type']
  if (type === undefined || type === '' || type === 'application/json') return
  const [essence = '', ...parameters] = textOf(headers).split(';')
  if (!isTaken(essence)) throw unsupported('application/json', essence.trim())
  const charset = parameters
    .map((parameter) => /^\s*charset\s*=\s*"?([^"\s]+)/.exec(parameter)?.[1])
    .find((value) => value !== undefined)
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') throw unsupported('charset utf-8', charset)
}

function unsupported(expected: string, got: string): ModelmountError {
  const details = { field: 'content-type', expected, got: got.slice(0, 100) }
  return new ModelmountError('MEDIA_TYPE_UNSUPPORTED', `content-type must be ${expected}, got ${details.got}`, { details })
}
