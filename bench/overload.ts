/** More requests than the model can do: how many are answered in time, and how fast the others hear that they are not. */

import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks'
import { matmulChainModel } from '../tools/models.mjs'
import { SESSION } from './lib/direct.ts'
import { product, rotatingFloats } from './lib/inputs.ts'
import { closedLoop } from './lib/loops.ts'
import { type Outcome, startOpenLoop } from './lib/open-loop.ts'
import { measurePairs } from './lib/pairs.ts'
import { createProvedServer } from './lib/proved.ts'
import { type Bench, milliseconds, pairedRow, perSecond, type Row, rowOfRatios, type Target } from './lib/row.ts'
import { median, quantile } from './lib/stats.ts'
import { PROMISES } from './promises.ts'

/** A run takes some milliseconds, so that neither the generator nor the host's own work is what limits. */
const SIZE = 768
const ROW_DIMS = [4, SIZE]
const MODEL = () => matmulChainModel({ size: SIZE, count: 16, length: ROW_DIMS[0] })
const LOADS = [1.1, 1.5, 3]
const PAIRS = 3
const CAPACITY_MS = 800
const LOAD_MS = 2500
/** The objective: room for some full runs (one that is running, one that is waiting, more on a machine with other work), or this if that is more. */
const OBJECTIVE_RUNS = 6
const OBJECTIVE_MS = 100
const REFUSED_MS = 5
/** The load of the row that has the same loop without load beside it. */
const BESIDE_IDLE = 1.5
/** Answers that were never accepted. The rest of the errors are requests that were dropped after they had waited. */
const REFUSED = new Set(['OVERLOADED', 'QUEUE_FULL'])

/** The result of one load. */
interface Level {
  readonly load: number
  readonly accepted: number[]
  readonly refused: number[]
  /** The same, from the call on. */
  readonly refusal: number[]
  readonly dropped: number[]
}

export const overload: Bench = {
  name: 'overload',
  limitS: 120,
  async run() {
    const server = await createProvedServer({ models: [{ name: 'm', source: MODEL(), session: SESSION }], strict: true })
    const openLoop = startOpenLoop()
    const floats = rotatingFloats(product(ROW_DIMS))
    const input = (i: number) => ({ x: { type: 'float32', dims: [1, ...ROW_DIMS], data: floats(i) } as const })
    const { maxSize } = server.model('m').batching
    const runs: number[] = []
    /** Requests per second of so many callers that every run is full. */
    const capacity = (): Promise<number> =>
      closedLoop(4 * maxSize, CAPACITY_MS, async (i) => runs.push((await server.predict('m', input(i))).timings.inferMs))
    await capacity()
    runs.length = 0
    let latest = await capacity()
    const objectiveMs = Math.max(OBJECTIVE_MS, Math.ceil(OBJECTIVE_RUNS * median(runs)))

    async function rowOf(level: Level): Promise<Row> {
      let offered = 0
      const pairs = await measurePairs({
        pairs: PAIRS,
        async ours() {
          offered = level.load * latest
          const outcomes = await openLoop.run(offered, LOAD_MS, (i, lateMs) =>
            server.predict('m', input(i), { timeoutMs: Math.max(1, objectiveMs - lateMs) }),
          )
          note(level, outcomes)
          return (outcomes.filter(({ code, ms }) => code === 'OK' && ms <= objectiveMs).length * 1000) / LOAD_MS
        },
        async rival() {
          latest = await capacity()
          return latest
        },
        possible: (measured) => Math.min(measured, offered),
      })
      return pairedRow({
        bench: 'overload',
        what: `predict(), answers in time at ${level.load} times the capacity`,
        rival: 'limit: capacity',
        pairs,
        format: perSecond,
        target: PROMISES.overloadAnswers,
        how: `open loop (Poisson) of ${LOAD_MS / 1000} s, capacity by ${4 * maxSize} callers before and after`,
        note: `in time is within ${objectiveMs} ms; runs of up to ${maxSize} rows; of 1000 requests ${shares(level)}`,
      })
    }

    /** The same arrivals on the same host, refused without a look: the lateness that is not modelmount's. */
    async function idleP99(): Promise<number> {
      const outcomes = await openLoop.run(BESIDE_IDLE * latest, LOAD_MS, () => Promise.reject({ code: 'OVERLOADED' }))
      return quantile(
        outcomes.map(({ ms }) => ms),
        0.99,
      )
    }

    const levels = LOADS.map((load): Level => ({ load, accepted: [], refused: [], refusal: [], dropped: [] }))
    const rows: Row[] = []
    const collections = watchCollections()
    for (const level of levels) {
      collections.restart()
      rows.push(await rowOf(level))
      if (level.load === BESIDE_IDLE) rows.push(besideIdle(level, await idleP99(), collections.told()))
    }
    await Promise.all([openLoop.stop(), server.close()])
    const p99Row = (
      what: string,
      of: (level: Level) => readonly number[],
      limitMs: number,
      target: Target,
      from = 'the moment a request was due',
    ): Row => {
      const p99s = levels.map((level) => quantile(of(level), 0.99))
      const worst = Math.max(...p99s)
      return rowOfRatios({
        bench: 'overload',
        what: `${what}, p99, worst of these loads`,
        ours: milliseconds(worst),
        rival: `limit: ${milliseconds(limitMs)}`,
        ratios: [worst / limitMs],
        target,
        how: `from ${from}`,
        note: LOADS.map((load, i) => `${load} x: ${milliseconds(p99s[i] ?? Number.NaN)}`).join(', '),
      })
    }
    return [
      ...rows,
      p99Row('predict(), answers under overload', (level) => level.accepted, objectiveMs, PROMISES.overloadAnswersP99),
      p99Row('predict(), refusals under overload', (level) => level.refused, REFUSED_MS, PROMISES.overloadRefusals),
      p99Row(
        'predict(), refusals under overload',
        (level) => level.refusal,
        REFUSED_MS,
        PROMISES.overloadRefusalsFromCall,
        'the call: without the wait for a core',
      ),
    ]
  },
}

function besideIdle({ load, refused }: Level, idleMs: number, collections: string): Row {
  const p99 = quantile(refused, 0.99)
  return rowOfRatios({
    bench: 'overload',
    what: `predict(), refusals at ${load} times the capacity, p99 beyond the same loop without load`,
    ours: milliseconds(p99),
    rival: `limit: ${milliseconds(REFUSED_MS)} beyond ${milliseconds(idleMs)}`,
    ratios: [Math.max(0, p99 - idleMs) / REFUSED_MS],
    target: PROMISES.overloadRefusalsBesideIdle,
    how: 'from the moment a request was due',
    note: collections,
  })
}

/** Collections of the whole heap of this thread: the longest pauses that a process makes by itself. */
function watchCollections(): { restart(): void; told(): string } {
  const pauses: number[] = []
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries())
      if ((entry as GcEntry).detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) pauses.push(entry.duration)
  })
  observer.observe({ entryTypes: ['gc'] })
  return {
    restart: () => void pauses.splice(0),
    told() {
      const total = pauses.reduce((sum, ms) => sum + ms, 0)
      return `${pauses.length} collections of the whole heap took ${milliseconds(total)}, the longest ${milliseconds(Math.max(0, ...pauses))}`
    },
  }
}

type GcEntry = PerformanceEntry & { readonly detail: { readonly kind: number } }

function note(level: Level, outcomes: readonly Outcome[]): void {
  for (const { code, ms, lateMs } of outcomes) {
    if (code === 'OK') level.accepted.push(ms)
    else if (REFUSED.has(code)) {
      level.refused.push(ms)
      level.refusal.push(ms - lateMs)
    } else if (code === 'DEADLINE_EXCEEDED') level.dropped.push(ms)
    else throw new Error(`a request failed with ${code}`)
  }
}

function shares({ accepted, refused, dropped }: Level): string {
  const all = accepted.length + refused.length + dropped.length
  const share = (list: readonly number[]): string => ((list.length * 1000) / all).toFixed(0)
  return `${share(accepted)} were answered, ${share(refused)} refused at the door, ${share(dropped)} dropped when they had become too late`
}
