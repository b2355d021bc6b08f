/** Reasons why a request of a sequence does not run. */

import { ModelmountError } from '../errors.ts'
import type { SequenceCall } from './call.ts'

export const noSequence = (model: string): ModelmountError =>
  new ModelmountError(
    'SEQUENCE_REQUIRED',
    `model '${model}' keeps state from one request to the next: say which sequence this is (sequence_id, and sequence_start in its first request)`,
    { details: { field: 'sequence_id' } },
  )

export const notOpen = (model: string, { id }: SequenceCall, idleTimeoutMs: number): ModelmountError =>
  new ModelmountError(
    'SEQUENCE_NOT_FOUND',
    `no sequence ${shown(id)} is open for model '${model}': it has not been started, has ended, was idle for longer than ${idleTimeoutMs} ms, or its version is gone; begin again with sequence_start`,
    { details: { field: 'sequence_id' } },
  )

/** Messages shorten an id from a client. */
const shown = (id: SequenceCall['id']): string => (typeof id === 'string' ? JSON.stringify(id.slice(0, 80)) : String(id))

export const tooMany = (open: number, retryAfterS: number): ModelmountError =>
  new ModelmountError('SEQUENCE_LIMIT', `${open} sequences are open for this model already`, { retryAfterS })

export const tooLarge = (maxBytes: number, retryAfterS: number): ModelmountError =>
  new ModelmountError('SEQUENCE_LIMIT', `the state of all sequences of this model would take more than ${maxBytes} bytes`, {
    retryAfterS,
  })

export const tooManyOfTenant = (open: number, retryAfterS: number): ModelmountError =>
  new ModelmountError('QUOTA_EXCEEDED', `this caller has ${open} sequences open already`, { retryAfterS })

export const tooManyWaiting = (waiting: number): ModelmountError =>
  new ModelmountError('QUEUE_FULL', `${waiting} requests are waiting for their turn in sequences of this model already`, {
    retryAfterS: 1,
  })

export const tooManyWaitingOfTenant = (waiting: number): ModelmountError =>
  new ModelmountError('QUOTA_EXCEEDED', `this caller has ${waiting} requests waiting already`, { retryAfterS: 1 })

export const lateInLine = (): ModelmountError =>
  new ModelmountError('DEADLINE_EXCEEDED', 'the deadline passed while waiting for the earlier requests of the sequence')

export function tooLargeAlone(needed: number, maxBytes: number): ModelmountError {
  const [expected, got] = [`rows for at most ${maxBytes} bytes of state`, `rows for ${needed}`]
  return new ModelmountError('INPUT_INVALID', `expected ${expected}, got ${got}`, { details: { expected, got } })
}
