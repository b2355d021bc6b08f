/**
 * Anything with Web-standard requests: Hono, route handlers of Next.js, and the like.
 * @module modelmount/fetch
 */

import type { HttpResponse, ModelServer, MountOptions } from '../core/types.ts'
import { type BodyLimits, type BodyResult, bodyFault, createCollector } from './body.ts'
import { belowPrefix } from './path.ts'

export interface FetchHandlerOptions extends MountOptions {
  /** Where the routes are: with `/ml`, at `/ml/v2/…`. @default '' */
  readonly prefix?: string
}

/**
 * The prediction routes as a function from `Request` to `Response`. Paths that are not its own get a 404.
 * @throws ModelmountError `OPTIONS_INVALID`
 */
export function fetchHandler(server: ModelServer, options: FetchHandlerOptions = {}): (request: Request) => Promise<Response> {
  const { prefix, ...mount } = options
  const handler = server.http.mount(mount)
  const below = belowPrefix(prefix)

  return async (request) => {
    const { method, signal } = request
    const path = below(new URL(request.url).pathname) ?? ''
    const headers: Record<string, string> = Object.create(null)
    for (const [name, value] of request.headers) headers[name] = value
    let body: Uint8Array | undefined
    if (request.body) {
      const read = await readBody(request.body, headers['content-length'], handler)
      if (read.kind !== 'body') return toResponse(handler.error(bodyFault(read.kind, handler), path))
      body = read.body
    }
    return toResponse(await handler.handle({ method, path, headers, body, signal }))
  }
}

/** A refused body is cancelled: whoever carries the request decides what that means for the connection. */
async function readBody(
  stream: NonNullable<Request['body']>,
  announced: string | undefined,
  limits: BodyLimits,
): Promise<BodyResult> {
  const reader = stream.getReader()
  let slow = (): void => {}
  const tooSlow = new Promise<BodyResult>((resolve) => {
    slow = () => resolve({ kind: 'too-slow' })
  })
  const timer = setTimeout(slow, limits.bodyTimeoutMs)
  const result = await Promise.race([readAll(), tooSlow])
  clearTimeout(timer)
  if (result.kind !== 'body') reader.cancel().catch(() => {})
  return result

  async function readAll(): Promise<BodyResult> {
    const length = announced === undefined ? Number.NaN : Number(announced)
    if (length > limits.maxBodyBytes) return { kind: 'too-large' }
    const collector = createCollector(length)
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return { kind: 'body', body: collector.take() }
        if (collector.length + value.length > limits.maxBodyBytes) return { kind: 'too-large' }
        collector.add(value)
      }
    } catch {
      return { kind: 'gone' }
    }
  }
}

/** 204 and the like have no body; a `Response` refuses even an empty one. */
const toResponse = ({ status, headers, body }: HttpResponse): Response =>
  new Response(body.byteLength === 0 ? null : (body as Uint8Array<ArrayBuffer>), { status, headers })
