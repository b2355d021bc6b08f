/** A trial as it travels to its child and back: plain data. */

import type { TensorRecord } from '../engine/frame.ts'
import type { BatchSettings } from '../scheduler/options.ts'
import type { ModelSignature } from '../tensor/types.ts'
import type { Made } from './rows.ts'

/** The questions of a trial. */
export interface TrialPlan {
  /** Of the graph. */
  readonly signature: ModelSignature
  readonly settings: BatchSettings
  /** Given requests of one row; if there are none, inputs are made up. */
  readonly given: readonly TensorRecord[]
  /** Requests to describe the model by. @default none */
  readonly examples?: readonly TensorRecord[]
}

/** Findings of a trial. Nothing named here did any harm to the child that ran it. */
export interface Found {
  /** Single-row requests that the model accepts, given or made up: one if rows cannot be proved, none if it refused all. */
  readonly rows: readonly TensorRecord[]
  /** How they were made up. @default they were given, or there are none */
  readonly made?: Made | undefined
  /** Why there are no rows, or none that were tried together. */
  readonly lack: string | undefined
  /** The observed difference between rows run together and the same rows alone. */
  readonly refuted: string | undefined
  /** The same for padded rows. */
  readonly padding: string | undefined
  /** Sizes of runs that were tried, ascending. */
  readonly sizes: readonly number[]
  /** The first example that the model accepts. @default none */
  readonly example?: number | undefined
}

/** Tries a model. Resolves with the reason if that fails, and never rejects. */
export type TryOut = (plan: TrialPlan) => Promise<Found | string>
