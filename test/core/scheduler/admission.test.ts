/** Refusals at admission: their errors, and the time to come again. */

import { describe, expect, test } from 'vitest'
import type { Pool } from '../../../src/core/engine/pool.ts'
import { refuse, unavailable } from '../../../src/core/scheduler/admission.ts'
import { unbatched } from '../../../src/core/scheduler/batching.ts'
import { createCurve } from '../../../src/core/scheduler/curve.ts'
import { createEntry, type Entry, type Ticket } from '../../../src/core/scheduler/entry.ts'
import { createFairQueue } from '../../../src/core/scheduler/fair-queue.ts'

const LIMITS = { maxQueue: 3, maxQueueBytes: 1000, maxQueuePerTenant: 2 }
const RUN_MS = 100

function entryOf(more: Partial<Ticket> = {}, bytes = 0): Entry {
  const x = { type: 'uint8', dims: [bytes], data: new Uint8Array(bytes) } as const
  const ticket: Ticket = {
    run: { inputs: { x }, fetches: [] },
    enqueuedAt: 0,
    deadline: 1e6,
    signal: undefined,
    priority: 'normal',
    tenant: '',
    shareable: true,
    ...more,
  }
  return createEntry(ticket, { bucket: '', rows: 1 }, false)
}

/** The inputs of admission. Each instance has that many milliseconds of work left. */
function doorOf(waiting: readonly Entry[], leftMs: readonly number[] = [0], more: Partial<Pool> = {}) {
  const curve = createCurve()
  for (let i = 0; i < 5; i++) curve.observe(1, RUN_MS)
  const queue = createFairQueue<Entry>()
  for (const entry of waiting) queue.push(entry)
  const instances = leftMs.map((ms) => ({ bursts: ms > 0 ? 1 : 0, ms }))
  const balancer = { remainingMs: ({ ms }: { ms: number }) => ms }
  const pool = { instances, balancer, unavailableForMs: undefined, ...more } as unknown as Pool
  const state = { now: 0, queue, batching: unbatched('', curve), pool }
  return (newcomer: Entry) => refuse(newcomer, LIMITS, state)
}

const some = (count: number, more?: Partial<Ticket>, bytes?: number): Entry[] =>
  Array.from({ length: count }, () => entryOf(more, bytes))

describe('nothing waits', () => {
  test('a request is tried whatever is expected of it', () => {
    expect(doorOf([], [1e9])(entryOf({ deadline: 1 }, 2000))).toBeUndefined()
  })

  test('but not one whose caller is gone, or whose deadline has passed', () => {
    const reason = new Error('gone')
    const aborted = doorOf([])(entryOf({ signal: AbortSignal.abort(reason) }))
    expect(aborted).toMatchObject({ code: 'ABORTED', cause: reason })
    expect(doorOf([])(entryOf({ signal: new AbortController().signal }))).toBeUndefined()
    for (const deadline of [0, -1]) expect(doorOf([])(entryOf({ deadline }))).toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  })

  test('nor any while the model has no instance', () => {
    const pool = { unavailableForMs: 2500, unavailableBecause: 'has failed' }
    expect(doorOf([], [], pool)(entryOf())).toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      message: 'the model has failed',
      retryAfterS: 3,
    })
    expect(unavailable({ unavailableForMs: 0, unavailableBecause: 'starts' } as Pool)).toMatchObject({ retryAfterS: 1 })
    expect(unavailable({ unavailableForMs: undefined } as Pool)).toBeUndefined()
  })
})

describe('requests wait', () => {
  test('one more than may wait is told when there is room again', () => {
    expect(doorOf(some(2), [1])(entryOf())).toBeUndefined()
    expect(doorOf(some(3), [1])(entryOf())).toMatchObject({ code: 'QUEUE_FULL', retryAfterS: 1 })
    expect(doorOf(some(25), [1])(entryOf())).toMatchObject({ code: 'QUEUE_FULL', retryAfterS: 3 })
    expect(doorOf(some(25), [1, 1])(entryOf())).toMatchObject({ code: 'QUEUE_FULL', retryAfterS: 2 })
  })

  test('what free instances take at once does not count as waiting', () => {
    expect(doorOf(some(3), [0])(entryOf())).toBeUndefined()
    expect(doorOf(some(4), [0, 1])(entryOf())).toMatchObject({ code: 'QUEUE_FULL' })
    expect(doorOf(some(4), [0, 0])(entryOf())).toBeUndefined()
  })

  test('bytes are bounded, to the byte', () => {
    expect(doorOf(some(1, {}, 600))(entryOf({}, 400))).toBeUndefined()
    expect(doorOf(some(1, {}, 600))(entryOf({}, 401))).toMatchObject({ code: 'QUEUE_FULL' })
  })

  test('a named caller may have so many waiting; callers without a name are not one', () => {
    const door = doorOf([...some(2, { tenant: 'a' })])
    expect(door(entryOf({ tenant: 'a' }))).toMatchObject({
      code: 'QUOTA_EXCEEDED',
      message: 'this caller has 2 requests waiting already',
      retryAfterS: 1,
    })
    expect(door(entryOf({ tenant: 'b' }))).toBeUndefined()
    expect(doorOf(some(1, { tenant: 'a' }))(entryOf({ tenant: 'a' }))).toBeUndefined()
    expect(doorOf(some(2))(entryOf())).toBeUndefined()
  })

  test('a deadline that they would have it miss refuses it at once, by how much it would be late', () => {
    // Two ahead of it, its own run, and what the instance still has to do: 300 ms and 50.
    const late = (deadline: number, left: readonly number[] = [50]) => doorOf(some(2), left)(entryOf({ deadline }))
    expect(late(351)).toBeUndefined()
    expect(late(349)).toMatchObject({ code: 'OVERLOADED', retryAfterS: 1 })
    expect(late(349, [5050])).toMatchObject({ code: 'OVERLOADED', retryAfterS: 6 })
    // Of two instances the one that is free first counts, and they share what is ahead.
    expect(late(251, [50, 500])).toBeUndefined()
    expect(late(249, [50, 500])).toMatchObject({ code: 'OVERLOADED' })
  })
})
