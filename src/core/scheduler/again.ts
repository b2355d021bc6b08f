/** Returns requests to the head of the queue: their shared run failed, or their worker went away. */

import type { Entry } from './entry.ts'
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
      entry.state = 'queued'
      entry.instance = undefined
      queue.push(entry, true)
    }
  }

  function asCompany(entries: readonly Entry[]): void {
    const company = {}
    for (const entry of entries) entry.company = company
    putBack(entries)
  }

  return {
    unchanged: (entries) => putBack(entries.filter(isOpen)),
    alone(entries) {
      const open = entries.filter(isOpen)
      for (const entry of open) entry.alone = true
      putBack(open)
    },
    inHalves(entries) {
      const open = entries.filter(isOpen)
      const middle = open.length >> 1
      asCompany(open.slice(middle))
      asCompany(open.slice(0, middle))
    },
  }
}

const isOpen = ({ state }: Entry): boolean => state === 'running'
