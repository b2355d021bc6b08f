/** Models in memory, as residents that are nothing but numbers, on a simulated clock. */

import { describe, expect, test } from 'vitest'
import { ModelmountError } from '../../../src/core/errors.ts'
import { createResidency, type Residency } from '../../../src/core/model/residency/residency.ts'
import type { Resident } from '../../../src/core/model/residency/slot.ts'
import { createSimulatedClock, type SimulatedClock } from '../../support/simulated-clock.ts'

const LOAD_MS = 200

interface Options extends Partial<Pick<Resident, 'idleUnloadMs' | 'loadTimeoutMs'>> {
  readonly bytes?: number
}

function createResident(name: string, residency: Residency, clock: SimulatedClock, log: string[], options: Options = {}) {
  let busy = 0
  let usedAt = 0
  let loads = 0
  let failure: Error | undefined
  let bytes = options.bytes ?? 40
  const later = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, () => resolve()))
  const errors: ModelmountError[] = []
  const slot = residency.slot({
    idleUnloadMs: options.idleUnloadMs,
    loadTimeoutMs: options.loadTimeoutMs ?? 10_000,
    bytes: () => bytes,
    size: () => `${bytes} made up`,
    busy: () => busy > 0,
    settled: () => true,
    usedAt: () => usedAt,
    async load() {
      loads++
      await later(LOAD_MS)
      if (failure) throw failure
      log.push(`+${name}`)
    },
    async unload() {
      await later(10)
    },
    moved(resident, reason) {
      if (!resident) log.push(`-${name} ${reason}`)
    },
    failed(error) {
      errors.push(error)
      busy = 0
    },
  })
  return {
    slot,
    errors,
    loads: () => loads,
    /** Requests come and stay until `free()`. */
    ask(count = 1) {
      for (let i = 0; i < count; i++) {
        busy++
        slot.touch()
      }
    },
    free() {
      busy = 0
      usedAt = clock.now()
    },
    fail(error: Error | undefined) {
      failure = error
    },
    resize(to: number) {
      bytes = to
    },
  }
}

function setUp(budgetBytes: number | undefined) {
  const clock = createSimulatedClock()
  const residency = createResidency(clock, budgetBytes)
  const log: string[] = []
  return {
    clock,
    log,
    resident: (name: string, options?: Options) => createResident(name, residency, clock, log, options),
    /** Lets time pass until the promise is settled. */
    async outcome(promise: Promise<unknown>): Promise<unknown> {
      let result: { readonly value: unknown } | undefined
      promise.then(
        () => {
          result = { value: 'done' }
        },
        (error: unknown) => {
          result = { value: error }
        },
      )
      for (let i = 0; i < 1000 && !result; i++) await clock.letPass(20)
      return result?.value
    },
  }
}

describe('the budget', () => {
  test('the least recently used idle one leaves, then the next', async () => {
    const { resident, outcome, log, clock } = setUp(100)
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => resident(name)) as [
      ReturnType<typeof resident>,
      ...ReturnType<typeof resident>[],
    ]
    expect(await outcome(a.slot.enter())).toBe('done')
    expect(await outcome(b!.slot.enter())).toBe('done')
    await clock.letPass(10)
    a.ask()
    a.free()
    expect(await outcome(c!.slot.enter())).toBe('done')
    expect(await outcome(d!.slot.enter())).toBe('done')
    expect(log).toEqual(['+a', '+b', '-b memory', '+c', '-a memory', '+d'])
    b!.ask()
    await clock.letPass(1000)
    expect(log.slice(6)).toEqual(['-c memory', '+b'])
    expect([a, b!, c!, d!].map(({ slot }) => slot.resident)).toEqual([false, true, false, true])
  })

  test('as many leave as are needed, and none while it is busy', async () => {
    const { resident, outcome, log } = setUp(100)
    const small = ['a', 'b', 'c'].map((name) => resident(name, { bytes: 30 }))
    for (const { slot } of small) await outcome(slot.enter())
    small[0]!.ask()
    expect(await outcome(resident('large', { bytes: 70 }).slot.enter())).toBe('done')
    expect(log.slice(3)).toEqual(['-b memory', '-c memory', '+large'])
  })

  test('one that is larger than all of it is refused with both numbers, and nobody leaves for it', async () => {
    const { resident, outcome, log } = setUp(100)
    await outcome(resident('a').slot.enter())
    const error = await outcome(resident('huge', { bytes: 101 }).slot.enter())
    expect(error).toMatchObject({ code: 'MODEL_LOAD_FAILED', message: expect.stringMatching(/101 bytes.*\(100\)/) })
    expect(log).toEqual(['+a'])
  })

  test('two that are in use all the time take turns, and nobody waits for ever', async () => {
    const { resident, outcome, log, clock } = setUp(50)
    const [a, b] = [resident('a'), resident('b')]
    await outcome(a.slot.enter())
    await outcome(b.slot.enter())
    a.ask()
    b.ask()
    await clock.letPass(10_000)
    const turns = log.filter((entry) => entry.startsWith('+')).slice(1)
    expect(turns.length).toBeGreaterThan(4)
    // At least a second each: loading must not be all they do.
    expect(turns.length).toBeLessThan(10)
    for (let i = 1; i < turns.length; i++) expect(turns[i]).not.toBe(turns[i - 1])
  })

  test('a first load gives up when nobody makes room in time', async () => {
    const { resident, outcome, clock } = setUp(50)
    const a = resident('a')
    await outcome(a.slot.enter())
    a.ask()
    const start = clock.now()
    const error = await outcome(resident('b', { loadTimeoutMs: 500 }).slot.enter())
    expect(error).toMatchObject({ code: 'MODEL_LOAD_FAILED' })
    expect(clock.now() - start).toBeLessThan(600)
  })

  test('one that turns out larger than it was reckoned drives idle ones out, and may come back itself', async () => {
    const { resident, outcome, log, clock } = setUp(100)
    const [a, b] = [resident('a'), resident('b')]
    await outcome(a.slot.enter())
    b.resize(150)
    b.resize(60)
    const entering = b.slot.enter()
    clock.after(LOAD_MS, () => b.resize(150))
    await outcome(entering)
    await clock.letPass(100)
    expect(log).toEqual(['+a', '+b', '-a memory'])
    a.ask()
    await clock.letPass(2000)
    a.free()
    b.ask()
    await clock.letPass(2000)
    expect(log.slice(3)).toEqual(['-b memory', '+a', '-a memory', '+b'])
  })

  test('more instances fit or do not', async () => {
    const { resident, outcome } = setUp(100)
    const a = resident('a')
    await outcome(a.slot.enter())
    expect([a.slot.fits(60), a.slot.fits(61)]).toEqual([true, false])
  })
})

describe('on demand', () => {
  test('leaves after the idle time, counted from the last use, and comes back once for many', async () => {
    const { resident, outcome, log, clock } = setUp(undefined)
    const a = resident('a', { idleUnloadMs: 1000 })
    await outcome(a.slot.enter())
    await clock.letPass(800)
    a.ask()
    await clock.letPass(3000)
    expect(a.slot.resident).toBe(true)
    a.free()
    await clock.letPass(900)
    expect(a.slot.resident).toBe(true)
    await clock.letPass(1200)
    expect(log).toEqual(['+a', '-a idle'])
    a.ask(20)
    await clock.letPass(LOAD_MS + 50)
    expect(log).toEqual(['+a', '-a idle', '+a'])
    expect(a.loads()).toBe(2)
  })

  test('one that is asked for while it leaves comes back', async () => {
    const { resident, outcome, log, clock } = setUp(undefined)
    const a = resident('a', { idleUnloadMs: 1000 })
    await outcome(a.slot.enter())
    const left = clock.now()
    while (a.slot.resident) await clock.letPass(1)
    a.ask()
    await clock.letPass(LOAD_MS + 50)
    expect(log).toEqual(['+a', '-a idle', '+a'])
    expect(clock.now() - left).toBeLessThan(2000)
  })

  test('a reload that fails fails who waits, refuses for a moment, then tries again', async () => {
    const { resident, outcome, clock } = setUp(undefined)
    const a = resident('a', { idleUnloadMs: 1000 })
    await outcome(a.slot.enter())
    await clock.letPass(2000)
    a.fail(new Error('file changed'))
    a.ask(3)
    await clock.letPass(LOAD_MS + 50)
    expect(a.errors).toMatchObject([
      { code: 'MODEL_UNAVAILABLE', retryAfterS: 1, message: expect.stringContaining('file changed') },
    ])
    expect(a.slot.refusal).toBeInstanceOf(ModelmountError)
    await clock.letPass(1000)
    expect(a.slot.refusal).toBeUndefined()
    a.fail(undefined)
    a.ask()
    await clock.letPass(LOAD_MS + 50)
    expect(a.slot.resident).toBe(true)
    expect(a.errors).toHaveLength(1)
  })

  test('who gives up waiting for room costs nobody anything', async () => {
    const { resident, outcome, log, clock } = setUp(50)
    const [a, b] = [resident('a'), resident('b')]
    await outcome(a.slot.enter())
    await outcome(b.slot.enter())
    b.ask()
    a.ask()
    await clock.letPass(100)
    a.free()
    await clock.letPass(5000)
    expect(a.slot.refusal).toBeUndefined()
    expect(log).toEqual(['+a', '-a memory', '+b'])
    a.ask()
    await clock.letPass(2000)
    expect(log.slice(3)).toContain('+a')
  })

  test('one that is gone does not come back, not even out of the line for memory', async () => {
    const { resident, outcome, log, clock } = setUp(50)
    const [a, b, c] = [resident('a'), resident('b'), resident('c')]
    await outcome(a.slot.enter())
    a.ask()
    const entering = outcome(b.slot.enter())
    const next = outcome(c.slot.enter())
    await clock.letPass(100)
    b.slot.leave()
    expect(await entering).toMatchObject({ code: 'MODEL_LOAD_FAILED' })
    a.free()
    expect(await next).toBe('done')
    expect(log).toEqual(['+a', '-a memory', '+c'])
  })
})

test('what is lent counts as used until it is given back, once, and takes nobody’s place', async () => {
  const clock = createSimulatedClock()
  const residency = createResidency(clock, 100)
  const log: string[] = []
  const a = createResident('a', residency, clock, log)
  const entered = a.slot.enter()
  await clock.letPass(1000)
  await entered
  expect(residency.lend(61)).toBeUndefined()
  const loan = residency.lend(50)
  expect(loan?.maxBytes).toBe(60)
  expect([a.slot.fits(10), a.slot.fits(11), residency.lend(11)]).toEqual([true, false, undefined])
  // One that needs the room waits for it; the idle one need not go for what is only lent.
  const b = createResident('b', residency, clock, log)
  const second = b.slot.enter()
  await clock.letPass(1000)
  expect(log).toEqual(['+a'])
  loan?.release()
  loan?.release()
  await clock.letPass(1000)
  await second
  expect(log).toEqual(['+a', '+b'])
  expect(a.slot.fits(20)).toBe(true)
  expect(a.slot.fits(21)).toBe(false)
})
