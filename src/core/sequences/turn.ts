/** One request on its way through a sequence. */

import type { AbortSignalLike } from '../host/abort.ts'
import type { Finished } from '../scheduler/entry.ts'
import type { Tensor } from '../tensor/types.ts'
import type { SequenceCall } from './call.ts'
import type { Sequence } from './sequence-table.ts'

export type Tensors = Readonly<Record<string, Tensor>>

/** A request, from the sequences' point of view. */
export interface SequenceRequest {
  readonly sequence?: SequenceCall | undefined
  readonly tenant?: string | undefined
  /** The requested outputs. */
  readonly fetches: readonly string[]
  readonly signal?: AbortSignalLike | undefined
  /** On the clock. */
  readonly deadline: number
}

/** Queues a run, which owns its inputs from there on. */
export type Submit = (inputs: Tensors, fetches: readonly string[]) => Promise<Finished>

export interface Turn {
  readonly sequence: Sequence<Turn>
  readonly call: SequenceCall
  readonly inputs: Tensors
  readonly bytes: number
  readonly request: SequenceRequest
  readonly submit: Submit
  readonly arrivedAt: number
  /** A beginning behind it failed: later requests must not take the old state for the new. */
  closes: boolean
  resolve(finished: Finished): void
  reject(error: unknown): void
}
