/**
 * Differences between Nest's platforms: the wildcard of a route, and the way past Nest's own body parsers. Those would refuse a body (no
 * content type, 100 kB) or change it (integers beyond 2^53).
 */

import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import * as nest from '@nestjs/common'

/** Exported since Nest 11, which brought Express 5, Fastify 5 and terminus 11. */
export const IS_NEST_10 = !('IntrinsicException' in nest)

/** The used part of Nest's HTTP adapter. */
export interface HttpAdapter {
  getType(): string
  getInstance(): unknown
  // biome-ignore lint/suspicious/noExplicitAny: any middleware of either platform
  use(...args: any[]): unknown
  all(path: unknown, ...rest: unknown[]): unknown
  registerParserMiddleware(prefix?: string, rawBody?: boolean): unknown
}

/** @param root as `rootsOf()` gives it, `/v2/*` */
export function toRoute(root: string, adapter: HttpAdapter): string {
  return adapter.getType() === 'fastify' || IS_NEST_10 ? root : root.replace('*', '*path')
}

/** Full paths of our routes by adapter: with the app's global prefix, versions and modules' paths in front. */
const routes = new WeakMap<HttpAdapter, Map<string, RegExp>>()

/** Lets the bodies of the routes that end with one of `endings` through. Called before the app registers parsers and routes. */
export function passBodies(adapter: HttpAdapter, endings: readonly string[]): void {
  const known = routes.get(adapter)
  const ours = known ?? new Map<string, RegExp>()
  routes.set(adapter, ours)
  const { all } = adapter
  adapter.all = function (this: HttpAdapter, path, ...rest) {
    if (typeof path === 'string' && endings.some((ending) => path.endsWith(ending))) ours.set(path, toPattern(path))
    return all.call(this, path, ...rest)
  }
  if (known) return
  if (adapter.getType() === 'fastify') passBodiesOfFastify(adapter.getInstance() as FastifyLike, (url) => ours.has(url))
  else passBodiesOfExpress(adapter, (path) => [...ours.values()].some((pattern) => pattern.test(path)))
}

const toPattern = (route: string): RegExp =>
  new RegExp(
    `^${route
      .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replace(/:\w+/g, '[^/]+')
      .replace(/\*\w*$/, '.*')}$`,
    'i',
  )

interface ExpressRequest extends IncomingMessage {
  readonly originalUrl: string
}

type Middleware = (req: ExpressRequest, res: unknown, next: () => void) => unknown

/** Express has one line of parsers for all routes: ours skip each of them. */
function passBodiesOfExpress(adapter: HttpAdapter, isOurs: (path: string) => boolean): void {
  const past =
    (parser: Middleware): Middleware =>
    (req, res, next) =>
      isOurs(req.originalUrl.split('?')[0] ?? '') ? next() : parser(req, res, next)
  const { registerParserMiddleware } = adapter
  adapter.registerParserMiddleware = function (this: HttpAdapter, prefix, rawBody) {
    const { use } = this
    this.use = (...args) =>
      use.apply(
        this,
        args.map((arg) => (typeof arg === 'function' ? past(arg) : arg)),
      )
    try {
      return registerParserMiddleware.call(this, prefix, rawBody)
    } finally {
      this.use = use
    }
  }
}

interface FastifyRequestLike {
  readonly raw: IncomingMessage
  readonly routeOptions?: { readonly url?: string }
}
type Done = (error?: unknown, value?: unknown) => void

interface FastifyLike {
  addContentTypeParser(type: string, parse: (request: FastifyRequestLike, payload: Readable, done: Done) => void): unknown
  addHook(name: 'preParsing', hook: (request: FastifyRequestLike, reply: unknown, payload: Readable, done: Done) => void): unknown
  addHook(name: 'preValidation', hook: (request: FastifyRequestLike, reply: unknown, done: Done) => void): unknown
}

/** Private media type; no client sends it. */
const RAW_TYPE = 'application/vnd.modelmount.raw'

/** Fastify chooses a parser by content type for the whole app, so ours get a type of their own until they are past it. */
function passBodiesOfFastify(app: FastifyLike, isOurs: (url: string) => boolean): void {
  const types = new WeakMap<IncomingMessage, { readonly type: string | undefined }>()
  app.addContentTypeParser(RAW_TYPE, ({ raw }, payload, done) => {
    if (types.has(raw)) done(null, payload)
    else done(Object.assign(new Error('Unsupported Media Type'), { statusCode: 415 }))
  })
  app.addHook('preParsing', ({ raw, routeOptions }, _reply, payload, done) => {
    if (isOurs(routeOptions?.url ?? '')) {
      types.set(raw, { type: raw.headers['content-type'] })
      raw.headers['content-type'] = RAW_TYPE
    }
    done(null, payload)
  })
  app.addHook('preValidation', ({ raw }, _reply, done) => {
    const hidden = types.get(raw)
    if (hidden?.type !== undefined) raw.headers['content-type'] = hidden.type
    else if (hidden) delete raw.headers['content-type']
    done()
  })
}
