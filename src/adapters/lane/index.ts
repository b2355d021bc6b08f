/**
 * The fast lane of an HTTP server: plain requests for models are read from the socket and answered on it. The request and response objects
 * of `node:http` cost more than all other work on a small request here. All other requests go to `node:http` unchanged.
 */

import { Server } from 'node:http'
import { Socket } from 'node:net'
import { type Destination, LaneConnection, type Surroundings } from './connection.ts'

export type { Destination } from './connection.ts'

/** The owner of a request target; `undefined` for any other. */
export type Finder = (target: string) => Destination | undefined

type ConnectionListener = (this: Server, socket: Socket) => void

const SWEEP_MS = 1000

const lanes = new WeakMap<Server, Lane>()

/**
 * Lets requests that `find` knows take the lane. On a server that cannot have a lane (TLS, HTTP/2, another kind) nothing happens. New
 * connections only: open ones stay with `node:http`.
 * @returns a function that ends the lane
 */
export function enterLane(http: Server, find: Finder): () => void {
  const lane = lanes.get(http) ?? createLane(http)
  if (!lane) return () => {}
  lanes.set(http, lane)
  return lane.add(find)
}

interface Lane {
  add(find: Finder): () => void
}

/** Node's own connection listener: always the first one. */
function listenerOf(http: Server): ConnectionListener | undefined {
  const [first] = http.listeners('connection')
  return first?.name === 'connectionListener' ? (first as ConnectionListener) : undefined
}

function createLane(http: Server): Lane | undefined {
  const toNode = http instanceof Server ? listenerOf(http) : undefined
  if (!toNode) return undefined

  const finders = new Set<Finder>()
  const connections = new Set<LaneConnection>()
  let ticks = 0
  let sweeper: NodeJS.Timeout | undefined

  const surroundings: Surroundings = {
    now: () => ticks,
    find(target) {
      for (const find of finders) {
        const found = find(target)
        if (found) return found
      }
      return undefined
    },
    handOver: (socket) => toNode.call(http, socket),
    tellError: (error, socket) => http.emit('clientError', error, socket),
    left(connection) {
      connections.delete(connection)
      if (connections.size > 0) return
      clearInterval(sweeper)
      sweeper = undefined
    },
    longestHead: () => (http as { maxHeaderSize?: number }).maxHeaderSize || Number.POSITIVE_INFINITY,
    keepAliveMs: () => (http.listening ? http.keepAliveTimeout : undefined),
    requestTimeoutMs: () => http.requestTimeout,
  }

  /** Features that only `node:http` offers for a connection, all off by default. */
  const wantsMore = (): boolean =>
    http.timeout > 0 || (http.maxRequestsPerSocket ?? 0) > 0 || (http.maxHeadersCount ?? null) !== null

  function sweep(): void {
    ticks++
    for (const connection of connections) {
      const { state, since } = connection
      const limit = state === 'fresh' ? http.headersTimeout : state === 'idle' ? http.keepAliveTimeout : 0
      if (limit > 0 && (ticks - since - 1) * SWEEP_MS >= limit) connection.destroy()
    }
  }

  http.removeListener('connection', toNode)
  http.prependListener('connection', function onConnection(this: Server, socket: Socket): void {
    if (finders.size === 0 || wantsMore() || !(socket instanceof Socket)) {
      toNode.call(http, socket)
      return
    }
    const connection = new LaneConnection(socket, surroundings)
    connections.add(connection)
    process.nextTick(() => connection.begin())
    sweeper ??= setInterval(sweep, SWEEP_MS).unref()
  })

  // Node closes only the connections that it knows.
  const { closeIdleConnections, closeAllConnections } = http
  http.closeIdleConnections = function (this: Server) {
    for (const connection of connections) connection.closeIdle()
    closeIdleConnections.call(this)
  }
  http.closeAllConnections = function (this: Server) {
    for (const connection of connections) connection.destroy()
    closeAllConnections.call(this)
  }

  return {
    add(find) {
      finders.add(find)
      return () => void finders.delete(find)
    },
  }
}
