import type { HttpResponse } from './types.ts'

/** An answer of an extension, with headers that the server may add to: the extension may give one object to several requests. */
export const completable = (response: HttpResponse): HttpResponse => ({ ...response, headers: { ...response.headers } })
