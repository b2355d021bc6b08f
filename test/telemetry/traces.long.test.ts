/** The view of a trace viewer: one connected trace per request, across the batch, and nothing that was not requested. */

import { context, propagation, SpanStatusCode, trace } from '@opentelemetry/api'
import { AlwaysOffSampler, ParentBasedSampler, TraceIdRatioBasedSampler, TracerProvider } from '@opentelemetry/sdk-trace'
import type { ModelServer } from 'modelmount'
import { afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { matmulChainModel, mlpModel, slowLoopModel } from '../../tools/models.mjs'
import { HOSTS } from '../adapters/hosts.ts'
import { connectTo } from '../support/http.ts'
import { posted, provedServerFor } from '../support/server.ts'
import { idOf, type Kept, keep, linksOf, numbers, w3c } from './support.ts'

beforeAll(() => void propagation.setGlobalPropagator(w3c))
afterEach(() => expect(trace.getActiveSpan()).toBeUndefined())

const MEMBERS = 4
/** Requests that arrive one after the other still share a run: it is sent when it is full. */
const BATCHED = {
  name: 'chain',
  source: matmulChainModel(),
  batching: { maxSize: MEMBERS, maxDelayMs: 10_000, maxRunMs: 10_000 },
}
/** On a busy machine what a model gains is measured badly, and half of the members may seem to be enough. */
async function batchingServer({ telemetry }: Kept): Promise<ModelServer> {
  for (;;) {
    const server = await provedServerFor({ models: [BATCHED], telemetry, strict: true })
    if (server.model('chain').batching.maxSize === MEMBERS) return server
  }
}
const vector = (seed: number): Float32Array => Float32Array.from({ length: 256 }, (_, i) => Math.sin(seed + i))

function expectConnected({ named }: Kept, parents: readonly (string | undefined)[]): void {
  const requests = named('predict chain')
  const runs = named('run chain')
  expect(requests).toHaveLength(MEMBERS)
  expect(runs).toHaveLength(1)
  const [run] = runs
  // Each request hangs below what its caller was doing ...
  expect(requests.map((request) => request.parentSpanContext?.spanId).sort()).toEqual([...parents].sort())
  expect(new Set(requests.map((request) => request.spanContext().traceId)).size).toBe(1)
  // ... the run below one of them, linked with all of them and they with it.
  expect(requests.map(idOf)).toContain(run?.parentSpanContext?.spanId)
  expect(run?.spanContext().traceId).toBe(requests[0]?.spanContext().traceId)
  expect(linksOf(run).sort()).toEqual(requests.map(idOf).sort())
  for (const request of requests) expect(linksOf(request)).toEqual([idOf(run)])
  expect(run?.attributes).toMatchObject({
    'model.name': 'chain',
    'model.version': '1',
    'modelmount.batch.reason': 'full',
    'modelmount.batch.rows': MEMBERS,
    'modelmount.batch.requests': MEMBERS,
    'modelmount.batch.padding': 0,
    'modelmount.instance': 1,
    'modelmount.execution_provider': 'cpu',
  })
  expect(run?.events.map(({ name }) => name)).toEqual(['pack', 'run', 'unpack'])
}

describe('a batch', () => {
  test('of calls in the app is one connected trace', async () => {
    const kept = keep()
    const server = await batchingServer(kept)
    const order = kept.tracer.startSpan('POST /orders')
    await context.with(trace.setSpan(context.active(), order), () =>
      Promise.all(Array.from({ length: MEMBERS }, (_, i) => server.predict('chain', { x: vector(i) }))),
    )
    order.end()
    expectConnected(kept, Array(MEMBERS).fill(order.spanContext().spanId))
  })

  test.each(HOSTS)('of HTTP requests through $name too', async (host) => {
    const kept = keep()
    const server = await batchingServer(kept)
    const running = await host.start([{ server, prefix: '/ml' }], 'bare')
    const client = connectTo(running.port)
    onTestFinished(async () => {
      client.end()
      await running.close()
    })
    const traceId = '0af7651916cd43dd8448eb211c80319c'
    const parents = Array.from({ length: MEMBERS }, (_, i) => `00f067aa0ba902b${i}`)
    const answers = await Promise.all(
      parents.map((parent, i) =>
        client.post(
          '/ml/v2/models/chain/infer',
          { inputs: [{ name: 'x', shape: [1, 256], datatype: 'FP32', data: [...vector(i)] }] },
          { traceparent: `00-${traceId}-${parent}-01` },
        ),
      ),
    )
    expect(answers.map(({ status }) => status)).toEqual(Array(MEMBERS).fill(200))
    expectConnected(kept, parents)
    expect(kept.spans.at(-1)?.spanContext().traceId).toBe(traceId)
  })
})

describe('a request', () => {
  const row = Array.from({ length: 32 }, (_, i) => Math.sin(i))
  const MLP = { name: 'mlp', source: mlpModel(), cache: { maxBytes: 100_000 } }

  test('says whether it was run, with whom, and how long each part took', async () => {
    const kept = keep()
    const server = await provedServerFor({ models: [MLP], telemetry: kept.telemetry })
    await server.predict('mlp', { features: [row] }, { id: 'order-17' })
    await server.predict('mlp', { features: [row] })
    const [first, second] = kept.named('predict mlp')
    expect(first?.attributes).toMatchObject({
      'modelmount.request.id': 'order-17',
      'modelmount.cached': false,
      'modelmount.batch.rows': 1,
      'modelmount.infer.duration': expect.any(Number),
    })
    expect(second?.attributes).toMatchObject({ 'modelmount.cached': true, 'modelmount.batch.rows': 0 })
    expect(second?.links).toEqual([])
    expect(second?.status.code).toBe(SpanStatusCode.UNSET)
  })

  test('says by which label it was asked for', async () => {
    const kept = keep()
    const server = await provedServerFor({
      models: [{ name: 'mlp', version: '3', source: mlpModel(), versionLabels: { stable: '3' } }],
      telemetry: kept.telemetry,
    })
    await server.predict('mlp', { features: [row] }, { label: 'stable' })
    expect(kept.named('predict mlp')[0]?.attributes).toMatchObject({ 'model.version': '3', 'modelmount.label': 'stable' })
  })

  test('that its caller gave up is not an error; one that failed is, by its code', async () => {
    const kept = keep()
    const server = await provedServerFor({
      models: [{ name: 'slow', source: slowLoopModel() }],
      telemetry: kept.telemetry,
    })
    const giveUp = new AbortController()
    const running = server.predict('slow', { trips: 1n }, { signal: giveUp.signal })
    await posted()
    giveUp.abort()
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(server.predict('slow', { trips: 1n }, { timeoutMs: Number.MIN_VALUE })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    })
    await server.close()
    const byError = new Map(kept.named('predict slow').map((span) => [span.attributes['error.type'], span.status]))
    expect(byError.get('ABORTED')).toEqual({ code: SpanStatusCode.UNSET })
    expect(byError.get('DEADLINE_EXCEEDED')).toEqual({ code: SpanStatusCode.ERROR })
    // The run continued without its caller, and is reported; ended spans are not written to.
    expect(kept.named('run slow').length).toBeGreaterThan(0)
  })

  test('keeps an id of any size short', async () => {
    const kept = keep()
    const server = await provedServerFor({ models: [MLP], telemetry: kept.telemetry })
    await server.predict('mlp', { features: [row] }, { id: '\u0000\n"\u202e'.repeat(100_000) })
    expect(kept.named('predict mlp')[0]?.attributes['modelmount.request.id']).toHaveLength(128)
  })

  test('has the x-request-id of its client, where that is one', async () => {
    const kept = keep()
    const server = await provedServerFor({ models: [MLP], telemetry: kept.telemetry })
    const inputs = [{ name: 'features', shape: [1, 32], datatype: 'FP32', data: row }]
    const post = (id: string | string[], body: object = { inputs }) =>
      server.http.handle({
        method: 'POST',
        path: '/v2/models/mlp/infer',
        headers: { 'x-request-id': id },
        body: Buffer.from(JSON.stringify(body)),
      })
    await post('order-17')
    // The caller's own name for the request goes first.
    await post('order-18', { id: 'eighteen', inputs })
    for (const hostile of ['', 'x'.repeat(1_000_000), 'a\r\nset-cookie: b', '<script>', '\u202e', ['a', 'b']]) await post(hostile)
    expect(kept.named('predict mlp').map(({ attributes }) => attributes['modelmount.request.id'])).toEqual([
      'order-17',
      'eighteen',
      ...Array(6).fill(undefined),
    ])
  })

  test('is answered where the SDK itself breaks, and what does not break goes on', async () => {
    const fail = (): never => {
      throw new Error('the processor is broken')
    }
    const tracers = new TracerProvider({
      spanProcessors: [{ onStart: fail, onEnd: fail, forceFlush: async () => {}, shutdown: async () => {} }],
    })
    const kept = keep({ tracer: tracers.getTracer('broken') })
    const warnings: string[] = []
    const warn = (message: string): void => void warnings.push(message)
    const server = await provedServerFor({ models: [MLP], telemetry: kept.telemetry, logger: { info() {}, warn, error: warn } })
    const answers = await Promise.all([1, 2].map((seed) => server.predict('mlp', { features: [row.map((x) => x * seed)] })))
    expect(answers).toHaveLength(2)
    expect(warnings).toEqual([expect.stringContaining('the processor is broken')])
    expect(numbers((await kept.metrics()).get('modelmount.requests'))).toEqual(new Map([['mlp 1 ok', 2]]))
  })

  test('never shows a value that went in or came out', async () => {
    const kept = keep()
    const server = await provedServerFor({ models: [MLP], telemetry: kept.telemetry })
    const secret = 7331.25
    const { outputs } = await server.predict('mlp', { features: [row.map(() => secret)] })
    await expect(server.predict('mlp', { features: [['seven-three-three-one']] })).rejects.toThrow()
    const told = JSON.stringify([
      ...kept.spans.map(({ name, attributes, events, status }) => ({ name, attributes, events, status })),
      ...(await kept.metrics()).values(),
    ])
    for (const value of [secret, 'seven-three-three-one', ...(outputs.scores?.data ?? [])])
      expect(told).not.toContain(String(value))
  })
})

describe('sampling', () => {
  const row = Array.from({ length: 32 }, (_, i) => Math.sin(i))

  test('what is not recorded makes no work', async () => {
    const kept = keep({ sampler: new AlwaysOffSampler() })
    const server = await provedServerFor({ models: [{ name: 'mlp', source: mlpModel() }], telemetry: kept.telemetry })
    await server.predict('mlp', { features: [row] })
    expect(kept.spans).toEqual([])
    expect(kept.telemetry.begin?.({ model: 'mlp', version: '1', startedAt: 0 })).toBeUndefined()
  })

  test('a run is recorded where one of its requests is, and links those', async () => {
    const kept = keep({ sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(0) }) })
    const server = await batchingServer(kept)
    const sampled = trace.wrapSpanContext({
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: '00f067aa0ba902b7',
      traceFlags: 1,
    })
    const one = context.with(trace.setSpan(context.active(), sampled), () => server.predict('chain', { x: vector(0) }))
    await Promise.all([one, ...[1, 2, 3].map((i) => server.predict('chain', { x: vector(i) }))])
    const [request] = kept.named('predict chain')
    const [run] = kept.named('run chain')
    expect(kept.spans.map(({ name }) => name).sort()).toEqual(['predict chain', 'run chain'])
    expect(linksOf(run)).toEqual([idOf(request)])
    expect(run?.attributes['modelmount.batch.rows']).toBe(MEMBERS)
  })

  test('a context in the headers is continued only where the app has none, and garbage is nobody’s context', async () => {
    const kept = keep()
    const server = await provedServerFor({ models: [{ name: 'mlp', source: mlpModel() }], telemetry: kept.telemetry })
    const post = (traceparent: string | string[]) =>
      server.http.handle({
        method: 'POST',
        path: '/v2/models/mlp/infer',
        headers: { traceparent },
        body: Buffer.from(JSON.stringify({ inputs: [{ name: 'features', shape: [1, 32], datatype: 'FP32', data: row }] })),
      })
    const ofClient = '00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01'
    await post(ofClient)
    const app = kept.tracer.startSpan('GET /app')
    await context.with(trace.setSpan(context.active(), app), () => post(ofClient))
    for (const garbage of ['', '00-zz-zz-01', 'x'.repeat(100_000), '\u0000', [ofClient, ofClient]]) await post(garbage)
    const parents = kept.named('predict mlp').map((span) => span.parentSpanContext?.spanId)
    expect(parents.slice(0, 2)).toEqual(['00f067aa0ba902b7', app.spanContext().spanId])
    expect(parents.slice(2, -1)).toEqual([undefined, undefined, undefined, undefined])
  })
})

describe('a load', () => {
  test('is a span with its steps below it', async () => {
    const kept = keep()
    await provedServerFor({ models: [{ name: 'mlp', source: mlpModel() }], telemetry: kept.telemetry })
    const [load] = kept.named('load mlp')
    expect(load?.status.code).toBe(SpanStatusCode.UNSET)
    const steps = kept.spans.filter((span) => span !== load)
    expect(steps.map(({ name }) => name)).toEqual(['verify', 'read', 'prepare', 'load', 'warmup'])
    for (const step of steps) expect(step.parentSpanContext?.spanId).toBe(idOf(load))
  })

  test('that fails is an error with its code', async () => {
    const kept = keep()
    await provedServerFor({ models: [{ name: 'broken', source: new Uint8Array([1]) }], telemetry: kept.telemetry })
    const [load] = kept.named('load broken')
    expect(load?.attributes['error.type']).toBe('MODEL_INVALID')
    expect(load?.status).toEqual({ code: SpanStatusCode.ERROR })
  })
})
