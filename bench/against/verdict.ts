/** The verdict of forty pairs of turns on two builds. */

import { type Interval, medianInterval } from '../lib/interval.ts'

/** One turn of one side. */
export interface Turn {
  readonly calls: number
  readonly wallMs: number
  /** CPU time of the host's thread: the one whose event loop the app shares. */
  readonly cpuMs: number
}

export interface Pair {
  readonly ours: Turn
  readonly theirs: Turn
}

/** Calls per millisecond: of the clock, or of the host thread's CPU time. Higher is better in both. */
export const FIGURES = {
  clock: ({ calls, wallMs }: Turn): number => calls / wallMs,
  cpu: ({ calls, cpuMs }: Turn): number => calls / cpuMs,
} as const
export type Figure = keyof typeof FIGURES

/** How much worse may be shown of a build that passes. */
const TOLERATED = 0.95

/** No loss is shown, or one that is under five percent for sure. */
export const passes = ({ low, high }: Interval): boolean => high >= 1 || low >= TOLERATED

/**
 * Ours over theirs, pair by pair; above 1 ours is better.
 * @param rounds the pairs of each pair of processes
 */
export function ratioOf(rounds: readonly (readonly Pair[])[], figure: Figure): Interval {
  const of = FIGURES[figure]
  return medianInterval(rounds.map((pairs) => pairs.map(({ ours, theirs }) => of(ours) / of(theirs))))
}
