/** The HTTP surface of a server: mounts, each a set of route tables. A neutral request in, a neutral response out, no framework. */

import { createHandler } from './handler.ts'
import { type MountConfig, resolveMount } from './options.ts'
import type { HttpDeps, RouteTable } from './route.ts'
import { TABLES } from './routes/index.ts'
import { createServerTiming } from './server-timing.ts'
import type { HttpHandler, HttpSurface } from './types.ts'

export { createInFlight } from './inflight.ts'
export { MOUNT_OPTIONS, type MountConfig } from './options.ts'
export { requestIdOf } from './request-id.ts'
export type { HttpDeps } from './route.ts'

export function createHttp(deps: HttpDeps): HttpSurface {
  function handlerFor(config: MountConfig): HttpHandler {
    const timing = config.serverTiming ? createServerTiming() : undefined
    const extensions: string[] = []
    const tables: RouteTable[] = []
    for (const make of TABLES) {
      const table = make(deps, { config, timing, extensions: () => extensions })
      if (!table) continue
      tables.push(table)
      extensions.push(...(table.extensions ?? []))
    }
    return createHandler(tables, deps, timing)
  }

  return { ...handlerFor(resolveMount()), mount: (options) => handlerFor(resolveMount(options)) }
}
