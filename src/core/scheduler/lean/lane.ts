/**
 * The lean path of requests that can share any run of a model: their rows are written where the run takes them from, and nothing else is made
 * for them but their promise. It holds requests of one flow only, while no other flow waits in the fair queue, and comes after that. Anything
 * else sends what waits here over to that queue, which knows about flows, halves, and requests that run apart.
 */

import type { Pool } from '../../engine/pool.ts'
import type { AbortSignalLike } from '../../host/abort.ts'
import type { Clock } from '../../host/clock.ts'
import type { Trace } from '../../telemetry/index.ts'
import type { Accepted } from '../accepted.ts'
import { isTight, type Limits, unavailable } from '../admission.ts'
import { rowsWithin } from '../curve.ts'
import type { Batch, Entry, Line } from '../entry.ts'
import type { FairQueue } from '../fair-queue.ts'
import { UNIFORM } from '../place.ts'
import type { Sharing } from '../sharing.ts'
import { originOf, type Suspects } from '../suspects.ts'
import type { Priority } from '../types.ts'
import { createBatches, giveBack } from './batch.ts'
import type { LeanLayout } from './layout.ts'
import type { Flow } from './parts.ts'
import { createRequest, lastPromise, type Sink } from './request.ts'
import { nextIn, type Segment } from './segment.ts'
import { createStore } from './store.ts'

/** Why requests took the long way. */
export type LongReason =
  /** The path is switched off, or requests look other than the graph: reshaped, with a filled-in mask, with state. */
  | 'off'
  /** It wants some of the outputs, a run of its own, or goes on with a sequence. */
  | 'terms'
  /** Requests of the model do not share runs, or not any with any. */
  | 'unbatched'
  /** Others wait in the fair queue, or requests of another tenant or priority wait here. */
  | 'queue'
  /** It would be refused, or nearly so: too many wait, its deadline is close, it has run a batch into an error. */
  | 'limits'
  /** Its inputs are of another kind, or of too many rows for one run. */
  | 'inputs'

export interface Lane extends Line {
  /** Requests that wait, and rows that were not taken: those of requests that gave up are among them. */
  readonly count: number
  readonly rows: number
  /** Arrival of the request that waits longest. */
  readonly oldestAt: number | undefined
  /** Whether a request may be written now; it must be written and committed at once. */
  admits(
    at: number,
    deadline: number,
    tenant: string,
    priority: Priority,
    connection: symbol | undefined,
    signal: AbortSignalLike | undefined,
  ): boolean
  /**
   * Writes inputs as a caller of `predict()` gives them, or tensors that have passed the check.
   * @param maxElements most elements of one input; `undefined` for tensors that have passed the check
   * @returns the rows, for {@link Lane.commit}; 0 if the request has to take the long way
   */
  write(values: unknown, maxElements: number | undefined, maxRows: number): number
  /** Queues the request that was written. @returns what its sink makes of the answer */
  commit(
    rows: number,
    at: number,
    deadline: number,
    signal: AbortSignalLike | undefined,
    connection: symbol | undefined,
    trace: Trace | undefined,
    id: string | undefined,
    sink: Sink,
  ): Promise<unknown>
  /** The next batch. @param mostRows fewer than the usual most. @returns `undefined` if none is left: all may have gone to the fair queue. */
  take(now: number, mostRows: number): Batch | undefined
  /** Sends all that waits here to the fair queue. */
  spill(): void
  /** Sends all that waits here to the fair queue if it cannot stay: others wait there by now, or the model shares runs in another way. */
  check(): void
  /** Why the last request that asked has to take the long way. */
  readonly because: LongReason
  close(): void
}

interface Deps {
  readonly pool: Pool
  readonly clock: Clock
  readonly queue: FairQueue<Entry>
  readonly sharing: Sharing
  readonly suspects: Suspects
  readonly accepted: Accepted
  readonly limits: Limits
  /** Nothing is taken. */
  readonly isOff: boolean
  /** A request waits. */
  onCommit(): void
}

export function createLane({ pool, clock, queue, sharing, suspects, accepted, limits, isOff, onCommit }: Deps): Lane {
  const store = createStore(sharing, clock)
  const batches = createBatches({ queue, sharing, accepted })
  /** With waiting requests, oldest first. */
  let segments: Segment[] = []
  let flow: Flow = { tenant: '', priority: 'normal' }
  let count = 0
  let rows = 0
  let because: LongReason = 'unbatched'

  function admits(
    at: number,
    deadline: number,
    tenant: string,
    priority: Priority,
    connection: symbol | undefined,
    signal: AbortSignalLike | undefined,
  ): boolean {
    check()
    if (isOff || !store.isFree || !store.lay()) return away('unbatched')
    const isOfFlow = tenant === flow.tenant && priority === flow.priority
    if ((rows > 0 && !isOfFlow) || !queue.holdsOnly(priority, tenant)) return away('queue')
    if (signal?.aborted || isCrowded(at, deadline, tenant) || unavailable(pool)) return away('limits')
    if (suspects.size > 0 && suspects.has(originOf({ tenant, connection }))) return away('limits')
    if (!isOfFlow) flow = { tenant, priority }
    return true
  }

  function check(): void {
    if (rows > 0 && (!store.isCurrent || !queue.holdsOnly(flow.priority, flow.tenant))) spill()
  }

  function away(reason: LongReason): false {
    because = reason
    return false
  }

  function isCrowded(at: number, deadline: number, tenant: string): boolean {
    const bytes = (rows + 1) * (store.layout?.rowBytes ?? 0) + queue.bytes
    return isTight(limits, sharing.batching, count + queue.count, rows + queue.rows, bytes, tenant, deadline - at)
  }

  function write(values: unknown, maxElements: number | undefined, maxRows: number): number {
    const written = store.write(values, maxElements, maxRows)
    if (written === 0) because = 'inputs'
    return written
  }

  function commit(
    many: number,
    at: number,
    deadline: number,
    signal: AbortSignalLike | undefined,
    connection: symbol | undefined,
    trace: Trace | undefined,
    id: string | undefined,
    sink: Sink,
  ): Promise<unknown> {
    const segment = store.open
    const request = createRequest(many, at, deadline, signal, connection, trace, id, sink, lane)
    const promise = lastPromise()
    if (segment.requests.length === 0) segments.push(segment)
    segment.requests.push(request)
    segment.tail += many
    count++
    rows += many
    accepted.hold(request)
    onCommit()
    return promise
  }

  function take(now: number, mostRows: number): Batch | undefined {
    const { curve, maxRunMs, nextCap } = sharing.batching
    while (rows > 0) {
      const segment = segments[0] as Segment
      const cap = rowsWithin(curve, nextCap(UNIFORM, rows, now), maxRunMs)
      const next = nextIn(segment, Math.min(cap, mostRows))
      // Alone, it is tried whatever the estimate: one that is too high would otherwise never be corrected.
      const isLate = count > 1 && next.soonest < now + (curve.upper(next.rows) ?? 0)
      if (isLate || (next.alive > 0 && next.alive < next.requests.length / 2)) {
        spill()
        return undefined
      }
      const from = segment.head
      segment.head += next.rows
      segment.taken += next.requests.length
      rows -= next.rows
      count -= next.alive
      if (segment.taken === segment.requests.length) {
        segments.shift()
        close(segment)
      }
      if (next.alive === 0) giveBack(segment)
      else return batches.of({ ...next, ...stretchIn(segment, from) }, next.isFull || next.rows >= cap ? 'full' : 'idle')
    }
    return undefined
  }

  const stretchIn = (segment: Segment, from: number) => ({ segment, from, layout: store.layout as LeanLayout, flow })

  /** Nothing more is written to it. */
  function close(segment: Segment): void {
    segment.isClosed = true
    store.shut(segment)
  }

  function spill(): void {
    const left = segments
    segments = []
    rows = 0
    count = 0
    for (const segment of left) {
      const requests = segment.requests.slice(segment.taken)
      for (const entry of batches.entriesOf({ requests, ...stretchIn(segment, segment.head) }))
        if (entry.phase !== 'settled') queue.push(entry)
      close(segment)
      giveBack(segment)
    }
  }

  const lane: Lane = {
    get count() {
      return count
    },
    get rows() {
      return rows
    },
    get oldestAt() {
      const [segment] = segments
      return segment?.requests[segment.taken]?.enqueuedAt
    },
    get because() {
      return because
    },
    admits,
    write,
    commit,
    take,
    spill,
    check,
    leave({ phase }) {
      if (phase === 'queued') count--
    },
    close: store.close,
  }
  return lane
}
