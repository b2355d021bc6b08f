/** A batch of the lean path, and its requests where they go on as requests of the fair queue. */

import type { Accepted } from '../accepted.ts'
import type { Batch, Entry, Part } from '../entry.ts'
import type { FairQueue } from '../fair-queue.ts'
import { copyAll } from '../join.ts'
import { UNIFORM } from '../place.ts'
import type { Sharing } from '../sharing.ts'
import type { LeanLayout } from './layout.ts'
import { entryOf, type Flow, partsOf, viewsOf } from './parts.ts'
import type { LeanRequest } from './request.ts'
import type { Next, Segment } from './segment.ts'
import { recordClass, splitRows } from './split.ts'

/** Rows that lie together. */
export interface Stretch extends Pick<Next, 'requests' | 'rows'> {
  readonly segment: Segment
  /** The first of them. */
  readonly from: number
  readonly layout: LeanLayout
  readonly flow: Flow
}

export interface Batches {
  of(stretch: Stretch, reason: 'full' | 'idle'): Batch
  /** Its requests, as the fair queue can take them. */
  entriesOf(stretch: Omit<Stretch, 'rows'>): Entry[]
}

interface Deps {
  readonly queue: FairQueue<Entry>
  readonly sharing: Sharing
  readonly accepted: Accepted
}

export function createBatches({ queue, sharing, accepted }: Deps): Batches {
  const Outputs = recordClass()

  function entriesOf({ segment, from, layout, flow, requests }: Omit<Stretch, 'rows'>): Entry[] {
    return partsOf(layout, segment, from, requests).map(({ run }, index) => {
      const request = requests[index] as LeanRequest
      // Copies, so that the segment can be used again.
      const entry = entryOf(request, { ...run, inputs: copyAll(run.inputs) }, flow, sharing.batching)
      entry.line = queue
      if (entry.phase === 'settled') return entry
      accepted.release(request)
      accepted.hold(entry)
      return entry
    })
  }

  function of(stretch: Stretch, reason: 'full' | 'idle'): Batch {
    const { segment, from, layout, requests, rows } = stretch
    segment.runs++
    return {
      requests,
      bucket: UNIFORM,
      rows,
      padding: 0,
      reason,
      isLone: false,
      run: () => ({ inputs: viewsOf(layout, segment, from, rows), fetches: layout.fetches }),
      // Rows may have been found to influence each other meanwhile.
      split: (outputs) =>
        requests.length === 1 || sharing.batching.layout === layout
          ? splitRows(outputs, layout.fetches, requests, rows, Outputs)
          : undefined,
      parts: (): readonly Part[] => partsOf(layout, segment, from, requests),
      entries: () => entriesOf(stretch),
      ended() {
        segment.runs--
        giveBack(segment)
      },
    }
  }

  return { of, entriesOf }
}

/** Unless a run still needs its rows. */
export function giveBack(segment: Segment): void {
  if (segment.isClosed && segment.runs === 0) segment.home.reuse(segment)
}
