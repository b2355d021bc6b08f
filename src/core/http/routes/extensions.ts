/** Routes of extensions, those of the classes that the mount shows. */

import type { Route } from '../../dialects/index.ts'
import type { ExtensionRoute } from '../../predict/extension.ts'
import { completable } from '../completable.ts'
import type { TableMaker } from '../route.ts'

export const extensions: TableMaker = (deps, config) => {
  const shown = deps.routes.filter((route) => config.show.includes(route.class))
  if (shown.length === 0) return undefined
  const routes = shown.map(routeOf)
  return { owns: (path) => routes.some((route) => route.path.test(path)), routes, roots: shown.map(({ path }) => path) }
}

function routeOf(route: ExtensionRoute): Route & { readonly path: RegExp } {
  return {
    method: route.method,
    path: patternOf(route.path),
    action: route.action,
    isManagement: route.class === 'manage',
    handle: async ({ request, params }) => completable(await route.handle(request, params, request.identity)),
  }
}

const patternOf = (path: string): RegExp =>
  new RegExp(
    `^${path
      .split('/')
      .map((part) => (part.startsWith(':') ? `(?<${part.slice(1)}>[^/]+)` : literal(part)))
      .join('/')}$`,
  )

const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
