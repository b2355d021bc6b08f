/** `--metrics`: OpenTelemetry is optional; the error names it if it is missing. */

import { ModelmountError } from '../core/errors.ts'
import type { StartedTelemetry } from '../telemetry/sdk.ts'

const PACKAGES = '@opentelemetry/api @opentelemetry/sdk-node @opentelemetry/sdk-metrics @opentelemetry/exporter-prometheus'

/** Metrics as text; traces and metrics also go to the destinations in the `OTEL_*` variables. @throws ModelmountError `OPTIONS_INVALID` */
export async function startedTelemetry(): Promise<StartedTelemetry> {
  const { startTelemetry } = await import('../telemetry/sdk.ts').catch((cause: unknown) => {
    throw new ModelmountError('OPTIONS_INVALID', `--metrics needs OpenTelemetry; run: npm install ${PACKAGES}`, { cause })
  })
  return startTelemetry()
}
