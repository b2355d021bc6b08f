/**
 * Two sides measured in turn: rival, ours, rival, ours, rival ... Each ratio is ours over the two rival runs around it, because a machine that
 * slows down for a second would otherwise show up as a finding.
 */

/** Baselines around one measurement that differ by more than this say that the machine changed under it. */
const UNSTEADY = 1.6

export interface Pairs {
  readonly ratios: readonly number[]
  readonly ours: readonly number[]
  readonly rival: readonly number[]
  readonly unsteady: number
}

/** Of turns that were taken already: rival, ours, rival, ours, rival; one of the rival's more than of ours. */
export function pairsOf(ours: readonly number[], rival: readonly number[]): Pairs {
  const result = { ratios: [] as number[], ours: [...ours], rival: [] as number[], unsteady: 0 }
  for (const [index, mine] of ours.entries()) {
    const [before, after] = rival.slice(index, index + 2) as [number, number]
    const baseline = Math.sqrt(before * after)
    result.ratios.push(mine / baseline)
    result.rival.push(baseline)
    if (!isSteady(before, after)) result.unsteady++
  }
  return result
}

const isSteady = (before: number, after: number): boolean => Math.max(before, after) <= UNSTEADY * Math.min(before, after)

export interface Sides {
  ours(): Promise<number>
  rival(): Promise<number>
  /** The best possible figure of ours, derived from the rival's, unless that is the figure itself. */
  possible?(rival: number): number
  /** @default 7 */
  readonly pairs?: number
  /** Both sides have run before. @default false: each runs once before anything counts */
  readonly areWarm?: boolean
}

export async function measurePairs({
  ours,
  rival,
  possible = (figure) => figure,
  pairs = 7,
  areWarm = false,
}: Sides): Promise<Pairs> {
  const result = { ratios: [] as number[], ours: [] as number[], rival: [] as number[], unsteady: 0 }
  // The first run of each side pays for compiling.
  if (!areWarm) {
    await rival()
    await ours()
  }
  let repeats = 0
  let before = await rival()
  while (result.ratios.length < pairs) {
    const mine = await ours()
    const after = await rival()
    const steady = isSteady(before, after)
    if (!steady && repeats < pairs) repeats++
    else {
      const baseline = possible(Math.sqrt(before * after))
      result.ratios.push(mine / baseline)
      result.ours.push(mine)
      result.rival.push(baseline)
      if (!steady) result.unsteady++
    }
    before = after
  }
  return result
}
