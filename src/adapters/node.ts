/**
 * Plain `node:http`.
 * @module modelmount/node
 */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { ModelServer, MountOptions } from '../core/types.ts'
import { answer } from './answer.ts'
import { belowPrefix, pathOf } from './path.ts'

export interface NodeHandlerOptions extends MountOptions {
  /** Where the routes are: with `/ml`, at `/ml/v2/…`. @default '' */
  readonly prefix?: string
}

/** A request listener of `node:http`; with a third argument, middleware that passes on what is not its own. */
export type NodeHandler = (req: IncomingMessage, res: ServerResponse, next?: (error?: unknown) => void) => void

/**
 * The prediction routes as a request listener: `createServer(nodeHandler(server)).listen(8080)`. Other paths get a 404, or go to `next` where
 * there is one.
 * @throws ModelmountError `OPTIONS_INVALID`
 */
export function nodeHandler(server: ModelServer, options: NodeHandlerOptions = {}): NodeHandler {
  const { prefix, ...mount } = options
  const handler = server.http.mount(mount)
  const below = belowPrefix(prefix)
  return (req, res, next) => {
    const path = below(pathOf(req.url)) ?? ''
    if (next && !handler.owns(path)) return next()
    answer(handler, req, res, path).catch(next ?? (() => void res.destroy()))
  }
}

/**
 * The fast lane: answers the routes below `prefix` before the app on `httpServer` sees the request. The app's middleware (its authentication,
 * CORS, logging, rate limits) is bypassed for them; everything inside modelmount holds as everywhere.
 * @returns takes the lane out again
 * @throws ModelmountError `OPTIONS_INVALID`
 */
export function attach(httpServer: Server, server: ModelServer, options: NodeHandlerOptions = {}): () => void {
  const { prefix, ...mount } = options
  const handler = server.http.mount(mount)
  const below = belowPrefix(prefix)
  let isAttached = true
  const take = (req: IncomingMessage, res: ServerResponse): boolean => {
    const path = below(pathOf(req.url))
    if (!isAttached || path === undefined || !handler.owns(path)) return false
    answer(handler, req, res, path).catch(() => void res.destroy())
    return true
  }
  // Not a listener: those that others add would get the same request, whenever they were added.
  const emit = httpServer.emit as (event: string | symbol, ...args: unknown[]) => boolean
  httpServer.emit = function (this: Server, event: string | symbol, ...args: unknown[]): boolean {
    if (event === 'request' && take(args[0] as IncomingMessage, args[1] as ServerResponse)) return true
    return emit.call(this, event, ...args)
  } as Server['emit']
  return () => {
    isAttached = false
  }
}
