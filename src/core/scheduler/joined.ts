/** Requests from the fair queue in one run: their inputs are joined, and its outputs cut apart. */

import type { BufferPool } from '../engine/buffer-pool.ts'
import { type Batch, type Entry, type FormedBatch, nothing } from './entry.ts'
import type { Sharing } from './sharing.ts'

interface Deps {
  readonly sharing: Sharing
  /** Memory for the joined inputs. @default fresh */
  readonly buffers?: BufferPool | undefined
}

export function joinedBatch({ entries, rows, padding, reason }: FormedBatch, isLone: boolean, { sharing, buffers }: Deps): Batch {
  const [first] = entries as readonly [Entry]
  return {
    requests: entries,
    bucket: first.bucket,
    rows,
    padding,
    reason,
    isLone,
    run() {
      if (entries.length === 1) return first.run
      const inputs = sharing.batching.join(
        entries.map((entry) => entry.run.inputs),
        buffers,
      )
      return { inputs, fetches: first.run.fetches }
    },
    split: (outputs) => (entries.length === 1 ? [outputs] : sharing.batching.split(outputs, entries.map(rowsOf), entries)),
    parts: () => entries,
    entries: () => entries,
    ended: nothing,
  }
}

const rowsOf = ({ rows }: Entry): number => rows
