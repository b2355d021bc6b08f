/** A servable as the server holds it: wider than the interface that extensions implement. */

import type { BufferPool } from '../engine/buffer-pool.ts'
import type { ModelmountError } from '../errors.ts'
import type { StatisticsSnapshot } from '../model/statistics.ts'
import type { ModelInfo } from '../model/types.ts'
import type { Priority } from '../scheduler/types.ts'
import type { Trace } from '../telemetry/index.ts'
import type { ExampleForm } from '../tensor/index.ts'
import type { Answer, CheckedCall, Servable, Tensors } from './call.ts'
import type { PredictInputs, PredictOptions } from './types.ts'

/** Results that it keeps. */
interface Kept {
  getOrRun(inputs: Tensors, call: CheckedCall, run: (inputs: Tensors, call: CheckedCall) => Promise<Answer>): Promise<Answer>
  purge(): number
}

/** Makes what the promise of a call settles with. */
export interface Sink {
  answered(answer: Answer, call: Asked): unknown
  /** @returns the reason that the promise rejects with */
  failed(error: ModelmountError, call: Asked): unknown
}

/** A call on the shorter way. */
export interface Asked {
  readonly enqueuedAt: number
  readonly id: string | undefined
  readonly trace: Trace | undefined
}

/** A shorter way for calls of `predict()` that ask for nothing special. */
export interface Lean {
  /** Writes the inputs where a run takes them from. @returns the rows, for `commit()`; 0 if the call has to take the long way */
  offer(inputs: PredictInputs, at: number, opts: PredictOptions): number
  /** Queues them. To be called at once. @returns what the sink makes of the answer */
  commit(rows: number, at: number, opts: PredictOptions, trace: Trace | undefined, sink: Sink): Promise<unknown>
}

export interface Served extends Servable {
  /** The terms of its requests. */
  readonly config: {
    readonly priority: Priority
    readonly timeoutMs: number
    readonly maxTimeoutMs: number
    readonly maxElements: number
    readonly maxBatch: number | undefined
    readonly batching: false | { readonly maxSize: number }
    readonly sequences: object | undefined
  }
  /** Why it is ready and takes no requests. */
  readonly unavailableBecause: string | undefined
  info(isDefault?: boolean): ModelInfo
  /**
   * Makes tensors of the server's own of a caller's inputs. Valid once the state has been `ready`.
   * @param transfer true takes their memory where it can be given away, false copies all of it
   */
  intake(inputs: PredictInputs, transfer: boolean): Record<string, Tensors[string]>
  /** `undefined` where it has none, and while it does not serve. */
  readonly lean: Lean | undefined
  /** Where large inputs may lie, so that they need no further copy; none where a run could not take them from there. */
  readonly buffers: BufferPool | undefined
  /** By output, the meanings of its elements. */
  readonly labels: ModelInfo['labels']
  readonly cache: Kept | undefined
  readonly statistics: {
    succeeded(totalMs: number, queueMs: number, cached: boolean): void
    failed(totalMs: number): void
    snapshot(): StatisticsSnapshot
  }
  /** How to make a request that it was seen to answer. */
  readonly example: ExampleForm | undefined
  /** Its open sequences, where it keeps state. */
  readonly sequences: { has(key: string): boolean; end(key: string): void } | undefined
}
