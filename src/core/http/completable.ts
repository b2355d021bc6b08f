/** Answers of extensions, before they are sent. */

import { ModelmountError } from '../errors.ts'
import type { HttpResponse } from './types.ts'

const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/
// Line breaks and other control characters would end the field: RFC 9110, 5.5.
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
/** The server's own: the length is that of the body. */
const FRAMING: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive'])

/**
 * An answer of an extension, with headers that the server may add to: the extension may give one object to several requests.
 * @throws ModelmountError `INTERNAL` for one that cannot be sent
 */
export function completable(response: HttpResponse): HttpResponse {
  if (typeof response !== 'object' || response === null) throw defect(`is ${String(response)}`)
  const { status, body, moreChunks } = response
  if (!Number.isInteger(status) || status < 200 || status > 599) throw defect(`has the status ${String(status)}`)
  if (![body, ...(moreChunks ?? [])].every((piece) => piece instanceof Uint8Array)) throw defect('has a body that is not bytes')
  const headers: Record<string, string> = {}
  for (const [given, value] of Object.entries(response.headers ?? {})) {
    const name = given.toLowerCase()
    if (!NAME.test(name) || typeof value !== 'string' || !VALUE.test(value))
      throw defect(`has a header '${name.slice(0, 40)}' that HTTP has not`)
    if (!FRAMING.has(name)) headers[name] = value
  }
  return { ...response, headers }
}

const defect = (fault: string): ModelmountError =>
  new ModelmountError('INTERNAL', 'internal error', { cause: new Error(`the answer of an extension ${fault}`) })
