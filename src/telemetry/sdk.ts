/**
 * OpenTelemetry's SDK for an app that has none: one call before the model server.
 * @module modelmount/telemetry/sdk
 */

import { metrics as metricsApi, trace as traceApi } from '@opentelemetry/api'
import {
  ConsoleMetricExporter,
  type MetricProducer,
  type MetricReader,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { NodeSDK, type NodeSDKConfiguration } from '@opentelemetry/sdk-node'
import { ModelmountError } from '../core/errors.ts'
import type { Telemetry } from '../core/telemetry/index.ts'
import { VERSION } from '../core/version.ts'
import { meterInstruments } from './instruments.ts'
import { type MetricsPort, portOfEnvironment, serveMetrics } from './metrics-port.ts'
import { SCOPE } from './names.ts'
import { type OtlpOptions, otlpMetricExporter, otlpTraceExporter } from './otlp.ts'
import { createProducer } from './producer.ts'
import { CONTENT_TYPE, createPrometheus, type PrometheusText } from './prometheus.ts'
import { createSampling, type Sampling } from './sampling.ts'
import { partOfSdk } from './sdk-parts.ts'
import { createTelemetry, type Watched } from './telemetry.ts'
import { watchingOf } from './watching.ts'

export type { OtlpOptions } from './otlp.ts'
export type { PrometheusText } from './prometheus.ts'

export interface StartTelemetryOptions extends Watched {
  /** @default `OTEL_SERVICE_NAME`, else the SDK's `unknown_service:node` */
  readonly serviceName?: string
  /** Send traces and metrics to a collector. @default the `OTEL_*` variables; nothing without them */
  readonly otlp?: boolean | OtlpOptions
  /**
   * Serve `/metrics` on a port of its own too; `metricsText()` works without. @default none, unless `OTEL_METRICS_EXPORTER=prometheus` is
   * set
   */
  readonly prometheus?: MetricsPort
  /** Share of traces to record if the caller has not decided, from 0 to 1. @default `OTEL_TRACES_SAMPLER`, else all */
  readonly sampleRatio?: number
  /** Alternative destinations of spans. */
  readonly spanProcessors?: NodeSDKConfiguration['spanProcessors']
  /** Further readers of the metrics. */
  readonly metricReaders?: readonly MetricReader[]
  /** Of other libraries; those of HTTP and of your framework make the parent spans of requests. */
  readonly instrumentations?: NodeSDKConfiguration['instrumentations']
}

export interface StartedTelemetry extends Telemetry {
  metricsText(): Promise<PrometheusText>
  /** Address of the separate port, if there is one. */
  readonly metricsUrl: string | undefined
  /** Sends the remaining data and ends the SDK. @param opts.timeoutMs give up waiting for the collector after this. @default 5000 */
  shutdown(opts?: { readonly timeoutMs?: number }): Promise<void>
}

/** Result for an operator who switches the SDK off: it does nothing, and nothing fails. */
const DISABLED: StartedTelemetry = {
  metricsText: async () => ({ contentType: CONTENT_TYPE, text: '' }),
  metricsUrl: undefined,
  async shutdown() {},
}

/**
 * Starts and registers the SDK, unless `OTEL_SDK_DISABLED` is set. Call it before anything that should be traced is imported or created.
 * @throws ModelmountError `OPTIONS_INVALID`, also if an SDK is registered already (use `otelTelemetry()` then) or the port is taken
 */
export async function startTelemetry(options: StartTelemetryOptions = {}): Promise<StartedTelemetry> {
  const { serviceName, sampleRatio, instrumentations, metricReaders = [], spanProcessors, ...rest } = options
  if (sampleRatio !== undefined && !(sampleRatio >= 0 && sampleRatio <= 1))
    throw new ModelmountError('OPTIONS_INVALID', `sampleRatio must be a number from 0 to 1, got ${String(sampleRatio)}`)
  if (process.env.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return DISABLED
  // The API represents a missing provider by one that does nothing.
  if (metricsApi.getMeterProvider().constructor.name !== 'NoopMeterProvider')
    throw new ModelmountError(
      'OPTIONS_INVALID',
      'an OpenTelemetry SDK is registered in this process already; pass otelTelemetry() to createModelServer() instead',
    )
  const sampling = samplingOf(sampleRatio)
  const otlp = typeof options.otlp === 'object' ? options.otlp : {}
  const { instruments, producer } = createProducer({ name: SCOPE, version: VERSION })
  // A producer's numbers are cumulative, and only readers that know the producer have them.
  const isDirect = metricReaders.length === 0 && !isSet('OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE')
  const producers = isDirect ? [producer] : []
  const prometheus = createPrometheus(producers)
  // Before anything is registered, because registration cannot be undone.
  const port = options.prometheus ?? portOfEnvironment(metricExporters())
  const own = port && (await serveMetrics(prometheus.text, port))
  const destination = traceDestination(options.otlp, otlp, spanProcessors)
  const sdk = new NodeSDK({
    ...(serviceName === undefined ? {} : { serviceName }),
    // Not the process: its arguments and its owner must stay hidden from readers of metrics.
    ...(isSet('OTEL_NODE_RESOURCE_DETECTORS') ? {} : { resourceDetectors: detectors() }),
    ...(instrumentations ? { instrumentations } : {}),
    ...(sampling ? { sampler: sampling.sampler } : {}),
    ...(process.env.OTEL_LOGS_EXPORTER === undefined ? { logRecordProcessors: [] } : {}),
    ...destination,
    metricReaders: [prometheus.reader, ...metricReaders, ...readersOf(options.otlp, otlp, producers)],
  })
  sdk.start()
  const meter = metricsApi.getMeter(SCOPE, VERSION)
  const telemetry = createTelemetry(
    {
      // Creating a span without a destination costs more than all metrics of a request.
      tracer: destination.spanProcessors?.length === 0 ? undefined : traceApi.getTracer(SCOPE, VERSION),
      choose: sampling?.choose,
      // Found by the meter, so that servers with an `otelTelemetry()` are counted together with these.
      watching: watchingOf(meter, () => (isDirect ? instruments : meterInstruments(meter))),
    },
    rest,
  )

  return {
    ...telemetry,
    metricsText: prometheus.text,
    metricsUrl: own?.url,
    async shutdown({ timeoutMs = 5000 } = {}) {
      own?.close()
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, timeoutMs)
      })
      // An unreachable collector must not keep the app from ending.
      await Promise.race([Promise.all([sdk.shutdown(), prometheus.close()]).catch(() => {}), late])
      clearTimeout(timer)
    },
  }
}

function detectors(): NodeSDKConfiguration['resourceDetectors'] {
  const found = partOfSdk('@opentelemetry/resources') as Readonly<
    Record<'envDetector' | 'hostDetector', NodeSDKConfiguration['resourceDetectors'][number]>
  >
  return [found.envDetector, found.hostDetector]
}

/** The SDK handles settings of the environment other than a ratio. */
function samplingOf(wanted: number | undefined): Sampling | undefined {
  const { OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: arg = '' } = process.env
  const ratio = wanted ?? (name === 'parentbased_traceidratio' && /^\d*\.?\d+$/.test(arg) ? Number(arg) : undefined)
  return ratio === undefined || ratio > 1 ? undefined : createSampling(ratio)
}

// ---------------------------------------------------------------- destinations

const isSet = (name: string): boolean => (process.env[name] ?? '') !== ''
const hasEndpoint = (signal: 'TRACES' | 'METRICS'): boolean =>
  isSet('OTEL_EXPORTER_OTLP_ENDPOINT') || isSet(`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`)

/** Without a setting, the SDK would send to a collector on localhost that most apps do not have. */
function traceDestination(
  wanted: StartTelemetryOptions['otlp'],
  otlp: OtlpOptions,
  spanProcessors: StartTelemetryOptions['spanProcessors'],
): Pick<Partial<NodeSDKConfiguration>, 'spanProcessors' | 'traceExporter'> {
  if (spanProcessors) return { spanProcessors }
  if (wanted) return { traceExporter: otlpTraceExporter(otlp) }
  const named = process.env.OTEL_TRACES_EXPORTER ?? ''
  const fromEnvironment = wanted === undefined && named !== 'none' && (named !== '' || hasEndpoint('TRACES'))
  return fromEnvironment ? {} : { spanProcessors: [] }
}

function readersOf(wanted: StartTelemetryOptions['otlp'], otlp: OtlpOptions, producers: MetricProducer[]): MetricReader[] {
  const names = metricExporters()
  const readers: MetricReader[] = []
  const isDefault = !isSet('OTEL_METRICS_EXPORTER') && hasEndpoint('METRICS')
  if (wanted || (wanted === undefined && (names.includes('otlp') || isDefault)))
    readers.push(periodic(otlpMetricExporter(otlp), producers))
  if (names.includes('console')) readers.push(periodic(new ConsoleMetricExporter(), producers))
  return readers
}

const metricExporters = (): string[] => (process.env.OTEL_METRICS_EXPORTER ?? '').split(',').map((name) => name.trim())

function periodic(
  exporter: ConstructorParameters<typeof PeriodicExportingMetricReader>[0]['exporter'],
  metricProducers: MetricProducer[],
): MetricReader {
  const interval = Number(process.env.OTEL_METRIC_EXPORT_INTERVAL) || 60_000
  const timeout = Number(process.env.OTEL_METRIC_EXPORT_TIMEOUT) || 30_000
  return new PeriodicExportingMetricReader({
    exporter,
    metricProducers,
    exportIntervalMillis: interval,
    exportTimeoutMillis: Math.min(timeout, interval),
  })
}
