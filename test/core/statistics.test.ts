import { expect, test } from 'vitest'
import { createStatistics } from '../../src/core/statistics.ts'

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
