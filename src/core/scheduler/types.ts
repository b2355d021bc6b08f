/** How requests share runs. Defaults are documented here and live in options.ts. */

/** How requests may share a run. */
export interface BatchOptions {
  /** Most rows of one run; the measured gain may decide for fewer. @default 64 */
  readonly maxSize?: number
  /** Longest time that a batch may be expected to run, in milliseconds. @default 50 */
  readonly maxRunMs?: number
  /** Longest time that a request waits for others to share its run with, in milliseconds, while an instance is free. @default 0 */
  readonly maxDelayMs?: number
  /** Let requests of different tenants share a run. @default false */
  readonly mixTenants?: boolean
  /** Most elements of all inputs of one run. @default 16777216 (2^24) */
  readonly maxElements?: number
  /**
   * By tensor name, the dimension that counts rows where it is not the first one (recurrent state often has it second), or `'shared'` for an
   * input that all rows of a run have in common (a sampling rate). Requests share a run only when their shared inputs are equal.
   */
  readonly axes?: Readonly<Record<string, number | 'shared'>>
  /**
   * Lets rows of different lengths share a run: shorter ones are filled up, and their answers cut back. Only where the model was proved to
   * answer filled-up rows as it answers them alone. @default none: only rows of equal lengths share a run
   */
  readonly ragged?: RaggedOptions
  /**
   * You answer for it that the model's rows do not influence each other. Without this, a model whose graph has an operator that certainly
   * works across rows is not batched, even if trying it showed no difference; trying it has the last word in any case. @default false
   */
  readonly independentRows?: boolean
}

/** How rows of different lengths (sentences of a transformer) share a run. */
export interface RaggedOptions {
  /**
   * The input that holds 1 where a row has something and 0 where it was filled up. Callers may leave it out: then all of their row counts.
   * It is filled up with 0.
   */
  readonly mask: string
  /**
   * By name of input or output, the dimension that has the length of the row, where the file does not tell by its symbol.
   * @default the dimensions with the same symbol as the mask's own open dimension
   */
  readonly axes?: Readonly<Record<string, number>>
  /** What the other inputs are filled up with: for all, or by name. @default 0 */
  readonly padValue?: number | Readonly<Record<string, number>>
  /** Rows are filled up to the longest of their run, rounded up to a multiple of this, so that there are fewer different shapes. @default 1 */
  readonly multipleOf?: number
  /** Share of a filled-up input that may be padding, from 0.01 to 0.9, before rounding up. Longer and shorter rows than that do not meet. @default 0.25 */
  readonly maxWaste?: number
}

/** Whether and how requests share runs, and why. */
export interface BatchingInfo {
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
  /** What one instance can do by that curve, in runs of `maxSize` rows. */
  readonly rowsPerSecond?: number
  /** Whether rows of different lengths share runs, and what stands against it. Set where `batching.ragged` asks for it. */
  readonly padding?: { readonly enabled: boolean; readonly reason: string }
}

/** What a model version has to do, and has done. */
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

/** Requests of a higher priority get a larger share of a busy model: 8 to 3 to 1. */
export type Priority = 'high' | 'normal' | 'low'
