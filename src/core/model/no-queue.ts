/** The queue of a version that has none: one that is not serving, or that answers somewhere else. */

import type { QueueInfo } from '../scheduler/types.ts'

export const NO_QUEUE: QueueInfo = {
  waiting: 0,
  running: 0,
  batches: 0,
  rows: 0,
  padding: 0,
  released: { full: 0, idle: 0, window: 0, deadline: 0, drain: 0 },
}
