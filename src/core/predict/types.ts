/** One prediction: what a caller passes and gets. */

import type { Priority } from '../scheduler/types.ts'
import type { SequencePlace } from '../sequences/types.ts'
import type { Tensor, TensorLike } from '../tensor/types.ts'

export type PredictInputs = Readonly<Record<string, TensorLike>>

export interface PredictOptions {
  /** @default the highest ready version */
  readonly version?: string
  /** The version that this label points at (`versionLabels`), instead of `version`. */
  readonly label?: string
  /** Echoed in the result. @default a random UUID */
  readonly id?: string
  /** Aborting takes the request out of the queue; a run that has started is finished and dropped. */
  readonly signal?: AbortSignal
  /** Milliseconds from now after which the call rejects with `DEADLINE_EXCEEDED`. @default the model's `timeoutMs` */
  readonly timeoutMs?: number
  /** Names of the outputs to compute. @default all */
  readonly outputs?: readonly string[]
  /** `false` keeps this request out of shared runs. @default true */
  readonly batch?: boolean
  /** `false` runs the model even if the result is known, and does not keep the new one. @default true */
  readonly cache?: boolean
  /** Which sequence this is a request of, for models with state (`sequences`); they need it. */
  readonly sequence?: SequencePlace
  /** Share of a busy model. @default 'normal' */
  readonly priority?: Priority
  /**
   * On whose behalf, 1 to 256 characters. Tenants share a busy model evenly, are bounded by `maxQueuePerTenant`, do not share runs unless
   * `batching.mixTenants` allows it, and never see each other's kept results, not even by how fast they come.
   * @default none, which is a tenant of its own
   */
  readonly tenant?: string
}

export interface PredictResult {
  readonly id: string
  readonly model: string
  readonly version: string
  /** Null-prototype object, output name -> tensor; every tensor owns its buffer. */
  readonly outputs: Readonly<Record<string, Tensor>>
  /** Rows of the run that this request was part of; 1 where requests do not share runs, 0 when `cached`. */
  readonly batchSize: number
  /** True when no run was made for this request: the result was kept, or comes from the run of an equal request. */
  readonly cached: boolean
  /** How old a cached result is, in milliseconds; about 0 when it was awaited together with others. */
  readonly ageMs?: number
  readonly timings: {
    /** Waiting for a free instance; 0 when `cached`. */
    readonly queueMs: number
    /** Inside ONNX Runtime; 0 when `cached`, so that sums are what was computed. */
    readonly inferMs: number
    /** From the call to the result. */
    readonly totalMs: number
  }
}
