/**
 * Callers whose values have just failed a run or cost a worker. Their requests run apart for some seconds, so that others keep sharing runs
 * while such a caller tries again and again. A bounded number is remembered; the one that has been good for longest leaves.
 */

import type { Clock } from '../host/clock.ts'

/** A named tenant, or the connection of a caller that names none. */
export type Origin = string | symbol

export interface Suspects {
  /** How many are remembered, those whose time is over included. */
  readonly size: number
  /** True for `forMs` after the origin was added last. */
  has(origin: Origin | undefined): boolean
  /** @param origin `undefined` for a caller that cannot be told from others, which is not remembered */
  add(origin: Origin | undefined): void
}

const FOR_MS = 5000
const MOST = 1024

export function createSuspects(clock: Clock, { forMs = FOR_MS, most = MOST } = {}): Suspects {
  /** When the time of each is over. In this order, because all have the same time. */
  const untils = new Map<Origin, number>()
  return {
    get size() {
      return untils.size
    },
    has(origin) {
      // Nearly always; this is asked for every request.
      if (untils.size === 0 || origin === undefined) return false
      const until = untils.get(origin)
      if (until === undefined) return false
      if (clock.now() < until) return true
      untils.delete(origin)
      return false
    },
    add(origin) {
      if (origin === undefined) return
      untils.delete(origin)
      untils.set(origin, clock.now() + forMs)
      for (const [oldest, until] of untils) {
        if (untils.size <= most && clock.now() < until) return
        untils.delete(oldest)
      }
    },
  }
}

/** Where a request comes from, as far as that is known. */
export const originOf = ({
  tenant,
  connection,
}: {
  readonly tenant: string
  readonly connection?: symbol | undefined
}): Origin | undefined => (tenant === '' ? connection : tenant)
