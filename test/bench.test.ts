/** The parts of the benches that do arithmetic or draw: their figures are trusted, so they are tested like the product. */

import { describe, expect, test } from 'vitest'
import { fit } from '../bench/lib/fit.ts'
import { gainChart, gainOf, type Series } from '../bench/lib/gain-chart.ts'
import { startOpenLoop } from '../bench/lib/open-loop.ts'
import { measurePairs, pairsOf } from '../bench/lib/pairs.ts'
import { pairedRow, type Target } from '../bench/lib/row.ts'
import { median, quantile } from '../bench/lib/stats.ts'
import { table } from '../bench/lib/table.ts'
import { PROMISES } from '../bench/promises.ts'

const SIZES = [1, 2, 4, 8, 16, 32, 64]
const lawful = (a: number, b: number): Map<number, number> => new Map(SIZES.map((rows) => [rows, a + b * rows]))

describe('the gain curve', () => {
  test.each([
    [0.01, 0.0001],
    [2, 0.7],
    [0, 3],
    [5, 0],
  ])('a law of %f + %f n is found again', (a, b) => {
    const { baseMs, perRowMs } = fit(lawful(a, b))
    expect(baseMs).toBeCloseTo(a, 9)
    expect(perRowMs).toBeCloseTo(b, 9)
  })

  test('neither part is below zero, whatever was measured', () => {
    const bent = new Map(SIZES.map((rows) => [rows, rows ** 1.2]))
    expect(fit(bent).baseMs).toBe(0)
    expect(fit(new Map([...bent].map(([rows, ms]) => [rows, 1 / ms]))).perRowMs).toBe(0)
  })

  const series: Series[] = [
    { name: 'gains & <more>', runMs: lawful(1, 0.01), cap: 64 },
    { name: 'gains nothing', runMs: lawful(0, 2), cap: 1 },
  ]

  test('the picture has every point, a ring per model, both laws, and no text that is markup', () => {
    const picture = gainChart(series)
    expect(picture.match(/class="point/g)).toHaveLength(2 * SIZES.length)
    expect(picture.match(/class="ring/g)).toHaveLength(2)
    expect(picture).toContain('gains &amp; &lt;more&gt;: 39×')
    expect(picture).toContain('t(n) = 1 + 0.01·n')
    expect(picture).toContain('t(n) = 0 + 2·n')
    expect(picture).not.toMatch(/NaN|undefined|Infinity/)
    const opened = picture.match(/<[a-z]+[^>]*[^/]>/g) ?? []
    expect(picture.match(/<\/[a-z]+>/g)).toHaveLength(opened.length)
  })

  test('the gain is against one row per run', () => {
    expect(series.map(gainOf)).toEqual([expect.closeTo((64 * 1.01) / 1.64), 1])
  })
})

describe('pairs', () => {
  /** Sides that answer from lists. */
  const from = (figures: number[]) => async (): Promise<number> => figures.shift() as number

  test('each run of ours is held against the rival before and after it', async () => {
    // The first figure of each side is thrown away.
    const pairs = await measurePairs({ rival: from([999, 100, 121, 100]), ours: from([999, 220, 110]), pairs: 2 })
    expect(pairs.ratios).toEqual([2, 1])
    expect(pairs.unsteady).toBe(0)
  })

  test('a pair whose baselines differ is measured again, and told where it stays so', async () => {
    const rival = from([1, 100, 200, 200, 400, 400])
    const pairs = await measurePairs({ rival, ours: from([1, 5000, 300, 300]), pairs: 1 })
    expect(pairs.ratios).toEqual([1.5])
    const shaky = await measurePairs({ rival: from([1, 1, 2, 4]), ours: from([1, 1, 1]), pairs: 1 })
    expect(shaky.unsteady).toBe(1)
  })

  test('turns that were taken already are held against each other in the same way', () => {
    expect(pairsOf([220, 110, 300], [100, 121, 100, 900])).toEqual({
      ratios: [2, 1, 1],
      ours: [220, 110, 300],
      rival: [110, 110, 300],
      unsteady: 1,
    })
  })

  test('what the rival makes possible may be less than its figure', async () => {
    const possible = (figure: number): number => Math.min(figure, 50)
    expect((await measurePairs({ rival: from([1, 80, 80]), ours: from([1, 40]), possible, pairs: 1 })).ratios).toEqual([0.8])
  })

  test('a row passes by its median: a floor that is missed is red, a goal never', () => {
    const pairs = { ratios: [0.5, 1, 3], ours: [1], rival: [1], unsteady: 0 }
    const row = (op: '>=' | '<=', floor: number, goal: number) =>
      pairedRow({ bench: '', what: '', rival: '', pairs, format: String, target: { op, floor, goal } })
    const judged = [
      row('>=', 1, 1),
      row('>=', 1, 1.1),
      row('>=', 1.1, 1.2),
      row('<=', 1, 1),
      row('<=', 1, 0.9),
      row('<=', 0.9, 0.8),
    ]
    expect(judged.map(({ pass, met }) => [pass, met])).toEqual([
      [true, true],
      [true, false],
      [false, false],
      [true, true],
      [true, false],
      [false, false],
    ])
    expect(table(judged.slice(1, 2))).toMatch(/>= 1 +\| pass +\| >= 1.1 +\| not yet/)
  })

  test('a row that promises nothing is neither red nor short of a goal', () => {
    const pairs = { ratios: [1], ours: [1], rival: [1], unsteady: 0 }
    const { floor, goal, pass, met } = pairedRow({ bench: '', what: '', rival: '', pairs, format: String })
    expect({ floor, goal, pass, met }).toEqual({ floor: 'report', goal: '', pass: undefined, met: undefined })
  })

  test.each(Object.entries(PROMISES))('the goal of %s is no less than its floor', (_, { op, floor, goal }: Target) => {
    expect(op === '>=' ? goal >= floor : goal <= floor).toBe(true)
  })
})

test('quantiles are figures that happened', () => {
  const values = Array.from({ length: 200 }, (_, i) => 200 - i)
  expect([quantile(values, 0.99), quantile(values, 0.5), quantile([7], 0.99), median([1, 2, 3, 10])]).toEqual([198, 100, 7, 2.5])
})

test('the open loop does not wait for answers, and counts a late host against it', async () => {
  const openLoop = startOpenLoop()
  const slow: (() => void)[] = []
  const sending = openLoop.run(1000, 100, () => new Promise<void>((resolve) => slow.push(resolve)))
  // All come, although none is answered.
  await expect.poll(() => slow.length, { timeout: 10_000 }).toBeGreaterThan(50)
  const busyUntil = performance.now() + 60
  while (performance.now() < busyUntil);
  const answer = setInterval(() => {
    for (const resolve of slow.splice(0)) resolve()
  }, 1)
  const outcomes = await sending
  clearInterval(answer)
  await openLoop.stop()
  expect(outcomes.length).toBeGreaterThan(50)
  expect(outcomes.every(({ code }) => code === 'OK')).toBe(true)
  expect(Math.max(...outcomes.map(({ ms }) => ms))).toBeGreaterThan(60)
})
