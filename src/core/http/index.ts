/** The HTTP surface of a server: mounts, each a set of route tables. A neutral request in, a neutral response out, no framework. */

import { DIALECTS, type Dialect, ownerOf } from '../dialects/index.ts'
import { createHandler } from './handler.ts'
import { inference } from './inference.ts'
import { type MountConfig, mountOptionsOf } from './options.ts'
import type { HttpDeps, RouteTable } from './route.ts'
import { TABLES } from './routes/index.ts'
import { createServerTiming, type ServerTiming } from './server-timing.ts'
import type { HttpHandler, HttpSurface } from './types.ts'

export { createInFlight } from './inflight.ts'
export { MOUNT_OPTIONS, type MountConfig } from './options.ts'
export { requestIdOf } from './request-id.ts'
export type { HttpDeps } from './route.ts'

/** @param dialects of which the first is a mount's without `dialects`, and the shape of errors of paths that none owns */
export function createHttp(deps: HttpDeps, dialects: readonly Dialect[] = DIALECTS): HttpSurface {
  const { resolve } = mountOptionsOf(dialects)

  function handlerFor(config: MountConfig): HttpHandler {
    const timing = config.serverTiming ? createServerTiming() : undefined
    const mounted = dialects.filter(({ name }) => config.dialects.includes(name))
    const tables = [
      ...mounted.map((dialect) => tableOf(dialect, config, timing)),
      ...TABLES.map((make) => make(deps, config)),
    ].filter((table) => table !== undefined)
    return createHandler(tables, deps, timing, dialects[0]?.encodeError)
  }

  /** None where the mount shows no class of routes that the dialect has. */
  function tableOf(dialect: Dialect, config: MountConfig, timing: ServerTiming | undefined): RouteTable | undefined {
    const routes = dialect.routes(deps, {
      options: config,
      show: config.show,
      infer: (operation, target) => inference(deps, { config, timing }, operation, target),
    })
    return routes.length > 0 ? { owns: ownerOf(dialect), routes, encodeError: dialect.encodeError } : undefined
  }

  return { ...handlerFor(resolve()), mount: (options) => handlerFor(resolve(options)) }
}
