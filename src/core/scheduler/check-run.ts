/** Repeats a request of a shared run alone, on its instance. Its caller already has the answer. */

import type { TensorRecord } from '../engine/frame.ts'
import type { Instance } from '../engine/instance.ts'
import type { Pool } from '../engine/pool.ts'
import type { Clock } from '../host/clock.ts'
import type { Part } from './entry.ts'
import type { Recheck } from './recheck.ts'
import { verdictOf } from './report.ts'

interface Deps {
  readonly recheck: Recheck
  readonly pool: Pool
  readonly clock: Clock
  /** The instance has answered. @param reason why runs must not be shared any more, if so */
  done(reason: string | undefined): void
}

/** Mostly does nothing: hardly any request is chosen. @param expectedMs duration of a run of one row */
export function checkOne(
  parts: readonly Part[],
  /** None where no worker is ready. */
  instance: Instance | undefined,
  pieces: readonly TensorRecord[],
  expectedMs: number,
  { recheck, pool, clock, done }: Deps,
): void {
  const check = recheck.choose(parts, pieces, expectedMs)
  if (!check || !instance?.ready) return
  const now = clock.now()
  pool.balancer.posted(instance, expectedMs)
  instance.run([check.run], (outcomes) => {
    pool.balancer.answered(instance, { expectedMs, ...verdictOf(outcomes) }, now)
    const outcome = typeof outcomes === 'string' ? undefined : outcomes[0]
    done(outcome && recheck.judge(check, outcome))
  })
}
