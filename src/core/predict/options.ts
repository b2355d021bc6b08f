/** Options of one call of `predict()`. */

import { boolean, type Declared, list, milliseconds, object, scalar, text } from '../options/kinds.ts'
import { ensure } from '../options/refuse.ts'
import { type Priority, priority } from '../scheduler/options.ts'
import { type SequencePlace, sequencePlace } from '../sequences/options.ts'

/** How one request is to run. */
export interface PredictOptions {
  /** The version to ask. @default the highest ready version */
  readonly version?: string
  /** The version that this label points at (`versionLabels`), instead of `version`. @default none */
  readonly label?: string
  /** Echoed in the result. @default a random UUID */
  readonly id?: string
  /** Aborting takes the request out of the queue; a run that has started is finished and dropped. @default none */
  readonly signal?: AbortSignal
  /** Milliseconds from now after which the call rejects with `DEADLINE_EXCEEDED`. @default the model's `timeoutMs` */
  readonly timeoutMs?: number
  /** Names of the outputs to compute. @default all */
  readonly outputs?: readonly string[]
  /** `false` keeps this request out of shared runs. @default true */
  readonly batch?: boolean
  /** `false` runs the model even if the result is known, and does not keep the new one. @default true */
  readonly cache?: boolean
  /**
   * Gives the memory of large inputs away in place of a copy. A typed array that fills its whole `ArrayBuffer` is left with length 0, as after
   * `postMessage()`; a part of a buffer (such as a small `Buffer`), shared or resizable memory and plain arrays are copied as ever, and stay.
   * The memory is gone as soon as the inputs have passed their check, whatever becomes of the call then. A call that is refused before, as for
   * its options, its model or its inputs, takes nothing.
   * @default false
   */
  readonly transfer?: boolean
  /** Which sequence this is a request of, for models with state (`sequences`); they need it. @default none */
  readonly sequence?: SequencePlace
  /** Share of a busy model. @default the model's `priority` */
  readonly priority?: Priority
  /**
   * On whose behalf, 1 to 256 characters. Tenants share a busy model evenly, are bounded by `maxQueuePerTenant`, do not share runs unless
   * `batching.mixTenants` allows it, and never see each other's kept results, not even by how fast they come.
   * @default none, which is a tenant of its own
   */
  readonly tenant?: string
}

export const PREDICT_OPTIONS = {
  version: text,
  label: text,
  id: text,
  signal: scalar<AbortSignal>('an AbortSignal', (value) => value instanceof AbortSignal),
  timeoutMs: milliseconds,
  outputs: list(text),
  batch: boolean.default(true),
  priority,
  cache: boolean.default(true),
  transfer: boolean.default(false),
  sequence: sequencePlace,
  // An empty one is more likely a missing id, and would share results among all that have none.
  tenant: scalar<string>(
    'a string of 1 to 256 characters',
    (value) => typeof value === 'string' && value.length > 0 && value.length <= 256,
  ),
} satisfies Declared<PredictOptions>

const predictOptions = object<PredictOptions>(PREDICT_OPTIONS).refine((value, problems) => {
  const { version, label } = value as PredictOptions
  if (version !== undefined && label !== undefined)
    problems.push((path) => `${path}.version and ${path}.label exclude each other`)
})

/** Checks the options of one call. @throws ModelmountError `OPTIONS_INVALID` */
export const checkPredictOptions = (options: unknown): void => ensure(predictOptions, options, 'opts')
