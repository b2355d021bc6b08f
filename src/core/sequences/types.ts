/** State that lives from request to request. Defaults are documented here and live in options.ts. */

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
  /** By name of an input that requests do not send: what the model is told by it. @default {} */
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
  /** Sizes of the first state; -1 for as many as the request has rows. @default what the graph says */
  readonly dims?: readonly number[]
  /** Of the first state: the value of all elements, or the elements of one row in order. @default 0 */
  readonly initial?: number | readonly number[]
}

/** An input that tells the model where in a sequence it is. */
export interface SequenceControl {
  /** This request begins the sequence; ends it; is one (always so); or the sequence's id. */
  readonly is: 'start' | 'end' | 'ready' | 'id'
  /** What stands for no and for yes; not with `id`. @default [0, 1] */
  readonly values?: readonly [number, number]
}

/** A request's place in a sequence. The requests of one sequence run one by one, in the order in which they were made. */
export interface SequencePlace {
  /** A whole number from 1 to 2^64 - 1, or a text of 1 to 256 characters. Each tenant has ids of its own. */
  readonly id: number | bigint | string
  /** It begins here, with fresh state; one of this id that is open ends. @default false */
  readonly start?: boolean
  /** It ends here; what it has kept is dropped with the answer. @default false */
  readonly end?: boolean
}

/** The open sequences of one model version. */
export interface SequencesInfo {
  readonly open: number
  /** Of their state. */
  readonly bytes: number
  /** Requests that wait for earlier ones of their sequence. */
  readonly waiting: number
  readonly idleTimeoutMs: number
  readonly maxSequences: number
  readonly maxBytes: number
}
