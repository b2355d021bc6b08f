/** A request that is not traced is found out before a span is made, and the sampler never disagrees. */

import { type Context, context, ROOT_CONTEXT, TraceFlags, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { InMemorySpanExporter, RandomIdGenerator, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { expect, test } from 'vitest'
import { createSampling } from '../../src/telemetry/sampling.ts'
import { createTelemetry } from '../../src/telemetry/telemetry.ts'

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())

function traced(ratio: number) {
  const { sampler, choose } = createSampling(ratio)
  const exporter = new InMemorySpanExporter()
  let ids = 0
  const random = new RandomIdGenerator()
  const provider = new TracerProvider({
    sampler,
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
    idGenerator: {
      generateTraceId: random.generateTraceId,
      generateSpanId() {
        ids++
        return random.generateSpanId()
      },
    },
  })
  const telemetry = createTelemetry({ tracer: provider.getTracer('test'), watching: undefined, choose }, {})
  return {
    tracer: provider.getTracer('app'),
    /** Names of spans that were recorded, and how many were made at all. */
    told: () => ({ recorded: exporter.getFinishedSpans().map(({ name }) => name), made: ids }),
    request(parent: Context = ROOT_CONTEXT) {
      const found = context.with(parent, () => telemetry.begin?.({ model: 'm', version: '1', startedAt: 0 }))
      const end = { model: 'm', version: '1', error: undefined, startedAt: 0, endedAt: 1, queueMs: 0, inferMs: 0 }
      telemetry.end?.({ ...end, batchSize: 1, cached: false }, found)
      return found !== undefined
    },
  }
}

const parentOf = (traceFlags: TraceFlags, isRemote: boolean): Context =>
  trace.setSpanContext(ROOT_CONTEXT, {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: '00f067aa0ba902b7',
    traceFlags,
    isRemote,
  })

test('a share of the requests that begin a trace is recorded; for the others not even an id is drawn', () => {
  const { request, told } = traced(0.25)
  for (let i = 0; i < 4000; i++) request()
  const { recorded, made } = told()
  // Ten standard deviations around a thousand.
  expect(recorded.length).toBeGreaterThan(725)
  expect(recorded.length).toBeLessThan(1275)
  expect(made).toBe(recorded.length)
})

test.each([
  ['none', 0, 0],
  ['all', 1, 200],
])('%s are recorded at a ratio of %d', (_what, ratio, recorded) => {
  const { request, told } = traced(ratio)
  for (let i = 0; i < 200; i++) request()
  expect(told().recorded).toHaveLength(recorded)
})

test.each([true, false])('who began the trace has decided (in another process: %s)', (isRemote) => {
  const kept = traced(0)
  expect(kept.request(parentOf(TraceFlags.SAMPLED, isRemote))).toBe(true)
  expect(kept.told()).toEqual({ recorded: ['predict m'], made: 1 })
  const dropped = traced(1)
  expect(dropped.request(parentOf(TraceFlags.NONE, isRemote))).toBe(false)
  expect(dropped.told()).toEqual({ recorded: [], made: 0 })
})

test('a parent that is no context at all decides nothing', () => {
  const nothing = trace.setSpanContext(ROOT_CONTEXT, { traceId: '0'.repeat(32), spanId: '0'.repeat(16), traceFlags: 0 })
  expect(traced(1).request(nothing)).toBe(true)
  expect(traced(0).request(nothing)).toBe(false)
})

test('spans of the app are sampled by the same ratio, and what they decide holds below them', () => {
  const { tracer, request, told } = traced(0.25)
  const outcomes = Array.from({ length: 2000 }, () => {
    const order = tracer.startSpan('order')
    const wasTraced = request(trace.setSpan(ROOT_CONTEXT, order))
    order.end()
    return [order.isRecording() || Boolean(order.spanContext().traceFlags & TraceFlags.SAMPLED), wasTraced]
  })
  expect(outcomes.filter(([mine, theirs]) => mine !== theirs)).toEqual([])
  const orders = told().recorded.filter((name) => name === 'order')
  expect(orders.length).toBeGreaterThan(350)
  expect(orders.length).toBeLessThan(650)
})
