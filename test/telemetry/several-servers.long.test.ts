/** Servers that share a telemetry, or a meter, are one target of Prometheus: each family and each series stands once, and counts add up. */

import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import fc from 'fast-check'
import type { ModelInfo, ServerEvent, Telemetry } from 'modelmount'
import { otelTelemetry } from 'modelmount/telemetry'
import { expect, onTestFinished, test } from 'vitest'
import type { Instruments } from '../../src/telemetry/instruments.ts'
import { meterInstruments } from '../../src/telemetry/instruments.ts'
import { createProducer } from '../../src/telemetry/producer.ts'
import { createPrometheus } from '../../src/telemetry/prometheus.ts'
import { createTelemetry } from '../../src/telemetry/telemetry.ts'
import { createWatching, watchingOf } from '../../src/telemetry/watching.ts'
import { mlpModel } from '../../tools/models.mjs'
import { type Family, familiesOf } from '../support/prometheus-text.ts'
import { provedServerFor } from '../support/server.ts'
import { runScript, START } from './run-script.ts'

const row = (seed: number): number[] => Array.from({ length: 32 }, (_, i) => Math.sin(seed * 32 + i))
const MLP = { name: 'mlp', source: mlpModel(), cache: { maxBytes: 100_000 } }

// ---------------------------------------------------------------- real servers

test('two servers on one startTelemetry(): Prometheus takes the text, and has the numbers of both', async () => {
  const told = await runScript(`${START}
    const telemetry = await startTelemetry()
    const [one, two] = [await serve(telemetry), await serve(telemetry)]
    for (let i = 0; i < 3; i++) await one.predict('mlp', { features: [row(i)] })
    await two.predict('mlp', { features: [row(7)] })
    const both = (await telemetry.metricsText()).text
    await one.close()
    await two.predict('mlp', { features: [row(8)] })
    const left = (await telemetry.metricsText()).text
    await two.close()
    await telemetry.shutdown()
    tell({ both, left })`)
  const both = familiesOf(told.both as string)
  expect(at(both, 'modelmount_requests_total', { modelmount_outcome: 'ok' })).toBe(4)
  expect(at(both, 'modelmount_rows_total')).toBe(4)
  expect(at(both, 'modelmount_executions_total', { modelmount_batch_reason: 'idle' })).toBe(4)
  expect(at(both, 'modelmount_instances', { modelmount_state: 'ready' })).toBe(2)
  expect(at(both, 'modelmount_model_ready')).toBe(1)
  expect(both.get('process_memory_usage_bytes')?.samples.size).toBe(1)
  expect(both.get('modelmount_model_info')?.samples.size).toBe(1)
  // The server that has ended takes nothing away of what was counted.
  const left = familiesOf(told.left as string)
  expect(at(left, 'modelmount_requests_total', { modelmount_outcome: 'ok' })).toBe(5)
  expect(at(left, 'modelmount_rows_total')).toBe(5)
  expect(at(left, 'modelmount_instances', { modelmount_state: 'ready' })).toBe(1)
})

test('two servers with an otelTelemetry() each, on one MeterProvider', async () => {
  const reader = new PrometheusExporter({ preventServerStart: true })
  const provider = new MeterProvider({ readers: [reader] })
  onTestFinished(() => provider.shutdown())
  const telemetry = () => otelTelemetry({ meter: provider.getMeter('modelmount'), tracer: false })
  const [one, two] = [
    await provedServerFor({ models: [MLP], telemetry: telemetry() }),
    await provedServerFor({ models: [MLP], telemetry: telemetry() }),
  ]
  for (let i = 0; i < 3; i++) await one.predict('mlp', { features: [row(i)] })
  await two.predict('mlp', { features: [row(1)] })
  await two.predict('mlp', { features: [row(1)] })
  // The second look is where the SDK, which keeps the last number of a counter, would take one server's for the other's.
  for (let look = 0; look < 2; look++) {
    const { resourceMetrics, errors } = await reader.collect()
    expect(errors).toEqual([])
    const metrics = new Map(
      resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics.map((metric) => [metric.descriptor.name, metric])),
    )
    const values = (name: string): unknown[] => metrics.get(name)?.dataPoints.map(({ value }) => value) ?? []
    expect(values('modelmount.rows')).toEqual([4])
    expect(values('modelmount.requests')).toEqual([5])
    expect(values('modelmount.cache.requests')).toEqual([1, 4])
    const limits = [one, two].map((server) => server.model('mlp').batching.maxSize)
    expect(values('modelmount.requests.limit')).toEqual([limits.reduce(add)])
    expect(values('process.memory.usage')).toHaveLength(1)
  }
  // A look-up that no collection has seen before its server ends.
  await one.predict('mlp', { features: [row(0)] })
  await one.close()
  const { resourceMetrics } = await reader.collect()
  const lookUps = resourceMetrics.scopeMetrics
    .flatMap(({ metrics }) => metrics)
    .find(({ descriptor }) => descriptor.name === 'modelmount.cache.requests')
  expect(lookUps?.dataPoints.map(({ value }) => value)).toEqual([2, 4])
})

test('the package as an ES module and as CommonJS, on one SDK', async () => {
  const told = await runScript(`${START}
    import { createRequire } from 'node:module'
    const commonjs = createRequire(import.meta.url)
    const telemetry = await startTelemetry()
    const one = await serve(telemetry)
    const two = await commonjs('modelmount').createModelServer({ models: [{ name: 'mlp', source: mlpModel() }],
      telemetry: commonjs('modelmount/telemetry').otelTelemetry(), logger: false })
    for (const server of [one, two, two]) await server.predict('mlp', { features: [row(1)] })
    const { text } = await telemetry.metricsText()
    for (const server of [one, two]) await server.close()
    await telemetry.shutdown()
    tell({ text })`)
  const families = familiesOf(told.text as string)
  expect(at(families, 'modelmount_requests_total', { modelmount_outcome: 'ok' })).toBe(3)
  expect(at(families, 'modelmount_instances', { modelmount_state: 'ready' })).toBe(2)
})

const add = (a: number, b: number): number => a + b

/** The number of the one series of a family that has these labels, and those of the model. */
function at(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const all = { model_name: 'mlp', model_version: '1', ...labels }
  const wanted = Object.entries(all).map(([label, value]) => `${label}="${value}"`)
  return families.get(name)?.samples.get(`${name}{${wanted.sort().join()}}`)
}

// ---------------------------------------------------------------- any servers

interface Held {
  readonly name: string
  readonly version: string
  readonly waiting: number
  readonly instances: number
  readonly state: 'ready' | 'loading'
  readonly isDefault: boolean
  readonly hits: number
}

/** A server as a telemetry sees it, which is by these two functions alone. */
function source(held: readonly Held[]) {
  const listeners = new Set<(event: ServerEvent) => void>()
  let models = held
  const infoOf = ({ name, version, waiting, instances, state, isDefault, hits }: Held): ModelInfo =>
    ({
      name,
      version,
      state,
      isDefault,
      isolation: 'thread',
      executionProvider: 'cpu',
      loadMs: 5,
      memory: { perInstanceBytes: 1000 },
      queue: { waiting, running: 1 },
      instances: { ready: instances, target: instances },
      batching: { maxSize: 4, curve: { baseMs: 1, perRowMs: 1 } },
      cache: { hits, misses: 2 * hits, entries: 0, bytes: 10 },
    }) as unknown as ModelInfo
  return {
    models: () => models.map(infoOf),
    subscribe(listener: (event: ServerEvent) => void) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    unload({ name: model, version }: Held) {
      models = models.filter((other) => other.name !== model || other.version !== version)
      for (const listener of listeners) listener({ type: 'model', model, version, state: 'unloaded' })
    },
  }
}

const held = fc.record<Held>({
  name: fc.constantFrom('a', 'b', 'c'),
  version: fc.constantFrom('1', '2'),
  waiting: fc.nat(9),
  instances: fc.nat(3),
  state: fc.constantFrom('ready', 'loading'),
  isDefault: fc.boolean(),
  hits: fc.nat(5),
})
const server = fc.uniqueArray(held, { selector: ({ name, version }) => `${name} ${version}`, minLength: 1, maxLength: 4 })
const servers = fc.array(server, { minLength: 1, maxLength: 4 })

/** How servers come to share their numbers. */
const WAYS: Readonly<Record<string, (producer: Instruments, provider: MeterProvider) => () => Telemetry>> = {
  'one telemetry, numbers handed to the reader': (producer) => {
    const telemetry = createTelemetry({ tracer: undefined, watching: createWatching(producer) }, { tritonNames: true })
    return () => telemetry
  },
  'a telemetry each, one meter': (_producer, provider) => () => {
    const meter = provider.getMeter('modelmount')
    const watching = watchingOf(meter, () => meterInstruments(meter))
    return createTelemetry({ tracer: undefined, watching }, { tritonNames: true })
  },
}

test.each(Object.entries(WAYS))('any servers with any models in common: %s', async (_way, shared) => {
  await fc.assert(
    fc.asyncProperty(servers, fc.nat(3), async (all, closed) => {
      const { instruments, producer } = createProducer({ name: 'modelmount', version: '1' })
      const prometheus = createPrometheus([producer])
      const provider = new MeterProvider({ readers: [prometheus.reader] })
      const telemetryOf = shared(instruments, provider)
      const text = async () => familiesOf((await prometheus.text()).text)
      const running = all.map((models) => {
        const telemetry = telemetryOf()
        const from = source(models)
        const end = telemetry.watch?.(from)
        return { telemetry, from, end, models }
      })
      for (const { telemetry, models } of running)
        for (const { name, version, waiting } of models) for (let i = 0; i <= waiting; i++) predict(telemetry, name, version, i)
      const before = await text()
      for (const { name, version } of all.flat()) {
        const labels = { model_name: name, model_version: version }
        const having = all.flatMap((models) => models.filter((model) => model.name === name && model.version === version))
        const sum = (read: (held: Held) => number): number => having.map(read).reduce(add)
        expect(at(before, 'modelmount_requests_total', { ...labels, modelmount_outcome: 'ok' })).toBe(
          sum(({ waiting }) => waiting + 1),
        )
        expect(at(before, 'modelmount_rows_total', labels)).toBe(sum(({ waiting }) => 2 * (waiting + 1)))
        expect(at(before, 'modelmount_executions_total', { ...labels, modelmount_batch_reason: 'idle' })).toBe(
          sum(({ waiting }) => waiting + 1),
        )
        expect(at(before, 'modelmount_cache_requests_total', { ...labels, modelmount_cache_result: 'hit' })).toBe(
          sum(({ hits }) => hits),
        )
        expect(at(before, 'modelmount_requests_waiting', labels)).toBe(sum(({ waiting }) => waiting))
        expect(at(before, 'modelmount_instances', { ...labels, modelmount_state: 'target' })).toBe(
          sum(({ instances }) => instances),
        )
        expect(at(before, 'modelmount_model_ready', labels)).toBe(having.every(({ state }) => state === 'ready') ? 1 : 0)
        const seen = before.get('modelmount_request_duration_seconds')?.samples
        expect(seen?.get(`modelmount_request_duration_seconds_count{model_name="${name}",model_version="${version}"}`)).toBe(
          sum(({ waiting }) => waiting + 1),
        )
      }
      // One of them ends, as servers do. No count falls that another server goes on with.
      const leaving = running[closed % running.length]
      for (const model of leaving?.models ?? []) leaving?.from.unload(model)
      leaving?.end?.()
      const after = running.length > 1 ? await text() : before
      const others = running.filter((other) => other !== leaving).flatMap(({ models }) => models)
      for (const { name, version } of others)
        for (const [family, { type, samples }] of before)
          for (const [series, value] of samples)
            if (type === 'counter' && series.includes(`model_name="${name}",model_version="${version}"`))
              expect([series, after.get(family)?.samples.get(series)]).toEqual([series, value])
      for (const { end } of running) end?.()
      await provider.shutdown()
      await prometheus.close()
    }),
    { numRuns: 60 },
  )
})

function predict(telemetry: Telemetry, model: string, version: string, seed: number): void {
  const of = { model, version, error: undefined }
  telemetry.run?.({
    ...of,
    provider: 'cpu',
    instance: 1,
    requests: 1,
    rows: 2,
    padding: 1,
    reason: 'idle',
    sentAt: 0,
    endedAt: 3,
    queueMs: seed,
    inputMs: 1,
    inferMs: 1,
    outputMs: 1,
    traces: [],
  })
  telemetry.end?.({ ...of, startedAt: 0, endedAt: 3 + seed, queueMs: seed, inferMs: 1, batchSize: 2, cached: false }, undefined)
}
