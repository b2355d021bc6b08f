/** Names in the form that OpenTelemetry's specification prescribes for Prometheus. */

import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { DataPointType, type MetricData, type ResourceMetrics } from '@opentelemetry/sdk-metrics'
import { oneFamilyEach } from './families.ts'

/** Without the scope on every line, which would be as long as the rest of it. */
export const newSerializer = (): PrometheusSerializer => new PrometheusSerializer(undefined, false, undefined, false, true)

/** https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ : units that become the end of a name. */
const SUFFIXES: Readonly<Record<string, string>> = {
  s: 'seconds',
  ms: 'milliseconds',
  us: 'microseconds',
  ns: 'nanoseconds',
  min: 'minutes',
  h: 'hours',
  d: 'days',
  By: 'bytes',
  KiBy: 'kibibytes',
  MiBy: 'mebibytes',
  W: 'watts',
  J: 'joules',
  V: 'volts',
  Cel: 'celsius',
  '%': 'percent',
}

/**
 * The serialiser leaves units out of names. Every other path from OpenTelemetry to Prometheus includes them, and dashboards expect them.
 */
export function asPrometheus({ resource, scopeMetrics }: ResourceMetrics): ResourceMetrics {
  const named = scopeMetrics.map(({ scope, metrics }) => ({ scope, metrics: metrics.map(withUnit) }))
  return { resource, scopeMetrics: oneFamilyEach(named) }
}

function withUnit(metric: MetricData): MetricData {
  const { name, unit } = metric.descriptor
  const isRatio = unit === '1' && metric.dataPointType === DataPointType.GAUGE
  const suffix = isRatio ? 'ratio' : SUFFIXES[unit]
  if (suffix === undefined || name.endsWith(suffix)) return { ...metric, descriptor: { ...metric.descriptor, unit: '' } }
  return { ...metric, descriptor: { ...metric.descriptor, name: `${name}.${suffix}`, unit: '' } }
}
