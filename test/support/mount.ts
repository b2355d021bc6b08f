/** Requests to a mount, as an adapter would make them. */

import type { HttpHandler, HttpResponse } from 'modelmount'

export interface Reply extends HttpResponse {
  readonly text: string
  /** The body as JSON; `undefined` when it is not JSON. */
  readonly json: unknown
}

export type Headers = Readonly<Record<string, string>>

export interface Caller {
  send(method: string, path: string, body?: unknown, headers?: Headers): Promise<Reply>
  get(path: string, headers?: Headers): Promise<Reply>
  /** Text and bytes as they are, anything else as JSON. */
  post(path: string, body?: unknown, headers?: Headers): Promise<Reply>
}

const encoder = new TextEncoder()

export function callerOf(handler: HttpHandler): Caller {
  async function send(method: string, path: string, body?: unknown, headers: Headers = {}): Promise<Reply> {
    const response = await handler.handle({ method, path, headers, body })
    const text = new TextDecoder().decode(response.body)
    let json: unknown
    try {
      json = JSON.parse(text)
    } catch {}
    return { ...response, text, json }
  }
  const raw = (body: unknown): unknown => {
    if (body === undefined || body instanceof Uint8Array) return body
    return encoder.encode(typeof body === 'string' ? body : JSON.stringify(body))
  }
  return {
    send,
    get: (path, headers) => send('GET', path, undefined, headers),
    post: (path, body, headers) => send('POST', path, raw(body), headers),
  }
}
