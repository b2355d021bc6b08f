/** Finds the route of a path. */

import type { Route, Visit } from '../dialects/index.ts'
import { ModelmountError } from '../errors.ts'
import { remembering } from './remembered.ts'
import type { RouteTable } from './route.ts'

/** All methods of one path. */
type Methods = Map<string, Omit<Route, 'method' | 'path'>>

export interface Found {
  readonly methods: Methods
  readonly params: Visit['params']
}

const NO_PARAMS: Visit['params'] = Object.freeze({})
/** Paths whose route is remembered; clients ask for the same few again and again, and one that does not must not cost memory. */
const MOST_PATHS = 1000
const LONGEST_PATH = 256
export interface Paths {
  /** @throws ModelmountError `REQUEST_INVALID` for a path that cannot be decoded */
  find(path: string): Found | undefined
}

export function createPaths(tables: readonly RouteTable[]): Paths {
  const paths = new Map<string, Methods>()
  const patterns = new Map<string, { readonly pattern: RegExp; readonly methods: Methods }>()
  for (const route of tables.flatMap((table) => table.routes)) methodsOf(route.path).set(route.method, route)

  function methodsOf(path: string | RegExp): Methods {
    const key = String(path)
    const known = typeof path === 'string' ? paths.get(key) : patterns.get(key)?.methods
    if (known) return known
    const methods: Methods = new Map()
    if (typeof path === 'string') paths.set(key, methods)
    else patterns.set(key, { pattern: path, methods })
    return methods
  }

  function search(path: string): Found | undefined {
    const methods = paths.get(path)
    if (methods) return { methods, params: NO_PARAMS }
    for (const { pattern, methods } of patterns.values()) {
      const match = pattern.exec(path)
      if (match) return { methods, params: decodeGroups(match.groups) }
    }
    return undefined
  }

  return remembering(search, { most: MOST_PATHS, longest: LONGEST_PATH })
}

function decodeGroups(groups: Readonly<Record<string, string | undefined>> | undefined): Visit['params'] {
  const params: Record<string, string | undefined> = Object.create(null)
  for (const [name, segment] of Object.entries(groups ?? {}))
    params[name] = segment === undefined ? undefined : decodeSegment(segment)
  return Object.freeze(params)
}

function decodeSegment(segment: string): string {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    throw new ModelmountError('REQUEST_INVALID', 'the path is not validly percent-encoded', { details: { field: 'path' } })
  }
}
