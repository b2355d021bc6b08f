/** One run of a model, and its outcome. */

import type { ModelmountError } from '../errors.ts'
import type { Tensor } from '../tensor/types.ts'
import type { TensorRecord } from './frame.ts'
import type { TierName } from './types.ts'

/** One run of ONNX Runtime, or of another engine; shared by the answers of all requests that were in it. */
export interface RunFacts {
  /** Counts up over the life of the servable. */
  readonly batchId: number
  readonly runMs: number
  readonly tier: TierName
}

/** One run; the tensors belong to the engine from here on. */
export interface Run {
  readonly inputs: TensorRecord
  readonly fetches: readonly string[]
}

export type RunOutcome =
  | { readonly outputs: Readonly<Record<string, Tensor>>; readonly inferMs: number }
  | { readonly error: ModelmountError; readonly inferMs: number }
