/** This build and another one in turns in one run, way by way. */

import { product, rotatingFloats } from '../lib/inputs.ts'
import type { Interval } from '../lib/interval.ts'
import { assertSame } from '../lib/same.ts'
import { median } from '../lib/stats.ts'
import type { Build } from './build.ts'
import { type Side, startSide } from './side.ts'
import { spread, takePairs } from './turns.ts'
import { FIGURES, type Figure, type Pair, passes, ratioOf } from './verdict.ts'
import type { Load, Way } from './ways.ts'

/** Fewer prove nothing. */
export const MIN_PAIRS = 40
/** Pairs of processes that the pairs are spread over: two processes of one build differ by how they happen to be compiled. */
const ROUNDS = 5

export interface AgainstRow {
  readonly part: string
  readonly what: string
  readonly figure: Figure
  readonly ours: string
  readonly theirs: string
  readonly ratio: Interval | undefined
  readonly pairs: number
  readonly pass: boolean
  readonly note?: string
}

interface Compared {
  readonly ours: Build
  readonly theirs: Build
}

/** One way: its loads get their pairs in each round, on the same processes. */
export async function compareOn(way: Way, { ours, theirs }: Compared, pairs: number): Promise<AgainstRow[]> {
  const common = {
    way,
    model: way.model(),
    sample: rotatingFloats(product(way.input.rowDims))(0),
    requests: way.requests?.() ?? [],
  }
  const rounds = new Map(way.loads.map((load): [Load, Pair[][]] => [load, []]))
  let first = 0
  for (const [round, count] of spread(pairs, ROUNDS).entries()) {
    const running: Side[] = []
    const start = async ({ dist }: Build): Promise<Side> => {
      const side = await startSide({ ...common, dist })
      running.push(side)
      return side
    }
    try {
      // In each other round theirs starts first.
      const firstOurs = round % 2 === 0 ? await start(ours) : undefined
      const other = await start(theirs)
      const mine = firstOurs ?? (await start(ours))
      assertSame(mine.answer, other.answer)
      for (const load of way.loads) {
        const turnOf = (side: Side, ms: number) => () => side.turn(load, ms)
        await takePairs({ ours: turnOf(mine, load.warmMs), theirs: turnOf(other, load.warmMs) }, 1, round)
        const sides = { ours: turnOf(mine, load.turnMs), theirs: turnOf(other, load.turnMs) }
        rounds.get(load)?.push(await takePairs(sides, count, first))
      }
    } finally {
      await Promise.all(running.map((side) => side.stop()))
    }
    first += count
  }
  return way.loads.flatMap((load) => rowsOf(way, load, rounds.get(load) ?? []))
}

const FORMATS: Readonly<Record<Figure, (perMs: number) => string>> = {
  clock: (perMs) => `${(perMs * 1000).toFixed(0)}/s`,
  cpu: (perMs) => `${(1000 / perMs).toFixed(1)} us`,
}

function rowsOf({ part }: Way, { what }: Load, rounds: readonly (readonly Pair[])[]): AgainstRow[] {
  const pairs = rounds.flat()
  return (Object.keys(FIGURES) as Figure[]).map((figure) => {
    const ratio = ratioOf(rounds, figure)
    const typical = (side: keyof Pair): string => FORMATS[figure](median(pairs.map((pair) => FIGURES[figure](pair[side]))))
    return {
      part,
      what,
      figure,
      ours: typical('ours'),
      theirs: typical('theirs'),
      ratio,
      pairs: pairs.length,
      pass: passes(ratio),
    }
  })
}

/** A way that one of the builds cannot go, or on which they differ, has not passed. */
export const failedOn = ({ part, loads }: Way, error: unknown): AgainstRow[] =>
  loads.map(({ what }) => ({
    part,
    what,
    figure: 'clock',
    ours: '-',
    theirs: '-',
    ratio: undefined,
    pairs: 0,
    pass: false,
    note: error instanceof Error ? error.message : String(error),
  }))
