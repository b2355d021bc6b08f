/** Metrics in Prometheus' format: collected by OpenTelemetry's reader, written by its serialiser. */

import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import type { MetricProducer, MetricReader } from '@opentelemetry/sdk-metrics'
import { createWriter } from './prometheus-writer.ts'

export interface PrometheusText {
  readonly contentType: string
  readonly text: string
}

export interface Prometheus {
  readonly reader: MetricReader
  /** Collects and writes; concurrent callers share one collection. */
  text(): Promise<PrometheusText>
  close(): Promise<void>
}

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** @param metricProducers of numbers that no meter has */
export function createPrometheus(metricProducers: MetricProducer[]): Prometheus {
  const reader = new PrometheusExporter({ preventServerStart: true, metricProducers })
  const writer = createWriter()
  let collecting: Promise<PrometheusText> | undefined

  async function collect(): Promise<PrometheusText> {
    const { resourceMetrics } = await reader.collect()
    return { contentType: CONTENT_TYPE, text: await writer.write(resourceMetrics) }
  }

  return {
    reader,
    text() {
      collecting ??= collect().finally(() => {
        collecting = undefined
      })
      return collecting
    },
    close: () => writer.close(),
  }
}
