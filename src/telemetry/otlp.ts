/** OTLP exporters as the SDK would make them itself. They come with `@opentelemetry/sdk-node`, which does not re-export them. */

import type { PushMetricExporter } from '@opentelemetry/sdk-metrics'
import type { NodeSDKConfiguration } from '@opentelemetry/sdk-node'
import { ModelmountError } from '../core/errors.ts'
import { partOfSdk } from './sdk-parts.ts'

export interface OtlpOptions {
  /** Base URL of the collector; `/v1/traces` and `/v1/metrics` are added for HTTP. @default the `OTEL_EXPORTER_OTLP_*` variables */
  readonly endpoint?: string
  readonly headers?: Readonly<Record<string, string>>
}

type Signal = 'traces' | 'metrics'
type Exporter = new (config: { url?: string; headers?: Record<string, string> }) => unknown

const PACKAGES: Readonly<Record<string, string>> = { grpc: 'grpc', 'http/json': 'http', 'http/protobuf': 'proto' }

function protocolOf(signal: Signal): string {
  const { env } = process
  return env[`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_PROTOCOL`] || env.OTEL_EXPORTER_OTLP_PROTOCOL || 'http/protobuf'
}

function create(signal: Signal, { endpoint, headers }: OtlpOptions): unknown {
  const protocol = protocolOf(signal)
  const ending = PACKAGES[protocol]
  if (!ending)
    throw new ModelmountError(
      'OPTIONS_INVALID',
      `OTEL_EXPORTER_OTLP_PROTOCOL must be one of ${Object.keys(PACKAGES).join(', ')}, got '${protocol}'`,
    )
  const [name, className]: [string, string] =
    signal === 'traces'
      ? [`@opentelemetry/exporter-trace-otlp-${ending}`, 'OTLPTraceExporter']
      : [`@opentelemetry/exporter-metrics-otlp-${ending}`, 'OTLPMetricExporter']
  const made = (partOfSdk(name) as Record<string, Exporter>)[className]
  if (!made) throw new ModelmountError('INTERNAL', `${name} has no ${className}`)
  const base = endpoint?.replace(/\/+$/, '')
  return new made({
    ...(base === undefined ? {} : { url: protocol === 'grpc' ? base : `${base}/v1/${signal}` }),
    ...(headers ? { headers: { ...headers } } : {}),
  })
}

/** @throws ModelmountError `OPTIONS_INVALID` */
export const otlpTraceExporter = (options: OtlpOptions): NodeSDKConfiguration['traceExporter'] =>
  create('traces', options) as NodeSDKConfiguration['traceExporter']

/** @throws ModelmountError `OPTIONS_INVALID` */
export const otlpMetricExporter = (options: OtlpOptions): PushMetricExporter => create('metrics', options) as PushMetricExporter
