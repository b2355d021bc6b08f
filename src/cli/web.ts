/** Carries Web-standard requests over `node:http`, for `serve --adapter fetch`. */

import type { IncomingMessage, RequestListener } from 'node:http'
import { Readable } from 'node:stream'

export function webListener(handle: (request: Request) => Promise<Response>): RequestListener {
  return async (req, res) => {
    const gone = new AbortController()
    res.once('close', () => {
      if (!res.writableFinished) gone.abort()
    })
    try {
      const response = await handle(toRequest(req, gone.signal))
      const body = new Uint8Array(await response.arrayBuffer())
      // The remainder of a slow body precedes the next request on this connection.
      if (response.status === 408) res.setHeader('connection', 'close')
      if (!res.destroyed) res.writeHead(response.status, Object.fromEntries(response.headers)).end(body)
    } catch {
      // A request that the Web standards cannot express (a method that `Request` refuses, a target that is no URL).
      if (!res.headersSent) res.writeHead(400)
      res.end()
    }
  }
}

function toRequest(req: IncomingMessage, signal: AbortSignal): Request {
  const { method = 'GET', url = '/', rawHeaders } = req
  const headers = new Headers()
  for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '')
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const body = hasBody ? (Readable.toWeb(req) as ReadableStream<Uint8Array>) : null
  return new Request(new URL(url, 'http://localhost'), { method, headers, body, signal, duplex: 'half' } as RequestInit)
}
