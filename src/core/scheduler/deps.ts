/** All that the scheduler of one model version is given. */

import type { BufferPool } from '../engine/buffer-pool.ts'
import type { Inline } from '../engine/inline/tier.ts'
import type { Pool } from '../engine/pool.ts'
import type { Clock } from '../host/clock.ts'
import type { WaitLimits } from './accepted.ts'
import type { Limits } from './admission.ts'
import type { Recheck } from './recheck.ts'
import type { BatchReport } from './report.ts'

export interface SchedulerDeps extends Limits, WaitLimits {
  readonly pool: Pool
  /** The session on the host. @default none */
  readonly inline?: Inline | undefined
  readonly clock: Clock
  /** Longest time that a request waits for others to share its run, in milliseconds. */
  readonly maxDelayMs: number
  readonly mixTenants: boolean
  /** Memory for the inputs of shared runs. @default fresh */
  readonly buffers?: BufferPool | undefined
  /** Receives every answered run, before its requests do. */
  readonly onRun?: (run: BatchReport) => void
  /** Repeats rows of shared runs alone. @default none */
  readonly recheck?: Recheck | undefined
  /** Waiting requests may leave as two halves, the second one while the worker runs the first. @default false */
  readonly prefetch?: boolean
  /** Called when that has ended the sharing of runs. */
  readonly onRefuted?: (reason: string) => void
  /** Calls back at the end of this turn. @default setImmediate */
  readonly defer?: (callback: () => void) => void
}
