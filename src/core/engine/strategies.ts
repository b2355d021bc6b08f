/** The balancing strategies: one entry per value of the option `balance`. This table also checks and documents the option. */

import { completionMs, type Fleet, type InstanceStats, responseCost } from './instance-stats.ts'

/** A candidate endpoint, with its record. */
export interface Candidate<E> {
  readonly endpoint: E
  readonly stats: InstanceStats
  /** Number of the last pick; 0 for an endpoint that has never been picked. */
  readonly lastTurn: number
}

/** The input of a strategy. */
export interface Pick {
  /** Expected milliseconds of the next run; 0 if unknown. */
  readonly nextMs: number
  readonly fleet: Fleet
  readonly now: number
  /** 0 <= random() < 1. */
  random(): number
}

export interface Strategy {
  /** @param free at least one endpoint, all of them idle */
  readonly pickFree: <E>(free: readonly Candidate<E>[], pick: Pick) => Candidate<E> | undefined
  /** Leaves a free endpoint unused if a much faster one will be done sooner. @default false */
  readonly waitsForFaster?: boolean
}

/** The first item with the least cost. */
export function least<T>(items: readonly T[], cost: (item: T) => number): T | undefined {
  let best: T | undefined
  let bestCost = Number.POSITIVE_INFINITY
  for (const item of items) {
    const itemCost = cost(item)
    if (best !== undefined && itemCost >= bestCost) continue
    best = item
    bestCost = itemCost
  }
  return best
}

/** The endpoint that has been free for longest. */
const longestFree = <E>(free: readonly Candidate<E>[]): Candidate<E> | undefined => least(free, ({ lastTurn }) => lastTurn)

const soonestDone = <E>(free: readonly Candidate<E>[], { nextMs, fleet, now }: Pick): Candidate<E> | undefined =>
  least(free, ({ stats }) => completionMs(stats, nextMs, fleet, now))

/** Mitzenmacher, The Power of Two Choices in Randomized Load Balancing (2001). */
function betterOfTwo<E>(free: readonly Candidate<E>[], pick: Pick): Candidate<E> | undefined {
  const first = Math.floor(pick.random() * free.length)
  const second = (first + 1 + Math.floor(pick.random() * (free.length - 1))) % free.length
  return soonestDone(
    [first, second].flatMap((index) => free[index] ?? []),
    pick,
  )
}

export const STRATEGIES = {
  fastest: { pickFree: soonestDone, waitsForFaster: true },
  'round-robin': { pickFree: longestFree },
  // Free endpoints have the same number outstanding, none.
  'least-outstanding': { pickFree: longestFree },
  'response-time': { pickFree: (free, { fleet, now }) => least(free, ({ stats }) => responseCost(stats, fleet, now)) },
  'two-choices': { pickFree: betterOfTwo },
} as const satisfies Readonly<Record<string, Strategy>>

export const BALANCE_STRATEGIES = Object.keys(STRATEGIES) as readonly (keyof typeof STRATEGIES)[]
