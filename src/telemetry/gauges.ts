/** What is read from the server when somebody collects: nothing of it costs a request anything. */

import type { Attributes } from '@opentelemetry/api'
import type { TelemetrySource } from '../core/telemetry.ts'
import type { ModelInfo } from '../core/types.ts'
import type { Instruments, Observe } from './instruments.ts'
import type { Metrics, Series } from './metrics.ts'
import * as names from './names.ts'
import { METRICS } from './names.ts'

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

type ObserveModel = Observe<keyof typeof MODEL_METRICS>

const SECOND = 1000

/** @returns ends the observation */
export function observeModels(instruments: Instruments, source: TelemetrySource, metrics: Metrics): () => void {
  const busy = new WeakMap<Series, { readonly at: number; readonly inferMs: number }>()

  function read(observe: ObserveModel): void {
    for (const series of metrics.all()) observeSeries(observe, series)
    for (const info of source.models())
      if (info.state !== 'unloaded') observeModel(observe, info, metrics.seriesOf(info.name, info.version))
  }

  function observeSeries(observe: ObserveModel, { attributes, outcomes, restarts, inferMs }: Series): void {
    for (const [outcome, count] of outcomes) observe('requests', count, { ...attributes, [names.ATTR_OUTCOME]: outcome })
    if (attributes[names.ATTR_MODEL] === names.OTHER) return
    observe('restarts', restarts, attributes)
    observe('computeTime', inferMs / SECOND, attributes)
  }

  function observeModel(observe: ObserveModel, info: ModelInfo, series: Series): void {
    const { attributes } = series
    const { queue, instances, batching, cache, memory } = info
    const limit = instances.ready * batching.maxSize
    for (const [reason, count] of Object.entries(queue.released))
      if (count > 0) observe('executions', count, { ...attributes, [names.ATTR_REASON]: reason })
    observe('rows', queue.rows, attributes)
    if (queue.padding > 0) observe('padding', queue.padding, attributes)
    observe('waiting', queue.waiting, attributes)
    observe('running', queue.running, attributes)
    observe('limit', limit, attributes)
    if (limit > 0) observe('saturation', (queue.waiting + queue.running) / limit, attributes)
    observe('ready', info.state === 'ready' ? 1 : 0, attributes)
    observe('info', 1, infoAttributes(info, attributes))
    observe('instances', instances.ready, { ...attributes, [names.ATTR_STATE]: 'ready' })
    observe('instances', instances.target, { ...attributes, [names.ATTR_STATE]: 'target' })
    if (info.loadMs !== undefined) observe('loadDuration', info.loadMs / SECOND, attributes)
    if (memory) observe('memory', memory.perInstanceBytes, attributes)
    if (cache) {
      observe('cacheRequests', cache.hits, { ...attributes, [names.ATTR_CACHE_RESULT]: 'hit' })
      observe('cacheRequests', cache.misses, { ...attributes, [names.ATTR_CACHE_RESULT]: 'miss' })
      observe('cacheSize', cache.bytes, attributes)
    }
    observeGain(observe, info, series)
    observeWorkers(observe, instances.ready, series)
  }

  /** What the rows since the last look would have cost alone, at today's learned cost. */
  function observeGain(observe: ObserveModel, { batching: { curve } }: ModelInfo, series: Series): void {
    if (curve) {
      series.aloneMs += (series.rows - series.aloneRows) * (curve.baseMs + curve.perRowMs)
      series.aloneRows = series.rows
    }
    if (series.aloneRows > 0) observe('computeAloneTime', series.aloneMs / SECOND, series.attributes)
  }

  function observeWorkers(observe: ObserveModel, ready: number, series: Series): void {
    const now = { at: performance.now(), inferMs: series.inferMs }
    const before = busy.get(series)
    busy.set(series, now)
    if (!before || ready === 0 || now.at === before.at) return
    const share = (now.inferMs - before.inferMs) / ((now.at - before.at) * ready)
    observe('workerUtilization', Math.min(1, share), series.attributes)
  }

  return instruments.observe(MODEL_METRICS, read)
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
