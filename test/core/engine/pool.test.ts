/** A pool's memory and releases over time, by a clock that is moved by hand and workers that do as told. */

import { describe, expect, test, vi } from 'vitest'
import type { Channel, ChannelEvents } from '../../../src/core/engine/channel.ts'
import type { Instance, LoadRequest } from '../../../src/core/engine/instance.ts'
import type { SharedForm } from '../../../src/core/engine/launch.ts'
import { createPool, type PoolEvent, type PoolSettings } from '../../../src/core/engine/pool.ts'
import { isPacket } from '../../../src/core/engine/wire/format.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'
import { answered, kindOf, LOADED } from '../../support/worker-messages.ts'

const REQUEST: LoadRequest = {
  source: 'model.onnx',
  patch: [],
  data: [],
  settings: {
    providers: [{ name: 'cpu' }],
    strictProviders: false,
    session: {} as LoadRequest['settings']['session'],
    prefetch: true,
    niceness: 0,
  },
  timeoutMs: 1000,
}
const REFUSED = 'the model changed on disk'

interface Worker {
  readonly events: ChannelEvents
  /** The messages that it received. */
  readonly sent: string[]
  /** The model that it was told to load. */
  source: unknown
  readonly killed: string[]
  closed: boolean
}

function setUp(settings: Partial<PoolSettings> = {}) {
  const clock = createSimulatedClock()
  const events: PoolEvent[] = []
  const workers: Worker[] = []
  const claims: number[] = []
  const world = {
    /** Whether the files are those that were loaded. */
    intact: true,
    loads: true,
    /** Loads are not answered. */
    hangs: false,
    /** Workers release their model at once. */
    releases: false,
    changes: 0,
    waitMs: 0,
    /** Instances that there is room for. */
    room: 100,
  }
  const pool = createPool(
    REQUEST,
    { min: 1, max: 1, balance: 'fastest', targetDelayMs: 10, idleMs: 1000, ...settings },
    {
      clock,
      killable: true,
      open(own): Channel {
        const worker: Worker = { events: own, sent: [], source: undefined, killed: [], closed: false }
        workers.push(worker)
        return {
          post(message) {
            worker.sent.push(kindOf(message))
            if (isPacket(message)) return
            if (message.kind === 'release' && world.releases) queueMicrotask(() => own.onMessage({ kind: 'released' }))
            if (message.kind !== 'load') return
            worker.source = message.source
            if (world.hangs) return
            const answer = world.loads ? LOADED : ({ kind: 'load-failed', message: 'no memory', fallbacks: [] } as const)
            queueMicrotask(() => own.onMessage(answer))
          },
          kill: (reason) => void worker.killed.push(reason),
          async close() {
            worker.closed = true
          },
        }
      },
      async checkSource() {
        if (!world.intact) throw new Error(REFUSED)
        return async () => {}
      },
      async prepare() {},
      onSharedLost() {},
      emit: (event) => events.push(event),
      onChange: () => void world.changes++,
      oldestWaitMs: () => world.waitMs,
      claim(instances) {
        claims.push(instances)
        return Math.min(instances, world.room)
      },
    },
  )
  const crash = (): void => workers.at(-1)?.events.onExit('it crashed')
  return { clock, events, workers, claims, world, pool, crash }
}

type SetUp = ReturnType<typeof setUp>

const ofType = <T extends PoolEvent['type']>(events: readonly PoolEvent[], type: T) =>
  events.filter((event): event is Extract<PoolEvent, { type: T }> => event.type === type)

const delays = ({ events }: SetUp): number[] => ofType(events, 'worker-lost').map(({ restartInMs }) => restartInMs)

/** Crashes the one instance so many times, each time once it is up again. */
async function crashes(it: SetUp, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    it.crash()
    await it.clock.letPass(40_000)
  }
}

/** A run that stays with its instance until it is answered. */
function occupy(instance: Instance | undefined): void {
  instance?.run([{ inputs: {}, fetches: [] }], () => {})
}

function answer({ events }: Worker, id = 1): void {
  events.onMessage(answered({ id, answers: [{}] }).packet)
}

describe('crashes', () => {
  test('in a row wait longer and longer; one good run sets the delay back', async () => {
    const it = setUp()
    await it.pool.start()
    await crashes(it, 4)
    expect(delays(it)).toEqual([0, 100, 200, 400])
    it.pool.succeeded({ tier: 'process' })
    await crashes(it, 2)
    expect(delays(it).slice(4)).toEqual([0, 100])
  })

  test('five in a row open the breaker; one good run closes it and counts from the start', async () => {
    const it = setUp()
    await it.pool.start()
    await crashes(it, 4)
    expect(ofType(it.events, 'breaker')).toEqual([])
    it.crash()
    expect(it.pool.unavailableForMs).toBe(800)
    expect(it.pool.unavailableBecause).toContain('crashed repeatedly')
    await it.clock.letPass(1000)
    // Half open: with an instance up again requests are tried.
    expect(it.pool.unavailableForMs).toBeUndefined()
    it.pool.succeeded({ tier: 'process' })
    expect(ofType(it.events, 'breaker').map(({ state }) => state)).toEqual(['open', 'closed'])
    await crashes(it, 4)
    expect(ofType(it.events, 'breaker')).toHaveLength(2)
    it.crash()
    expect(ofType(it.events, 'breaker')).toHaveLength(3)
  })
})

describe('a start that is refused', () => {
  test('is no crash, is told of once, and heals by itself', async () => {
    const it = setUp()
    await it.pool.start()
    it.world.intact = false
    it.crash()
    await it.clock.letPass(300_000)
    expect(delays(it)).toEqual([0])
    expect(ofType(it.events, 'breaker')).toEqual([])
    expect(ofType(it.events, 'start-refused')).toEqual([{ type: 'start-refused', reason: REFUSED, retryInMs: 1000 }])
    expect(it.pool.unavailableBecause).toBe(`cannot be started again: ${REFUSED}`)
    expect(it.pool.unavailableForMs).toBeLessThanOrEqual(30_000)
    it.world.intact = true
    await it.clock.letPass(30_000)
    expect(it.pool.unavailableForMs).toBeUndefined()
    expect(it.pool.unavailableBecause).toBeUndefined()
    expect(it.pool.instances).toHaveLength(1)
    // The next one is news, and is looked at after a second again.
    it.world.intact = false
    it.pool.succeeded({ tier: 'process' })
    it.crash()
    await it.clock.letPass(10)
    expect(ofType(it.events, 'start-refused').map(({ retryInMs }) => retryInMs)).toEqual([1000, 1000])
  })

  test('together with others counts once: the next look is as soon', async () => {
    const it = setUp({ min: 3, max: 3 })
    await it.pool.start()
    it.world.intact = false
    for (const { events } of it.workers) events.onExit('it crashed')
    await it.clock.letPass(500)
    expect(it.pool.unavailableForMs).toBeLessThanOrEqual(1000)
    it.world.intact = true
    await it.clock.letPass(1000)
    expect(it.pool.instances).toHaveLength(3)
  })

  test('leaves alone what goes on, and no timer after the end', async () => {
    const it = setUp({ min: 2, max: 2 })
    await it.pool.start()
    it.world.intact = false
    it.crash()
    await it.clock.letPass(5000)
    expect(it.pool.instances).toHaveLength(1)
    expect(it.pool.unavailableForMs).toBeUndefined()
    const closing = it.pool.close()
    it.workers[0]?.events.onMessage({ kind: 'released' })
    await closing
    it.world.intact = true
    const { length } = it.workers
    await it.clock.letPass(100_000)
    expect(it.workers).toHaveLength(length)
  })
})

describe('growth', () => {
  /** Requests stand in line behind a busy instance for as long as it takes. */
  async function grow(it: SetUp): Promise<void> {
    occupy(it.pool.instances[0])
    it.world.waitMs = 1000
    it.pool.queueChanged()
    await it.clock.letPass(300)
  }

  test('that fails gives CPU and memory back', async () => {
    const it = setUp({ max: 2 })
    await it.pool.start()
    it.world.loads = false
    await grow(it)
    expect(ofType(it.events, 'scaled')).toMatchObject([
      { instances: 2, reason: 'queue' },
      { instances: 1, reason: 'failed', detail: expect.stringContaining('no memory') },
    ])
    expect(it.pool.target).toBe(1)
    expect(it.claims.at(-1)).toBe(1)
  })

  test('that is refused gives them back too, with the reason', async () => {
    const it = setUp({ max: 2 })
    await it.pool.start()
    it.world.intact = false
    await grow(it)
    expect(ofType(it.events, 'scaled').at(-1)).toMatchObject({ instances: 1, reason: 'failed', detail: REFUSED })
    expect(it.claims.at(-1)).toBe(1)
    expect(it.workers).toHaveLength(1)
  })
})

describe('close()', () => {
  test('waits for the runs of an instance that scales down, and for nothing else', async () => {
    const it = setUp({ max: 2 })
    await it.pool.start()
    occupy(it.pool.instances[0])
    it.world.waitMs = 1000
    it.pool.queueChanged()
    await it.clock.letPass(300)
    expect(it.pool.instances).toHaveLength(2)
    const [first, second] = it.workers as [Worker, Worker]
    // Down again while a run is with each: one of them leaves once it has answered.
    occupy(it.pool.instances[1])
    it.world.waitMs = 0
    it.pool.queueChanged()
    await it.clock.letPass(10_000)
    expect(it.pool.target).toBe(1)
    const [leaver, stayer] = it.pool.instances.length === 1 && it.pool.instances[0]?.id === 1 ? [second, first] : [first, second]
    let closed = false
    const closing = it.pool.close().then(() => {
      closed = true
    })
    answer(stayer)
    await it.clock.letPass(10)
    stayer.events.onMessage({ kind: 'released' })
    await it.clock.letPass(1_000_000)
    expect(closed).toBe(false)
    answer(leaver)
    await it.clock.letPass(0)
    leaver.events.onMessage({ kind: 'released' })
    await closing
    expect(it.workers.map(({ closed }) => closed)).toEqual([true, true])
  })
})

const FORM: SharedForm = { source: 'derived.onnx', isIntact: async () => true }

describe('a start', () => {
  test('proves the model by one, and starts the others then, or when they are asked for', async () => {
    const it = setUp({ min: 3, max: 3 })
    expect(await it.pool.start({ count: 1 })).toBe(LOADED)
    expect([it.workers.length, it.pool.settled, it.pool.target, it.claims]).toEqual([1, false, 3, [3]])
    await it.pool.fill()
    expect([it.pool.instances.length, it.pool.settled]).toEqual([3, true])
    // Each of them is news; the first is what the start was about.
    expect(ofType(it.events, 'worker-ready')).toHaveLength(2)
    expect(it.world.changes).toBe(2)
    await it.pool.fill()
    expect(it.workers).toHaveLength(3)
  })

  test('that fails ends what it has started', async () => {
    const it = setUp({ min: 2, max: 2 })
    it.world.releases = true
    it.world.hangs = true
    const starting = it.pool.start()
    await vi.waitFor(() => expect(it.workers).toHaveLength(1))
    Object.assign(it.world, { hangs: false, loads: false })
    // The first is up; the second fails.
    it.workers[0]?.events.onMessage(LOADED)
    await expect(starting).rejects.toMatchObject({ code: 'MODEL_LOAD_FAILED' })
    expect(it.workers.map(({ closed }) => closed)).toEqual([true, true])
    await expect(it.pool.start()).rejects.toMatchObject({ code: 'SERVER_CLOSED' })
  })

  test('may be of a form from the beginning', async () => {
    const it = setUp()
    await it.pool.start({ form: FORM })
    expect(it.workers.map(({ source }) => source)).toEqual(['derived.onnx'])
  })
})

describe('another form', () => {
  test('comes into use one by one: a new instance is ready before an old one leaves', async () => {
    const it = setUp({ min: 2, max: 2 })
    it.world.releases = true
    await it.pool.start()
    it.world.hangs = true
    const adopted = it.pool.adopt(FORM)
    await vi.waitFor(() => expect(it.workers).toHaveLength(3))
    expect([it.pool.instances.length, it.pool.settled]).toEqual([2, false])
    it.world.hangs = false
    it.workers[2]?.events.onMessage(LOADED)
    await adopted
    expect(it.workers.map(({ source }) => source)).toEqual(['model.onnx', 'model.onnx', 'derived.onnx', 'derived.onnx'])
    expect(it.workers.map(({ closed }) => closed)).toEqual([true, true, false, false])
    expect([it.pool.instances.length, it.pool.settled]).toEqual([2, true])
    expect(ofType(it.events, 'worker-lost')).toEqual([])
  })

  test('waits where the files are not what was loaded, and is tried again', async () => {
    const it = setUp()
    it.world.releases = true
    await it.pool.start()
    it.world.intact = false
    await it.pool.adopt(FORM)
    expect(it.pool.instances).toHaveLength(1)
    expect(ofType(it.events, 'start-refused')).toHaveLength(1)
    it.world.intact = true
    await it.clock.letPass(1000)
    expect(it.workers.map(({ source }) => source)).toEqual(['model.onnx', 'derived.onnx'])
    expect(it.pool.instances).toHaveLength(1)
  })
})

describe('a pool that is parked', () => {
  test('has nothing, and has all of it again when it is resumed', async () => {
    const it = setUp({ min: 2, max: 2 })
    it.world.releases = true
    await it.pool.start()
    await it.pool.park()
    expect([it.pool.target, it.pool.instances.length, it.claims.at(-1)]).toEqual([0, 0, 0])
    expect(it.workers.every(({ closed }) => closed)).toBe(true)
    it.pool.queueChanged()
    await it.clock.letPass(100_000)
    expect(it.workers).toHaveLength(2)
    await it.pool.resume()
    expect([it.pool.target, it.pool.instances.length, it.claims.at(-1)]).toEqual([2, 2, 2])
    expect(ofType(it.events, 'worker-ready')).toHaveLength(1)
    expect(it.world.changes).toBe(1)
  })

  test('and cannot be resumed is parked again; callers hear no more of it than they may', async () => {
    const it = setUp()
    it.world.releases = true
    await it.pool.start()
    await it.pool.park()
    it.world.loads = false
    await expect(it.pool.resume()).rejects.toMatchObject({
      code: 'MODEL_LOAD_FAILED',
      message: 'the log of the server says why',
      cause: expect.objectContaining({ message: expect.stringContaining('no memory') }),
    })
    expect([it.pool.target, it.claims.at(-1)]).toEqual([0, 0])
    it.world.loads = true
    it.world.intact = false
    await expect(it.pool.resume()).rejects.toThrow(REFUSED)
    it.world.intact = true
    await it.pool.resume()
    expect(it.pool.instances).toHaveLength(1)
  })
})

test('kill() ends what serves, what leaves and what is on its way', async () => {
  const it = setUp({ min: 2, max: 2 })
  await it.pool.start()
  it.world.hangs = true
  // Its replacement is on its way.
  it.crash()
  await it.clock.letPass(0)
  occupy(it.pool.instances[0])
  expect(it.workers).toHaveLength(3)
  it.pool.kill()
  expect(it.workers.map(({ killed }) => killed.length)).toEqual([1, 0, 1])
  expect(it.workers[0]?.killed).toEqual(['the server is closing'])
  // Nothing is started any more, and nothing told.
  const { length } = it.events
  for (const { events } of it.workers) events.onExit('killed')
  await it.clock.letPass(100_000)
  expect([it.workers.length, it.events.length]).toEqual([3, length])
})
