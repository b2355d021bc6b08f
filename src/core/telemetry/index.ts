/** The core's reports for metrics and traces. `modelmount/telemetry` implements them with OpenTelemetry. */

export { isolated } from './isolated.ts'
export { observeRequests, type RequestObserver } from './observer.ts'
export type {
  LoadEnd,
  LoadStep,
  RequestEnd,
  RequestStart,
  RunEnd,
  Telemetry,
  TelemetrySource,
  Trace,
} from './reports.ts'
