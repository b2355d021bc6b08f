/** Tells connections apart without holding on to them. */

import type { IncomingMessage } from 'node:http'

const known = new WeakMap<object, symbol>()

/** The same for all requests of one socket, or of one session of HTTP/2. */
export function connectionOf(socket: object): symbol {
  let connection = known.get(socket)
  if (!connection) {
    connection = Symbol('connection')
    known.set(socket, connection)
  }
  return connection
}

/** The connection that a request came on. HTTP/2 gives each request a socket of its own to look at. */
export function connectionOfRequest(req: IncomingMessage): symbol {
  const { stream } = req as { stream?: { session?: object } }
  return connectionOf(stream?.session ?? req.socket)
}
