/** Closes a server: it refuses new requests at once, answers the accepted ones, then frees its resources. */

import { ModelmountError } from '../errors.ts'
import type { Clock } from '../host/clock.ts'
import type { Fleet } from '../model/fleet.ts'

/** How long `close()` waits for killed workers after it has given up on their runs. */
const ABANDON_MS = 1000

export interface Closing {
  readonly hasBegun: boolean
  /** The refusal of every new request; `undefined` until the server closes. */
  refusal(): ModelmountError | undefined
  /** @throws ModelmountError `SERVER_CLOSED` */
  refuse(): void
  /** Begins once. Every call waits for the same end. */
  begin(shutDown: () => Promise<void>): Promise<void>
}

export function createClosing(): Closing {
  let end: Promise<void> | undefined
  const closed = (): ModelmountError => new ModelmountError('SERVER_CLOSED', 'the model server is closed', { retryAfterS: 1 })
  return {
    get hasBegun() {
      return end !== undefined
    },
    refusal: () => (end ? closed() : undefined),
    refuse() {
      if (end) throw closed()
    },
    begin(shutDown) {
      end ??= shutDown()
      return end
    },
  }
}

interface Parts {
  readonly clock: Clock
  readonly fleet: Fleet
  /** The error of runs that are given up. */
  refusal(): ModelmountError | undefined
  /** Ended when the last request has its answer, or early when the server gives up. */
  readonly trials: { close(): Promise<void> }
  /** Ended after that, in this order. */
  readonly ends: readonly (() => Promise<void> | void)[]
}

/** @param timeoutMs after which accepted requests are given up */
export async function shutDown(timeoutMs: number, { clock, fleet, refusal, trials, ends }: Parts): Promise<void> {
  const { done, abandon } = fleet.drain()
  const gaveUp = new Promise<void>((resolve) => {
    const timer = clock.after(timeoutMs, () => {
      void trials.close()
      const error = refusal()
      if (error) abandon(error)
      // A thread that hangs in native code cannot be ended; the exit guard deals with it when the process ends.
      clock.after(ABANDON_MS, resolve).hold(true)
    })
    timer.hold(true)
    void done.then(() => timer.cancel())
  })
  await Promise.race([done, gaveUp])
  await trials.close()
  for (const end of ends) await end()
}
