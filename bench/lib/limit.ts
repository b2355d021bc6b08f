/** The limit of one thread: `session.run()` back to back in a process of its own, in the configuration that suits it best. */

import type { RawAnswer, RawAsk } from '../children/raw.ts'
import { startChild } from './child.ts'

export interface Limit {
  /** The best of the sizes that were tried, and what it runs with. */
  readonly rows: number
  readonly label: string
  /** Shortest run of each size. */
  readonly runMs: ReadonlyMap<number, number>
  /** Rows per second over `ms` milliseconds, at the best size. */
  rate(ms: number): Promise<number>
  stop(): Promise<void>
}

/** Several rounds, and the best of each: a machine that pauses for a moment must not choose a low limit. */
const ROUNDS = 3
const TRY_MS = 100

/** @param sizes rows of a run that may be the best */
export async function startLimit(
  model: Uint8Array,
  rowDims: readonly number[],
  sizes: readonly number[],
  rounds = ROUNDS,
): Promise<Limit> {
  const raw = startChild<RawAsk, RawAnswer>('children/raw.ts')
  await raw.ask({ kind: 'load', model, rowDims })
  let best = { rows: 1, arena: false, rate: 0 }
  const runMs = new Map<number, number>()
  for (let round = 0; round < rounds; round++) {
    for (const rows of sizes) {
      for (const arena of [false, true]) {
        const answer = await raw.ask({ kind: 'run', rows, arena, ms: TRY_MS })
        runMs.set(rows, Math.min(answer.runMs, runMs.get(rows) ?? answer.runMs))
        if (answer.rate > best.rate) best = { rows, arena, rate: answer.rate }
      }
    }
  }
  const { rows, arena } = best
  return {
    rows,
    label: `limit: session.run() back to back, ${rows} row${rows > 1 ? 's' : ''}${arena ? ', arena' : ''}`,
    runMs,
    rate: async (ms) => (await raw.ask({ kind: 'run', rows, arena, ms })).rate,
    stop: () => raw.stop(),
  }
}
