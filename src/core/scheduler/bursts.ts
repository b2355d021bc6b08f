/** Forms the work of an instance: batches that share a message, as many as it should have now. */

import type { Next } from '../engine/balance.ts'
import type { BufferPool } from '../engine/buffer-pool.ts'
import type { Instance } from '../engine/instance.ts'
import type { Pool } from '../engine/pool.ts'
import type { Clock } from '../host/clock.ts'
import type { Accepted } from './accepted.ts'
import type { Batch, Entry } from './entry.ts'
import type { FairQueue } from './fair-queue.ts'
import { type FormOptions, formBatch } from './former.ts'
import { createHalves, type Halves } from './halves.ts'
import { joinedBatch } from './joined.ts'
import type { Lane } from './lean/lane.ts'
import { UNIFORM } from './place.ts'
import type { Sharing } from './sharing.ts'

/** Runs that share a message are answered together, so all of them together must be short. */
const BURST_MS = 1
/**
 * Most work of an instance when another message is posted behind it, that one included. Without it the worker would idle for a hop after
 * each run. Posted work can no longer be dropped, be overtaken, or grow, so beyond `BURST_MS` it must have nothing to grow for.
 */
const AHEAD_MS = 10
const MAX_RUNS = 64
export interface Bursts {
  /** The waiting work, from the balancer's point of view. */
  next(): Next
  /** Work for an instance now: any amount if it is idle, only little ahead of time. */
  form(instance: Instance): Batch[] | undefined
  /** Expected milliseconds of a run; 0 if nothing is known. */
  msOf(batch: Pick<Batch, 'bucket' | 'rows'>): number
  /** A worker has answered. */
  readonly ran: Halves['ran']
}

interface Deps extends Pick<FormOptions, 'maxDelayMs' | 'mixTenants'> {
  readonly pool: Pool
  readonly clock: Clock
  readonly queue: FairQueue<Entry>
  readonly lane: Lane
  readonly sharing: Sharing
  readonly accepted: Pick<Accepted, 'draining' | 'dropLate'>
  /** Memory for the inputs of shared runs. @default fresh */
  readonly buffers?: BufferPool | undefined
  /** A batch that waits for others has waited long enough. */
  lookAgain(): void
  /** Waiting requests may leave as two halves. @default true */
  readonly prefetch?: boolean
}

export function createBursts(deps: Deps): Bursts {
  const { pool, clock, queue, lane, sharing, accepted, maxDelayMs, mixTenants, buffers, lookAgain, prefetch = false } = deps
  const halves = createHalves({ isOff: !prefetch })

  function next(): Next {
    const { cap, curve } = sharing.batching
    const rows = queue.rows + lane.rows
    return { ms: curve.estimate(Math.min(cap, rows)) ?? 0, runs: Math.ceil(rows / cap) }
  }

  function form(instance: Instance): Batch[] | undefined {
    const burst: Batch[] = []
    const idle = instance.bursts === 0
    let burstMs = 0
    // Half of the waiting work, so that the worker runs the other half while the host reads these answers.
    const most = Math.min(MAX_RUNS, Math.ceil(next().runs / 2))
    const mostRows = idle && instance.tier !== 'inline' ? rowsAtOnce() : Number.POSITIVE_INFINITY
    while (burst.length < most) {
      if (burst.length > 0 ? !mayFollow(burstMs, BURST_MS) : !idle && !mayGoAhead(instance)) break
      const batch = queue.count > 0 ? takeQueued(mostRows) : (lane.take(clock.now(), mostRows) ?? takeQueued(mostRows))
      if (!batch) break
      burst.push(batch)
      for (const request of batch.requests) if (request.phase !== 'settled') request.phase = 'packed'
      if (batch.isLone) break
      burstMs += msOf(batch)
    }
    return burst.length > 0 ? burst : undefined
  }

  /** Half of the waiting rows where they are better sent as two runs. */
  function rowsAtOnce(): number {
    const waiting = splittable()
    if (!waiting) return Number.POSITIVE_INFINITY
    const { batching } = sharing
    const half = Math.ceil(waiting.rows / 2)
    const isBetter = half < batching.capOf(waiting.bucket) && halves.areEnough(half, batching.curveOf(waiting.bucket))
    return isBetter ? half : Number.POSITIVE_INFINITY
  }

  /** The rows that could go into the next run, if some of them may go into another one. */
  function splittable(): { readonly bucket: string; readonly rows: number } | undefined {
    if (queue.count === 0) return lane.rows > 0 ? { bucket: UNIFORM, rows: lane.rows } : undefined
    const head = queue.peek()
    const may = maxDelayMs === 0 && head?.partners === 'any' && !head.apart && sharing.batching.shared(head.bucket)
    return may ? { bucket: head.bucket, rows: queue.rowsBeside(head) } : undefined
  }

  function mayGoAhead(instance: Instance): boolean {
    const { balancer } = pool
    return mayFollow(balancer.remainingMs(instance), AHEAD_MS) || isOtherHalf(balancer.remainingMs(instance))
  }

  /** Enough for a run of its own, although it could still grow. */
  function isOtherHalf(aheadMs: number): boolean {
    const waiting = splittable()
    if (!waiting) return false
    const curve = sharing.batching.curveOf(waiting.bucket)
    const rows = Math.min(sharing.batching.capOf(waiting.bucket), waiting.rows)
    return aheadMs + (curve.estimate(rows) ?? 0) <= AHEAD_MS && halves.areEnough(rows, curve)
  }

  function takeQueued(mostRows: number): Batch | undefined {
    const now = clock.now()
    const { draining } = accepted
    const formed = formBatch(queue, sharing.batching, { now, maxDelayMs, mixTenants, draining, mostRows }, accepted.dropLate)
    if (formed && 'waitUntil' in formed) clock.after(formed.waitUntil - now, lookAgain)
    if (!formed || 'waitUntil' in formed) return undefined
    return joinedBatch(formed.batch, isLone(formed.batch.entries[0]), { sharing, buffers })
  }

  /** The next run may be posted behind others if all of them together are short enough, and none has to be alone. */
  function mayFollow(othersMs: number, limitMs: number): boolean {
    if (queue.count === 0 && lane.rows > 0) return isShort(UNIFORM, lane.rows, othersMs, limitMs)
    const head = queue.peek()
    if (!head || isLone(head)) return false
    // Callers answered now may ask again in the same turn, and would find the worker taken.
    if (head.apart && !queue.owesApart) return false
    const isShared = sharing.batching.shared(head.bucket)
    return isShort(head.bucket, isShared ? queue.rowsBeside(head) : head.rows, othersMs, limitMs)
  }

  function isShort(bucket: string, waiting: number, othersMs: number, limitMs: number): boolean {
    const { batching } = sharing
    const cap = batching.shared(bucket) ? batching.capOf(bucket) : waiting
    const ms = batching.curveOf(bucket).estimate(Math.min(cap, waiting))
    return ms !== undefined && othersMs + ms <= (waiting >= cap ? limitMs : BURST_MS)
  }

  /** Must be the only run of its message, because it may cost the worker. */
  const isLone = (head: Entry | undefined): boolean => head?.partners === 'none' || (head?.apart === true && pool.killable)

  const msOf: Bursts['msOf'] = ({ bucket, rows }) => sharing.batching.curveOf(bucket).estimate(rows) ?? 0

  return { next, form, msOf, ran: halves.ran }
}
