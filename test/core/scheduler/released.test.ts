/** The reasons for which runs begin, as the statistics count them. */

import { describe, expect, test } from 'vitest'
import { createPoisonedLoad, type PoisonedLoad } from '../../support/poisoned-load.ts'

const NONE = { full: 0, window: 0, idle: 0, drain: 0, deadline: 0 }

const sendSome = ({ send }: PoisonedLoad, count: number, timeoutMs?: number): void => {
  for (let i = 0; i < count; i++) send(timeoutMs === undefined ? {} : { timeoutMs })
}

describe('a run begins', () => {
  test('at once where no request waits for others', async () => {
    const load = createPoisonedLoad({ cap: 4 })
    sendSome(load, 3)
    await load.clock.letPass(1)
    expect(load.runs).toEqual([[0, 1, 2]])
    expect(load.scheduler.stats).toMatchObject({ running: 3, batches: 1, rows: 3, released: { ...NONE, idle: 1 } })
  })

  test('once it is full, however long others might be waited for', async () => {
    const load = createPoisonedLoad({ cap: 4, maxDelayMs: 50 })
    sendSome(load, 4)
    await load.clock.letPass(1)
    expect(load.runs).toEqual([[0, 1, 2, 3]])
    expect(load.scheduler.stats.released).toEqual({ ...NONE, full: 1 })
    expect(load.scheduler.batching.info).toMatchObject({ enabled: true, maxSize: 4 })
  })

  test('once it has waited for others as long as it may', async () => {
    const load = createPoisonedLoad({ cap: 4, maxDelayMs: 50 })
    sendSome(load, 2)
    await load.clock.letPass(49)
    expect(load.scheduler.stats).toMatchObject({ waiting: 2, released: NONE })
    await load.clock.letPass(2)
    expect(load.runs).toEqual([[0, 1]])
    expect(load.scheduler.stats).toMatchObject({ waiting: 0, released: { ...NONE, window: 1 } })
  })

  test('at once where no more requests will come', async () => {
    const load = createPoisonedLoad({ cap: 4, maxDelayMs: 50 })
    sendSome(load, 2)
    const drained = load.scheduler.drain()
    await load.clock.letPass(1)
    expect(load.scheduler.stats.released).toEqual({ ...NONE, drain: 1 })
    await load.clock.letPass(10)
    await drained
  })

  test('without one that would be answered too late', async () => {
    const load = createPoisonedLoad({ cap: 4, law: () => 100 })
    sendSome(load, 1)
    await load.clock.letPass(101)
    sendSome(load, 1)
    await load.clock.letPass(1)
    // It waits for 99 ms, and would run for 100.
    sendSome(load, 1, 150)
    sendSome(load, 1)
    await load.clock.letPass(110)
    expect(load.runs).toEqual([[0], [1], [3]])
    expect(load.answers.get(2)).toBe('DEADLINE_EXCEEDED')
    expect(load.scheduler.stats.released).toEqual({ ...NONE, idle: 2, deadline: 1 })
  })
})

test('the first of a queue has waited as long as the clock says', async () => {
  const { scheduler, send, clock } = createPoisonedLoad({ cap: 1, law: () => 100 })
  expect(scheduler.oldestWaitMs).toBe(0)
  send()
  await clock.letPass(5)
  // It runs.
  expect(scheduler.oldestWaitMs).toBe(0)
  send()
  await clock.letPass(30)
  expect(scheduler.oldestWaitMs).toBe(30)
})
