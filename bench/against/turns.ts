/** The order of turns: ours theirs, theirs ours, ours theirs ... so that neither side always follows the other. */

import type { Pair, Turn } from './verdict.ts'

export interface Sides {
  ours(): Promise<Turn>
  theirs(): Promise<Turn>
}

/** @param first the number of the first pair; even ones begin with ours */
export async function takePairs(sides: Sides, count: number, first = 0): Promise<Pair[]> {
  const pairs: Pair[] = []
  for (let index = first; index < first + count; index++) {
    if (index % 2 === 0) {
      const ours = await sides.ours()
      pairs.push({ ours, theirs: await sides.theirs() })
    } else {
      const theirs = await sides.theirs()
      pairs.push({ ours: await sides.ours(), theirs })
    }
  }
  return pairs
}

/** So many pairs, spread evenly over so many rounds, the remainder on the first ones. */
export const spread = (pairs: number, rounds: number): number[] =>
  Array.from({ length: rounds }, (_, round) => Math.floor(pairs / rounds) + (round < pairs % rounds ? 1 : 0))
