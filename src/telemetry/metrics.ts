/**
 * Metrics of requests and runs. A record with attributes can cost a microsecond (`producer.ts`), so a request makes one and a run a few.
 * All other values are plain numbers, read at a collection.
 */

import type { Attributes } from '@opentelemetry/api'
import type { ErrorCode } from '../core/errors.ts'
import type { RequestEnd, RunEnd } from '../core/telemetry/index.ts'
import type { Instruments } from './instruments.ts'
import { ATTR_ERROR, ATTR_MODEL, ATTR_VERSION, METRICS, OTHER } from './names.ts'

/** Over requests. */
interface RequestSums {
  readonly outcomes: Map<ErrorCode | 'ok', number>
  ms: number
  queueMs: number
}

/** Over runs. */
interface RunSums {
  /** By the reason for sending them, failed ones included. */
  readonly executions: Map<RunEnd['reason'], number>
  /** Rows and elements that were sent to instances. */
  sentRows: number
  padding: number
  /** Of the answered runs. */
  rows: number
  inputMs: number
  inferMs: number
  outputMs: number
}

/** Cost of the same rows, had each run alone. */
interface AloneSums {
  ms: number
  /** Rows whose separate cost is in `ms`. */
  rows: number
}

/** Look-ups in the result cache. */
interface CacheSums {
  hits: number
  misses: number
}

/** Sums of one model version since the process began, over all servers that have it. */
export interface Series {
  readonly model: string
  readonly version: string
  /** Shared by every record of the series. */
  readonly attributes: Attributes
  readonly failedAttributes: Map<ErrorCode, Attributes>
  readonly requests: RequestSums
  readonly runs: RunSums
  readonly alone: AloneSums
  readonly cache: CacheSums
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
    const { requests } = series
    requests.outcomes.set(outcome, (requests.outcomes.get(outcome) ?? 0) + 1)
    const ms = endedAt - startedAt
    requests.ms += ms
    requests.queueMs += queueMs
    requestDuration.record(ms / SECOND, error === undefined ? series.attributes : failedAttributes(series, error))
  }

  function run({ model, version, error, reason, rows, padding, queueMs, inputMs, inferMs, outputMs }: RunEnd): void {
    const { attributes, runs } = seriesOf(model, version)
    runs.executions.set(reason, (runs.executions.get(reason) ?? 0) + 1)
    runs.sentRows += rows
    runs.padding += padding
    if (error !== undefined) return
    runs.rows += rows
    runs.inputMs += inputMs
    runs.inferMs += inferMs
    runs.outputMs += outputMs
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
  failedAttributes: new Map(),
  requests: { outcomes: new Map(), ms: 0, queueMs: 0 },
  runs: { executions: new Map(), sentRows: 0, padding: 0, rows: 0, inputMs: 0, inferMs: 0, outputMs: 0 },
  alone: { ms: 0, rows: 0 },
  cache: { hits: 0, misses: 0 },
  restarts: 0,
})
