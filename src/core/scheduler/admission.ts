/** Admission control: refuses a request up front rather than after a pointless wait. */

import type { Pool } from '../engine/pool.ts'
import { ModelmountError } from '../errors.ts'
import type { AbortSignalLike } from '../host/abort.ts'
import type { Batching } from './batching.ts'
import type { Entry } from './entry.ts'
import type { FairQueue } from './fair-queue.ts'
import { capOf } from './former.ts'

export interface Limits {
  readonly maxQueue: number
  readonly maxQueueBytes: number
  /** Most waiting requests of one named tenant. */
  readonly maxQueuePerTenant: number
}

interface State {
  readonly now: number
  readonly queue: FairQueue<Entry>
  readonly batching: Batching
  readonly pool: Pool
}

/**
 * The error for a refused request, or nothing. If nothing waits, a request is always tried.
 * An estimate that is too high would otherwise never be corrected.
 */
export function refuse(newcomer: Entry, limits: Limits, state: State): ModelmountError | undefined {
  const { now, queue, pool } = state
  const { signal, deadline, tenant, bytes } = newcomer
  if (signal?.aborted) return aborted(signal)
  if (deadline <= now) return new ModelmountError('DEADLINE_EXCEEDED', 'the deadline had passed before the request was queued')
  const gone = unavailable(pool)
  if (gone) return gone
  if (tenant !== '' && queue.countOf(tenant) >= limits.maxQueuePerTenant)
    return new ModelmountError('QUOTA_EXCEEDED', `this caller has ${queue.countOf(tenant)} requests waiting already`, {
      retryAfterS: seconds(drainMs(state)),
    })
  if (queue.count === 0) return undefined
  // Work that a free instance takes at the end of this turn does not count as waiting. A lone request above the byte bound is admitted: the
  // body limit and maxElements have already judged its size.
  if (isFull(limits.maxQueue, state) || queue.bytes + bytes > limits.maxQueueBytes)
    return new ModelmountError('QUEUE_FULL', `${queue.count} requests are waiting for this model already`, {
      retryAfterS: seconds(drainMs(state)),
    })
  if (isFarOff(newcomer, state)) return undefined
  const lateMs = now + etaMs(newcomer, state) - deadline
  if (lateMs > 0)
    return new ModelmountError('OVERLOADED', 'the requests that wait already would make this one miss its deadline', {
      retryAfterS: seconds(lateMs),
    })
  return undefined
}

/** Its own run, and two that an instance may have. */
const RUNS_AHEAD = 3

/**
 * True where a closer look might refuse one more request of a model whose requests share any run. Judged by cautious estimates, and without an
 * object of its arguments: one for every request would cost as much as all the rest.
 * @param leftMs until its deadline
 */
export function isTight(
  { maxQueue, maxQueueBytes, maxQueuePerTenant }: Limits,
  { curve, cap }: Batching,
  count: number,
  rows: number,
  bytes: number,
  tenant: string,
  leftMs: number,
): boolean {
  if (count >= maxQueue || bytes > maxQueueBytes) return true
  if (tenant !== '' && count >= maxQueuePerTenant) return true
  const ms = curve.upper(cap)
  return ms === undefined || ms * (Math.floor(rows / cap) + RUNS_AHEAD) >= leftMs
}

const isFull = (maxQueue: number, { queue, pool }: State): boolean =>
  queue.count >= maxQueue && queue.count - pool.instances.filter((instance) => instance.bursts === 0).length >= maxQueue

/** The usual case, decided without a closer look: the deadline would be met even one row after the other. */
function isFarOff({ deadline, rows, bucket }: Entry, { now, queue, batching }: State): boolean {
  const ms = batching.curveOf(bucket).upper(1)
  return ms !== undefined && now + ms * (queue.rows + 2 * batching.cap + rows) < deadline
}

/** When a new request would be answered: the work ahead of it at fair shares in full batches, then its own. */
function etaMs(newcomer: Entry, { queue, batching, pool }: State): number {
  const { bucket, rows } = newcomer
  const curve = batching.curveOf(bucket)
  const cap = batching.shared(bucket) ? capOf(batching, newcomer) : 1
  const ahead = queue.rowsAhead(newcomer)
  const batches = Math.floor(ahead / (cap * Math.max(1, pool.instances.length)))
  const freeInMs =
    pool.instances.length > 0 ? Math.min(...pool.instances.map((instance) => pool.balancer.remainingMs(instance))) : 0
  return freeInMs + batches * (curve.upper(cap) ?? 0) + (curve.upper(Math.min(cap, ahead + rows)) ?? 0)
}

/** Expected time until the waiting work is done. */
function drainMs({ queue, batching, pool }: State): number {
  const batches = Math.ceil(queue.count / batching.cap)
  return (batches * (batching.curve.estimate(batching.cap) ?? 0)) / Math.max(1, pool.instances.length)
}

const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1000))

export const aborted = (signal: AbortSignalLike): ModelmountError =>
  new ModelmountError('ABORTED', 'the request was aborted', { cause: signal.reason })

/** Set while no instance exists and none is expected at once. */
export function unavailable(pool: Pool): ModelmountError | undefined {
  const { unavailableForMs } = pool
  if (unavailableForMs === undefined) return undefined
  return new ModelmountError('MODEL_UNAVAILABLE', `the model ${pool.unavailableBecause}`, {
    retryAfterS: seconds(unavailableForMs),
  })
}
