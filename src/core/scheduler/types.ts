/** Waiting, sharing runs and being refused. */

export type { BatchOptions, Priority, RaggedOptions } from './options.ts'

/**
 * How far the proof is that requests may share runs. `off`: none is needed, because sharing is switched off or the model's inputs rule it out.
 * `proving`: under way; the model serves, and each request runs alone. `proved`: rows do not influence each other; whether sharing pays too is
 * another question. `refuted`: they do. `untried`: the model could not be tried.
 */
export type BatchingState = 'off' | 'proving' | 'proved' | 'refuted' | 'untried'

/** Whether and how requests share runs, and why. */
export interface BatchingInfo {
  readonly state: BatchingState
  /** True where requests share runs now. */
  readonly enabled: boolean
  /** The measured gain, and what has changed since; or what stands against batching. */
  readonly reason: string
  /**
   * Most rows of one run; 1 without batching. Put right while the model serves: when another size is found to do better, and when runs of
   * that many rows would take longer than `maxRunMs` by now.
   */
  readonly maxSize: number
  /** Learned cost of a run: `baseMs + rows * perRowMs`. */
  readonly curve?: { readonly baseMs: number; readonly perRowMs: number }
  /** Capacity of one instance by that curve, in runs of `maxSize` rows. */
  readonly rowsPerSecond?: number
  /** Whether rows of different lengths share runs, and what stands against it. Set where `batching.ragged` asks for it. */
  readonly padding?: { readonly enabled: boolean; readonly reason: string }
}

/** Pending and past work of a model version. */
export interface QueueInfo {
  /** Requests that wait, and that a worker has. */
  readonly waiting: number
  readonly running: number
  /** Runs so far, and their rows. */
  readonly batches: number
  readonly rows: number
  /** Elements that were added to fill up shorter rows, over all runs. */
  readonly padding: number
  /** Why runs were sent when they were: full, nothing more waiting, end of `maxDelayMs`, late members dropped, server ending. */
  readonly released: Readonly<Record<'full' | 'idle' | 'window' | 'deadline' | 'drain', number>>
}
