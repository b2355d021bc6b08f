/**
 * Express 4 and 5.
 * @module modelmount/express
 */

import type { RequestHandler } from 'express'
import type { ModelServer } from '../core/types.ts'
import { answer } from './node.ts'

/**
 * The prediction routes as Express middleware, for any mount path:
 * `app.use('/ml', modelRouter(server))` answers `/ml/v2/models/<name>/infer` and the rest of the Open Inference Protocol.
 *
 * Mount it before `express.json()`: it reads bodies itself, with its own limit (`maxBodyBytes`), faster, and with 64-bit integers exact.
 * Behind `express.json()` it works with what that has parsed. Paths outside `/v2` are passed on to the app's next handler.
 */
export function modelRouter(server: ModelServer): RequestHandler {
  return (req, res, next) => {
    if (req.path !== '/v2' && !req.path.startsWith('/v2/')) return next()
    answer(server, req, res, req.path).catch(next)
  }
}
