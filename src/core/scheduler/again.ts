/** Returns requests to the head of the queue: their shared run failed, or their worker went away. */

import { type Entry, isRunning, type Partners } from './entry.ts'
import type { FairQueue } from './fair-queue.ts'

export interface Again {
  /** Unchanged: their run had not started. */
  unchanged(entries: readonly Entry[]): void
  /** Each in a run and a message of its own. */
  alone(entries: readonly Entry[]): void
  /** Half of them, then the other half: one bad row must cost its neighbours neither their answers nor all gain of sharing. */
  inHalves(entries: readonly Entry[]): void
}

/** Requests that were answered meanwhile do not return. */
export function createAgain(queue: FairQueue<Entry>): Again {
  function putBack(entries: readonly Entry[]): void {
    for (const entry of [...entries].reverse()) {
      entry.phase = 'queued'
      queue.push(entry, true)
    }
  }

  function asPartners(entries: readonly Entry[], partners: Partners): void {
    for (const entry of entries) entry.partners = partners
    putBack(entries)
  }

  return {
    unchanged: (entries) => putBack(entries.filter(isRunning)),
    alone: (entries) => asPartners(entries.filter(isRunning), 'none'),
    inHalves(entries) {
      const open = entries.filter(isRunning)
      const middle = open.length >> 1
      asPartners(open.slice(middle), Symbol('half'))
      asPartners(open.slice(0, middle), Symbol('half'))
    },
  }
}
