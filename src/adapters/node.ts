/** The plain `(req, res)` handler that the framework adapters stand on. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HttpResponse, ModelServer } from '../core/types.ts'
import { discardRest, readBody } from './body.ts'

export interface NodeRequest extends IncomingMessage {
  /** What an app-level body parser made of the body, where one ran before. */
  body?: unknown
}

/**
 * Answers one request.
 * @param path path below the mount point, without query
 */
export async function answer(server: ModelServer, req: NodeRequest, res: ServerResponse, path: string): Promise<void> {
  // Gone while the app's own middleware ran: nobody waits for an answer.
  if (res.destroyed) return
  const { http } = server
  const method = req.method ?? 'GET'
  let body: unknown
  if (method !== 'GET' && method !== 'HEAD') {
    if (wasParsed(req)) body = req.body
    else {
      const read = await readBody(req, http.maxBodyBytes)
      if (read.kind === 'gone') return
      if (read.kind === 'too-large') {
        write(res, http.error(tooLarge(http.maxBodyBytes)))
        discardRest(req)
        return
      }
      body = read.body
    }
  }
  const gone = new AbortController()
  const onClose = (): void => {
    if (!res.writableEnded) gone.abort()
  }
  res.on('close', onClose)
  const response = await http.handle({ method, path, headers: req.headers, body, signal: gone.signal })
  res.off('close', onClose)
  if (!gone.signal.aborted) write(res, response)
}

/** A body parser has read the stream; reading it again would wait for ever. */
const wasParsed = (req: NodeRequest): boolean => req.readableEnded || req.readableDidRead

function write(res: ServerResponse, { status, headers, body }: HttpResponse): void {
  if (res.headersSent || res.destroyed) return
  res.writeHead(status, headers)
  res.end(body)
}

/** Adapters hold no code of the core (a CommonJS build would hold it twice), so the error is described, and recognised by its brand. */
const tooLarge = (maxBytes: number): unknown => ({
  [Symbol.for('modelmount.error')]: true,
  code: 'BODY_TOO_LARGE',
  status: 413,
  message: `the body is larger than ${maxBytes} bytes`,
})
