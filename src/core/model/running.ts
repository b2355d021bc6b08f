/** The parts that a version runs with, from the moment its instances may be started until the last of them has gone. */

import type { CpuGrant } from '../engine/cpu.ts'
import type { InlineTier } from '../engine/inline/tier.ts'
import type { Pool } from '../engine/pool.ts'
import type { Scheduler } from '../scheduler/scheduler.ts'
import type { Provision } from './provision.ts'
import type { Weights } from './weights/weights.ts'

export interface Running {
  readonly pool: Pool
  readonly scheduler: Scheduler
  readonly provision: Provision
  readonly weights: Weights
  readonly grant: CpuGrant
  /** Runs on the host, where they are wanted. */
  readonly inline: InlineTier | undefined
}
