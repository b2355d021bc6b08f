/** Which bodies a route takes. */

import { ModelmountError } from '../errors.ts'
import type { HttpRequest } from '../types.ts'

/** JSON, or no content type at all: the protocol's own clients send none. */
export function checkMediaType({ headers, body }: HttpRequest): void {
  const encoding = String(headers['content-encoding'] ?? 'identity').toLowerCase()
  if (encoding !== 'identity' && body instanceof Uint8Array) throw unsupported('content-encoding', 'identity', encoding)
  if (headers['inference-header-content-length'] !== undefined)
    throw new ModelmountError('REQUEST_INVALID', 'binary tensor data is not supported by this server; send JSON', {
      details: { field: 'inference-header-content-length' },
    })
  const type = headers['content-type']
  if (type === undefined || type === '') return
  const [essence = '', ...parameters] = String(type).toLowerCase().split(';')
  if (!/^\s*application\/(?:[\w.+-]+\+)?json\s*$/.test(essence))
    throw unsupported('content-type', 'application/json', essence.trim())
  const charset = parameters
    .map((parameter) => /^\s*charset\s*=\s*"?([^"\s]+)/.exec(parameter)?.[1])
    .find((value) => value !== undefined)
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8')
    throw unsupported('content-type', 'charset utf-8', charset)
}

const unsupported = (field: string, expected: string, got: string): ModelmountError =>
  new ModelmountError('MEDIA_TYPE_UNSUPPORTED', `${field} must be ${expected}, got ${got.slice(0, 100)}`, {
    details: { field, expected, got: got.slice(0, 100) },
  })
