/** The inputs and the result of a prediction. */

import type { Tensor, TensorLike } from '../tensor/types.ts'

export type { PredictOptions } from './options.ts'

export type PredictInputs = Readonly<Record<string, TensorLike>>

export interface PredictResult {
  readonly id: string
  readonly model: string
  readonly version: string
  /** Object without inherited names, output name -> tensor; every tensor owns its buffer. */
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
