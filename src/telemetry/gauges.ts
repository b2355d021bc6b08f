/** What is read from the server when somebody collects: nothing of it costs a request anything. */

import type { Attributes, BatchObservableResult, Meter, Observable } from '@opentelemetry/api'
import type { TelemetrySource } from '../core/telemetry.ts'
import type { ModelInfo } from '../core/types.ts'
import type { Metrics, Series } from './metrics.ts'
import * as names from './names.ts'
import { METRICS, type MetricName } from './names.ts'

type Observables<K extends string> = Readonly<Record<K, Observable>>

/** Makes an observable instrument for each name. */
export function observables<K extends string>(meter: Meter, wanted: Readonly<Record<K, MetricName>>): Observables<K> {
  const made = Object.entries<MetricName>(wanted).map(([key, { name, kind, unit, description }]) => {
    const options = { unit, description }
    if (kind === 'counter') return [key, meter.createObservableCounter(name, options)]
    return [
      key,
      kind === 'updown' ? meter.createObservableUpDownCounter(name, options) : meter.createObservableGauge(name, options),
    ]
  })
  return Object.fromEntries(made) as Observables<K>
}

const MODEL_METRICS = {
  requests: METRICS.requests,
  executions: METRICS.executions,
  rows: METRICS.rows,
  padding: METRICS.padding,
  computeTime: METRICS.computeTime,
  computeAloneTime: METRICS.computeAloneTime,
  waiting: METRICS.waiting,
  running: METRICS.running,
  limit: METRICS.limit,
  saturation: METRICS.saturation,
  cacheRequests: METRICS.cacheRequests,
  cacheSize: METRICS.cacheSize,
  ready: METRICS.ready,
  info: METRICS.info,
  instances: METRICS.instances,
  restarts: METRICS.restarts,
  loadDuration: METRICS.loadDuration,
  memory: METRICS.memory,
  workerUtilization: METRICS.workerUtilization,
}

const SECOND = 1000

/** @returns ends the observation */
export function observeModels(meter: Meter, source: TelemetrySource, metrics: Metrics): () => void {
  const made = observables(meter, MODEL_METRICS)
  const busy = new WeakMap<Series, { readonly at: number; readonly inferMs: number }>()

  function observe(result: BatchObservableResult): void {
    for (const series of metrics.all()) observeSeries(result, series)
    for (const info of source.models())
      if (info.state !== 'unloaded') observeModel(result, info, metrics.seriesOf(info.name, info.version))
  }

  function observeSeries(result: BatchObservableResult, { attributes, outcomes, restarts, inferMs }: Series): void {
    for (const [outcome, count] of outcomes)
      result.observe(made.requests, count, { ...attributes, [names.ATTR_OUTCOME]: outcome })
    if (attributes[names.ATTR_MODEL] === names.OTHER) return
    result.observe(made.restarts, restarts, attributes)
    result.observe(made.computeTime, inferMs / SECOND, attributes)
  }

  function observeModel(result: BatchObservableResult, info: ModelInfo, series: Series): void {
    const { attributes } = series
    const { queue, instances, batching, cache, memory } = info
    const limit = instances.ready * batching.maxSize
    for (const [reason, count] of Object.entries(queue.released))
      if (count > 0) result.observe(made.executions, count, { ...attributes, [names.ATTR_REASON]: reason })
    result.observe(made.rows, queue.rows, attributes)
    if (queue.padding > 0) result.observe(made.padding, queue.padding, attributes)
    result.observe(made.waiting, queue.waiting, attributes)
    result.observe(made.running, queue.running, attributes)
    result.observe(made.limit, limit, attributes)
    if (limit > 0) result.observe(made.saturation, (queue.waiting + queue.running) / limit, attributes)
    result.observe(made.ready, info.state === 'ready' ? 1 : 0, attributes)
    result.observe(made.info, 1, infoAttributes(info, attributes))
    result.observe(made.instances, instances.ready, { ...attributes, [names.ATTR_STATE]: 'ready' })
    result.observe(made.instances, instances.target, { ...attributes, [names.ATTR_STATE]: 'target' })
    if (info.loadMs !== undefined) result.observe(made.loadDuration, info.loadMs / SECOND, attributes)
    if (memory) result.observe(made.memory, memory.perInstanceBytes, attributes)
    if (cache) {
      result.observe(made.cacheRequests, cache.hits, { ...attributes, [names.ATTR_CACHE_RESULT]: 'hit' })
      result.observe(made.cacheRequests, cache.misses, { ...attributes, [names.ATTR_CACHE_RESULT]: 'miss' })
      result.observe(made.cacheSize, cache.bytes, attributes)
    }
    observeGain(result, info, series)
    observeWorkers(result, instances.ready, series)
  }

  /** What the rows since the last look would have cost alone, at today's learned cost. */
  function observeGain(result: BatchObservableResult, { batching: { curve } }: ModelInfo, series: Series): void {
    if (curve) {
      series.aloneMs += (series.rows - series.aloneRows) * (curve.baseMs + curve.perRowMs)
      series.aloneRows = series.rows
    }
    if (series.aloneRows > 0) result.observe(made.computeAloneTime, series.aloneMs / SECOND, series.attributes)
  }

  function observeWorkers(result: BatchObservableResult, ready: number, series: Series): void {
    const now = { at: performance.now(), inferMs: series.inferMs }
    const before = busy.get(series)
    busy.set(series, now)
    if (!before || ready === 0 || now.at === before.at) return
    const share = (now.inferMs - before.inferMs) / ((now.at - before.at) * ready)
    result.observe(made.workerUtilization, Math.min(1, share), series.attributes)
  }

  const all = Object.values(made)
  meter.addBatchObservableCallback(observe, all)
  return () => meter.removeBatchObservableCallback(observe, all)
}

function infoAttributes(info: ModelInfo, attributes: Attributes): Attributes {
  return {
    ...attributes,
    [names.ATTR_STATE]: info.state,
    [names.ATTR_PROVIDER]: info.executionProvider ?? 'none',
    [names.ATTR_ISOLATION]: info.isolation,
    [names.ATTR_DEFAULT]: info.isDefault,
  }
}
