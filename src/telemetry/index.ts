/**
 * Metrics and traces through the app's own OpenTelemetry set-up. Depends on `@opentelemetry/api` only.
 * @module modelmount/telemetry
 */

import { type Meter, metrics as metricsApi, type Tracer, trace as traceApi } from '@opentelemetry/api'
import type { Telemetry } from '../core/telemetry/index.ts'
import { VERSION } from '../core/version.ts'
import { meterInstruments } from './instruments.ts'
import { SCOPE } from './names.ts'
import { createTelemetry, type Watched } from './telemetry.ts'
import { watchingOf } from './watching.ts'

export interface OtelTelemetryOptions extends Watched {
  /** Makes spans; `false` for none. @default the global tracer provider's */
  readonly tracer?: Tracer | false
  /** Makes instruments; `false` for none. @default the global meter provider's */
  readonly meter?: Meter | false
}

/**
 * A telemetry for `createModelServer({ telemetry })`. Without an SDK that the app has registered it does next to nothing. Register the SDK
 * first: instruments are made here, and belong to the provider of that moment. Servers on the same meter are counted together, through one
 * telemetry or several.
 */
export function otelTelemetry(options: OtelTelemetryOptions = {}): Telemetry {
  const { tracer = traceApi.getTracer(SCOPE, VERSION), meter = metricsApi.getMeter(SCOPE, VERSION) } = options
  const watching = meter ? watchingOf(meter, () => meterInstruments(meter)) : undefined
  return createTelemetry({ tracer: tracer || undefined, watching }, options)
}
