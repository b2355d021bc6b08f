/** One request in the scheduler. */

import type { TensorRecord } from '../engine/frame.ts'
import type { Instance } from '../engine/instance.ts'
import type { Run, RunFacts, RunOutcome } from '../engine/run.ts'
import type { ModelmountError } from '../errors.ts'
import type { AbortSignalLike } from '../host/abort.ts'
import type { Trace } from '../telemetry/index.ts'
import { OUTSIDE, type Queued } from './fair-queue.ts'
import type { Live } from './live-set.ts'
import type { Priority } from './types.ts'

export interface Ticket {
  readonly run: Run
  /** Arrival time of the request, on the scheduler's clock. */
  readonly enqueuedAt: number
  /** On the scheduler's clock. */
  readonly deadline: number
  readonly signal: AbortSignalLike | undefined
  readonly priority: Priority
  /** '' for callers without one. */
  readonly tenant: string
  /** The connection of the request; `undefined` if it has none. */
  readonly connection?: symbol | undefined
  /** False keeps the request out of shared runs. */
  readonly shareable: boolean
  readonly trace?: Trace | undefined
}

export interface Finished {
  readonly outputs: Extract<RunOutcome, { outputs: unknown }>['outputs']
  readonly queueMs: number
  readonly inferMs: number
  readonly batchSize: number
  /** Time of the answer, on the scheduler's clock. */
  readonly endedAt: number
  /** The same object in the answers of all requests of the run. */
  readonly run: RunFacts
}

/** Runs at a worker: one object for all requests of a message. */
export interface Dispatch {
  readonly instance: Instance
  readonly sentAt: number
  /** The worker has answered, or is gone. Until then it has the runs, whether or not their callers still wait. */
  answered: boolean
}

/** In the queue, taken out of it, at a worker, answered. */
export type Phase = 'queued' | 'packed' | Dispatch | 'settled'

/**
 * The requests that share runs with this one: any that may; none, after it was lost together with others, so that only the culprit pays;
 * or those with the same symbol, which were in one half of a failed run, until the culprit is found.
 */
export type Partners = 'any' | 'none' | symbol

/** Where requests wait. */
export interface Line {
  /** Forgets one that was settled while it waited. */
  leave(request: Held): void
}

/** A request that was accepted and is not answered. */
export interface Held extends Live {
  /** Arrival time of the request, on the scheduler's clock. */
  readonly enqueuedAt: number
  /** On the scheduler's clock. */
  readonly deadline: number
  readonly signal: AbortSignalLike | undefined
  readonly trace?: Trace | undefined
  phase: Phase
  line: Line
  resolve(finished: Finished): void
  reject(error: ModelmountError): void
  /** Its signal is no longer of interest. */
  stopListening(): void
}

export interface Entry extends Ticket, Queued<Entry>, Held {
  readonly enqueuedAt: number
  partners: Partners
}

/** Until the promise of the request exists, and for requests without a signal. */
export const nothing = (): void => {}

/** Of requests that have not begun to wait. */
const NOWHERE: Line = { leave: nothing }

/** Field by field: one is made for every request, and copying objects costs more than all the rest. */
export const createEntry = (
  ticket: Ticket,
  place: { readonly bucket: string; readonly rows: number },
  apart: boolean,
): Entry => ({
  run: ticket.run,
  deadline: ticket.deadline,
  signal: ticket.signal,
  priority: ticket.priority,
  tenant: ticket.tenant,
  connection: ticket.connection,
  apart,
  shareable: ticket.shareable,
  trace: ticket.trace,
  bucket: place.bucket,
  rows: place.rows,
  bytes: bytesOf(ticket.run.inputs),
  enqueuedAt: ticket.enqueuedAt,
  waits: false,
  place: 0,
  spot: OUTSIDE,
  phase: 'queued',
  line: NOWHERE,
  partners: 'any',
  resolve: nothing,
  reject: nothing,
  stopListening: nothing,
})

/** A worker has it, and its caller waits. */
export const isRunning = ({ phase }: Held): boolean => typeof phase !== 'string'

/** Entries that were taken from the queue to run together. */
export interface FormedBatch {
  readonly entries: readonly Entry[]
  readonly rows: number
  /** Elements of padding for shorter members. */
  readonly padding: number
  readonly reason: ReleaseReason
}

/** One request of a batch, for a closer look at its run. */
export interface Part {
  readonly run: Run
  readonly rows: number
  readonly bytes: number
}

/** One run for one request or several. */
export interface Batch {
  readonly requests: readonly Held[]
  readonly bucket: string
  readonly rows: number
  readonly padding: number
  readonly reason: ReleaseReason
  /** Must be the only run of its message, because it may cost the worker. */
  readonly isLone: boolean
  /** The inputs of all of them, joined. */
  run(): Run
  /** The share of the outputs that each of them gets; `undefined` if they lack rows. */
  split(outputs: TensorRecord): readonly TensorRecord[] | undefined
  parts(): readonly Part[]
  /** The requests as the queue takes them back. */
  entries(): readonly Entry[]
  /** Its inputs are not needed any more. */
  ended(): void
}

/**
 * Why a batch was sent: it was `full`; nothing more was waiting (`idle`); the `window` of `maxDelayMs` ended; members that would have
 * missed their `deadline` were dropped from it; the server is ending (`drain`).
 */
export type ReleaseReason = 'full' | 'idle' | 'window' | 'deadline' | 'drain'

/** Strings count by an estimate: measuring them would cost more than it is worth. */
const BYTES_PER_STRING = 64

function bytesOf(inputs: TensorRecord): number {
  let bytes = 0
  // Object.keys, because `for in` is slow on objects without a prototype.
  for (const name of Object.keys(inputs)) {
    const tensor = inputs[name]
    if (tensor) bytes += tensor.type === 'string' ? tensor.data.length * BYTES_PER_STRING : tensor.data.byteLength
  }
  return bytes
}
