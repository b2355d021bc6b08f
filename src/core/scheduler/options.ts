/** Options of waiting, sharing runs and being refused. */

import {
  boolean,
  type Declared,
  decided,
  either,
  falseOr,
  filled,
  finite,
  integer,
  map,
  milliseconds,
  number,
  object,
  oneOf,
  picked,
  scalar,
} from '../options/kinds.ts'

/** Requests of a higher priority get a larger share of a busy model: 8 to 3 to 1. */
export type Priority = 'high' | 'normal' | 'low'

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
   * By tensor name, the dimension that counts rows if it is not the first one; recurrent state often has it second. `'shared'` marks an
   * input that all rows of a run have in common (a sampling rate). Requests share a run only if their shared inputs are equal.
   * @default {}
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
   * @default {}: the dimensions with the same symbol as the mask's own open dimension
   */
  readonly axes?: Readonly<Record<string, number>>
  /** The filling of the other inputs: for all, or by name. @default 0 */
  readonly padValue?: number | Readonly<Record<string, number>>
  /** Rows are filled up to the longest of their run, rounded up to a multiple of this, so that there are fewer different shapes. @default 1 */
  readonly multipleOf?: number
  /** Share of a filled-up input that may be padding, from 0.01 to 0.9, before rounding up. Longer and shorter rows than that do not meet. @default 0.25 */
  readonly maxWaste?: number
}

/** How requests of a model wait, and how many may. */
export interface SchedulerOptions {
  /**
   * Joining waiting requests into one run, where the model was proved to answer the same and to gain from it; `false` for never.
   * A free instance never waits for a batch to fill.
   * @default {}
   */
  readonly batching?: false | BatchOptions
  /** Default deadline of a request, in milliseconds. @default 30000 */
  readonly timeoutMs?: number
  /**
   * Longest deadline that a request over HTTP may ask for, in milliseconds. A longer one is cut to this, and the answer says so by the header
   * `x-request-timeout-ms`. Calls of `predict()` are not bounded by it.
   * @default the model's `timeoutMs`
   */
  readonly maxTimeoutMs?: number
  /** Requests that may wait for a free instance; more are refused with `QUEUE_FULL`. @default 1000 */
  readonly maxQueue?: number
  /** Requests that one tenant may have waiting; more are refused with `QUOTA_EXCEEDED`. @default half of `maxQueue` */
  readonly maxQueuePerTenant?: number
  /** Bytes of input tensors that may wait for a free instance; more are refused with `QUEUE_FULL`. @default 268435456 (256 MiB) */
  readonly maxQueueBytes?: number
  /** Default priority of requests: their share of a busy model. @default 'normal' */
  readonly priority?: Priority
  /**
   * Longest time that a request waits for a free instance, in milliseconds; then it is refused with `OVERLOADED`. Unlike `timeoutMs`, it does
   * not include the run.
   * @default no bound but the deadline
   */
  readonly maxWaitMs?: number
  /**
   * The short way of small rows that may share any run: they are written where the run takes them from. `false` sends all requests the long way,
   * with the same answers at a higher cost: a switch for the search of a fault.
   * @default true
   */
  readonly leanPath?: boolean
}

const axis = scalar<number | 'shared'>(
  "a dimension from 0 to 31, or 'shared'",
  (value) => value === 'shared' || (Number.isInteger(value) && (value as number) >= 0 && (value as number) < 32),
  { oneOf: [{ type: 'integer', minimum: 0, maximum: 31 }, { const: 'shared' }] },
)

const RAGGED = {
  mask: filled('the name of an input').required(),
  axes: map(integer(0, 31)).default({}),
  padValue: either(finite, map(finite)).default(0),
  multipleOf: integer(1, 2 ** 20).default(1),
  maxWaste: number(0.01, 0.9).default(0.25),
} satisfies Declared<RaggedOptions>

const BATCHING = {
  maxSize: integer(1, 1024).default(64),
  maxRunMs: milliseconds.default(50),
  maxElements: integer(1, 2 ** 40).default(2 ** 24),
  maxDelayMs: number(0, 10_000, 'of milliseconds ').default(0),
  mixTenants: boolean.default(false),
  axes: map(axis).default({}),
  ragged: object<RaggedOptions>(RAGGED),
  independentRows: boolean.default(false),
} satisfies Declared<BatchOptions>

export const priority = oneOf('high', 'normal', 'low')

export const SCHEDULER_OPTIONS = {
  batching: falseOr(object<BatchOptions>(BATCHING)).default({}).joined(),
  timeoutMs: milliseconds.default(30_000),
  maxTimeoutMs: milliseconds,
  maxQueue: integer(1, 10_000_000).default(1000),
  maxQueueBytes: integer(1, Number.MAX_SAFE_INTEGER).default(256 * 1024 * 1024),
  maxQueuePerTenant: integer(1, 10_000_000),
  priority: priority.default('normal'),
  maxWaitMs: milliseconds,
  leanPath: boolean.default(true),
} satisfies Declared<SchedulerOptions>

export type SchedulerConfig = ReturnType<typeof schedulerConfig>
export type BatchSettings = ReturnType<typeof batchSettings>
export type RaggedSettings = NonNullable<BatchSettings['ragged']>

/** Decides what was left open. */
export function schedulerConfig(set: SchedulerOptions) {
  const all = decided(SCHEDULER_OPTIONS, set)
  return {
    ...all,
    batching: all.batching === false ? (false as const) : batchSettings(all.batching),
    maxTimeoutMs: all.maxTimeoutMs ?? all.timeoutMs,
    maxQueuePerTenant: all.maxQueuePerTenant ?? Math.ceil(all.maxQueue / 2),
  }
}

/** The settings of a model that bear on its queue, and of its batches those that bear on waiting. */
export function limitsOf({ batching, ...settings }: SchedulerConfig) {
  const { maxDelayMs, mixTenants } = batching || decided(BATCHING, {})
  return { ...picked(SCHEDULER_OPTIONS, settings), maxDelayMs, mixTenants }
}

function batchSettings(batching: BatchOptions) {
  const { ragged, ...rest } = decided(BATCHING, batching)
  return { ...rest, ragged: ragged && decided(RAGGED, ragged) }
}

/** Contradictions between its parts, and with the deadline of requests. */
export function batchingContradictions(batching: BatchOptions, timeoutMs: number): string[] {
  const problems: string[] = []
  const { maxDelayMs = 0, maxSize, axes: rows = {}, ragged } = batching
  const add = (problem: string): void => void problems.push(`batching.${problem}`)
  if (maxDelayMs > 0 && maxSize === 1) add('maxDelayMs waits for more rows than a maxSize of 1 allows')
  if (maxDelayMs > 0 && maxDelayMs >= timeoutMs) add(`maxDelayMs (${maxDelayMs}) must be under timeoutMs (${timeoutMs})`)
  if (!ragged) return problems
  const { mask, axes = {}, padValue } = ragged
  const rowsOf = (name: string): number | 'shared' => (Object.hasOwn(rows, name) ? (rows[name] as number | 'shared') : 0)
  if (rowsOf(mask) === 'shared') add(`ragged.mask is '${mask}', which axes declares as shared: each row needs its own`)
  if (typeof padValue === 'object' && Object.hasOwn(padValue, mask) && padValue[mask] !== 0)
    add(`ragged.padValue.${mask} must be 0: that is what tells padding from the rest`)
  for (const [name, axis] of Object.entries(axes)) {
    if (rowsOf(name) === axis) add(`ragged.axes.${name} is ${axis}, the dimension that counts the rows of '${name}'`)
    else if (name !== mask && rowsOf(name) === 'shared')
      add(`ragged.axes.${name} is a dimension of an input that axes declares as shared`)
  }
  return problems
}
