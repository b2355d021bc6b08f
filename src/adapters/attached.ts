/** Mounts in front of all other listeners of an HTTP server: one wrapped `emit`, however often mounts come and go. */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { fault } from './fault.ts'

/** Answers one of its own requests; false for any other. */
export type Taker = (req: IncomingMessage, res: ServerResponse) => boolean

const attached = new WeakMap<Server, Map<string, Taker>>()

/**
 * @param prefix in its canonical form
 * @returns a function that removes it
 * @throws ModelmountError `OPTIONS_INVALID` for a prefix that is taken
 */
export function putInFront(http: Server, prefix: string, take: Taker): () => void {
  const takers = attached.get(http) ?? wrap(http)
  if (takers.has(prefix))
    throw fault('OPTIONS_INVALID', 500, `prefix '${prefix}' of this HTTP server is taken by another attach()`, {
      details: { field: 'prefix' },
    })
  takers.set(prefix, take)
  return () => {
    if (takers.get(prefix) === take) takers.delete(prefix)
  }
}

/** Not a listener: other listeners would get the same request, whenever they were added. */
function wrap(http: Server): Map<string, Taker> {
  const takers = new Map<string, Taker>()
  const emit = http.emit as (event: string | symbol, ...args: unknown[]) => boolean
  const isTaken = (req: IncomingMessage, res: ServerResponse): boolean => {
    for (const take of takers.values()) if (take(req, res)) return true
    return false
  }
  http.emit = function (this: Server, event: string | symbol, ...args: unknown[]): boolean {
    if (event === 'request' && isTaken(args[0] as IncomingMessage, args[1] as ServerResponse)) return true
    return emit.call(this, event, ...args)
  } as Server['emit']
  attached.set(http, takers)
  return takers
}
