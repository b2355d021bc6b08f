/** The loads of a server that are under way, for trials that no load waits for: they let loads and first requests go first. */

import type { Clock } from '../host/clock.ts'

/** How long a trial that no load waits for lets loads go first at most. */
const STAND_BACK_MS = 1000
/** From the end of the loads: the first requests come now, and a process that starts takes CPU from them. */
const QUIET_MS = 50

export interface Loads {
  begin(): () => void
  /** Resolves a moment after the last of them has ended, or when that takes long. */
  gone(): Promise<void>
}

export function createLoads(clock: Clock): Loads {
  const waiting = new Set<() => void>()
  let count = 0

  function after(ms: number, action: () => void): () => void {
    const timer = clock.after(ms, action)
    return () => timer.cancel()
  }

  return {
    begin() {
      count++
      for (const look of waiting) look()
      return () => {
        count--
        for (const look of waiting) look()
      }
    },
    gone() {
      return new Promise((resolve) => {
        let cancel = (): void => {}
        const look = (): void => {
          cancel()
          cancel = count === 0 ? after(QUIET_MS, go) : () => {}
        }
        const giveUp = after(STAND_BACK_MS, go)
        function go(): void {
          waiting.delete(look)
          cancel()
          giveUp()
          resolve()
        }
        waiting.add(look)
        look()
      })
    },
  }
}
