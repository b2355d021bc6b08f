/** The telemetry of a server, put together from spans, counted numbers and numbers that are read. */

import type { Tracer } from '@opentelemetry/api'
import type { Telemetry, TelemetrySource } from '../core/telemetry.ts'
import type { ModelInfo } from '../core/types.ts'
import { createChecks } from './checks.ts'
import { observeModels } from './gauges.ts'
import { observeGpus } from './gpu.ts'
import { observeHost } from './host.ts'
import type { Instruments } from './instruments.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { createTraces, type TracesOptions } from './traces.ts'
import { observeAsTriton } from './triton.ts'

export interface Watched {
  /** Continue a trace that the headers of an HTTP request bring, where the app has no span of its own. @default true */
  readonly propagation?: boolean
  /** Event-loop delay, event-loop utilisation and memory of the host; `false` where another instrumentation has them. @default true */
  readonly host?: boolean
  /** GPUs through `nvidia-smi`. @default 'auto': when a model runs on one */
  readonly gpu?: boolean | 'auto'
  /** The names of Triton's metrics beside our own, for dashboards that exist. @default false */
  readonly tritonNames?: boolean
}

interface Parts {
  readonly tracer: Tracer | undefined
  readonly instruments: Instruments | undefined
  readonly choose?: TracesOptions['choose']
}

const ON_NVIDIA = new Set<ModelInfo['executionProvider']>(['cuda', 'tensorrt'])

export function createTelemetry({ tracer, instruments, choose }: Parts, options: Watched): Telemetry {
  const { propagation = true, host = true, gpu = 'auto', tritonNames = false } = options
  const traces = tracer && createTraces(tracer, { propagation, choose })
  const metrics = instruments && createMetrics(instruments)
  const checks = createChecks()

  function watchModels(instruments: Instruments, metrics: Metrics, source: TelemetrySource): () => void {
    const ends = [observeModels(instruments, source, metrics), checks.observe(instruments)]
    if (host) ends.push(observeHost(instruments))
    if (tritonNames) ends.push(observeAsTriton(instruments, source, metrics))
    if (gpu === true) ends.push(observeGpus(instruments))
    let hasGpu = gpu !== 'auto'
    const unsubscribe = source.subscribe((event) => {
      checks.saw(event)
      if (event.type === 'worker-lost') metrics.seriesOf(event.model, event.version).restarts++
      if (event.type === 'model' && event.state === 'unloaded' && !event.replaced) metrics.forget(event.model, event.version)
      if (event.type !== 'worker-ready' || hasGpu) return
      hasGpu = source.models().some(({ executionProvider }) => ON_NVIDIA.has(executionProvider))
      if (hasGpu) ends.push(observeGpus(instruments))
    })
    return () => {
      unsubscribe()
      for (const end of ends) end()
    }
  }

  return {
    ...(instruments && metrics ? { watch: (source) => watchModels(instruments, metrics, source) } : {}),
    ...(traces ? { begin: traces.begin } : {}),
    end(request, trace) {
      metrics?.end(request)
      traces?.end(request, trace)
    },
    run(run) {
      metrics?.run(run)
      traces?.run(run)
    },
    load(load) {
      checks.loaded(load)
      traces?.load(load)
    },
  }
}
