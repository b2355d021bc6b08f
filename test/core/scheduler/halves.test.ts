/** When waiting requests leave as two halves, and the time that a worker saves by it. */

import { describe, expect, test } from 'vitest'
import { createCurve } from '../../../src/core/scheduler/curve.ts'
import { createHalves, type Halves } from '../../../src/core/scheduler/halves.ts'
import { createLoad, type LoadOptions } from '../../support/simulated-load.ts'

const curveOf = (baseMs: number, perRowMs: number) => {
  const curve = createCurve()
  for (const rows of [1, 8, 64]) curve.observe(rows, baseMs + perRowMs * rows)
  return curve
}

describe('two halves', () => {
  const hop = 0.2
  const worker = {}
  let now = 0
  /** A run of one millisecond after a pause. */
  const pause = (halves: Halves, ms: number, waited = true): void => {
    now += ms
    halves.ran(worker, now, 1, waited)
    now += 1
  }
  const learned = (isOff = false) => {
    const halves = createHalves({ isOff })
    pause(halves, 0)
    pause(halves, hop)
    return halves
  }

  test('are worth a pause: a long run, whose half costs little more than half', () => {
    expect(learned().areEnough(32, curveOf(0.05, 0.03))).toBe(true)
    // It is over before the host has given out the other answers.
    expect(learned().areEnough(4, curveOf(0.01, 0.03))).toBe(false)
    // Two runs would cost more than the worker would wait.
    expect(learned().areEnough(32, curveOf(0.5, 0.03))).toBe(false)
    expect(learned().areEnough(0, curveOf(0.05, 3))).toBe(false)
  })

  test('are not tried before anything is known, nor where they are switched off', () => {
    const curve = curveOf(0.05, 0.03)
    expect(createHalves({ isOff: false }).areEnough(32, curve)).toBe(false)
    expect(learned().areEnough(32, createCurve())).toBe(false)
    expect(learned(true).areEnough(32, curve)).toBe(false)
  })

  test('follow the pauses that a worker waited, of which a long one counts no more than others', () => {
    const halves = learned()
    const curve = curveOf(0.05, 0.03)
    pause(halves, 1000)
    pause(halves, 1000, false)
    expect(halves.areEnough(32, curve)).toBe(true)
    for (let i = 0; i < 60; i++) pause(halves, 2)
    expect(halves.areEnough(32, curve)).toBe(false)
  })
})

describe('a worker', () => {
  /** Callers who ask again when they are answered. @returns the share of the time that the worker runs, and the rows of a run */
  async function shareOf(opts: Partial<LoadOptions> & Pick<LoadOptions, 'law'>, callers = 64) {
    const load = createLoad({ seed: 1, cap: 64, timeoutMs: 1000, hopMs: 0.2, ...opts })
    const untilMs = 200
    const ask = async (): Promise<void> => {
      while (load.simulation.clock.now() < untilMs) await load.ask()
    }
    for (let i = 0; i < callers; i++) void ask()
    // Callers take some promises to ask again, and the simulation ends where nothing else is to come.
    for (let ms = untilMs; ms > 0; ms -= 0.05) load.simulation.at(ms, () => {})
    await load.simulation.runUntil(untilMs)
    expect(load.outcomes.every(({ code }) => code === 'ok')).toBe(true)
    const { batches, rows } = load.scheduler.stats
    return { share: load.busyMs / untilMs, rows: rows / batches, answers: load.outcomes.length }
  }

  test('is fed where all callers fit into one run', async () => {
    const law = (rows: number) => 0.05 + 0.02 * rows
    const whole = await shareOf({ law, prefetch: false })
    const halves = await shareOf({ law, prefetch: true })
    expect(whole.share).toBeLessThan(0.9)
    expect(halves.share).toBeGreaterThan(0.97)
    expect(halves.answers).toBeGreaterThan(1.05 * whole.answers)
    expect([Math.round(whole.rows), Math.round(halves.rows)]).toEqual([64, 32])
  })

  test('is fed where they fit into two', async () => {
    const law = (rows: number) => 0.05 + 0.02 * rows
    const halves = await shareOf({ law, prefetch: true }, 90)
    const whole = await shareOf({ law, prefetch: false }, 90)
    expect(halves.share).toBeGreaterThan(0.97)
    expect(halves.answers).toBeGreaterThan(whole.answers)
  })

  test('gets whole runs where their base costs more than the pause', async () => {
    const law = (rows: number) => 1 + 0.01 * rows
    expect((await shareOf({ law, prefetch: true })).rows).toBeCloseTo(64, 0)
  })

  test('gets no more than the work of ten milliseconds', async () => {
    const law = (rows: number) => 1 * rows
    const { rows } = await shareOf({ law, hopMs: 2, timeoutMs: 10_000 })
    expect(rows).toBeGreaterThan(20)
  })
})
