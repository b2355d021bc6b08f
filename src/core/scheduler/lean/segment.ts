/**
 * Memory for the rows of waiting requests, one behind the other, so that those of a run lie together.
 * It is used again when no run needs its rows any more: rows of some kilobytes each would otherwise make garbage outside the heap.
 */

import type { Clock, Timer } from '../../host/clock.ts'
import type { LeanInput, LeanLayout, NumericData } from './layout.ts'
import type { LeanRequest } from './request.ts'

export interface Segment {
  readonly home: Segments
  /** One array for each input. */
  readonly data: readonly NumericData[]
  readonly capacity: number
  /** Rows that were taken for runs, and rows that were written. */
  head: number
  tail: number
  /** Requests that were written, and how many of them were taken. */
  readonly requests: LeanRequest[]
  taken: number
  /** Runs that may still need its rows. */
  runs: number
  /** All of its requests are taken, and no more are written. */
  isClosed: boolean
}

/** Requests that can be taken together. */
export interface Next {
  readonly requests: readonly LeanRequest[]
  readonly rows: number
  /** How many of them still wait. */
  readonly alive: number
  /** The earliest of their deadlines. */
  readonly soonest: number
  /** Another one did not fit. */
  readonly isFull: boolean
}

/** @param most rows, unless the first request has more */
export function nextIn({ requests, taken }: Segment, most: number): Next {
  let rows = 0
  let alive = 0
  let soonest = Number.POSITIVE_INFINITY
  let to = taken
  while (to < requests.length) {
    const request = requests[to] as LeanRequest
    if (rows > 0 && rows + request.rows > most) break
    rows += request.rows
    to++
    if (request.phase === 'settled') continue
    alive++
    if (request.deadline < soonest) soonest = request.deadline
  }
  return { requests: requests.slice(taken, to), rows, alive, soonest, isFull: to < requests.length }
}

export interface Segments {
  /** An empty one. */
  open(): Segment
  /** Takes one back that no run needs. */
  reuse(segment: Segment): void
  close(): void
}

/** Full runs that fit into one. */
const RUNS = 8
/** Larger ones hold a single full run. */
const USUAL_BYTES = 64 * 1024
/** Free ones that are kept: one is filled while one or two are at workers. */
const KEPT = 3
const IDLE_MS = 10_000

/** @param most rows of a run */
export function createSegments({ inputs, rowBytes }: LeanLayout, most: number, clock: Pick<Clock, 'after'>): Segments {
  const capacity = Math.max(most, Math.min(RUNS * most, Math.floor(USUAL_BYTES / rowBytes)))
  const free: Segment[] = []
  /** Fewest free ones since the last look: so many are not needed. */
  let spare = 0
  let timer: Timer | undefined
  let isClosed = false

  function lookLater(): void {
    timer = clock.after(IDLE_MS, () => {
      free.splice(0, spare)
      spare = free.length
      timer = undefined
      if (free.length > 0) lookLater()
    })
  }

  const segments: Segments = {
    open() {
      const segment = free.pop()
      spare = Math.min(spare, free.length)
      if (segment) return segment
      const data = inputs.map(({ ArrayOf, elements }) => allocate(ArrayOf, capacity * elements))
      return { home: segments, data, capacity, head: 0, tail: 0, requests: [], taken: 0, runs: 0, isClosed: false }
    },
    reuse(segment) {
      segment.head = 0
      segment.tail = 0
      segment.requests.length = 0
      segment.taken = 0
      segment.isClosed = false
      if (isClosed || free.length === KEPT) return
      free.push(segment)
      if (timer) return
      spare = 0
      lookLater()
    },
    close() {
      isClosed = true
      timer?.cancel()
      free.length = 0
    },
  }
  return segments
}

/** A little more memory than the array: one that is its whole buffer would be given away with a message. */
function allocate(ArrayOf: LeanInput['ArrayOf'], length: number): NumericData {
  const { BYTES_PER_ELEMENT } = ArrayOf
  return new ArrayOf(new ArrayBuffer((length + 1) * BYTES_PER_ELEMENT), 0, length)
}
