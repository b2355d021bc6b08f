/** The base of all adapters that carry `node:http` requests: reads the body, asks the mount, writes the answer. */

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type { HttpHandler, HttpRequest, HttpResponse, Identity } from '../core/http/types.ts'
import { type BodyLimits, bodyFault, discardRest, readBody } from './body.ts'
import { ClientSignal } from './client-signal.ts'
import { connectionOfRequest } from './connection.ts'
import { type Ask, identityOf } from './identity.ts'
import { latin1, ONE_WRITE_BYTES } from './latin1.ts'
import { isUnpacked } from './unpacked.ts'

type Headers = Readonly<Record<string, string | number | readonly string[] | undefined>>

/** Facts that a framework knows better than the bare request. */
export interface Framework {
  /** The body, if a hook of the app may have replaced the request's own stream; `null` for none. */
  readonly body?: Readable | null
  /** A lower limit than the server's. */
  readonly maxBodyBytes?: number
  /** Asks the app for the identity behind the request. */
  readonly identify?: Ask | undefined
  /**
   * Called once, right before writing: headers that the app has set so far, in an object of their own, or `undefined` if the app has
   * answered by itself.
   */
  claim?(): Headers | undefined
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
  // Gone while the app's own middleware ran: no client waits for an answer.
  if (res.destroyed) return
  const held = handler.hold()
  // One function, because each promise on the way costs a microsecond.
  try {
    const method = req.method ?? 'GET'
    const { bodyTimeoutMs } = handler
    const limits: BodyLimits = {
      bodyTimeoutMs,
      maxBodyBytes: Math.min(handler.maxBodyBytes, framework.maxBodyBytes ?? handler.maxBodyBytes),
    }
    let identity: Identity | undefined
    try {
      const said = identityOf(handler, method, path, framework.identify)
      identity = said instanceof Promise ? await said : said
    } catch (error) {
      write(res, await handler.refuse(error, { method, path, headers: req.headers }), framework)
      discardRest(req)
      return
    }
    if (res.destroyed) return
    const { body: stream = req } = framework
    let body: unknown
    let moreChunks: readonly Uint8Array[] | undefined
    let given: readonly ArrayBufferLike[] | undefined
    let { headers } = req
    if (stream !== null && method !== 'GET' && method !== 'HEAD') {
      if (wasParsed(stream)) {
        body = (req as { body?: unknown }).body
        // Parsers unpack, and leave the header unchanged.
        if (headers['content-encoding'] !== undefined) headers = { ...headers, 'content-encoding': undefined }
      } else {
        // Large bodies go on in their pieces: joining them takes longer than all other work of the host on them.
        const read = await readBody(stream, stream === req ? headers['content-length'] : undefined, limits, held, true)
        if (read.kind === 'gone' && (stream === req || res.destroyed)) return
        if (read.kind !== 'body') {
          // A stream of the app's that ends with an error has a client that waits for its answer.
          const kind = read.kind === 'gone' ? 'broken' : read.kind
          const refusal = await handler.refuse(bodyFault(kind, limits), { method, path, headers, identity })
          // The missing part of a slow body precedes the next request on this connection.
          const closes = read.kind === 'too-slow' && req.httpVersionMajor === 1
          const told = closes ? { ...refusal.headers, connection: 'close' } : refusal.headers
          write(res, { ...refusal, headers: told }, framework)
          discardRest(req)
          return
        }
        body = read.body
        moreChunks = read.moreChunks
        // If an app replaced the request's own stream, the owner of its pieces is unknown.
        if (stream === req) given = read.given
        else if (headers['content-encoding'] !== undefined && isUnpacked(stream))
          headers = { ...headers, 'content-encoding': undefined }
      }
    }
    const client = new ClientSignal()
    const onClose = (): void => client.abort()
    res.on('close', onClose)
    const connection = connectionOfRequest(req)
    const request: HttpRequest = {
      method,
      path,
      headers,
      body,
      moreChunks,
      given,
      identity,
      admitted: true,
      held,
      connection,
      signal: client,
      acceptsChunks: true,
    }
    const response = await handler.handle(request)
    // The further fate of the connection is irrelevant.
    res.off('close', onClose)
    if (!client.aborted) write(res, response, framework)
  } finally {
    held.release()
  }
}

/** A body parser has read the stream; reading it again would wait for ever. */
const wasParsed = (stream: Readable): boolean => stream.readableEnded || stream.readableDidRead

function write(res: ServerResponse, { status, headers, body, moreChunks, discard }: HttpResponse, { claim }: Framework): void {
  // Other code may have answered meanwhile, for example a time-out of the app.
  if (res.headersSent || res.destroyed) return
  const earlier = claim?.()
  if (claim && !earlier) return
  const { vary } = headers
  // Keep the app's `vary` fields, for example an origin from its CORS middleware.
  const also = vary === undefined ? undefined : (earlier?.vary ?? res.getHeader('vary'))
  const all = earlier && hasAny(earlier) ? Object.assign(earlier, headers) : headers
  res.writeHead(status, (also === undefined ? all : { ...all, vary: `${also}, ${vary}` }) as OutgoingHttpHeaders)
  const last = moreChunks?.at(-1)
  if (moreChunks === undefined || last === undefined) return void res.end(chunk(body), 'latin1')
  // Node gathers writes of one turn, and hands them to the system unchanged.
  res.write(chunk(body), 'latin1')
  for (const piece of moreChunks.slice(0, -1)) res.write(piece)
  res.end(last)
  // All of it is with the system then. Listeners of the app may still look at the written data, in the same turn.
  if (discard) res.once('finish', () => setImmediate(discard))
}

/** As text, a small body goes out with the head in one write. */
const chunk = (body: Uint8Array): Uint8Array | string => (body.byteLength <= ONE_WRITE_BYTES ? latin1(body) : body)

function hasAny(headers: Headers): boolean {
  for (const _ in headers) return true
  return false
}
