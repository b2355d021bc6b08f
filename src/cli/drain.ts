/**
 * Ends an HTTP server without cutting off an answer. `http.Server.close()` counts a connection as idle as soon as its answer was handed to
 * the socket, so a slow reader of a large one would lose the rest.
 */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'

/** For a client that has not finished sending its request. */
const SEND_MS = 2000
/** For a client that still reads its answer. */
const READ_MS = 30_000

/** Follows the server's connections; call it before the server listens. Returns a function that stops it and resolves when all are closed. */
export function drainable(http: Server): () => Promise<void> {
  const exchanges = new Map<Socket, Set<IncomingMessage>>()
  let stopping = false

  http.on('connection', (socket: Socket) => {
    exchanges.set(socket, new Set())
    socket.once('close', () => exchanges.delete(socket))
  })
  http.prependListener('request', (req: IncomingMessage, res: ServerResponse) => {
    const open = exchanges.get(req.socket)
    open?.add(req)
    if (stopping) res.setHeader('connection', 'close')
    res.once('close', () => {
      open?.delete(req)
      if (stopping && open?.size === 0) req.socket.destroySoon()
    })
  })

  const closeWhere = (where: (requests: ReadonlySet<IncomingMessage>) => boolean): void => {
    for (const [socket, requests] of exchanges) if (where(requests)) socket.destroy()
  }

  return async () => {
    stopping = true
    const closed = new Promise<void>((resolve) => {
      NetServer.prototype.close.call(http, () => resolve())
    })
    closeWhere((requests) => requests.size === 0)
    const timers = [
      setTimeout(() => closeWhere((requests) => [...requests].some((request) => !request.complete)), SEND_MS),
      setTimeout(() => closeWhere(() => true), READ_MS),
    ]
    await closed
    for (const timer of timers) clearTimeout(timer)
  }
}
