/**
 * Express 4 and 5.
 * @module modelmount/express
 */

import type { Request, RequestHandler } from 'express'
import type { MountOptions } from '../core/http/types.ts'
import type { ModelServer } from '../core/server/types.ts'
import { answer } from './answer.ts'
import type { Identified } from './identity.ts'

export interface ModelRouterOptions extends MountOptions, Identified<Request> {}

/**
 * The prediction routes as Express middleware, for any mount path:
 * `app.use('/ml', modelRouter(server))` answers `/ml/v2/models/<name>/infer` and the rest of the Open Inference Protocol.
 *
 * Mount it before `express.json()`: it reads bodies itself, with its own limit (`maxBodyBytes`), faster, and with 64-bit integers exact.
 * Behind `express.json()` it works with what that has parsed. Paths that are not its own are passed on to the app's next handler.
 * @throws ModelmountError `OPTIONS_INVALID`
 */
export function modelRouter(server: ModelServer, options: ModelRouterOptions = {}): RequestHandler {
  const { identify, ...mount } = options
  const handler = server.http.mount(mount)
  return (req, res, next) => {
    if (!handler.owns(req.path)) return next()
    answer(handler, req, res, req.path, { identify: identify && (() => identify(req)) }).catch(next)
  }
}
