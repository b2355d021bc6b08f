/** The telemetry of a server: spans, counted numbers and numbers that are read. */

import type { Tracer } from '@opentelemetry/api'
import type { Telemetry } from '../core/telemetry/index.ts'
import { createTraces, type TracesOptions } from './traces.ts'
import type { Watching } from './watching.ts'

export interface Watched {
  /** Continue a trace from the headers of an HTTP request if the app has no span of its own. @default true */
  readonly propagation?: boolean
  /** Event-loop delay, event-loop utilisation and memory of the host; `false` if another instrumentation has them. @default true */
  readonly host?: boolean
  /** GPUs through `nvidia-smi`. @default 'auto': when a model runs on one */
  readonly gpu?: boolean | 'auto'
  /** The names of Triton's metrics beside our own, for existing dashboards. @default false */
  readonly tritonNames?: boolean
}

interface Parts {
  readonly tracer: Tracer | undefined
  readonly watching: Watching | undefined
  readonly choose?: TracesOptions['choose']
}

export function createTelemetry({ tracer, watching, choose }: Parts, options: Watched): Telemetry {
  const { propagation = true, host = true, gpu = 'auto', tritonNames = false } = options
  const traces = tracer && createTraces(tracer, { propagation, choose })
  const metrics = watching?.metrics

  return {
    ...(watching ? { watch: (source) => watching.watch(source, { host, gpu, tritonNames }) } : {}),
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
      watching?.checks.loaded(load)
      traces?.load(load)
    },
  }
}
