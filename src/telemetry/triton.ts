/** The metric names in dashboards for Triton, derived from sums that are kept anyway. */

import type { ErrorCode } from '../core/errors.ts'
import type { Instruments, Observe } from './instruments.ts'
import type { Metrics, Series } from './metrics.ts'
import { OTHER, TRITON_METRICS } from './names.ts'
import { sumOf, type Version } from './versions.ts'

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

const runsOf = ({ runs }: Series): number => [...runs.executions.values()].reduce((sum, runs) => sum + runs, 0)

/** @returns a function that ends the observation */
export function observeAsTriton(instruments: Instruments, versions: () => readonly Version[], metrics: Metrics): () => void {
  function observeSeries(observe: ObserveTriton, series: Series): void {
    const { requests, runs } = series
    const labels = { model: series.model, version: series.version }
    const failures = { REJECTED: 0, CANCELED: 0, BACKEND: 0, OTHER: 0 }
    for (const [outcome, count] of requests.outcomes) if (outcome !== 'ok') failures[REASON_OF[outcome] ?? 'OTHER'] += count
    observe('success', requests.outcomes.get('ok') ?? 0, labels)
    for (const reason of REASONS) observe('failure', failures[reason], { ...labels, reason })
    observe('count', runs.rows, labels)
    observe('executions', runsOf(series), labels)
    observe('requestUs', Math.round(requests.ms * MICROSECONDS), labels)
    observe('queueUs', Math.round(requests.queueMs * MICROSECONDS), labels)
    observe('inputUs', Math.round(runs.inputMs * MICROSECONDS), labels)
    observe('inferUs', Math.round(runs.inferMs * MICROSECONDS), labels)
    observe('outputUs', Math.round(runs.outputMs * MICROSECONDS), labels)
  }

  function read(observe: ObserveTriton): void {
    for (const series of metrics.all()) if (series.model !== OTHER) observeSeries(observe, series)
    for (const { model, version, infos } of versions()) {
      const labels = { model, version }
      observe(
        'pending',
        sumOf(infos, ({ queue }) => queue.waiting),
        labels,
      )
      if (!infos.some(({ cache }) => cache)) continue
      const { cache } = metrics.seriesOf(model, version)
      observe('cacheHits', cache.hits, labels)
      observe('cacheMisses', cache.misses, labels)
    }
  }

  return instruments.observe(TRITON_METRICS, read)
}
