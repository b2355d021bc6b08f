/**
 * Metrics and traces through whatever OpenTelemetry the app has set up. Knows only `@opentelemetry/api`.
 * @module modelmount/telemetry
 */

import { type Meter, metrics as metricsApi, type Tracer, trace as traceApi } from '@opentelemetry/api'
import type { Telemetry, TelemetrySource } from '../core/telemetry.ts'
import type { ModelInfo } from '../core/types.ts'
import { VERSION } from '../core/version.ts'
import { observeModels } from './gauges.ts'
import { observeGpus } from './gpu.ts'
import { observeHost } from './host.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { createTraces } from './traces.ts'
import { observeAsTriton } from './triton.ts'

export interface OtelTelemetryOptions {
  /** Makes spans; `false` for none. @default the global tracer provider's */
  readonly tracer?: Tracer | false
  /** Makes instruments; `false` for none. @default the global meter provider's */
  readonly meter?: Meter | false
  /** Continue a trace that the headers of an HTTP request bring, where the app has no span of its own. @default true */
  readonly propagation?: boolean
  /** Event-loop delay, event-loop utilisation and memory of the host; `false` where another instrumentation has them. @default true */
  readonly host?: boolean
  /** GPUs through `nvidia-smi`. @default 'auto': when a model runs on one */
  readonly gpu?: boolean | 'auto'
  /** The names of Triton's metrics beside our own, for dashboards that exist. @default false */
  readonly tritonNames?: boolean
}

const SCOPE = 'modelmount'
const ON_NVIDIA = new Set<ModelInfo['executionProvider']>(['cuda', 'tensorrt'])

/**
 * A telemetry for `createModelServer({ telemetry })`. Without an SDK that the app has registered it does next to nothing.
 * Register the SDK before: instruments are made here, and belong to the provider of that moment.
 */
export function otelTelemetry(options: OtelTelemetryOptions = {}): Telemetry {
  const { propagation = true, host = true, gpu = 'auto', tritonNames = false } = options
  const tracer = options.tracer ?? traceApi.getTracer(SCOPE, VERSION)
  const meter = options.meter ?? metricsApi.getMeter(SCOPE, VERSION)
  const traces = tracer ? createTraces(tracer, { propagation }) : undefined
  const metrics = meter ? createMetrics(meter) : undefined

  function watchModels(meter: Meter, metrics: Metrics, source: TelemetrySource): () => void {
    const ends = [observeModels(meter, source, metrics)]
    if (host) ends.push(observeHost(meter))
    if (tritonNames) ends.push(observeAsTriton(meter, source, metrics))
    if (gpu === true) ends.push(observeGpus(meter))
    let hasGpu = gpu !== 'auto'
    const unsubscribe = source.subscribe((event) => {
      if (event.type === 'worker-lost') metrics.seriesOf(event.model, event.version).restarts++
      if (event.type === 'model' && event.state === 'unloaded' && !event.replaced) metrics.forget(event.model, event.version)
      if (event.type !== 'worker-ready' || hasGpu) return
      hasGpu = source.models().some(({ executionProvider }) => ON_NVIDIA.has(executionProvider))
      if (hasGpu) ends.push(observeGpus(meter))
    })
    return () => {
      unsubscribe()
      for (const end of ends) end()
    }
  }

  return {
    ...(meter && metrics ? { watch: (source) => watchModels(meter, metrics, source) } : {}),
    ...(traces ? { begin: traces.begin, load: traces.load } : {}),
    end(request, trace) {
      metrics?.end(request)
      traces?.end(request, trace)
    },
    run(run) {
      metrics?.run(run)
      traces?.run(run)
    },
  }
}
