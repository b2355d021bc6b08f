/** The id by which a client, or the proxy before us, knows a request again. */

import type { HttpRequest } from './types.ts'

export const REQUEST_ID = 'x-request-id'

/** Text that does no harm in a header, a log line or a span. Anything else is treated as no id. */
const HARMLESS = /^[\w.:+/=@-]{1,128}$/

export function requestIdOf(headers: HttpRequest['headers'] | undefined): string | undefined {
  const id = headers?.[REQUEST_ID]
  return typeof id === 'string' && HARMLESS.test(id) ? id : undefined
}
