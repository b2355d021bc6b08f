/** The dashboards ask for names that real exporters write: ours with units, the JavaScript exporter of an app without. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { POSIX } from '../support/needs.ts'
import { ecPair } from '../support/openssl.ts'
import { familiesOf } from '../support/prometheus-text.ts'
import { example, expressionsOf, namesIn } from './dashboard-names.ts'
import { runScript } from './run-script.ts'

const { publicKey: PUBLIC_KEY } = ecPair()

/** Two ways to make a telemetry and to read its text. */
const EXPORTERS = {
  'dashboard.json': `
    import { startTelemetry } from 'modelmount/telemetry/sdk'
    const telemetry = await startTelemetry({ gpu: true })
    const read = async () => (await telemetry.metricsText()).text
    const end = () => telemetry.shutdown()`,
  'dashboard-without-units.json': `
    import { createServer } from 'node:http'
    import { metrics } from '@opentelemetry/api'
    import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
    import { MeterProvider } from '@opentelemetry/sdk-metrics'
    import { otelTelemetry } from 'modelmount/telemetry'
    const exporter = new PrometheusExporter({ preventServerStart: true })
    const provider = new MeterProvider({ readers: [exporter] })
    metrics.setGlobalMeterProvider(provider)
    const telemetry = otelTelemetry({ gpu: true })
    const http = createServer((request, response) => exporter.getMetricsRequestHandler(request, response))
    await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve))
    const read = async () => (await fetch('http://127.0.0.1:' + http.address().port)).text()
    const end = async () => {
      http.closeAllConnections()
      http.close()
      await provider.shutdown()
    }`,
}

/** Everything that there is a metric of: batches that filled rows up, a cache, a model that was looked at, a GPU. */
const SCENARIO = `
  import { createModelServer } from 'modelmount'
  import { matmulChainModel } from './tools/models.mjs'
  const server = await createModelServer({
    telemetry,
    logger: false,
    verification: 'warn',
    trust: { signers: [{ publicKey: process.env.PUBLIC_KEY }] },
    models: [{ name: 'chain', source: matmulChainModel(), cache: { maxBytes: 100_000 } }],
  })
  await Promise.all(Array.from({ length: 64 }, (_, i) => server.predict('chain', { x: new Float32Array(256).fill(i) })))
  telemetry.run({ model: 'chain', version: '1', provider: 'cpu', instance: 1, requests: 2, rows: 2, padding: 3, reason: 'idle',
    error: undefined, sentAt: 0, endedAt: 3, queueMs: 1, inputMs: 1, inferMs: 1, outputMs: 1, traces: [] })
  // The GPU is asked beside the collection, and the event loop is measured over time.
  let text = ''
  while (!text.includes('hw_power') || !text.includes('nodejs_eventloop_delay')) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    text = await read()
  }
  tell({ text })
  await server.close()
  await end()`

test.each(Object.entries(EXPORTERS))('%s', POSIX, async (file, exporter) => {
  const dir = mkdtempSync(join(tmpdir(), 'dashboards-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  writeFileSync(join(dir, 'nvidia-smi'), '#!/bin/sh\necho "GPU-0, Stand-in, 35, 1024, 8192, 55.5"\n', { mode: 0o755 })
  const { text } = await runScript(exporter + SCENARIO, {
    env: { PATH: `${dir}${delimiter}${process.env.PATH}`, PUBLIC_KEY },
  })
  const samples = [...familiesOf(text as string).values()].flatMap(({ samples }) => [...samples.keys()])
  const written = new Set(samples.map((series) => series.replace(/\{.*$/, '')))
  const asked = new Set(expressionsOf(example(file)).flatMap(namesIn))
  expect([...asked].filter((name) => !written.has(name))).toEqual([])
  // Labels by which the panels choose are written, too.
  expect(samples).toContainEqual(expect.stringMatching(/^modelmount_requests_total\{.*model_name="chain",model_version="1"/))
})
