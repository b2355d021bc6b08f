/** Requests that go back into the queue, to its head: their run failed with others in it, or the worker went. */

import type { Entry } from './entry.ts'
import type { FairQueue } from './fair-queue.ts'

export interface Again {
  /** As they were: their run had not started. */
  unchanged(entries: readonly Entry[]): void
  /** Each in a run and a message of its own. */
  alone(entries: readonly Entry[]): void
  /** Half of them, then the other half: one bad row must not cost its neighbours their answers, nor all that they gain together. */
  inHalves(entries: readonly Entry[]): void
}

/** Of requests that were answered meanwhile nothing goes back. */
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
