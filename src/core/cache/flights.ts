/** Equal requests at the same time run once. Each waits on its own terms: one that gives up costs the others nothing. */

import { ModelmountError } from '../errors.ts'
import { type AbortSignalLike, onAbort } from '../host/abort.ts'
import type { Clock, Timer } from '../host/clock.ts'

export interface Flight<T> {
  /** Rejects with what the work rejects with. */
  readonly landed: Promise<T>
  /** Fires when nobody waits any more; `undefined` where the first one waits whatever happens. */
  readonly signal: AbortSignal | undefined
  /** How many have ever waited for it. */
  readonly joined: number
}

export interface Flights<T> {
  get(key: string): Flight<T> | undefined
  /**
   * Starts work that requests for `key` can join until it has landed, was abandoned or forgotten. It is started in this turn.
   * @param mayLeave whether the one who starts it may give up before it lands
   */
  start(key: string, mayLeave: boolean, work: (flight: Flight<T>) => Promise<T>): Flight<T>
  /** False once the flight has been forgotten: its result is its waiters' only. */
  current(key: string, flight: Flight<T>): boolean
  /**
   * The flight's outcome, unless the caller gives up before.
   * @param deadline on the clock; `undefined` where the work itself keeps it
   * @throws ModelmountError `ABORTED`, `DEADLINE_EXCEEDED`, and what the work rejects with
   */
  wait(flight: Flight<T>, signal: AbortSignalLike | undefined, deadline: number | undefined): Promise<T>
  /** Nobody joins what is under way now; who has joined is answered. */
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
    // A controller and its listener cost as much as all the rest.
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
        // At once, so that a newcomer does not join work that is being dropped.
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
