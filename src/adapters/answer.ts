/** What all adapters that carry `node:http` requests stand on: reads the body, asks the mount, writes the answer. */

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type { HttpHandler } from '../core/types.ts'
import { type BodyLimits, bodyFault, discardRest, readBody } from './body.ts'

type Headers = Readonly<Record<string, string | number | readonly string[] | undefined>>

/** What a framework knows better than the bare request. */
export interface Framework {
  /** The body, where a hook of the app may have replaced the request's own stream; `null` for none. */
  readonly body?: Readable | null
  /** Response headers that the app has set so far. */
  readonly headers?: Headers
  /** A lower limit than the server's. */
  readonly maxBodyBytes?: number
}

/**
 * Answers one request.
 * @param path path below the mount point, without query
 */
export async function answer(
  handler: HttpHandler,
  req: IncomingMessage,
  res: ServerResponse,
  path: string,
  framework: Framework = {},
): Promise<void> {
  // Gone while the app's own middleware ran: nobody waits for an answer.
  if (res.destroyed) return
  const method = req.method ?? 'GET'
  const limits: BodyLimits = {
    bodyTimeoutMs: handler.bodyTimeoutMs,
    maxBodyBytes: Math.min(handler.maxBodyBytes, framework.maxBodyBytes ?? Number.POSITIVE_INFINITY),
  }
  const { body: stream = req } = framework
  let body: unknown
  if (stream !== null && method !== 'GET' && method !== 'HEAD') {
    if (wasParsed(stream)) body = (req as { body?: unknown }).body
    else {
      const read = await readBody(stream, stream === req ? req.headers['content-length'] : undefined, limits)
      if (read.kind === 'gone') return
      if (read.kind !== 'body') {
        const { status, headers, body } = handler.error(bodyFault(read.kind, limits), path)
        // What has not arrived of the body stands before the next request on this connection.
        const closing = read.kind === 'too-slow' && req.httpVersionMajor === 1 ? { connection: 'close' } : {}
        write(res, status, { ...framework.headers, ...headers, ...closing }, body)
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
  const response = await handler.handle({ method, path, headers: req.headers, body, signal: gone.signal })
  res.off('close', onClose)
  if (!gone.signal.aborted)
    write(
      res,
      response.status,
      framework.headers ? { ...framework.headers, ...response.headers } : response.headers,
      response.body,
    )
}

/** A body parser has read the stream; reading it again would wait for ever. */
const wasParsed = (stream: Readable): boolean => stream.readableEnded || stream.readableDidRead

function write(res: ServerResponse, status: number, headers: Headers, body: Uint8Array): void {
  // Whoever answered meanwhile (a time-out of the app, for example) was first.
  if (res.headersSent || res.destroyed) return
  res.writeHead(status, headers as OutgoingHttpHeaders)
  res.end(body)
}
