/** Options of models that keep state from one request of a sequence to the next. */

import {
  boolean,
  type Declared,
  decided,
  either,
  filled,
  finite,
  integer,
  isPlainObject,
  list,
  map,
  milliseconds,
  object,
  oneOf,
  scalar,
} from '../options/kinds.ts'
import { sizes } from '../tensor/options.ts'

/**
 * State that a model hands from one request of a sequence to the next. Requests say which sequence they are of (`PredictOptions.sequence`,
 * `sequence_id` over HTTP); the server keeps the state, gives it to the model as one more input, and takes the next one from an output.
 */
export interface SequenceOptions {
  /**
   * By name of the input that takes the state: the output that gives the next one. Requests neither send nor get them.
   * @default {}
   */
  readonly state?: Readonly<Record<string, string | SequenceState>>
  /** By name of an input that requests do not send: the fact about the sequence that it tells the model. @default {} */
  readonly controls?: Readonly<Record<string, SequenceControl['is'] | SequenceControl>>
  /** Milliseconds without a request after which a sequence is forgotten. @default 60000 */
  readonly idleTimeoutMs?: number
  /** Sequences that may be open; a further one is refused with `SEQUENCE_LIMIT`, and none is dropped for it. @default 1000 */
  readonly maxSequences?: number
  /** Sequences that one named tenant may have open; more are refused with `QUOTA_EXCEEDED`. @default half of `maxSequences` */
  readonly maxPerTenant?: number
  /** Memory for the state of all sequences, in bytes; more is refused with `SEQUENCE_LIMIT`. @default 268435456 (256 MiB) */
  readonly maxBytes?: number
}

/** One tensor of state. */
export interface SequenceState {
  /** The output that gives the next state. */
  readonly output: string
  /** Requests get that output, too. @default false */
  readonly returned?: boolean
  /** Sizes of the first state; -1 for as many as the request has rows. @default the sizes of the graph */
  readonly dims?: readonly number[]
  /** Of the first state: the value of all elements, or the elements of one row in order. @default 0 */
  readonly initial?: number | readonly number[]
}

/** An input that tells the model where in a sequence it is. */
export interface SequenceControl {
  /** This request begins the sequence; ends it; is one (always so); or the sequence's id. */
  readonly is: 'start' | 'end' | 'ready' | 'id'
  /** The values for no and for yes; not with `id`. @default [0, 1] */
  readonly values?: readonly [number, number]
}

/** A request's place in a sequence. The requests of one sequence run one by one, in the order in which they were made. */
export interface SequencePlace {
  /** A whole number from 1 to 2^64 - 1, or a text of 1 to 256 characters. Each tenant has ids of its own. */
  readonly id: number | bigint | string
  /** It begins here, with fresh state; one of this id that is open ends. @default false */
  readonly start?: boolean
  /** It ends here; its state is dropped with the answer. @default false */
  readonly end?: boolean
}

const outputName = filled('the name of an output')
const controlKind = oneOf('start', 'end', 'ready', 'id')

const state = object<SequenceState>({
  output: outputName.required(),
  returned: boolean.default(false),
  dims: sizes,
  initial: either(finite, list(finite, { min: 1 })).default(0),
})

const control = object<SequenceControl>({
  is: controlKind.required(),
  values: scalar<readonly [number, number]>(
    'two finite numbers, for no and for yes',
    (pair) => Array.isArray(pair) && pair.length === 2 && pair.every(Number.isFinite),
    { type: 'array', items: { type: 'number' }, minItems: 2, maxItems: 2 },
  ).default([0, 1]),
})

const isSequenceId = (id: unknown): boolean =>
  (typeof id === 'string' && id.length > 0 && id.length <= 256) ||
  (Number.isSafeInteger(id) && (id as number) > 0) ||
  (typeof id === 'bigint' && id > 0n && id < 2n ** 64n)

export const sequencePlace = object<SequencePlace>({
  id: scalar<SequencePlace['id']>(
    'a whole number from 1 to 2^64 - 1, or a string of 1 to 256 characters',
    isSequenceId,
  ).required(),
  start: boolean.default(false),
  end: boolean.default(false),
})

const SEQUENCES = {
  state: map(either(outputName, state)).default({}),
  controls: map(either(controlKind, control)).default({}),
  idleTimeoutMs: milliseconds.default(60_000),
  maxSequences: integer(1, 10_000_000).default(1000),
  maxPerTenant: integer(1, 10_000_000),
  maxBytes: integer(1, Number.MAX_SAFE_INTEGER).default(256 * 1024 * 1024),
} satisfies Declared<SequenceOptions>

const sequences = object<SequenceOptions>(SEQUENCES).refine((value, problems) => {
  const { state, controls } = value as { readonly state: unknown; readonly controls: unknown }
  if (!isPlainObject(state) || !isPlainObject(controls)) return
  for (const name of Object.keys(controls))
    if (Object.hasOwn(state, name)) problems.push((path) => `${path}.controls.${name} is an input of ${path}.state already`)
})

/** Sequences of a model. */
export interface StateOptions {
  /** For a model with state: requests belong to sequences. @default none: each request stands for itself */
  readonly sequences?: SequenceOptions
}

export const STATE_OPTIONS = { sequences: sequences.joined() } satisfies Declared<StateOptions>

export type SequenceSettings = ReturnType<typeof sequenceSettings>

/** Decides what was left open; the short forms are written out. */
export function sequenceSettings(set: SequenceOptions) {
  const { state, controls, maxPerTenant, ...bounds } = decided(SEQUENCES, set)
  return {
    ...bounds,
    /** Of one named tenant. */
    maxPerTenant: maxPerTenant ?? Math.ceil(bounds.maxSequences / 2),
    state: new Map<string, SequenceState>(
      Object.entries(state).map(([name, one]) => [name, typeof one === 'string' ? { output: one } : one]),
    ),
    controls: new Map<string, SequenceControl>(
      Object.entries(controls).map(([name, one]) => [name, typeof one === 'string' ? { is: one } : one]),
    ),
  }
}

/** Contradictions between its parts. */
export const sequenceContradictions = ({ state = {}, controls = {} }: SequenceOptions): string[] =>
  Object.keys(state).length + Object.keys(controls).length === 0
    ? ['sequences must name the inputs of its state, or controls']
    : []
