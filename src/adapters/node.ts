/**
 * Plain `node:http`.
 * @module modelmount/node
 */

import { channel } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { HttpHandler, MountOptions } from '../core/http/types.ts'
import type { ModelServer } from '../core/server/types.ts'
import { answer } from './answer.ts'
import { putInFront } from './attached.ts'
import type { Identified } from './identity.ts'
import { enterLane, type Finder } from './lane/index.ts'
import { belowPrefix, pathOf, trimmed } from './path.ts'

/** `identify` gets a request of `node:http`; in the fast lane one with method, target, headers and socket, and no body to read. */
export interface NodeHandlerOptions extends MountOptions, Identified<IncomingMessage> {
  /** Prefix of the routes: with `/ml`, they are at `/ml/v2/…`. @default '' */
  readonly prefix?: string
  /**
   * Read plain requests from the connection itself, at half the cost of `node:http`. Such requests bypass the app's additions to its
   * server: response classes, patched prototypes, performance observers, async context.
   * @default false
   */
  readonly fastLane?: boolean
}

/** A request listener of `node:http`; with a third argument, middleware that passes other requests on. */
export type NodeHandler = (req: IncomingMessage, res: ServerResponse, next?: (error?: unknown) => void) => void

/**
 * The prediction routes as a request listener: `createServer(nodeHandler(server)).listen(8080)`. Other paths get a 404, or go to `next` if
 * there is one. With `fastLane: true`, as the only listener of a server whose requests have no other observer, it reads plain requests from
 * the connection itself.
 * @throws ModelmountError `OPTIONS_INVALID`
 */
export function nodeHandler(server: ModelServer, options: NodeHandlerOptions = {}): NodeHandler {
  const { prefix, fastLane = false, identify, ...mount } = options
  const handler = server.http.mount(mount)
  const below = belowPrefix(prefix)
  const find = finderOf(handler, prefix, identify)
  const servers = new WeakSet<Server>()

  function enter(http: Server | undefined): void {
    if (!http || servers.has(http)) return
    servers.add(http)
    enterLane(http, (target) => (isAlone(http, handle) ? find(target) : undefined))
  }

  function handle(req: IncomingMessage, res: ServerResponse, next?: (error?: unknown) => void): void {
    const path = below(pathOf(req.url)) ?? ''
    if (next && !handler.owns(path)) {
      next()
      return
    }
    if (!next && fastLane) enter((req.socket as { server?: Server }).server)
    answer(handler, req, res, path, { identify: identify && (() => identify(req)) }).catch(next ?? (() => void res.destroy()))
  }
  return handle
}

/** Channels of `node:http` about requests; mostly tracing subscribes to them. */
const WATCHED = ['http.server.request.start', 'http.server.response.created', 'http.server.response.finish'].map((name) =>
  channel(name),
)

/** True if nothing but this listener would see a request that goes through the server as usual. */
function isAlone(http: Server, listener: NodeHandler): boolean {
  return (
    http.emit === EventEmitter.prototype.emit &&
    http.listenerCount('request') === 1 &&
    http.listenerCount('request', listener) === 1 &&
    !WATCHED.some(({ hasSubscribers }) => hasSubscribers)
  )
}

function finderOf(handler: HttpHandler, prefix: string | undefined, identify: NodeHandlerOptions['identify']): Finder {
  const below = belowPrefix(prefix)
  return (target) => {
    const path = below(pathOf(target))
    return path !== undefined && handler.owns(path) ? { handler, path, identify } : undefined
  }
}

/**
 * Answers the routes below `prefix` before the app on `httpServer` sees the request. The app's middleware (its authentication, CORS,
 * logging, rate limits) is bypassed for them; all checks inside modelmount apply. With `fastLane: true` plain requests are read from the
 * connection itself. Any other request on a connection, and all that follows on it, goes through `node:http`.
 * @returns a function that removes the routes
 * @throws ModelmountError `OPTIONS_INVALID`, also for a prefix at which another mount of this HTTP server is attached
 */
export function attach(httpServer: Server, server: ModelServer, options: NodeHandlerOptions = {}): () => void {
  const { prefix, fastLane = false, identify, ...mount } = options
  const find = finderOf(server.http.mount(mount), prefix, identify)
  const detach = putInFront(httpServer, trimmed(prefix), (req, res) => {
    const found = find(req.url ?? '/')
    if (!found) return false
    answer(found.handler, req, res, found.path, { identify: identify && (() => identify(req)) }).catch(() => void res.destroy())
    return true
  })
  const leave = fastLane ? enterLane(httpServer, find) : () => {}
  return () => {
    detach()
    leave()
  }
}
