/**
 * Keeps pages of other sites from changing what the server does, through the browser of an operator. It refuses requests that a page may send
 * anywhere without asking first. As Go's `CrossOriginProtection` does, by what browsers say of themselves; other clients say nothing, and pass.
 */

import { checkJsonType } from '../dialects/index.ts'
import { ModelmountError } from '../errors.ts'
import type { HttpRequest } from './types.ts'

/**
 * @throws ModelmountError `CROSS_SITE`; `MEDIA_TYPE_UNSUPPORTED` for the types that forms and simple requests have
 */
export function refuseCrossSite(request: HttpRequest): void {
  const { headers } = request
  const site = textOf(headers['sec-fetch-site'])
  if (site === undefined ? isForeign(headers) : site !== 'same-origin' && site !== 'none')
    throw new ModelmountError('CROSS_SITE', 'this route takes no requests from pages of another origin', {
      details: { field: site === undefined ? 'origin' : 'sec-fetch-site' },
    })
  checkJsonType(request)
}

/** True for an `Origin` whose host is not the one that was asked. */
function isForeign(headers: HttpRequest['headers']): boolean {
  const origin = textOf(headers.origin)
  if (origin === undefined) return false
  const host = textOf(headers.host) ?? textOf(headers[':authority'])
  if (host === undefined || !URL.canParse(origin)) return true
  const { protocol, host: from } = new URL(origin)
  // Ports that a scheme implies are left out of an origin, and may stand in the other.
  const asked = `${protocol}//${host}`
  return !URL.canParse(asked) || new URL(asked).host !== from
}

const textOf = (value: string | readonly string[] | undefined): string | undefined =>
  value === undefined ? undefined : String(value)
