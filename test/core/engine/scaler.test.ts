/** When instances are added and when one goes, step by step. */

import { describe, expect, test } from 'vitest'
import { createScaler, type Load } from '../../../src/core/engine/scaler.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'

const SETTINGS = { min: 1, max: 8, targetDelayMs: 20, idleMs: 10_000 }

function setUp(settings: Partial<typeof SETTINGS> = {}) {
  const clock = createSimulatedClock()
  const load = { oldestWaitMs: 0, target: 1, starting: false, allBusy: true, busyMs: 0 }
  const steps: string[] = []
  /** How many may be added. */
  const world = { room: 100, ready: undefined as number | undefined }
  const scaler = createScaler(
    { ...SETTINGS, ...settings },
    {
      clock,
      look: (): Load => ({ ...load, ready: world.ready ?? load.target }),
      grow(count) {
        const added = Math.min(count, world.room)
        load.target += added
        steps.push(`${clock.now()}: +${added}`)
        return added
      },
      shrink() {
        load.target--
        steps.push(`${clock.now()}: -1`)
      },
    },
  )
  /** Lets time pass with a line that stands, or without one. */
  const wait = (ms: number, oldestWaitMs: number): void => {
    load.oldestWaitMs = oldestWaitMs
    scaler.check()
    clock.runUntil(clock.now() + ms)
  }
  return { clock, load, steps, world, scaler, wait }
}

describe('more', () => {
  test('when the line was too long for a quarter of a second, twice as many each time, and no more than allowed', () => {
    const { steps, wait } = setUp({ max: 7 })
    wait(249, 21)
    expect(steps).toEqual([])
    wait(2000, 21)
    expect(steps).toEqual(['250: +1', '500: +2', '750: +3'])
  })

  test('not for a wait that is fine, one that was shorter meanwhile, or while one has nothing to do', () => {
    const { steps, wait, load } = setUp()
    wait(2000, 20)
    wait(200, 21)
    wait(10, 20)
    wait(200, 21)
    wait(0, 0)
    load.allBusy = false
    wait(2000, 100)
    expect(steps).toEqual([])
  })

  test('not before those are there that are on their way', () => {
    const { steps, wait, world } = setUp()
    world.ready = 1
    wait(2000, 100)
    expect(steps).toEqual(['250: +1'])
    world.ready = undefined
    wait(251, 100)
    expect(steps).toHaveLength(2)
  })

  test('asked for again a second after there was no room', () => {
    const { steps, wait, world } = setUp()
    world.room = 0
    wait(1300, 100)
    expect(steps).toEqual(['250: +0', '1250: +0'])
  })

  test('asked for less and less often after what was added could not start, and soon again once one was spared', () => {
    const { steps, wait, scaler, load, clock } = setUp()
    const fail = (): void => {
      load.target--
      scaler.failed()
    }
    const times: number[] = []
    for (let i = 0; i < 8; i++) {
      const { length } = steps
      while (steps.length === length) wait(10, 100)
      times.push(Number(steps.at(-1)?.split(':')[0]))
      fail()
    }
    const gaps = times.slice(1).map((at, i) => at - (times[i] ?? 0))
    for (const [i, least] of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000].entries()) {
      expect(gaps[i]).toBeGreaterThanOrEqual(least)
      expect(gaps[i]).toBeLessThanOrEqual(least + 20)
    }
    load.target = 2
    wait(20_000, 0)
    expect(load.target).toBe(1)
    const from = clock.now()
    // The wait is over; only this failure counts.
    scaler.failed()
    for (const { length } = steps; steps.length === length; ) wait(10, 100)
    expect(clock.now() - from).toBeLessThanOrEqual(1020)
  })

  test('looked for while a line stands, even if nothing happens', () => {
    const { load, scaler, clock, steps } = setUp()
    load.oldestWaitMs = 5
    scaler.check()
    // It has become too old without anybody saying so.
    load.oldestWaitMs = 30
    clock.runUntil(clock.now() + 1000)
    expect(steps[0]).toBe('265: +1')
  })
})

describe('one less', () => {
  test('after a time in which the others could have done it with ease', () => {
    const { steps, wait, load, clock } = setUp()
    load.target = 3
    wait(9999, 0)
    expect(steps).toEqual([])
    // Half of two.
    load.busyMs = 10_000
    clock.runUntil(clock.now() + 1)
    expect(steps).toEqual(['10000: -1'])
    load.busyMs += 5001
    clock.runUntil(clock.now() + 10_000)
    expect(steps).toHaveLength(1)
    load.busyMs += 5000
    clock.runUntil(clock.now() + 10_000)
    expect(steps).toEqual(['10000: -1', '30000: -1'])
    clock.runUntil(clock.now() + 100_000)
    expect(steps).toHaveLength(2)
  })

  test('not while one is on its way, and not after a time in which the line was too long', () => {
    const { steps, wait, load, world } = setUp({ max: 2 })
    load.target = 2
    load.starting = true
    wait(10_000, 0)
    load.starting = false
    expect(steps).toEqual([])
    world.ready = 2
    wait(300, 100)
    wait(100, 100)
    wait(9600, 0)
    expect(steps).toEqual([])
    wait(10_000, 0)
    expect(steps).toEqual(['30000: -1'])
  })

  test('later, where the last one was missed soon', () => {
    const { steps, wait, load } = setUp({ max: 2 })
    load.target = 2
    wait(10_000, 0)
    wait(300, 100)
    expect(steps).toEqual(['10000: -1', '10250: +1'])
    // Twice as long, from the end of the time that began with the growth.
    wait(39_949, 0)
    expect(steps).toHaveLength(2)
    wait(1, 0)
    expect(steps.at(-1)).toBe('50250: -1')
    // One that was not missed for long makes it as quick as at first.
    wait(40_000, 0)
    wait(300, 100)
    wait(30_000, 0)
    expect(steps.slice(3)).toEqual(['90500: +1', '110500: -1'])
  })

  test('no sooner for a pause, and not after the end', () => {
    const { steps, wait, load, scaler, clock } = setUp()
    load.target = 2
    wait(9000, 0)
    scaler.pause()
    clock.runUntil(clock.now() + 20_000)
    expect(steps).toEqual([])
    wait(10_000, 0)
    expect(steps).toHaveLength(1)
    load.target = 2
    wait(240, 100)
    scaler.pause()
    wait(240, 100)
    expect(steps).toHaveLength(1)
    scaler.close()
    wait(100_000, 100)
    expect(steps).toHaveLength(1)
  })
})
