/** The names that dashboards for Triton ask for, from the sums that are kept anyway. */

import type { ErrorCode } from '../core/errors.ts'
import type { TelemetrySource } from '../core/telemetry.ts'
import type { Instruments, Observe } from './instruments.ts'
import type { Metrics, Series } from './metrics.ts'
import { OTHER, TRITON_METRICS } from './names.ts'

type ObserveTriton = Observe<keyof typeof TRITON_METRICS>

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
export function observeAsTriton(instruments: Instruments, source: TelemetrySource, metrics: Metrics): () => void {
  function observeSeries(observe: ObserveTriton, series: Series): void {
    const labels = { model: series.model, version: series.version }
    const failures = { REJECTED: 0, CANCELED: 0, BACKEND: 0, OTHER: 0 }
    for (const [outcome, count] of series.outcomes) if (outcome !== 'ok') failures[REASON_OF[outcome] ?? 'OTHER'] += count
    observe('success', series.outcomes.get('ok') ?? 0, labels)
    for (const reason of REASONS) observe('failure', failures[reason], { ...labels, reason })
    observe('count', series.rows, labels)
    observe('executions', series.runs, labels)
    observe('requestUs', Math.round(series.requestMs * MICROSECONDS), labels)
    observe('queueUs', Math.round(series.queueMs * MICROSECONDS), labels)
    observe('inputUs', Math.round(series.inputMs * MICROSECONDS), labels)
    observe('inferUs', Math.round(series.inferMs * MICROSECONDS), labels)
    observe('outputUs', Math.round(series.outputMs * MICROSECONDS), labels)
  }

  function read(observe: ObserveTriton): void {
    for (const series of metrics.all()) if (series.model !== OTHER) observeSeries(observe, series)
    for (const { name: model, version, queue, cache } of source.models()) {
      observe('pending', queue.waiting, { model, version })
      if (!cache) continue
      observe('cacheHits', cache.hits, { model, version })
      observe('cacheMisses', cache.misses, { model, version })
    }
  }

  return instruments.observe(TRITON_METRICS, read)
}
