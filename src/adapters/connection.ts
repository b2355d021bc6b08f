/** Tells connections apart without keeping them alive. */

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

/** The connection of a request. HTTP/2 shows each request a socket of its own. */
export function connectionOfRequest(req: IncomingMessage): symbol {
  const { stream } = req as { stream?: { session?: object } }
  return connectionOf(stream?.session ?? req.socket)
}
