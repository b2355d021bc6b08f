/**
 * Callers whose values just failed a run or cost a worker. Their requests run apart for some seconds.
 * Others keep sharing runs while such a caller tries again and again. The number remembered is bounded; the longest well-behaved
 * leaves first.
 */

import type { Clock } from '../host/clock.ts'

/** A named tenant, or the connection of a caller without one. */
export type Origin = string | symbol

export interface Suspects {
  /** How many are remembered, including those whose time is over. */
  readonly size: number
  /** True for `forMs` after the origin was last added. */
  has(origin: Origin | undefined): boolean
  /** @param origin `undefined` for a caller that cannot be told from others; it is not remembered */
  add(origin: Origin | undefined): void
}

const FOR_MS = 5000
const MOST = 1024

export function createSuspects(clock: Clock, { forMs = FOR_MS, most = MOST } = {}): Suspects {
  /** End of each one's time. In this order, because all have the same duration. */
  const untils = new Map<Origin, number>()
  return {
    get size() {
      return untils.size
    },
    has(origin) {
      // Nearly always; this is checked for every request.
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

/** Origin of a request, as far as it is known. */
export const originOf = ({
  tenant,
  connection,
}: {
  readonly tenant: string
  readonly connection?: symbol | undefined
}): Origin | undefined => (tenant === '' ? connection : tenant)
