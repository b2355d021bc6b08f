import { expect, test } from 'vitest'
import { encodeStatistics } from '../../../src/core/dialects/open-inference/statistics.ts'
import type { Instance } from '../../../src/core/engine/instance.ts'
import { ModelmountError } from '../../../src/core/errors.ts'
import { createStatistics } from '../../../src/core/model/statistics.ts'
import type { ModelInfo } from '../../../src/core/model/types.ts'
import type { Entry } from '../../../src/core/scheduler/entry.ts'
import { type BatchReport, reportBurst } from '../../../src/core/scheduler/report.ts'
import type { Trace } from '../../../src/core/telemetry/index.ts'

const run = { instance: 1, reason: 'full', error: undefined, sentAt: 0, endedAt: 0, queueMs: 0, padding: 0, traces: [] } as const

test('sums of requests and runs, each run counted for its requests', () => {
  let now = 1000
  const statistics = createStatistics(() => now)
  expect(statistics.snapshot()).toMatchObject({ lastRunAt: 0, runs: 0, batches: [] })
  statistics.ran({ ...run, requests: 2, rows: 5, inputMs: 1, inferMs: 10, outputMs: 2 })
  now = 2000
  statistics.ran({ ...run, requests: 1, rows: 1, inputMs: 1, inferMs: 4, outputMs: 1 })
  statistics.ran({ ...run, requests: 1, rows: 9, inputMs: 1, inferMs: 4, outputMs: 1, error: 'INFERENCE_FAILED' })
  statistics.succeeded(20, 3, false)
  statistics.succeeded(21, 4, false)
  statistics.succeeded(1, 0, true)
  statistics.failed(7)
  expect(statistics.snapshot()).toEqual({
    success: { count: 3, ms: 42 },
    fail: { count: 1, ms: 7 },
    queueMs: 7,
    hits: { count: 1, ms: 1 },
    batches: [
      { rows: 1, runs: 1, inputMs: 1, inferMs: 4, outputMs: 1 },
      { rows: 5, runs: 1, inputMs: 1, inferMs: 10, outputMs: 2 },
    ],
    rows: 6,
    runs: 2,
    inputMs: 3,
    inferMs: 24,
    outputMs: 5,
    lastRunAt: 2000,
  })
})

test('sizes without end take no memory without end', () => {
  const statistics = createStatistics(() => 1)
  for (let rows = 1; rows <= 3000; rows++) statistics.ran({ ...run, requests: 1, rows, inputMs: 0, inferMs: 1, outputMs: 0 })
  expect(statistics.snapshot().batches).toHaveLength(1024)
  expect(statistics.snapshot().runs).toBe(3000)
})

test('Triton’s sums each have their own number', () => {
  const statistics = createStatistics(() => 1)
  statistics.ran({ ...run, requests: 1, rows: 1, inputMs: 3, inferMs: 5, outputMs: 7 })
  statistics.ran({ ...run, requests: 2, rows: 4, inputMs: 11, inferMs: 13, outputMs: 17 })
  statistics.succeeded(1000, 100, false)
  statistics.succeeded(2000, 200, false)
  statistics.succeeded(4000, 0, false)
  statistics.succeeded(8000, 0, true)
  statistics.failed(16_000)
  const info = { name: 'm', version: '1', cache: {} } as ModelInfo
  const { model_stats } = JSON.parse(Buffer.from(encodeStatistics([{ info, statistics: statistics.snapshot() }])).toString())
  const ns = (count: number, ms: number) => ({ count, ns: ms * 1e6 })
  expect(model_stats[0]).toMatchObject({
    inference_count: 5,
    execution_count: 2,
    inference_stats: {
      success: ns(4, 15_000),
      fail: ns(1, 16_000),
      queue: ns(4, 300),
      compute_input: ns(3, 3 + 22),
      compute_infer: ns(3, 5 + 26),
      compute_output: ns(3, 7 + 34),
      cache_hit: ns(1, 8000),
      cache_miss: ns(3, 0),
    },
    batch_stats: [
      { batch_size: 1, compute_input: ns(1, 3), compute_infer: ns(1, 5), compute_output: ns(1, 7) },
      { batch_size: 4, compute_input: ns(1, 11), compute_infer: ns(1, 13), compute_output: ns(1, 17) },
    ],
  })
})

test('the times of a burst add up to the time that it was away', () => {
  const entry = (enqueuedAt: number, trace?: Trace) => ({ enqueuedAt, trace }) as Entry
  const batch = (requests: Entry[], rows: number) => ({ requests, rows, padding: 0, reason: 'full' }) as const
  const reports: BatchReport[] = []
  const trace = {} as Trace
  reportBurst((report) => reports.push(report), [batch([entry(3, trace), entry(1)], 5), batch([entry(8)], 1)], {
    instance: { id: 7 } as Instance,
    outcomes: [
      { outputs: {}, inferMs: 20 },
      { error: new ModelmountError('INPUT_REJECTED', 'no'), inferMs: 4 },
    ],
    sentAt: 10,
    beganAt: 12,
    endedAt: 40,
  })
  const times = ({ queueMs, inputMs, inferMs, outputMs }: BatchReport) => [queueMs, inputMs, inferMs, outputMs]
  expect(reports.map(times)).toEqual([
    [9, 2, 20, 8],
    [2, 22, 4, 4],
  ])
  expect(reports.map(({ instance, requests, rows, error, traces }) => ({ instance, requests, rows, error, traces }))).toEqual([
    { instance: 7, requests: 2, rows: 5, error: undefined, traces: [trace] },
    { instance: 7, requests: 1, rows: 1, error: 'INPUT_REJECTED', traces: [] },
  ])
})
