/** Permission by action: every route of every carrier and every method of the server names one, and every guard is asked for it. */

import type { Principal } from './call.ts'

export const ACTIONS = [
  'list',
  'read',
  'infer',
  'load',
  'unload',
  'promote',
  'configure',
  'metrics',
  'audit',
  'cache',
  'data',
  'keys',
  'policy',
  'rollout',
] as const

export type Action = (typeof ACTIONS)[number]

/** A question to the guards. */
export interface Demand {
  readonly action: Action
  /** `server` for a method that the application itself calls, `http` for a route. */
  readonly via: 'server' | 'http'
  readonly principal: Principal | undefined
  /** Where the action concerns one: as the path or the caller names it. */
  readonly model: string | undefined
  readonly version: string | undefined
}

/**
 * Refuses by throwing, before the body of a request is read. May be asked twice for one request, so it counts nothing. Decides from what it has at hand, because methods that return at once ask it, too;
 * what takes time belongs into a stage in the place `admit` or `authorize`.
 * @throws ModelmountError `FORBIDDEN`, `UNAUTHENTICATED`; anything else answers 500
 */
export type Guard = (demand: Demand) => void
