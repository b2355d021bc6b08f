/** A trial as it travels to the child that does it and back: plain data. */

import type { TensorRecord } from '../engine/frame.ts'
import type { BatchSettings } from '../scheduler/options.ts'
import type { ModelSignature } from '../tensor/types.ts'

/** What is to be found out. */
export interface TrialPlan {
  /** Of the graph. */
  readonly signature: ModelSignature
  readonly settings: BatchSettings
  /** Requests of one row that were given; where there are none, inputs are made up. */
  readonly given: readonly TensorRecord[]
  /** Requests that the model may be described by. @default none */
  readonly examples?: readonly TensorRecord[]
}

/** What a trial has found. Whatever is named here did no harm to the child that ran it. */
export interface Found {
  /** Requests of one row that the model takes, given or made up: one where rows cannot be proved, none where it refused all. */
  readonly rows: readonly TensorRecord[]
  /** Why there are no rows, or none that were tried together. */
  readonly lack: string | undefined
  /** How rows that run together were seen to differ from the same rows alone. */
  readonly refuted: string | undefined
  /** The same for rows that are filled up. */
  readonly padding: string | undefined
  /** Sizes of runs that were tried, ascending. */
  readonly sizes: readonly number[]
  /** The first of the examples that the model takes. @default none */
  readonly example?: number | undefined
}

/** Tries a model. Resolves with the reason where that could not be done, and never rejects. */
export type TryOut = (plan: TrialPlan) => Promise<Found | string>
