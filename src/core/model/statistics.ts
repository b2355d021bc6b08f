/**
 * Counts the work of one load of a model version, in sums that only grow, so that tools can subtract two readings.
 * Requests that are refused before they reach the model are not counted.
 */

import type { BatchReport } from '../scheduler/report.ts'

/** How often, and how long together. */
export interface Total {
  readonly count: number
  readonly ms: number
}

/** Runs of one size. */
export interface BatchTotal {
  readonly rows: number
  readonly runs: number
  /** From the queue to ONNX Runtime, inside it, and back. */
  readonly inputMs: number
  readonly inferMs: number
  readonly outputMs: number
}

export interface StatisticsSnapshot {
  /** Answered requests, with those that were answered without a run. */
  readonly success: Total
  readonly fail: Total
  readonly queueMs: number
  /** Answers that needed no run. */
  readonly hits: Total
  readonly batches: readonly BatchTotal[]
  /** Rows of all runs that went well, and the runs. */
  readonly rows: number
  readonly runs: number
  /** Times of the runs, counted once for each request in them. */
  readonly inputMs: number
  readonly inferMs: number
  readonly outputMs: number
  /** Milliseconds since 1970 of the last run; 0 before the first. */
  readonly lastRunAt: number
}

export interface Statistics {
  succeeded(totalMs: number, queueMs: number, cached: boolean): void
  failed(totalMs: number): void
  ran(run: BatchReport): void
  snapshot(): StatisticsSnapshot
}

type Sum = { count: number; ms: number }
type Batch = { -readonly [K in keyof BatchTotal]: BatchTotal[K] }

/** A model whose batches are not bounded could be sent as many sizes as there are requests. */
const MOST_SIZES = 1024

export function createStatistics(wallNow: () => number = Date.now): Statistics {
  const success: Sum = { count: 0, ms: 0 }
  const fail: Sum = { count: 0, ms: 0 }
  const hits: Sum = { count: 0, ms: 0 }
  const batches = new Map<number, Batch>()
  let [queueMs, rows, runs, inputMs, inferMs, outputMs, lastRunAt] = [0, 0, 0, 0, 0, 0, 0]

  function add(sum: Sum, ms: number): void {
    sum.count++
    sum.ms += ms
  }

  function batchOf(size: number): Batch | undefined {
    const known = batches.get(size)
    if (known || batches.size === MOST_SIZES) return known
    const batch = { rows: size, runs: 0, inputMs: 0, inferMs: 0, outputMs: 0 }
    batches.set(size, batch)
    return batch
  }

  return {
    succeeded(totalMs, waitedMs, cached) {
      add(success, totalMs)
      queueMs += waitedMs
      if (cached) add(hits, totalMs)
    },
    failed: (totalMs) => add(fail, totalMs),
    ran(run) {
      if (run.error !== undefined) return
      rows += run.rows
      runs++
      inputMs += run.inputMs * run.requests
      inferMs += run.inferMs * run.requests
      outputMs += run.outputMs * run.requests
      lastRunAt = wallNow()
      const batch = batchOf(run.rows)
      if (!batch) return
      batch.runs++
      batch.inputMs += run.inputMs
      batch.inferMs += run.inferMs
      batch.outputMs += run.outputMs
    },
    snapshot: () => ({
      success: { ...success },
      fail: { ...fail },
      queueMs,
      hits: { ...hits },
      batches: [...batches.values()].sort((a, b) => a.rows - b.rows).map((batch) => ({ ...batch })),
      rows,
      runs,
      inputMs,
      inferMs,
      outputMs,
      lastRunAt,
    }),
  }
}
