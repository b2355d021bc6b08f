/** Each way in which a request ends: its caller is told once, nothing of it is left with a signal, and no timer of it keeps the process. */

import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { ModelmountError } from '../../../src/core/errors.ts'
import type { AbortSignalLike } from '../../../src/core/host/abort.ts'
import { CODES, createPoisonedLoad, type PoisonedLoad, type PoisonedOptions } from '../../support/poisoned-load.ts'

interface Ending {
  readonly opts?: PoisonedOptions
  /** Sends requests with the signal, some of which end as the code says. */
  end(load: PoisonedLoad, signal: AbortSignalLike, abort: () => void): Promise<void>
}

const ENDINGS: Readonly<Record<string, Ending>> = {
  ok: {
    opts: { maxWaitMs: 60_000 },
    async end({ send, clock }, signal) {
      for (let i = 0; i < 20; i++) send({ signal })
      await clock.letPass(100)
    },
  },
  INPUT_REJECTED: {
    async end({ send, clock }, signal) {
      for (let i = 0; i < 20; i++) send({ signal, kind: i === 5 ? 'bad' : 'good' })
      await clock.letPass(1000)
    },
  },
  ABORTED: {
    opts: { cap: 2, law: () => 100 },
    async end({ send, clock }, signal, abort) {
      for (let i = 0; i < 20; i++) send({ signal })
      await clock.letPass(10)
      abort()
      send({ signal })
      await clock.letPass(1000)
    },
  },
  // While they run, and while they wait.
  DEADLINE_EXCEEDED: {
    opts: { cap: 2, law: () => 100 },
    async end({ send, clock }, signal) {
      for (let i = 0; i < 20; i++) send({ signal, timeoutMs: 50 })
      send({ signal, timeoutMs: 0 })
      await clock.letPass(2000)
    },
  },
  OVERLOADED: {
    opts: { cap: 1, law: () => 100, maxWaitMs: 150 },
    async end({ send, clock }, signal) {
      for (let i = 0; i < 20; i++) send({ signal })
      await clock.letPass(2000)
    },
  },
  QUEUE_FULL: {
    opts: { cap: 1, law: () => 100, maxQueue: 2 },
    async end({ send, clock }, signal) {
      for (let i = 0; i < 5; i++) send({ signal, priority: 'low' })
      await clock.letPass(1)
      // One makes room.
      for (let i = 0; i < 5; i++) send({ signal, priority: 'high' })
      await clock.letPass(2000)
    },
  },
  QUOTA_EXCEEDED: {
    opts: { cap: 1, law: () => 100, maxQueuePerTenant: 2 },
    async end({ send, clock }, signal) {
      for (let i = 0; i < 5; i++) send({ signal, tenant: 'a' })
      await clock.letPass(2000)
    },
  },
  WORKER_LOST: {
    opts: { killable: true, cap: 4 },
    async end({ send, clock }, signal) {
      for (let i = 0; i < 20; i++) send({ signal, kind: i === 3 ? 'deadly' : 'good' })
      await clock.letPass(2000)
    },
  },
  SERVER_CLOSED: {
    opts: { cap: 1, law: () => 100 },
    async end({ send, clock, scheduler }, signal) {
      for (let i = 0; i < 5; i++) send({ signal })
      await clock.letPass(10)
      scheduler.abandon(new ModelmountError('SERVER_CLOSED', 'the server is closing'))
      await clock.letPass(2000)
    },
  },
}

/** An adapter's signal, which counts. */
function countedSignal() {
  const listeners = new Set<() => void>()
  let aborted = false
  const signal: AbortSignalLike = {
    get aborted() {
      return aborted
    },
    reason: undefined,
    addEventListener: (_, listener) => void listeners.add(listener),
    removeEventListener: (_, listener) => void listeners.delete(listener),
  }
  const abort = (): void => {
    aborted = true
    for (const listener of [...listeners]) listener()
  }
  return { signal, abort, count: () => listeners.size }
}

test('while a request waits or runs, its deadline keeps the process', async () => {
  const { send, clock } = createPoisonedLoad({ law: () => 10 })
  send({ timeoutMs: 30_000 })
  await clock.letPass(5)
  expect(clock.held).toBe(1)
  await clock.letPass(50)
  expect(clock.held).toBe(0)
})

test('one that cost its worker may be sent again in a second, and is told so', async () => {
  const { scheduler, clock } = createPoisonedLoad({ killable: true })
  const x = { type: 'float32', dims: [1, 2], data: Float32Array.of(0, CODES.deadly) } as const
  const answer = scheduler.submit({
    run: { inputs: { x }, fetches: ['x'] },
    enqueuedAt: 0,
    deadline: 1000,
    signal: undefined,
    priority: 'normal',
    tenant: '',
    shareable: true,
  })
  const told = expect(answer).rejects.toMatchObject({ code: 'WORKER_LOST', retryAfterS: 1 })
  await clock.letPass(100)
  await told
})

test('a scheduler that has had no request drains at once, and one that has drains after its answers', async () => {
  await createPoisonedLoad().scheduler.drain()
  const { scheduler, clock, send, answers } = createPoisonedLoad({ law: () => 10 })
  for (let i = 0; i < 3; i++) send()
  const drained = scheduler.drain().then(() => answers.size)
  await clock.letPass(100)
  expect(await drained).toBe(3)
})

describe.each(Object.entries(ENDINGS))('%s', (code, { opts, end }) => {
  test('leaves no listener on a signal that all requests share', async () => {
    const load = createPoisonedLoad(opts)
    const controller = new AbortController()
    const { signal } = controller
    await end(load, signal, () => controller.abort())
    expect(new Set(load.answers.values())).toContain(code)
    expect(getEventListeners(signal, 'abort')).toEqual([])
    expect(load.scheduler.stats).toMatchObject({ waiting: 0, running: 0 })
    // A process that has nothing else to do may end, however far off the deadlines were.
    expect(load.clock.held).toBe(0)
  })

  test('leaves none on the signal of an adapter', async () => {
    const load = createPoisonedLoad(opts)
    const { signal, abort, count } = countedSignal()
    await end(load, signal, abort)
    expect(new Set(load.answers.values())).toContain(code)
    expect(count()).toBe(0)
  })
})
