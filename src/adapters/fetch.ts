/**
 * Anything with Web-standard requests: Hono, route handlers of Next.js, and the like.
 * @module modelmount/fetch
 */

import { setImmediate } from 'node:timers/promises'
import type { HeldBytes, HttpRequest, HttpResponse, Identity, MountOptions } from '../core/http/types.ts'
import type { ModelServer } from '../core/server/types.ts'
import { type BodyLimits, type BodyResult, bodyFault, DISCARD_BYTES, DISCARD_MS } from './body.ts'
import { type Collected, collectorFor } from './collector.ts'
import { type Identified, identityOf } from './identity.ts'
import { belowPrefix } from './path.ts'

export interface FetchHandlerOptions extends MountOptions, Identified<Request> {
  /** Prefix of the routes: with `/ml`, they are at `/ml/v2/…`. @default '' */
  readonly prefix?: string
}

/**
 * The prediction routes as a function from `Request` to `Response`. Paths that are not its own get a 404.
 * @throws ModelmountError `OPTIONS_INVALID`
 */
export function fetchHandler(server: ModelServer, options: FetchHandlerOptions = {}): (request: Request) => Promise<Response> {
  const { prefix, identify, ...mount } = options
  const handler = server.http.mount(mount)
  const below = belowPrefix(prefix)

  return async (request) => {
    const held = handler.hold()
    try {
      return await answer(request, held)
    } finally {
      held.release()
    }
  }

  async function answer(request: Request, held: HeldBytes): Promise<Response> {
    const { method, signal } = request
    const { pathname, host } = new URL(request.url)
    const path = below(pathname) ?? ''
    const headers: Record<string, string> = Object.create(null)
    for (const [name, value] of request.headers) headers[name] = value
    headers.host ??= host
    let identity: Identity | undefined
    try {
      identity = await identityOf(handler, method, path, identify && (() => identify(request)))
    } catch (error) {
      if (request.body) void discardRest(request.body.getReader())
      return toResponse(await handler.refuse(error, { method, path, headers }))
    }
    let collected: Collected | undefined
    if (request.body) {
      const read = await readBody(request.body, headers['content-length'], handler, held)
      if (read.kind === 'gone') return toResponse(handler.error(bodyFault('gone', handler), path, headers))
      if (read.kind !== 'body')
        return toResponse(await handler.refuse(bodyFault(read.kind, handler), { method, path, headers, identity }))
      collected = read
    }
    const { body, moreChunks } = collected ?? {}
    const asked: HttpRequest = {
      method,
      path,
      headers,
      body,
      moreChunks,
      identity,
      admitted: true,
      held,
      signal,
      acceptsChunks: true,
    }
    return toResponse(await handler.handle(asked))
  }
}

type Reader = ReadableStreamDefaultReader<Uint8Array>

async function readBody(
  stream: NonNullable<Request['body']>,
  announced: string | undefined,
  limits: BodyLimits,
  held: HeldBytes,
): Promise<BodyResult> {
  const reader: Reader = stream.getReader()
  let slow = (): void => {}
  const tooSlow = new Promise<BodyResult>((resolve) => {
    slow = () => resolve({ kind: 'too-slow' })
  })
  const timer = setTimeout(slow, limits.bodyTimeoutMs)
  const result = await Promise.race([readAll(), tooSlow])
  clearTimeout(timer)
  if (result.kind !== 'body') void discardRest(reader)
  return result

  async function readAll(): Promise<BodyResult> {
    const length = announced === undefined ? Number.NaN : Number(announced)
    if (length > limits.maxBodyBytes) return { kind: 'too-large' }
    if (!Number.isNaN(length) && !held.fits(length)) return { kind: 'too-much' }
    const collector = collectorFor(length, true)
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return { kind: 'body', ...collector.take() }
        if (collector.length() + value.length > limits.maxBodyBytes) return { kind: 'too-large' }
        if (!held.add(value.length)) return { kind: 'too-much' }
        collector.add(value)
      }
    } catch {
      return { kind: 'gone' }
    }
  }
}

/**
 * Drops the rest of a refused body, within bounds. Cancelling at once would close the connection under the answer if the carrier is
 * `node:http`.
 */
async function discardRest(reader: Reader): Promise<void> {
  const timer = setTimeout(() => reader.cancel().catch(() => {}), DISCARD_MS)
  try {
    for (let left = DISCARD_BYTES; left > 0; ) {
      const { done, value } = await reader.read()
      if (done) break
      left -= value.length
    }
    await reader.cancel()
  } catch {
    // Gone, as intended.
  }
  clearTimeout(timer)
}

/** 204 and the like have no body; a `Response` refuses even an empty one. */
const toResponse = ({ status, headers, body, moreChunks, discard }: HttpResponse): Response =>
  moreChunks
    ? new Response(streamOf([body, ...moreChunks], discard), { status, headers })
    : new Response(body.byteLength === 0 ? null : (body as Uint8Array<ArrayBuffer>), { status, headers })

/** Most bytes copied at a time: a reader may keep its chunk, and a long answer does not block the event loop. */
const SLICE_BYTES = 256 * 1024

function streamOf(pieces: readonly Uint8Array[], discard = (): void => {}): ReadableStream<Uint8Array<ArrayBuffer>> {
  let piece = 0
  let at = 0
  return new ReadableStream({
    async pull(controller) {
      await setImmediate()
      const bytes = pieces[piece] as Uint8Array
      controller.enqueue(new Uint8Array(bytes.subarray(at, at + SLICE_BYTES)))
      at += SLICE_BYTES
      if (at < bytes.byteLength) return
      at = 0
      piece++
      if (piece < pieces.length) return
      controller.close()
      discard()
    },
    cancel: discard,
  })
}
