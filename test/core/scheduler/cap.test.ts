/** The most rows of a run, put right while the model serves: on a simulated clock, under a load that always has enough for a full run. */

import { describe, expect, test } from 'vitest'
import type { RunOutcome } from '../../../src/core/engine/run.ts'
import type { Batching } from '../../../src/core/scheduler/batching.ts'
import { createCap } from '../../../src/core/scheduler/cap.ts'
import type { ModelSignature, Tensor } from '../../../src/core/tensor/types.ts'
import { proveWith } from '../../support/proving.ts'
import { createRandom, lognormal } from '../../support/simulated-clock.ts'
import { createLoad, type Load, type LoadOptions } from '../../support/simulated-load.ts'

type Law = (rows: number) => number

const SIGNATURE: ModelSignature = {
  inputs: [{ name: 'x', type: 'float32', declaredType: 'float32', dims: ['N', 1] }],
  outputs: [{ name: 'x', type: 'float32', declaredType: 'float32', dims: ['N', 1] }],
}
const SETTINGS = {
  maxSize: 64,
  maxRunMs: 50,
  maxElements: 2 ** 24,
  maxDelayMs: 0,
  mixTenants: false,
  axes: {},
  ragged: undefined,
  independentRows: false,
}
const ROW: Tensor = { type: 'float32', dims: [1, 1], data: new Float32Array(1) }

/** The warm-up's findings if runs take that long: the product's own proof. */
async function warmUp(law: Law, settings: Partial<typeof SETTINGS> = {}): Promise<Batching> {
  const batching = await proveWith(SIGNATURE, { ...SETTINGS, ...settings }, async (runs) =>
    runs.map(({ inputs }): RunOutcome => ({ outputs: { ...inputs }, inferMs: law(inputs.x?.dims[0] ?? 1) })),
  )
  expect(batching.info.enabled).toBe(true)
  return batching
}

/** As the warm-up has left it; answers are no matter here. */
const answering = (batching: Batching): Batching =>
  Object.assign(Object.create(batching) as Batching, {
    join: (requests: readonly unknown[]) => ({
      x: { type: 'float32', dims: [requests.length, 1], data: new Float32Array(requests.length) },
    }),
    split: (_: unknown, rows: readonly number[]) => rows.map(() => ({ x: ROW })),
  } satisfies Partial<Batching>)

/** A load that keeps that many waiting until the given time, and the sizes of the runs that served it. */
async function saturate(load: Load, until: number, waiting = 160): Promise<void> {
  const { clock } = load.simulation
  const tick = (): void => {
    while (load.scheduler.stats.waiting < waiting) load.send()
    if (clock.now() + 5 < until) load.simulation.at(clock.now() + 5, tick)
  }
  load.simulation.at(clock.now(), tick)
  await load.simulation.runUntil(until)
}

const BASE: LoadOptions = { seed: 7, law: () => 1, noise: 0.08, cap: 1, timeoutMs: 1e9 }

function serve(batching: Batching, law: Law, opts: Partial<LoadOptions> = {}): Load {
  const load = createLoad({ ...BASE, law, ...opts })
  load.scheduler.setBatching(answering(batching))
  return load
}

/** Requests that ran in runs of each size. */
function bySize(load: Load): Map<number, number> {
  const sizes = new Map<number, number>()
  for (const { batchSize } of load.outcomes) sizes.set(batchSize, (sizes.get(batchSize) ?? 0) + 1)
  return sizes
}

const SECOND = 1000
const MINUTE = 60 * SECOND

describe('a warm-up on a machine that was busy', () => {
  const truth: Law = (rows) => 10 + 0.2 * rows

  test('that found too small a size is put right within a minute, step by step', async () => {
    const batching = await warmUp((rows) => truth(rows) * (rows > 16 ? 4 : 1))
    expect(batching.info).toMatchObject({ maxSize: 16, reason: expect.not.stringContaining('while serving') })
    const load = serve(batching, truth)
    await saturate(load, MINUTE)
    expect(batching.cap).toBe(64)
    expect(batching.info).toMatchObject({
      maxSize: 64,
      reason: expect.stringContaining('64 rows were found better while serving'),
    })
    expect([...bySize(load).keys()].sort((a, b) => a - b)).toEqual([16, 32, 64])
  })

  test('that found too large a size, too', async () => {
    const flat: Law = (rows) => 2 + rows
    const batching = await warmUp((rows) => flat(rows) / (rows === 32 ? 4 : 1))
    expect(batching.cap).toBe(32)
    // 18 rows in 20 ms, 34 in 36: nothing is gained from there on.
    const load = serve(batching, (rows) => (rows <= 8 ? 8 : rows))
    await saturate(load, 2 * MINUTE)
    expect(batching.cap).toBe(8)
  })

  test('never beyond what is allowed: rows, elements, time', async () => {
    const noisy: Law = (rows) => truth(rows) * (rows > 16 ? 4 : 1)
    const bounds = [
      [{ maxSize: 32 }, 32],
      [{ maxElements: 40 }, 32],
      // 32 rows take 16.4 ms, 64 take 22.8 ms.
      [{ maxRunMs: 20 }, 32],
    ] as const
    for (const [settings, most] of bounds) {
      const batching = await warmUp(noisy, settings)
      const load = serve(batching, truth)
      await saturate(load, MINUTE)
      expect(batching.cap).toBe(most)
      const largest = Math.max(...bySize(load).keys())
      if ('maxRunMs' in settings) expect(truth(largest)).toBeLessThanOrEqual(1.1 * settings.maxRunMs)
      else expect(largest).toBe(most)
    }
  })

  test('nothing is tried where too little waits for it, and nothing waits for a trial', async () => {
    const batching = await warmUp((rows) => truth(rows) * (rows > 16 ? 4 : 1))
    const load = serve(batching, truth)
    await saturate(load, 2 * MINUTE, 20)
    expect(batching.cap).toBe(16)
    expect(Math.max(...bySize(load).keys())).toBe(16)
  })
})

describe('a size that is right', () => {
  /** Falls off beyond 16 rows, where it outgrows the caches. */
  const bent: Law = (rows) => (rows <= 16 ? 4 + 0.5 * rows : 12 + 3 * (rows - 16))

  test('stays, although a line through smaller sizes promises more, and trying costs little', async () => {
    const batching = await warmUp(bent)
    expect(batching.cap).toBe(16)
    const load = serve(batching, bent)
    await saturate(load, 4 * MINUTE)
    expect(batching.info.reason).not.toContain('while serving')
    const sizes = bySize(load)
    expect([...sizes.keys()].every((size) => [8, 16, 32].includes(size))).toBe(true)
    // Ever more rarely: a hundredth of all requests.
    expect((sizes.get(16) ?? 0) / load.outcomes.length).toBeGreaterThan(0.97)
  })

  /** Changes within a day, where 16 rows do that many times the rows of 8, and runs vary by that much. */
  function changesADay(gain: number, noise: number): number {
    const random = createRandom(3)
    const cap = createCap(8, [1, 2, 4, 8, 16], 1e9)
    const msPerRow: Record<number, number> = { 4: 2, 8: 1, 16: 1 / gain }
    let changes = 0
    for (let now = 0; now < 24 * 60 * MINUTE; now += 500) {
      const before = cap.rows
      const rows = cap.next(100, now)
      cap.observe(rows, rows * lognormal(random, msPerRow[rows] ?? Number.NaN, noise), now)
      if (cap.rows !== before) changes++
    }
    return changes
  }

  test('does not change for a few per cent more or less', () => {
    for (const gain of [0.95, 1, 1.03]) expect(changesADay(gain, 0.02)).toBe(0)
    expect(changesADay(1.055, 0.02)).toBeLessThanOrEqual(6)
    expect(changesADay(1.15, 0.02)).toBe(1)
  })

  test('is not changed back and forth for ever, however much runs vary', () => {
    for (const gain of [1, 1.055, 1.1]) expect(changesADay(gain, 0.3)).toBeLessThanOrEqual(40)
  })
})

describe('a model that becomes three times slower', () => {
  const law: Law = (rows) => 10 + 0.4 * rows
  const slow: Law = (rows) => 3 * law(rows)

  test('runs as many rows as its objective has room for, says so, and has its size again when it recovers', async () => {
    const batching = await warmUp(law, { maxRunMs: 50 })
    expect(batching.info.maxSize).toBe(64)
    const load = serve(batching, law)
    await saturate(load, 5 * SECOND)
    load.law = slow
    await saturate(load, 20 * SECOND)
    const { length } = load.outcomes
    await saturate(load, MINUTE)
    // 3 * (10 + 0.4 * 16) is 49.
    const later = load.outcomes.slice(length).map(({ batchSize }) => batchSize)
    expect(Math.max(...later)).toBeLessThanOrEqual(20)
    expect(later.reduce((sum, size) => sum + slow(size), 0) / later.length).toBeLessThanOrEqual(50)
    expect(batching.info.maxSize).toBeLessThanOrEqual(20)
    expect(batching.info.reason).toContain('take longer than maxRunMs (50 ms) now')
    load.law = law
    await saturate(load, 2 * MINUTE)
    expect(batching.info).toMatchObject({ maxSize: 64, reason: expect.not.stringContaining('maxRunMs') })
  })
})

describe('a trial', () => {
  const SIZES = [1, 2, 4, 8, 16, 32]

  test('is of one bucket: what other shapes take says nothing about it', async () => {
    const batching = await warmUp((rows) => 10 + 0.2 * rows, { maxSize: 32 })
    expect(batching.cap).toBe(32)
    for (let now = 0; now < MINUTE; now += 100) {
      for (const [bucket, msPerRow] of [
        ['long', () => 1],
        ['short', (rows: number) => 10 / rows],
      ] as const) {
        const rows = batching.nextCap(bucket, 100, now)
        batching.observe(bucket, rows, rows * msPerRow(rows), now)
      }
    }
    expect([batching.capOf('long'), batching.capOf('short'), batching.capOf('new')]).toEqual([expect.any(Number), 32, 32])
    expect(batching.capOf('long')).toBeLessThan(32)
    // The largest, for whom it may concern.
    expect(batching.cap).toBe(32)
  })

  test('in buckets without end: the first ones learn', async () => {
    const batching = await warmUp((rows) => 10 + 0.2 * rows, { maxSize: 32 })
    for (let i = 0; i < 1000; i++) expect(batching.nextCap(`bucket ${i}`, 100, i)).toBe(32)
  })

  test('that never sees enough is called off', () => {
    const cap = createCap(8, SIZES, 1e9)
    expect(cap.next(100, 0)).toBe(8)
    expect(cap.next(100, 10_000)).toBe(8)
    cap.observe(8, 8, 10_001)
    expect(cap.next(100, 10_002)).toBe(16)
    // The objective leaves it no room, so that runs are of another size.
    for (let now = 10_003; now < 80_000; now += 10) {
      cap.next(100, now)
      cap.observe(11, 11, now)
    }
    expect(cap.next(100, 80_000)).toBe(8)
  })

  test('is never of one row: a model that was found worth batching is batched', () => {
    const cap = createCap(2, [1, 2], 1e9)
    for (let now = 0; now < 10 * MINUTE; now += 100) {
      const rows = cap.next(100, now)
      expect(rows).toBe(2)
      cap.observe(rows, rows, now)
    }
  })
})
