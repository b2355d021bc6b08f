/** `/metrics` on a port of its own, beside the app's. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ModelmountError } from '../core/errors.ts'
import type { PrometheusText } from './prometheus.ts'

export interface MetricsPort {
  /** 0 for any free port. */
  readonly port: number
  /** @default '127.0.0.1' */
  readonly host?: string
}

interface Served {
  readonly url: string
  close(): void
}

const DEFAULT_PORT = 9464
const DEFAULT_HOST = '127.0.0.1'
const MAX_PORT = 65_535

/** The setting in the standard variables. @param exporters the names in `OTEL_METRICS_EXPORTER` */
export function portOfEnvironment(exporters: readonly string[]): MetricsPort | undefined {
  if (!exporters.includes('prometheus')) return undefined
  const { OTEL_EXPORTER_PROMETHEUS_HOST: host, OTEL_EXPORTER_PROMETHEUS_PORT: port } = process.env
  return { port: port ? portOf(port) : DEFAULT_PORT, ...(host ? { host } : {}) }
}

function portOf(text: string): number {
  const port = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (port <= MAX_PORT) return port
  throw new ModelmountError(
    'OPTIONS_INVALID',
    `OTEL_EXPORTER_PROMETHEUS_PORT must be a port from 0 to ${MAX_PORT}, got '${text}'`,
  )
}

/**
 * Answers there until it is closed, without keeping the process alive.
 * @throws ModelmountError `OPTIONS_INVALID` if nothing can listen
 */
export async function serveMetrics(text: () => Promise<PrometheusText>, at: MetricsPort): Promise<Served> {
  const { port, host = DEFAULT_HOST } = at
  const server = createServer((request, response) => {
    if ((request.url ?? '').split('?')[0] !== '/metrics') {
      response.writeHead(404).end()
      return
    }
    text().then(
      ({ contentType, text }) => response.writeHead(200, { 'content-type': contentType }).end(text),
      () => response.writeHead(500).end(),
    )
  })
  server.unref()
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ModelmountError('OPTIONS_INVALID', `prometheus: cannot serve metrics on port ${port} of ${host}: ${why}`, { cause })
  }
  // Of a server that listens on a port.
  const { family, address, port: actual } = server.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${actual}/metrics`,
    close: () => void server.close(),
  }
}
