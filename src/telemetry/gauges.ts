/**
 * Numbers read from servers at a collection: they cost requests nothing. If several servers have the same version of a model, queues,
 * instances and bytes add up, and the model is ready if it is ready in each of them.
 */

import type { Attributes } from '@opentelemetry/api'
import type { ModelInfo } from '../core/model/types.ts'
import type { Instruments, Observe } from './instruments.ts'
import type { Metrics, Series } from './metrics.ts'
import * as names from './names.ts'
import { METRICS } from './names.ts'
import { greatestOf, sumOf, type Version } from './versions.ts'

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

/** @param versions called once per collection. @returns a function that ends the observation */
export function observeModels(instruments: Instruments, versions: () => readonly Version[], metrics: Metrics): () => void {
  const busy = new WeakMap<Series, { readonly at: number; readonly inferMs: number }>()

  function read(observe: ObserveModel): void {
    const found = versions().map((version) => ({ version, series: metrics.seriesOf(version.model, version.version) }))
    for (const series of metrics.all()) observeSeries(observe, series)
    for (const { version, series } of found) observeModel(observe, version, series)
  }

  function observeSeries(observe: ObserveModel, series: Series): void {
    const { attributes, requests, runs } = series
    for (const [outcome, count] of requests.outcomes) observe('requests', count, { ...attributes, [names.ATTR_OUTCOME]: outcome })
    if (attributes[names.ATTR_MODEL] === names.OTHER) return
    for (const [reason, count] of runs.executions) observe('executions', count, { ...attributes, [names.ATTR_REASON]: reason })
    observe('rows', runs.sentRows, attributes)
    if (runs.padding > 0) observe('padding', runs.padding, attributes)
    observe('restarts', series.restarts, attributes)
    observe('computeTime', runs.inferMs / SECOND, attributes)
  }

  function observeModel(observe: ObserveModel, { infos }: Version, series: Series): void {
    const { attributes } = series
    const waiting = sumOf(infos, ({ queue }) => queue.waiting)
    const running = sumOf(infos, ({ queue }) => queue.running)
    const limit = sumOf(infos, ({ instances, batching }) => instances.ready * batching.maxSize)
    const ready = sumOf(infos, ({ instances }) => instances.ready)
    observe('waiting', waiting, attributes)
    observe('running', running, attributes)
    observe('limit', limit, attributes)
    if (limit > 0) observe('saturation', (waiting + running) / limit, attributes)
    observe('ready', infos.every(({ state }) => state === 'ready') ? 1 : 0, attributes)
    for (const told of differentInfos(infos, attributes)) observe('info', 1, told)
    observe('instances', ready, { ...attributes, [names.ATTR_STATE]: 'ready' })
    const target = sumOf(infos, ({ instances }) => instances.target)
    observe('instances', target, { ...attributes, [names.ATTR_STATE]: 'target' })
    const loadMs = greatestOf(infos, (info) => info.loadMs)
    if (loadMs !== undefined) observe('loadDuration', loadMs / SECOND, attributes)
    const perInstanceBytes = greatestOf(infos, ({ memory }) => memory?.perInstanceBytes)
    if (perInstanceBytes !== undefined) observe('memory', perInstanceBytes, attributes)
    if (infos.some(({ cache }) => cache)) {
      observe('cacheRequests', series.cache.hits, { ...attributes, [names.ATTR_CACHE_RESULT]: 'hit' })
      observe('cacheRequests', series.cache.misses, { ...attributes, [names.ATTR_CACHE_RESULT]: 'miss' })
      const bytes = sumOf(infos, ({ cache }) => cache?.bytes ?? 0)
      observe('cacheSize', bytes, attributes)
    }
    observeGain(observe, infos, series)
    observeWorkers(observe, ready, series)
  }

  /**
   * Cost of the rows since the last look, had each run alone, at the current learned cost: the mean of the servers that have learned one.
   */
  function observeGain(observe: ObserveModel, infos: readonly ModelInfo[], { runs, alone, attributes }: Series): void {
    const curves = infos.map(({ batching }) => batching.curve).filter((curve) => curve !== undefined)
    if (curves.length > 0) {
      const perRowMs = curves.reduce((sum, { baseMs, perRowMs }) => sum + baseMs + perRowMs, 0) / curves.length
      alone.ms += (runs.rows - alone.rows) * perRowMs
      alone.rows = runs.rows
    }
    if (alone.rows > 0) observe('computeAloneTime', alone.ms / SECOND, attributes)
  }

  function observeWorkers(observe: ObserveModel, ready: number, series: Series): void {
    const now = { at: performance.now(), inferMs: series.runs.inferMs }
    const before = busy.get(series)
    busy.set(series, now)
    if (!before || ready === 0 || now.at === before.at) return
    const share = (now.inferMs - before.inferMs) / ((now.at - before.at) * ready)
    observe('workerUtilization', Math.min(1, share), series.attributes)
  }

  return instruments.observe(MODEL_METRICS, read)
}

/** Servers that run it alike are reported once. */
function differentInfos(infos: readonly ModelInfo[], attributes: Attributes): Iterable<Attributes> {
  const different = new Map<string, Attributes>()
  for (const info of infos) {
    const told = infoAttributes(info, attributes)
    different.set(JSON.stringify(told), told)
  }
  return different.values()
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
