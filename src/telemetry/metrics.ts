/**
 * Metrics of requests and runs. A record with attributes can cost a microsecond (`producer.ts`), so a request makes one and a run a few.
 * All other values are plain numbers, read at a collection.
 */

import type { Attributes } from '@opentelemetry/api'
import type { ErrorCode } from '../core/errors.ts'
import type { RequestEnd, RunEnd } from '../core/telemetry/index.ts'
import type { Instruments } from './instruments.ts'
import { ATTR_ERROR, ATTR_MODEL, ATTR_VERSION, METRICS, OTHER } from './names.ts'

/** Sums of one model version since the process began, over all servers that have it. */
export interface Series {
  readonly model: string
  readonly version: string
  /** Shared by every record of the series. */
  readonly attributes: Attributes
  readonly outcomes: Map<ErrorCode | 'ok', number>
  readonly failedAttributes: Map<ErrorCode, Attributes>
  /** Runs by the reason for sending them, failed ones included. */
  readonly executions: Map<RunEnd['reason'], number>
  /** Rows and elements that were sent to instances. */
  sentRows: number
  padding: number
  cacheHits: number
  cacheMisses: number
  /** Rows of the answered runs. */
  rows: number
  /** Milliseconds, over requests. */
  requestMs: number
  queueMs: number
  /** Milliseconds, over runs. */
  inputMs: number
  inferMs: number
  outputMs: number
  aloneMs: number
  /** Rows whose separate cost is in `aloneMs`. */
  aloneRows: number
  restarts: number
}

export interface Metrics {
  end(request: RequestEnd): void
  run(run: RunEnd): void
  seriesOf(model: string, version: string): Series
  all(): Iterable<Series>
  /** A version is gone; its counts are no longer reported. */
  forget(model: string, version: string): void
}

const SECOND = 1000

export function createMetrics(instruments: Instruments): Metrics {
  const requestDuration = instruments.histogram(METRICS.requestDuration)
  const queueDuration = instruments.histogram(METRICS.queueDuration)
  const inputDuration = instruments.histogram(METRICS.computeInputDuration)
  const inferDuration = instruments.histogram(METRICS.inferDuration)
  const outputDuration = instruments.histogram(METRICS.computeOutputDuration)
  const batchSize = instruments.histogram(METRICS.batchSize)
  const models = new Map<string, Map<string, Series>>()

  function seriesOf(model: string, version: string): Series {
    let versions = models.get(model)
    if (!versions) {
      versions = new Map()
      models.set(model, versions)
    }
    let series = versions.get(version)
    if (!series) {
      series = newSeries(model, version)
      versions.set(version, series)
    }
    return series
  }

  function end({ model = OTHER, version = OTHER, error, startedAt, endedAt, queueMs }: RequestEnd): void {
    const series = seriesOf(model, version)
    const outcome = error ?? 'ok'
    series.outcomes.set(outcome, (series.outcomes.get(outcome) ?? 0) + 1)
    const ms = endedAt - startedAt
    series.requestMs += ms
    series.queueMs += queueMs
    requestDuration.record(ms / SECOND, error === undefined ? series.attributes : failedAttributes(series, error))
  }

  function run({ model, version, error, reason, rows, padding, queueMs, inputMs, inferMs, outputMs }: RunEnd): void {
    const series = seriesOf(model, version)
    const { attributes, executions } = series
    executions.set(reason, (executions.get(reason) ?? 0) + 1)
    series.sentRows += rows
    series.padding += padding
    if (error !== undefined) return
    series.rows += rows
    series.inputMs += inputMs
    series.inferMs += inferMs
    series.outputMs += outputMs
    queueDuration.record(queueMs / SECOND, attributes)
    inputDuration.record(inputMs / SECOND, attributes)
    inferDuration.record(inferMs / SECOND, attributes)
    outputDuration.record(outputMs / SECOND, attributes)
    batchSize.record(rows, attributes)
  }

  return {
    end,
    run,
    seriesOf,
    *all() {
      for (const versions of models.values()) yield* versions.values()
    },
    forget(model, version) {
      const versions = models.get(model)
      const series = versions?.get(version)
      if (!series) return
      for (const attributes of [series.attributes, ...series.failedAttributes.values()]) instruments.forget(attributes)
      versions?.delete(version)
      if (versions?.size === 0) models.delete(model)
    },
  }
}

function failedAttributes({ failedAttributes, attributes }: Series, error: ErrorCode): Attributes {
  let known = failedAttributes.get(error)
  if (!known) {
    known = { ...attributes, [ATTR_ERROR]: error }
    failedAttributes.set(error, known)
  }
  return known
}

const newSeries = (model: string, version: string): Series => ({
  model,
  version,
  attributes: { [ATTR_MODEL]: model, [ATTR_VERSION]: version },
  outcomes: new Map(),
  failedAttributes: new Map(),
  executions: new Map(),
  sentRows: 0,
  padding: 0,
  cacheHits: 0,
  cacheMisses: 0,
  rows: 0,
  requestMs: 0,
  queueMs: 0,
  inputMs: 0,
  inferMs: 0,
  outputMs: 0,
  aloneMs: 0,
  aloneRows: 0,
  restarts: 0,
})
