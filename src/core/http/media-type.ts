/** What a body is, by its headers. */

import { ModelmountError } from '../errors.ts'
import type { HttpRequest } from '../types.ts'

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

/**
 * JSON, no content type at all, or "bytes": the protocol's own clients send none, or the label that their HTTP library gives to every body.
 * What is certainly something else, such as a form, is refused.
 * @throws ModelmountError `MEDIA_TYPE_UNSUPPORTED`
 */
export function checkJsonType({ headers }: HttpRequest): void {
  const type = headers['content-type']
  if (type === undefined || type === '' || type === 'application/json') return
  const [essence = '', ...parameters] = String(type).toLowerCase().split(';')
  if (!/^\s*application\/(?:octet-stream|(?:[\w.+-]+\+)?json)\s*$/.test(essence))
    throw unsupported('application/json', essence.trim())
  const charset = parameters
    .map((parameter) => /^\s*charset\s*=\s*"?([^"\s]+)/.exec(parameter)?.[1])
    .find((value) => value !== undefined)
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') throw unsupported('charset utf-8', charset)
}

function unsupported(expected: string, got: string): ModelmountError {
  const details = { field: 'content-type', expected, got: got.slice(0, 100) }
  return new ModelmountError('MEDIA_TYPE_UNSUPPORTED', `content-type must be ${expected}, got ${details.got}`, { details })
}
