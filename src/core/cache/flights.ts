/** Equal requests at the same time run once. Each keeps its own terms: one that gives up costs the others nothing. */

import { ModelmountError } from '../errors.ts'
import { type AbortSignalLike, onAbort } from '../host/abort.ts'
import type { Clock, Timer } from '../host/clock.ts'

export interface Flight<T> {
  /** Rejects with the error of the work. */
  readonly landed: Promise<T>
  /** Fires when the last waiter has left; `undefined` if the first one waits in any case. */
  readonly signal: AbortSignal | undefined
  /** How many requests have ever waited for it. */
  readonly joined: number
}

export interface Flights<T> {
  get(key: string): Flight<T> | undefined
  /**
   * Starts work that requests for `key` can join until it lands, is abandoned or is forgotten. The work starts in this turn.
   * @param mayLeave whether its first waiter may give up before it lands
   */
  start(key: string, mayLeave: boolean, work: (flight: Flight<T>) => Promise<T>): Flight<T>
  /** False once the flight is forgotten: its result then belongs to its waiters only. */
  current(key: string, flight: Flight<T>): boolean
  /**
   * The flight's outcome, unless the caller gives up first.
   * @param deadline on the clock; `undefined` if the work enforces it
   * @throws ModelmountError `ABORTED`, `DEADLINE_EXCEEDED`, and the errors of the work
   */
  wait(flight: Flight<T>, signal: AbortSignalLike | undefined, deadline: number | undefined): Promise<T>
  /** Closes all current flights to new requests; those that joined are answered. */
  forget(): void
}

interface Entry<T> extends Flight<T> {
  joined: number
  waiting: number
  abandon(reason: unknown): void
}

export function createFlights<T>(clock: Clock): Flights<T> {
  const flights = new Map<string, Entry<T>>()

  function start(key: string, mayLeave: boolean, work: (flight: Flight<T>) => Promise<T>): Entry<T> {
    // An AbortController and its listener cost as much as all the rest.
    const giveUp = mayLeave ? new AbortController() : undefined
    let land: (outcome: Promise<T>) => void = () => {}
    const landed = new Promise<T>((resolve) => {
      land = resolve
    })
    const remove = (): void => {
      if (flights.get(key) === entry) flights.delete(key)
    }
    const entry: Entry<T> = {
      landed,
      signal: giveUp?.signal,
      joined: 0,
      waiting: 0,
      abandon(reason) {
        // At once, so that no newcomer joins work that is being dropped.
        remove()
        giveUp?.abort(reason)
      },
    }
    async function fly(): Promise<T> {
      try {
        return await work(entry)
      } finally {
        remove()
      }
    }
    flights.set(key, entry)
    land(fly())
    return entry
  }

  return {
    get: (key) => flights.get(key),
    start,
    current: (key, flight) => flights.get(key) === flight,
    wait(flight, signal, deadline) {
      const entry = flight as Entry<T>
      entry.joined++
      entry.waiting++
      if (signal === undefined && deadline === undefined) return entry.landed
      return new Promise((resolve, reject) => {
        let timer: Timer | undefined
        let stopListening: (() => void) | undefined
        function leave(): void {
          entry.waiting--
          timer?.cancel()
          stopListening?.()
        }
        function giveUp(error: ModelmountError): void {
          leave()
          if (entry.waiting === 0) entry.abandon(error.cause)
          reject(error)
        }
        if (signal) stopListening = onAbort(signal, () => giveUp(aborted(signal)))
        if (deadline !== undefined) timer = clock.after(Math.ceil(deadline - clock.now()), () => giveUp(expired()))
        entry.landed.then(
          (result) => {
            leave()
            resolve(result)
          },
          (error: unknown) => {
            leave()
            reject(error)
          },
        )
      })
    },
    forget: () => flights.clear(),
  }
}

export const aborted = (signal: AbortSignalLike): ModelmountError =>
  new ModelmountError('ABORTED', 'the request was aborted', { cause: signal.reason })

const expired = (): ModelmountError =>
  new ModelmountError('DEADLINE_EXCEEDED', 'the deadline passed while waiting for the run of an equal request')
