/** Requests that wait for the run of an equal one, bounded by the bytes of their inputs. */

import { isModelmountError, ModelmountError } from '../errors.ts'
import type { AbortSignalLike } from '../host/abort.ts'
import type { Clock } from '../host/clock.ts'
import type { Tensor } from '../tensor/types.ts'
import type { Flight, Flights } from './flights.ts'
import { dataBytes } from './kept.ts'

/** A waiting request has a cost even if its inputs are tiny. */
const WAITER_BYTES = 1024

interface Deps<T> {
  readonly flights: Pick<Flights<T>, 'wait'>
  readonly clock: Pick<Clock, 'now'>
  /** Most bytes of input that may wait. */
  readonly maxBytes: number
}

export interface Waiters<T> {
  /**
   * @returns `undefined` if the flight exceeded its leader's deadline but not this request's
   * @throws ModelmountError `QUEUE_FULL`, `ABORTED`, `DEADLINE_EXCEEDED`, and the errors of the run
   */
  join(
    flight: Flight<T>,
    inputs: Readonly<Record<string, Tensor>>,
    signal: AbortSignalLike | undefined,
    deadline: number,
  ): Promise<T | undefined>
}

export function createWaiters<T>({ flights, clock, maxBytes }: Deps<T>): Waiters<T> {
  let waitingBytes = 0
  return {
    async join(flight, inputs, signal, deadline) {
      let bytes = WAITER_BYTES
      for (const name in inputs) bytes += inputs[name] ? dataBytes(inputs[name]) : 0
      // The run's own queue is bounded, but requests that wait beside it keep their inputs as well.
      if (waitingBytes > 0 && waitingBytes + bytes > maxBytes)
        throw new ModelmountError('QUEUE_FULL', 'too many requests are waiting for the run of an equal one', { retryAfterS: 1 })
      waitingBytes += bytes
      try {
        return await flights.wait(flight, signal, deadline)
      } catch (error) {
        const ranOut = isModelmountError(error) && error.code === 'DEADLINE_EXCEEDED'
        if (ranOut && !signal?.aborted && clock.now() < deadline) return undefined
        throw error
      } finally {
        waitingBytes -= bytes
      }
    },
  }
}
