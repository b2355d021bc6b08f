/** Finds a request's path below a mount point. Paths stay as the client wrote them: the core decodes them, segment by segment. */

import { ROOTS, USUAL } from '../core/dialects/names.ts'
import type { MountOptions } from '../core/http/types.ts'

/** The path of a request target: no query, and no origin in front, which requests to proxies have. */
export function pathOf(target = '/'): string {
  // Two native searches take a third of a regular expression's time.
  const query = target.indexOf('?')
  const fragment = target.indexOf('#')
  const end = query < 0 ? fragment : fragment < 0 ? query : Math.min(query, fragment)
  const path = end < 0 ? target : target.slice(0, end)
  return path.startsWith('/') ? path : path.replace(/^https?:\/\/[^/]*/i, '')
}

/** A prefix in its canonical form: without slashes at its ends. */
export const trimmed = (prefix = ''): string => prefix.replace(/^\/*|\/+$/g, '')

/** Makes a function that returns the rest of a path below `prefix`; `undefined` for a path elsewhere. */
export function belowPrefix(prefix = ''): (path: string) => string | undefined {
  const name = trimmed(prefix)
  if (name === '') return (path) => path
  const start = `/${name}`
  return (path) => (path.startsWith(start) && path[start.length] === '/' ? path.slice(start.length) : undefined)
}

/** The path without its first `count` segments: frameworks allow parameters in prefixes, which then have no fixed text. */
export function skipSegments(path: string, count: number): string {
  let start = 0
  for (let i = 0; i < count && start >= 0; i++) start = path.indexOf('/', start + 1)
  return start < 0 ? '' : path.slice(start)
}

export const segmentCount = (path: string): number => path.split('/').filter((segment) => segment !== '').length

/** All paths of a mount, as routes for frameworks that want them in advance; a final `*` stands for any rest. */
export function rootsOf({ dialects = USUAL, metrics = false, openapi = true }: MountOptions): readonly string[] {
  return [
    ...dialects.flatMap((dialect) => ROOTS[dialect] ?? []),
    ...(metrics ? ['/metrics'] : []),
    ...(openapi ? ['/openapi.json'] : []),
  ]
}
