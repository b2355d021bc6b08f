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
 * Refuses by throwing, or by a promise that rejects, before the body of a request is read. A promise is awaited in front of every route, and by
 * `predict()`, `load()`, `unload()` and `close()`. All other methods of the server return at once, so a guard that answers them with a promise
 * refuses them.
 * @throws ModelmountError `FORBIDDEN`, `UNAUTHENTICATED`; anything else answers 500
 */
export type Guard = (demand: Demand) => void | Promise<void>
