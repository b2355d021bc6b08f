/** Forms the work of an instance: batches that share a message, as many as it should have now. */

import type { Next } from '../engine/balance.ts'
import type { BufferPool } from '../engine/buffer-pool.ts'
import type { Instance } from '../engine/instance.ts'
import type { Pool } from '../engine/pool.ts'
import type { Run } from '../engine/run.ts'
import type { Clock } from '../host/clock.ts'
import type { Accepted } from './accepted.ts'
import type { Batch, Entry } from './entry.ts'
import type { FairQueue } from './fair-queue.ts'
import { type FormOptions, formBatch } from './former.ts'
import { createHalves, type Halves } from './halves.ts'
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
  msOf(batch: Batch): number
  /** The run of a batch, with its inputs joined. */
  runOf(batch: Batch): Run
  /** A worker has answered. */
  readonly ran: Halves['ran']
}

interface Deps extends Pick<FormOptions, 'maxDelayMs' | 'mixTenants'> {
  readonly pool: Pool
  readonly clock: Clock
  readonly queue: FairQueue<Entry>
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
  const { pool, clock, queue, sharing, accepted, maxDelayMs, mixTenants, buffers, lookAgain, prefetch = true } = deps
  const halves = createHalves({ isOff: !prefetch })

  function next(): Next {
    const { cap, curve } = sharing.batching
    return { ms: curve.estimate(Math.min(cap, queue.rows)) ?? 0, runs: Math.ceil(queue.rows / cap) }
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
      const now = clock.now()
      const { draining } = accepted
      const formed = formBatch(queue, sharing.batching, { now, maxDelayMs, mixTenants, draining, mostRows }, accepted.dropLate)
      if (formed && 'waitUntil' in formed) clock.after(formed.waitUntil - now, lookAgain)
      if (!formed || 'waitUntil' in formed) break
      const { batch } = formed
      burst.push(batch)
      for (const entry of batch.entries) entry.phase = 'packed'
      if (isLone(batch.entries[0])) break
      burstMs += msOf(batch)
    }
    return burst.length > 0 ? burst : undefined
  }

  /** Half of the waiting rows where they are better sent as two runs. */
  function rowsAtOnce(): number {
    const head = queue.peek()
    if (!head || !isForHalves(head)) return Number.POSITIVE_INFINITY
    const { batching } = sharing
    const half = Math.ceil(queue.rowsBeside(head) / 2)
    const isBetter = half < batching.capOf(head.bucket) && halves.areEnough(half, batching.curveOf(head.bucket))
    return isBetter ? half : Number.POSITIVE_INFINITY
  }

  const isForHalves = (head: Entry): boolean =>
    maxDelayMs === 0 && head.partners === 'any' && !head.apart && sharing.batching.shared(head.bucket)

  function mayGoAhead(instance: Instance): boolean {
    const { balancer } = pool
    return mayFollow(balancer.remainingMs(instance), AHEAD_MS) || isOtherHalf(balancer.remainingMs(instance))
  }

  /** Enough for a run of its own, although it could still grow. */
  function isOtherHalf(aheadMs: number): boolean {
    const head = queue.peek()
    if (!head || !isForHalves(head)) return false
    const curve = sharing.batching.curveOf(head.bucket)
    const rows = Math.min(sharing.batching.capOf(head.bucket), queue.rowsBeside(head))
    return aheadMs + (curve.estimate(rows) ?? 0) <= AHEAD_MS && halves.areEnough(rows, curve)
  }

  /** The next run may be posted behind others if all of them together are short enough, and none has to be alone. */
  function mayFollow(othersMs: number, limitMs: number): boolean {
    const head = queue.peek()
    if (!head || isLone(head)) return false
    // Callers answered now may ask again in the same turn, and would find the worker taken.
    if (head.apart && !queue.owesApart) return false
    const { batching } = sharing
    const cap = batching.capOf(head.bucket)
    const rows = batching.shared(head.bucket) ? Math.min(cap, queue.rowsBeside(head)) : head.rows
    const ms = batching.curveOf(head.bucket).estimate(rows)
    const isComplete = !batching.shared(head.bucket) || rows >= cap
    return ms !== undefined && othersMs + ms <= (isComplete ? limitMs : BURST_MS)
  }

  /** Must be the only run of its message, because it may cost the worker. */
  const isLone = (head: Entry | undefined): boolean => head?.partners === 'none' || (head?.apart === true && pool.killable)

  const msOf = ({ entries, rows }: Batch): number => sharing.batching.curveOf(entries[0]?.bucket ?? '').estimate(rows) ?? 0

  function runOf({ entries }: Batch): Run {
    const [first] = entries as readonly [Entry]
    if (entries.length === 1) return first.run
    return {
      inputs: sharing.batching.join(
        entries.map((entry) => entry.run.inputs),
        buffers,
      ),
      fetches: first.run.fetches,
    }
  }

  return { next, form, msOf, runOf, ran: halves.ran }
}
