/** Answers of routes. */

import type { HttpResponse } from '../http/types.ts'

const encoder = new TextEncoder()

/** An answer in JSON; bytes are JSON already. */
export function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): HttpResponse {
  const bytes = body instanceof Uint8Array ? body : encoder.encode(JSON.stringify(body))
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: bytes }
}

/** An answer whose JSON was written already, in one piece or several. */
export function written([body = NOTHING, ...moreChunks]: readonly Uint8Array[], contentType = 'application/json'): HttpResponse {
  if (moreChunks.length === 0) return whole(body, contentType)
  return { status: 200, headers: { 'content-type': contentType }, body, moreChunks }
}

/** An answer in one piece. */
export const whole = (body: Uint8Array, contentType = 'application/json'): HttpResponse => ({
  status: 200,
  headers: { 'content-type': contentType },
  body,
})

const NOTHING = new Uint8Array()
