/**
 * The core's reports for metrics and traces: names, numbers and codes, never a tensor value. Everything is synchronous and optional; a
 * server without telemetry pays one comparison per request. `modelmount/telemetry` implements it with OpenTelemetry.
 */

import type { ExecutionProviderName } from '../engine/types.ts'
import type { ErrorCode } from '../errors.ts'
import type { ServerEvent } from '../model/events.ts'
import type { ModelInfo } from '../model/types.ts'
import type { QueueInfo } from '../scheduler/types.ts'

/** A request as the telemetry knows it again: opaque to the core, which carries it from `begin` past its runs to `end`. */
export type Trace = object

/** Times are milliseconds on the clock of `performance.now()`. */
export interface RequestStart {
  readonly model: string
  readonly version: string
  readonly startedAt: number
  /** The caller's id, that of the request or of the `x-request-id` that came with it; `undefined` for a made-up one. */
  readonly id?: string | undefined
  /** The label that it was asked for by, where it was. */
  readonly label?: string | undefined
  /** Of an HTTP request, for a trace context that came with it; as `node:http` gives them. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>> | undefined
}

export interface RequestEnd {
  /** `undefined` if the request named no model that the server knows: names from callers must not become labels. */
  readonly model: string | undefined
  readonly version: string | undefined
  /** `undefined` for an answer. */
  readonly error: ErrorCode | undefined
  readonly startedAt: number
  readonly endedAt: number
  readonly queueMs: number
  readonly inferMs: number
  /** Rows of the run that it was part of; 0 without a run. */
  readonly batchSize: number
  readonly cached: boolean
}

/** One call of ONNX Runtime, for one request or several. */
export interface RunEnd {
  readonly model: string
  readonly version: string
  readonly provider: ExecutionProviderName | undefined
  /** Counts up over the life of the model; a restarted instance has a new one. */
  readonly instance: number
  readonly requests: number
  readonly rows: number
  /** Elements that shorter rows were filled up with. */
  readonly padding: number
  readonly reason: keyof QueueInfo['released']
  readonly error: ErrorCode | undefined
  /** When it left the queue, and when its last answer was ready. */
  readonly sentAt: number
  readonly endedAt: number
  /** The longest wait of its requests. */
  readonly queueMs: number
  /** From leaving the queue until ONNX Runtime began: joining, packing, the way, and the wait behind other runs of the same worker. */
  readonly inputMs: number
  /** Inside ONNX Runtime. */
  readonly inferMs: number
  /** From ONNX Runtime's end until the answers were ready. */
  readonly outputMs: number
  /** The results of `begin` for its requests. */
  readonly traces: readonly Trace[]
}

/** A model version was brought up, or could not be. */
export interface LoadEnd {
  readonly model: string
  readonly version: string
  readonly error: ErrorCode | undefined
  readonly startedAt: number
  readonly endedAt: number
  /**
   * In order. `verify` checks the signatures, `read` reads the graph, and `prepare` lays out shared weights. `trialRun` tries the model in
   * a process of its own. `load` starts the first instances; `warmup` runs samples, and proves batching where the load
   * waits for that.
   */
  readonly steps: readonly { readonly name: LoadStep; readonly startedAt: number; readonly endedAt: number }[]
}

export type LoadStep = 'verify' | 'read' | 'prepare' | 'trialRun' | 'load' | 'warmup'

/** The source of gauges, read at a collection. */
export interface TelemetrySource {
  models(): readonly ModelInfo[]
  subscribe(listener: (event: ServerEvent) => void): () => void
}

/** Nothing here may throw, block or wait; an error is caught all the same, and reported once. */
export interface Telemetry {
  /** A server begins. The returned function is called at its end. */
  watch?(source: TelemetrySource): (() => void) | undefined
  /** A request goes to a model. The returned value comes back with its runs and its end; `undefined` if nothing is recorded. */
  begin?(request: RequestStart): Trace | undefined
  /** A request has its answer or its error; also for those that `begin` never saw because they were refused before. */
  end?(request: RequestEnd, trace: Trace | undefined): void
  run?(run: RunEnd): void
  load?(load: LoadEnd): void
  /** The metrics in Prometheus' text format, where they are collected in this process. */
  metricsText?(): Promise<{ readonly contentType: string; readonly text: string }>
}
