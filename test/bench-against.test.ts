/** How two builds are compared: the order of turns, the interval, the verdict. */

import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { buildIn } from '../bench/against/build.ts'
import { againstTable, parseAgainst } from '../bench/against/index.ts'
import { failedOn, MIN_PAIRS } from '../bench/against/run.ts'
import { spread, takePairs } from '../bench/against/turns.ts'
import { type Pair, passes, ratioOf, type Turn } from '../bench/against/verdict.ts'
import { PARTS, WAYS } from '../bench/against/ways.ts'
import { mainThread } from '../bench/lib/cpu.ts'
import { medianInterval, mulberry32 } from '../bench/lib/interval.ts'
import { median } from '../bench/lib/stats.ts'
import { staleDist } from '../tools/stale-dist.ts'

describe('the interval of a median', () => {
  /** Many intervals are looked at, so each is drawn from fewer resamples than those of the bench. */
  const interval = (groups: readonly (readonly number[])[]) => medianInterval(groups, 200)

  /** Roughly normal, mean 0, deviation 1. */
  const normal = (random: () => number): number => Array.from({ length: 12 }, random).reduce((a, b) => a + b, -6)

  /** Ratios as two builds give them: each pair of processes is off by some percent, each pair of turns by more. */
  function ratios(seed: number, { trueRatio = 1, between = 0.02, within = 0.06 } = {}): number[][] {
    const random = mulberry32(seed)
    return Array.from({ length: 5 }, () => {
      const process = trueRatio * Math.exp(between * normal(random))
      return Array.from({ length: 8 }, () => process * Math.exp(within * normal(random)))
    })
  }

  test('holds the median, and the same figures give the same interval', () => {
    const groups = ratios(7)
    const found = medianInterval(groups)
    expect(found.median).toBe(median(groups.flat()))
    expect(found.low).toBeLessThanOrEqual(found.median)
    expect(found.high).toBeGreaterThanOrEqual(found.median)
    expect(medianInterval(groups)).toEqual(found)
  })

  test('figures without noise have an interval of one point', () => {
    expect(medianInterval([[3, 3], [3]])).toEqual({ median: 3, low: 3, high: 3 })
  })

  test('holds the truth about as often as it says', () => {
    const trials = Array.from({ length: 100 }, (_, seed) => interval(ratios(seed + 1, { trueRatio: 1.1 })))
    const right = trials.filter(({ low, high }) => low <= 1.1 && high >= 1.1).length
    expect(right / trials.length).toBeGreaterThan(0.85)
  })

  test('is wider where processes differ than where only turns do', () => {
    const width = (between: number): number =>
      median(
        Array.from({ length: 20 }, (_, seed) => {
          const { low, high } = interval(ratios(seed + 1, { between, within: 0.02 }))
          return high - low
        }),
      )
    expect(width(0.05)).toBeGreaterThan(2 * width(0))
  })

  test('a build passes against itself, one that is a tenth slower does not', () => {
    const passing = (trueRatio: number): number =>
      Array.from({ length: 100 }, (_, seed) => passes(interval(ratios(seed + 1, { trueRatio })))).filter(Boolean).length
    expect(passing(1)).toBeGreaterThanOrEqual(97)
    expect(passing(1.1)).toBe(100)
    expect(passing(0.9)).toBeLessThanOrEqual(5)
  })
})

test.each([
  ['no loss is shown', { low: 0.8, median: 0.9, high: 1 }, true],
  ['a gain', { low: 1.1, median: 1.2, high: 1.3 }, true],
  ['less than five percent for sure', { low: 0.95, median: 0.97, high: 0.99 }, true],
  ['a loss that may be more', { low: 0.949, median: 0.97, high: 0.999 }, false],
])('%s: the verdict', (_, interval, verdict) => {
  expect(passes(interval)).toBe(verdict)
})

describe('turns', () => {
  const turn = (calls: number, wallMs = 100, cpuMs = 50): Turn => ({ calls, wallMs, cpuMs })

  test('alternate in the order that is fixed: ours theirs, theirs ours', async () => {
    const order: string[] = []
    const taking = (name: string) => async () => {
      order.push(name)
      return turn(order.length)
    }
    const sides = { ours: taking('A'), theirs: taking('B') }
    const pairs = await takePairs(sides, 3)
    await takePairs(sides, 1, 3)
    expect(order.join('')).toBe('ABBAABBA')
    expect(pairs.map(({ ours, theirs }) => [ours.calls, theirs.calls])).toEqual([
      [1, 2],
      [4, 3],
      [5, 6],
    ])
  })

  test('of all pairs none is lost, however they are spread', () => {
    expect(spread(40, 5)).toEqual([8, 8, 8, 8, 8])
    expect(spread(42, 5)).toEqual([9, 9, 8, 8, 8])
  })

  test('more requests, or less CPU for each, is a ratio above 1', () => {
    const rounds: Pair[][] = [[{ ours: turn(300, 100, 50), theirs: turn(200, 100, 50) }]]
    expect(ratioOf(rounds, 'clock').median).toBeCloseTo(1.5)
    expect(ratioOf([[{ ours: turn(100, 100, 20), theirs: turn(100, 100, 50) }]], 'cpu').median).toBeCloseTo(2.5)
  })
})

test('the CPU time is that of this thread: it grows by what the thread works', () => {
  const before = mainThread.read()
  const end = process.cpuUsage().user + 100_000
  while (process.cpuUsage().user < end);
  expect(mainThread.read() - before).toBeGreaterThan(50)
})

describe('the command line', () => {
  test('names a folder, and may name parts and more pairs', () => {
    expect(parseAgainst(['--against', '/x'])).toEqual({ dir: '/x', parts: PARTS, pairs: MIN_PAIRS })
    expect(parseAgainst(['predict', '--pairs', '80', '--against', '/x', 'http'])).toEqual({
      dir: '/x',
      parts: ['predict', 'http'],
      pairs: 80,
    })
  })

  test.each([
    [['--against'], 'needs the folder'],
    [['--against', '/x', 'nothing'], 'unknown: nothing; known are predict'],
    [['--against', '/x', '--pairs', '39'], 'at least 40'],
    [['--against', '/x', '--pairs', 'many'], 'at least 40'],
  ])('%j is refused', (args, message) => {
    expect(() => parseAgainst(args)).toThrow(message)
  })
})

test('the ways cover callers, adapters, binary, JSON and batching', () => {
  const whats = WAYS.flatMap(({ loads }) => loads.map(({ what }) => what)).join('\n')
  for (const way of [
    '1 caller',
    '8 callers',
    '64 callers',
    '512 callers',
    'node:http',
    'Express',
    'Fastify',
    '602 KB',
    '150,528',
    'batching',
  ])
    expect(whats).toContain(way)
})

test('a way that a build cannot go is a row that has not passed, with its reason', () => {
  const [way] = WAYS
  const rows = failedOn(way!, new Error('there is no such thing'))
  expect(rows).toHaveLength(4)
  expect(rows.every(({ pass }) => !pass)).toBe(true)
  expect(againstTable(rows)).toContain('FAIL')
  expect(againstTable(rows)).toContain('there is no such thing')
})

describe('another checkout', () => {
  function checkout(): { readonly dir: string; file(path: string, mtime?: number): void } {
    const dir = mkdtempSync(join(tmpdir(), 'against-'))
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
    return {
      dir,
      file(path, mtime = 1000) {
        mkdirSync(join(dir, path, '..'), { recursive: true })
        writeFileSync(join(dir, path), path === 'package.json' ? '{"name":"modelmount"}' : '')
        utimesSync(join(dir, path), mtime, mtime)
      },
    }
  }

  test('is used as it was built', () => {
    const { dir, file } = checkout()
    expect(() => buildIn(dir)).toThrow('is not a checkout of modelmount')
    file('package.json')
    expect(() => buildIn(dir)).toThrow('npm ci')
    for (const path of ['node_modules/x', 'src/core/a.ts', 'dist/index.js']) file(path)
    expect(buildIn(dir)).toEqual({ dist: join(dir, 'dist'), label: `${dir} (no commit)` })
    file('src/core/a.ts', 2000)
    expect(() => buildIn(dir)).toThrow('dist/ is older than src/')
  })

  test('a dist/ is stale as soon as one source is newer than one of its files', () => {
    const { dir, file } = checkout()
    file('src/a/b.ts')
    expect(staleDist(dir)).toBe('dist/ is missing: npm run build')
    mkdirSync(join(dir, 'dist'))
    expect(staleDist(dir)).toBe('dist/ is empty: npm run build')
    file('dist/index.js', 3000)
    file('dist/deep/worker.cjs', 1500)
    expect(staleDist(dir)).toBeUndefined()
    file('src/a/c.ts', 2000)
    expect(staleDist(dir)).toBe(
      `dist/ is older than src/ (${join('src', 'a', 'c.ts')} has changed since the build): npm run build`,
    )
  })
})
