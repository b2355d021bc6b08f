/** The event loop as runs on the host see it, and the life of the session there. */

import { describe, expect, test } from 'vitest'
import { createHostLoop } from '../../../src/core/engine/inline/loop.ts'
import type { HostSession } from '../../../src/core/engine/inline/session.ts'
import { createInline, type InlineEvent, type Terms } from '../../../src/core/engine/inline/tier.ts'
import type { Loaded } from '../../../src/core/engine/messages.ts'
import type { Run } from '../../../src/core/engine/run.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'

describe('the event loop', () => {
  function setUp() {
    const clock = createSimulatedClock()
    /** Length of a turn after a timer has fired. */
    let turnMs = 0
    const loop = createHostLoop({ clock, defer: (callback) => void clock.after(turnMs, callback) })
    return { clock, loop, turnsTake: (ms: number) => (turnMs = ms) }
  }

  test('is calm after a second in which callbacks came in time', () => {
    const { clock, loop } = setUp()
    expect(loop.isCalm()).toBe(false)
    clock.runUntil(900)
    expect(loop.isCalm()).toBe(false)
    clock.runUntil(1200)
    expect(loop.isCalm()).toBe(true)
  })

  test('is not while they come more than a millisecond late, and again a second later', () => {
    const { clock, loop, turnsTake } = setUp()
    loop.isCalm()
    clock.runUntil(1200)
    turnsTake(1.5)
    clock.runUntil(2300)
    expect(loop.isCalm()).toBe(false)
    turnsTake(0.2)
    clock.runUntil(3400)
    expect(loop.isCalm()).toBe(true)
  })

  test('is what it is most of the time: a pause now and then is no load', () => {
    const { clock, loop, turnsTake } = setUp()
    loop.isCalm()
    for (let i = 0; i < 30; i++) {
      turnsTake(i % 5 === 0 ? 40 : 0.2)
      clock.runUntil(clock.now() + 50)
    }
    expect(loop.isCalm()).toBe(true)
  })

  test('is measured only while it is asked for', () => {
    const { clock, loop } = setUp()
    loop.isCalm()
    clock.runUntil(1200)
    expect(loop.calm).toBe(true)
    clock.runUntil(20_000)
    expect(loop.calm).toBe(false)
    // No timer is left: nothing keeps waking an idle process.
    let turns = 0
    clock.after(60_000, () => turns++)
    clock.runUntil(100_000)
    expect([turns, loop.calm]).toEqual([1, false])
    loop.isCalm()
    clock.runUntil(101_200)
    expect(loop.calm).toBe(true)
  })

  test('has one place', () => {
    const { loop } = setUp()
    expect(loop.free).toBe(true)
    loop.enter()
    expect(loop.free).toBe(false)
    loop.leave()
    expect(loop.free).toBe(true)
  })
})

describe('the session on the host', () => {
  const RUN: Run = { inputs: {}, fetches: ['y'] }
  const LOADED = { inputs: [], outputs: [{ name: 'y' }] } as unknown as Loaded

  function setUp(options: { readonly fits?: boolean; readonly repeated?: number | undefined; readonly against?: string } = {}) {
    const clock = createSimulatedClock()
    const log: string[] = []
    const events: InlineEvent[] = []
    const state = { calm: true, busy: false, free: true, runMs: 0.01, repeated: options.repeated, fits: options.fits ?? true }
    const session: HostSession = {
      run: () =>
        new Promise((resolve) =>
          setImmediate(() => {
            log.push('run')
            clock.runUntil(clock.now() + state.runMs)
            resolve({})
          }),
        ),
      release: async () => void log.push('release'),
    }
    const tier = createInline({
      clock,
      loop: {
        get calm() {
          return state.calm
        },
        isCalm: () => state.calm,
        get free() {
          return state.free
        },
        enter() {
          state.free = false
        },
        leave() {
          state.free = true
        },
      },
      open: async () => {
        log.push('open')
        return session
      },
      sessionBytes: 123,
      fits: () => state.fits,
      checkSource: async () => async () => {},
      isBusy: () => state.busy,
      repeat: async () => state.repeated,
      emit: (event) => void events.push(event),
    })
    const terms: Terms = {
      model: { source: new Uint8Array(), patch: [], data: [], settings: {} as never },
      loaded: LOADED,
      rowBytes: 4,
      against: options.against,
      lookInside: async () => undefined,
      usual: () => [RUN],
    }
    /** Lets a preparation go on. */
    const settle = async (): Promise<void> => {
      for (let i = 0; i < 60; i++) await clock.letPass(5)
    }
    const run = (expectedMs: number): Promise<number> =>
      new Promise((resolve, reject) => {
        const instance = tier.take(expectedMs)
        if (!instance) reject(new Error('not on the host'))
        instance?.run([RUN], (outcomes) => resolve(typeof outcomes === 'string' ? -1 : (outcomes[0]?.inferMs ?? -1)))
      })
    return { clock, log, events, state, tier, terms, settle, run }
  }

  test('comes with the first requests, in an idle moment, and is warmed up', async () => {
    const { tier, terms, log, events, state, settle, run } = setUp()
    expect(tier.take(0.01)).toBeUndefined()
    tier.begin(terms)
    expect([tier.info.active, log]).toEqual([false, []])
    state.busy = true
    expect(tier.take(0.01)).toBeUndefined()
    await settle()
    expect(log).toEqual([])
    state.busy = false
    await settle()
    expect(log.filter((line) => line === 'run').length).toBeGreaterThanOrEqual(8)
    expect(tier.info.active).toBe(true)
    expect(tier.bytes).toBe(123)
    expect(events).toEqual([{ type: 'tier', tier: 'inline', reason: tier.info.reason }])
    expect(await run(0.01)).toBeCloseTo(0.01)
  })

  test('takes no long runs, no second one in a turn, and none while the loop is busy', async () => {
    const { tier, terms, settle, state } = setUp()
    tier.begin(terms)
    tier.take(0.01)
    await settle()
    expect(tier.take(0.05)?.tier).toBe('inline')
    expect(tier.take(0.051)).toBeUndefined()
    expect(tier.take(undefined)).toBeUndefined()
    state.free = false
    expect(tier.take(0.01)).toBeUndefined()
    state.free = true
    state.calm = false
    expect(tier.take(0.01)).toBeUndefined()
  })

  test('is not made where runs are slow here, or memory is short; both are looked at again', async () => {
    for (const trouble of [{ runMs: 0.2 }, { fits: false }]) {
      const { tier, terms, settle, state, events, log, clock } = setUp()
      Object.assign(state, trouble)
      tier.begin(terms)
      tier.take(0.01)
      await settle()
      expect(tier.info).toMatchObject({ active: false, reason: expect.stringMatching(/200 µs on the host|memory\.budgetBytes/) })
      expect([tier.bytes, events]).toEqual([0, []])
      expect(log.filter((line) => line === 'release')).toHaveLength('runMs' in trouble ? 1 : 0)
      Object.assign(state, { runMs: 0.01, fits: true })
      tier.take(0.01)
      await settle()
      expect(tier.info.active).toBe(false)
      await clock.letPass(6000)
      tier.take(0.01)
      await settle()
      expect(tier.info.active).toBe(true)
    }
  })

  test.each([
    ['as long in the worker', 0.06, false, /took 60 µs where 10 µs were expected, and so did its repetition/],
    ['the worker is lost', undefined, false, /and the worker that repeated it was lost/],
    ['short in the worker', 0.01, true, /^runs are short/],
  ])('a run of five times its estimate is repeated: %s', async (_, repeated, goesOn, reason) => {
    const { tier, terms, settle, state, events, log, run } = setUp({ repeated })
    tier.begin(terms)
    tier.take(0.01)
    await settle()
    state.runMs = 0.06
    await run(0.01)
    state.runMs = 0.01
    await settle()
    expect(tier.info).toMatchObject({ active: goesOn, reason: expect.stringMatching(reason) })
    expect(tier.take(0.01) !== undefined).toBe(goesOn)
    expect(log.includes('release')).toBe(!goesOn)
    expect(events.at(-1)?.tier).toBe(goesOn ? 'inline' : 'worker')
    // Not after another load from memory, either.
    await tier.rest()
    tier.take(0.01)
    await settle()
    expect(tier.info.active).toBe(goesOn)
  })

  test('ends after the run that it has', async () => {
    const { tier, terms, settle, log, run } = setUp()
    tier.begin(terms)
    tier.take(0.01)
    await settle()
    log.length = 0
    const running = run(0.01)
    await Promise.all([tier.close(), running])
    expect(log).toEqual(['run', 'release'])
    expect(tier.take(0.01)).toBeUndefined()
  })

  test('is given up while it is being made', async () => {
    const { tier, terms, settle, log, events } = setUp()
    tier.begin(terms)
    tier.take(0.01)
    await tier.close()
    await settle()
    expect(log.filter((line) => line === 'open')).toHaveLength(log.filter((line) => line === 'release').length)
    expect([tier.info.active, events]).toEqual([false, []])
  })

  test('is never made for a model that must not', async () => {
    const { tier, terms, settle, log } = setUp({ against: 'it has legs' })
    tier.begin(terms)
    tier.take(0.01)
    await settle()
    expect([tier.info, log]).toEqual([{ active: false, reason: 'it has legs' }, []])
  })
})
