/** OpenTelemetry that keeps everything in memory, one per test. */

import { context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { MeterProvider, type MetricData, MetricReader } from '@opentelemetry/sdk-metrics'
import {
  InMemorySpanExporter,
  type ReadableSpan,
  type Sampler,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { Telemetry } from 'modelmount'
import { type OtelTelemetryOptions, otelTelemetry } from 'modelmount/telemetry'
import { onTestFinished } from 'vitest'

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
export const w3c = new W3CTraceContextPropagator()

class Reader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

export interface Kept {
  readonly telemetry: Telemetry
  readonly tracer: ReturnType<TracerProvider['getTracer']>
  readonly spans: readonly ReadableSpan[]
  named(name: string): readonly ReadableSpan[]
  /** Every instrument that has data, by name. */
  metrics(): Promise<ReadonlyMap<string, MetricData>>
}

export function keep(opts: OtelTelemetryOptions & { readonly sampler?: Sampler } = {}): Kept {
  const { sampler, ...rest } = opts
  const exporter = new InMemorySpanExporter()
  const tracers = new TracerProvider({ sampler, spanProcessors: [new SimpleSpanProcessor({ exporter })] })
  const reader = new Reader()
  const meters = new MeterProvider({ readers: [reader] })
  const tracer = tracers.getTracer('app')
  onTestFinished(async () => {
    await tracers.shutdown()
    await meters.shutdown()
  })
  return {
    telemetry: otelTelemetry({ tracer, meter: meters.getMeter('modelmount'), ...rest }),
    tracer,
    get spans() {
      return exporter.getFinishedSpans()
    },
    named: (name) => exporter.getFinishedSpans().filter((span) => span.name === name),
    async metrics() {
      const { resourceMetrics, errors } = await reader.collect()
      if (errors.length > 0) throw errors[0]
      return new Map(
        resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics.map((metric) => [metric.descriptor.name, metric])),
      )
    },
  }
}

export const idOf = (span: ReadableSpan | undefined): string | undefined => span?.spanContext().spanId
export const linksOf = (span: ReadableSpan | undefined): string[] => span?.links.map(({ context }) => context.spanId) ?? []

/** Attributes -> number, of a counter or gauge. */
export function numbers(metric: MetricData | undefined): ReadonlyMap<string, number> {
  const points = (metric?.dataPoints ?? []) as readonly { readonly attributes: object; readonly value: number }[]
  return new Map(points.map(({ attributes, value }) => [Object.values(attributes).join(' '), value]))
}
