/** Repeats work whenever files change: once for many changes, never twice at a time. */

import type { Clock } from '../../core/host/clock.ts'

/** Copying a model takes a while: the work begins when nothing has changed for this long. */
const QUIET_MS = 200

export interface Watch {
  /** Begins now. */
  begin(): void
  /** Something may have changed. */
  changed(): void
  /** Resolves when the current work is done. */
  close(): Promise<void>
}

/** @param work must not reject */
export function createWatch(clock: Clock, work: () => Promise<void>): Watch {
  let timer: ReturnType<Clock['after']> | undefined
  let running: Promise<void> | undefined
  let closed = false

  function begin(): void {
    timer = undefined
    if (running) {
      // Changes meanwhile may have been missed.
      void running.then(changed)
      return
    }
    running = work().finally(() => {
      running = undefined
    })
  }

  function changed(): void {
    if (closed) return
    timer?.cancel()
    timer = clock.after(QUIET_MS, begin)
  }

  return {
    begin,
    changed,
    async close() {
      closed = true
      timer?.cancel()
      await running
    },
  }
}
