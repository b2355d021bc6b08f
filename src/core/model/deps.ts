/** The parts that a server lends to a model version, and the events that the version emits. */

import type { ResultCache } from '../cache/index.ts'
import type { OwnedBufferPool } from '../engine/buffer-pool.ts'
import type { CpuBudget } from '../engine/cpu.ts'
import type { HostLoop } from '../engine/inline/loop.ts'
import type { InlineEvent } from '../engine/inline/tier.ts'
import type { PoolEvent } from '../engine/pool.ts'
import type { SharedThreads } from '../engine/seats/threads.ts'
import type { ExecutionProviderName } from '../engine/types.ts'
import type { Clock } from '../host/clock.ts'
import type { Gate } from '../integrity/index.ts'
import type { Telemetry } from '../telemetry/index.ts'
import type { Proofs } from '../trial/kept/proofs.ts'
import type { Trials } from '../trial/trials.ts'
import type { ServerEvent } from './events.ts'
import type { IsolationEvent } from './isolation.ts'
import type { Residency } from './residency/residency.ts'
import type { UnloadReason } from './residency/slot.ts'
import type { ModelState } from './types.ts'
import type { WeightsEvent } from './weights/weights.ts'

/** Without the model that it is about, which the server adds. */
export type IntegrityEvent = Omit<Extract<ServerEvent, { type: 'integrity' }>, 'model' | 'version'>

export type ModelEvent =
  | PoolEvent
  | WeightsEvent
  | { readonly type: 'state'; readonly state: ModelState; readonly reason?: string; readonly manifestId?: string }
  | IntegrityEvent
  | { readonly type: 'residency'; readonly resident: boolean; readonly reason: UnloadReason | 'demand' }
  | { readonly type: 'warning'; readonly message: string }
  | { readonly type: 'untried'; readonly reason: string }
  | BatchingEvent
  | ProviderFallbackEvent
  | IsolationEvent
  | InlineEvent
  | { readonly type: 'tier'; readonly tier: 'worker'; readonly from: 'shared'; readonly reason: string }

interface ProviderFallbackEvent {
  readonly type: 'provider-fallback'
  readonly wanted: ExecutionProviderName
  readonly using: ExecutionProviderName
  readonly reason: string
}

type BatchingEvent = Omit<Extract<ServerEvent, { type: 'batching' }>, 'model' | 'version'>

export interface ModelDeps {
  readonly clock: Clock
  readonly cpu: CpuBudget
  readonly residency: Residency
  /** The event loop, for runs on the host. */
  readonly loop: HostLoop
  readonly trials: Trials
  readonly proofs: Proofs
  /** For small models. */
  readonly threads: SharedThreads
  readonly buffers: OwnedBufferPool
  readonly cache: ResultCache | undefined
  readonly telemetry: Telemetry | undefined
  readonly cacheDirectory: string | undefined
  readonly gate: Gate
  /** Whether files are looked through for what no honest model has. */
  readonly scan: boolean
  emit(event: ModelEvent): void
}
