/** Forms batches from waiting requests: decides whose turn it is, who may join, and who would be too late. */

import type { Batching } from './batching.ts'
import { rowsWithin } from './curve.ts'
import type { Entry, FormedBatch, ReleaseReason } from './entry.ts'
import type { FairQueue } from './fair-queue.ts'

export interface FormOptions {
  readonly now: number
  /** Longest time that the head waits for others to join, in milliseconds. */
  readonly maxDelayMs: number
  /** Requests of different tenants may share a run. */
  readonly mixTenants: boolean
  /** The model takes no more requests. */
  readonly draining: boolean
  /** Fewer rows than fit into a run, unless the head alone has more. @default no bound */
  readonly mostRows?: number
}

export type Formed =
  | { readonly batch: FormedBatch }
  /** No batch yet: the head waits for others until then. */
  | { readonly waitUntil: number }
  | undefined

/**
 * Most rows of a run of such requests: the size worth batching, unless it would be too large or is expected to take too long.
 * @param most the size worth batching. @default the size in use
 */
export function capOf(
  batching: Batching,
  { bucket, run, rows }: Pick<Entry, 'bucket' | 'run' | 'rows'>,
  most = batching.capOf(bucket),
): number {
  return rowsWithin(batching.curveOf(bucket), Math.min(most, batching.roomFor(run, rows)), batching.maxRunMs)
}

/**
 * The next batch. Members that cannot be answered in time at the batch's size are dropped and replaced, from the head.
 * Shrinking the batch to save them would delay every request behind them.
 */
export function formBatch(queue: FairQueue<Entry>, batching: Batching, opts: FormOptions, drop: (entry: Entry) => void): Formed {
  let dropped = false
  for (let head = queue.peek(); head; head = queue.peek()) {
    const { bucket } = head
    const cap =
      head.partners === 'none' || !batching.shared(bucket)
        ? 1
        : capOf(batching, head, batching.nextCap(bucket, queue.rowsBeside(head), opts.now))
    const waitUntil = waitFor(queue, batching, head, cap, opts)
    if (waitUntil !== undefined) return { waitUntil }
    const most = Math.min(cap, opts.mostRows ?? cap)
    const { entries, rows, full } = take(queue, head, most, opts.mixTenants)
    const ms = batching.curveOf(head.bucket).upper(rows) ?? 0
    // Alone in the queue, it is tried whatever the estimate: one that is too high would otherwise never be corrected.
    const late = entries.length === 1 && queue.count === 0 ? [] : entries.filter((entry) => opts.now + ms > entry.deadline)
    if (late.length === 0) {
      const padding = batching.padding(entries)
      return { batch: { entries, rows, padding, reason: reasonOf(full && most === cap, dropped, opts) } }
    }
    dropped = true
    for (const entry of late) {
      queue.refund(entry)
      drop(entry)
    }
    for (const entry of entries.reverse()) if (!late.includes(entry)) queue.putBack(entry)
  }
  return undefined
}

function take(
  queue: FairQueue<Entry>,
  head: Entry,
  cap: number,
  mixTenants: boolean,
): { entries: Entry[]; rows: number; full: boolean } {
  queue.take(head, true)
  const entries = [head]
  let { rows } = head
  if (cap === 1) return { entries, rows, full: false }
  for (let next = queue.peekBeside(head, mixTenants); next; next = queue.peekBeside(head, mixTenants)) {
    if (next.partners !== head.partners || rows + next.rows > cap) return { entries, rows, full: true }
    queue.take(next)
    entries.push(next)
    rows += next.rows
  }
  return { entries, rows, full: rows >= cap }
}

/** Until when the head should wait for others, if at all. Its own deadline and the run take precedence. */
function waitFor(
  queue: FairQueue<Entry>,
  batching: Batching,
  head: Entry,
  cap: number,
  { now, maxDelayMs, draining }: FormOptions,
): number | undefined {
  if (maxDelayMs === 0 || cap === 1 || draining || head.partners !== 'any' || queue.rowsBeside(head) >= cap) return undefined
  const latest = head.deadline - 2 * (batching.curveOf(head.bucket).upper(cap) ?? 0)
  const until = Math.min(head.enqueuedAt + maxDelayMs, latest)
  return until > now ? until : undefined
}

function reasonOf(full: boolean, dropped: boolean, { maxDelayMs, draining }: FormOptions): ReleaseReason {
  if (full) return 'full'
  if (draining) return 'drain'
  if (dropped) return 'deadline'
  return maxDelayMs > 0 ? 'window' : 'idle'
}
