/** The requests of one tenant in one priority, with a bucket for each kind of run that they may share. */

import { type Bucket, createBucket } from './bucket.ts'
import type { Heap, Heaped } from './heap.ts'

/** A request, from the point of view of its flow. */
export interface Flowing {
  readonly enqueuedAt: number
  /** True while it is in the queue. */
  waits: boolean
}

/** A place in the queue: a bucket of a flow. */
export interface Spot<T> {
  readonly flow: Flow<T>
  readonly bucket: Bucket<T>
}

export interface Flow<T> extends Heaped {
  readonly tenant: string
  readonly level: Level<T>
  /** Rows that were taken from it, and those that it missed while it was idle. */
  served: number
  /** Orders flows that were served alike: the older one is next. */
  turn: number
  count: number
  rows: number
  readonly buckets: Map<string, Spot<T>>
}

/** One priority. */
export interface Level<T> {
  readonly weight: number
  /** Idle flows that are always kept, and the most of them. */
  readonly fewIdle: number
  readonly mostIdle: number
  /** Rows that were taken from its flows, divided by the weight. */
  served: number
  /** Never falls: the most that a picked or forgotten flow had been served. A flow that wakes up, or comes back, begins there. */
  now: number
  /** Of the flow that changes next between active and idle. */
  turn: number
  count: number
  readonly flows: Map<string, Flow<T>>
  /** Flows with waiting requests, least served first. */
  readonly active: Heap<Flow<T>>
  /** The other flows, remembered so that no tenant gains by leaving. */
  readonly idle: Heap<Flow<T>>
}

export const createFlow = <T>(tenant: string, level: Level<T>): Flow<T> => ({
  tenant,
  level,
  served: 0,
  turn: level.turn++,
  count: 0,
  rows: 0,
  buckets: new Map(),
  spotInHeap: 0,
})

export const isNext = <T>(a: Flow<T>, b: Flow<T>): boolean => a.served < b.served || (a.served === b.served && a.turn < b.turn)

const waits = (entry: Flowing): boolean => entry.waits

/** @param bucket a new one, if the flow has none of that name */
export function spotIn<T extends Flowing>(flow: Flow<T>, bucket: string): Spot<T> {
  let spot = flow.buckets.get(bucket)
  if (!spot) {
    spot = { flow, bucket: createBucket<T>(waits) }
    flow.buckets.set(bucket, spot)
  }
  return spot
}

export function oldestOf<T extends Flowing>({ buckets }: Flow<T>): T | undefined {
  let oldest: T | undefined
  for (const { bucket } of buckets.values()) {
    const head = bucket.peek()
    if (head && (!oldest || head.enqueuedAt < oldest.enqueuedAt)) oldest = head
  }
  return oldest
}

export function newestOf<T extends Flowing>(flows: Iterable<Flow<T>>): T | undefined {
  let newest: T | undefined
  for (const { buckets } of flows)
    for (const { bucket } of buckets.values()) {
      const last = bucket.last()
      if (last && (!newest || last.enqueuedAt > newest.enqueuedAt)) newest = last
    }
  return newest
}
