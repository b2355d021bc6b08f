/** The names that dashboards for Triton ask for, from the sums that are kept anyway. */

import type { BatchObservableResult, Meter } from '@opentelemetry/api'
import type { ErrorCode } from '../core/errors.ts'
import type { TelemetrySource } from '../core/telemetry.ts'
import { observables } from './gauges.ts'
import type { Metrics, Series } from './metrics.ts'
import { OTHER, TRITON_METRICS } from './names.ts'

const MICROSECONDS = 1000

/** Triton's four reasons; each has its series from the start. */
const REASONS = ['REJECTED', 'CANCELED', 'BACKEND', 'OTHER'] as const

const REASON_OF: Partial<Record<ErrorCode, (typeof REASONS)[number]>> = {
  QUEUE_FULL: 'REJECTED',
  QUOTA_EXCEEDED: 'REJECTED',
  OVERLOADED: 'REJECTED',
  DEADLINE_EXCEEDED: 'REJECTED',
  ABORTED: 'CANCELED',
  INFERENCE_FAILED: 'BACKEND',
  INPUT_REJECTED: 'BACKEND',
  WORKER_LOST: 'BACKEND',
}

/** @returns ends the observation */
export function observeAsTriton(meter: Meter, source: TelemetrySource, metrics: Metrics): () => void {
  const made = observables(meter, TRITON_METRICS)

  function observeSeries(result: BatchObservableResult, series: Series): void {
    const labels = { model: series.model, version: series.version }
    const failures = { REJECTED: 0, CANCELED: 0, BACKEND: 0, OTHER: 0 }
    for (const [outcome, count] of series.outcomes) if (outcome !== 'ok') failures[REASON_OF[outcome] ?? 'OTHER'] += count
    result.observe(made.success, series.outcomes.get('ok') ?? 0, labels)
    for (const reason of REASONS) result.observe(made.failure, failures[reason], { ...labels, reason })
    result.observe(made.count, series.rows, labels)
    result.observe(made.executions, series.runs, labels)
    result.observe(made.requestUs, Math.round(series.requestMs * MICROSECONDS), labels)
    result.observe(made.queueUs, Math.round(series.queueMs * MICROSECONDS), labels)
    result.observe(made.inputUs, Math.round(series.inputMs * MICROSECONDS), labels)
    result.observe(made.inferUs, Math.round(series.inferMs * MICROSECONDS), labels)
    result.observe(made.outputUs, Math.round(series.outputMs * MICROSECONDS), labels)
  }

  function observe(result: BatchObservableResult): void {
    for (const series of metrics.all()) if (series.model !== OTHER) observeSeries(result, series)
    for (const { name: model, version, queue, cache } of source.models()) {
      result.observe(made.pending, queue.waiting, { model, version })
      if (!cache) continue
      result.observe(made.cacheHits, cache.hits, { model, version })
      result.observe(made.cacheMisses, cache.misses, { model, version })
    }
  }

  const all = Object.values(made)
  meter.addBatchObservableCallback(observe, all)
  return () => meter.removeBatchObservableCallback(observe, all)
}
