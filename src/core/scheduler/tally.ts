/** Counts runs, for the figures of a queue. */

import type { Batch, ReleaseReason } from './entry.ts'
import type { QueueInfo } from './types.ts'

export interface Tally {
  sent(batch: Batch): void
  /** Its worker has answered, or is gone. */
  ended(batch: Batch): void
  readonly totals: Omit<QueueInfo, 'waiting'>
}

export function createTally(): Tally {
  const released: Record<ReleaseReason, number> = { full: 0, idle: 0, window: 0, deadline: 0, drain: 0 }
  /** Requests that a worker has and has not answered, settled ones included. */
  let running = 0
  let batches = 0
  let rows = 0
  let padding = 0
  return {
    sent(batch) {
      batches++
      rows += batch.rows
      padding += batch.padding
      released[batch.reason]++
      running += batch.requests.length
    },
    ended({ requests }) {
      running -= requests.length
    },
    get totals() {
      return { running, batches, rows, padding, released: { ...released } }
    },
  }
}
