/** One request on the lean path: the only object that is made for it before its answer. */

import type { ModelmountError } from '../../errors.ts'
import type { AbortSignalLike } from '../../host/abort.ts'
import type { Trace } from '../../telemetry/index.ts'
import { type Finished, type Held, type Line, nothing } from '../entry.ts'

/** Makes what a promise settles with. One for all requests that come to a model through the same door. */
export interface Sink {
  answered(finished: Finished, request: LeanRequest): unknown
  /** @returns the reason that the promise rejects with */
  failed(error: ModelmountError, request: LeanRequest): unknown
}

export interface LeanRequest extends Held {
  readonly rows: number
  readonly trace: Trace | undefined
  readonly connection: symbol | undefined
  /** The caller's own; `undefined` for one that is made up when it is answered. */
  readonly id: string | undefined
  readonly sink: Sink
  readonly settleWith: (value: unknown) => void
  readonly rejectWith: (reason: unknown) => void
}

let settleWith: LeanRequest['settleWith']
let rejectWith: LeanRequest['rejectWith']

/** The same function for all promises: a closure each would cost as much as the request. */
const keep = (resolve: (value: unknown) => void, reject: (reason: unknown) => void): void => {
  settleWith = resolve
  rejectWith = reject
}

function resolve(this: Held, finished: Finished): void {
  const request = this as LeanRequest
  request.settleWith(request.sink.answered(finished, request))
}

function reject(this: Held, error: ModelmountError): void {
  const request = this as LeanRequest
  request.rejectWith(request.sink.failed(error, request))
}

let promise: Promise<unknown>

/** Argument by argument: an object of them would be made for every request. */
export function createRequest(
  rows: number,
  at: number,
  deadline: number,
  signal: AbortSignalLike | undefined,
  connection: symbol | undefined,
  trace: Trace | undefined,
  id: string | undefined,
  sink: Sink,
  line: Line,
): LeanRequest {
  promise = new Promise<unknown>(keep)
  return {
    enqueuedAt: at,
    deadline,
    rows,
    trace,
    signal,
    connection,
    id,
    sink,
    settleWith,
    rejectWith,
    place: 0,
    phase: 'queued',
    line,
    resolve,
    reject,
    stopListening: nothing,
  }
}

/** The promise of the request that was made last. */
export const lastPromise = (): Promise<unknown> => promise
