/** How sure a median is: a bootstrap interval of measurements that were taken in groups. */

import { median, quantile } from './stats.ts'

export interface Interval {
  readonly median: number
  readonly low: number
  readonly high: number
}

const RESAMPLES = 2000
const TAIL = 0.025

/**
 * The 95 % interval of the median. Two processes of one build differ by some percent, so groups are drawn first and members within them:
 * measurements of one pair of processes are not as independent as those of several.
 * @param groups the measurements of each pair of processes
 * @param resamples drawn with the same seed each time, so that the same figures always give the same interval
 */
export function medianInterval(groups: readonly (readonly number[])[], resamples = RESAMPLES): Interval {
  const random = mulberry32(1)
  const draw = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
  const medians = Array.from({ length: resamples }, () =>
    median(
      groups.flatMap(() => {
        const group = draw(groups)
        return group.map(() => draw(group))
      }),
    ),
  )
  return { median: median(groups.flat()), low: quantile(medians, TAIL), high: quantile(medians, 1 - TAIL) }
}

/** A small generator of numbers from 0 to 1. */
export function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
