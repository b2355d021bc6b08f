/** Metrics as Prometheus reads them: collected by OpenTelemetry's reader, written by its serialiser, named as its specification says. */

import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { DataPointType, type MetricData, type MetricReader, type ResourceMetrics } from '@opentelemetry/sdk-metrics'

export interface PrometheusText {
  readonly contentType: string
  readonly text: string
}

export interface Prometheus {
  readonly reader: MetricReader
  /** Collects and writes; callers at the same time share one collection. */
  text(): Promise<PrometheusText>
}

const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

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

export function createPrometheus(): Prometheus {
  const reader = new PrometheusExporter({ preventServerStart: true })
  // Without the scope on every line, which would be as long as the rest of it.
  const serializer = new PrometheusSerializer(undefined, false, undefined, false, true)
  let collecting: Promise<PrometheusText> | undefined

  async function collect(): Promise<PrometheusText> {
    const { resourceMetrics } = await reader.collect()
    return { contentType: CONTENT_TYPE, text: serializer.serialize(withUnits(resourceMetrics)) }
  }

  return {
    reader,
    text() {
      collecting ??= collect().finally(() => {
        collecting = undefined
      })
      return collecting
    },
  }
}

/** The serialiser leaves units out of names; every other way from OpenTelemetry to Prometheus puts them in, and dashboards expect them. */
function withUnits({ resource, scopeMetrics }: ResourceMetrics): ResourceMetrics {
  return {
    resource,
    scopeMetrics: scopeMetrics.map(({ scope, metrics }) => ({ scope, metrics: metrics.map(withUnit) })),
  }
}

function withUnit(metric: MetricData): MetricData {
  const { name, unit } = metric.descriptor
  const isRatio = unit === '1' && metric.dataPointType === DataPointType.GAUGE
  const suffix = isRatio ? 'ratio' : SUFFIXES[unit]
  if (suffix === undefined || name.endsWith(suffix)) return { ...metric, descriptor: { ...metric.descriptor, unit: '' } }
  return { ...metric, descriptor: { ...metric.descriptor, name: `${name}.${suffix}`, unit: '' } }
}
