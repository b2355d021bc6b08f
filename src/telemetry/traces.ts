/** Spans: one per request, one per run with links to its requests and back, a few per load. Unrecorded requests cost nothing. */

import {
  type Attributes,
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { ErrorCode } from '../core/errors.ts'
import type { LoadEnd, RequestEnd, RequestStart, RunEnd, Trace } from '../core/telemetry/index.ts'
import * as names from './names.ts'
import { createWallClock } from './wall-clock.ts'

/** The data that the core carries for a recorded request. */
interface Recorded {
  readonly span: Span
  /** Its caller may have an answer (an abort, a deadline) while the run continues. */
  ended: boolean
}

export interface Traces {
  begin(request: RequestStart): Trace | undefined
  end(request: RequestEnd, trace: Trace | undefined): void
  run(run: RunEnd): void
  load(load: LoadEnd): void
}

/** Headers of the propagators; looking for them is cheaper than letting each propagator look. */
const CARRIERS = ['traceparent', 'b3', 'x-b3-traceid', 'uber-trace-id', 'x-amzn-trace-id']

const SECOND = 1000
/** The caller chooses the id, which may be megabytes long. */
const MAX_ID_CHARS = 128

export interface TracesOptions {
  /** Continue a trace from an HTTP request's headers if the app has no span of its own. */
  readonly propagation: boolean
  /** Returns the context of a request's span before it is made, or that its sampler would drop it. @default the sampler is unknown */
  readonly choose?: ((parent: Context) => Context | undefined) | undefined
}

export function createTraces(tracer: Tracer, { propagation: continues, choose }: TracesOptions): Traces {
  const wall = createWallClock()

  function parentOf(headers: RequestStart['headers']): Context {
    const active = context.active()
    if (!continues || headers === undefined || trace.getSpan(active)) return active
    return CARRIERS.some((name) => headers[name] !== undefined) ? propagation.extract(active, headers) : active
  }

  function fail(span: Span, error: ErrorCode | undefined): void {
    if (error === undefined) return
    span.setAttribute(names.ATTR_ERROR, error)
    // A caller that goes away is no failure.
    if (error !== 'ABORTED') span.setStatus({ code: SpanStatusCode.ERROR })
  }

  function begin({ model, version, startedAt, headers, id, label }: RequestStart): Trace | undefined {
    const parent = parentOf(headers)
    const chosen = choose ? choose(parent) : parent
    if (!chosen) return undefined
    const span = tracer.startSpan(
      `predict ${model}`,
      {
        kind: SpanKind.INTERNAL,
        startTime: wall(startedAt),
        // At the start, where samplers see them.
        attributes: { [names.ATTR_MODEL]: model, [names.ATTR_VERSION]: version },
      },
      chosen,
    )
    if (!span.isRecording()) return undefined
    if (id !== undefined) span.setAttribute(names.ATTR_REQUEST_ID, id.slice(0, MAX_ID_CHARS))
    if (label !== undefined) span.setAttribute(names.ATTR_LABEL, label)
    return { span, ended: false } satisfies Recorded
  }

  function end({ error, endedAt, queueMs, inferMs, batchSize, cached }: RequestEnd, found: Trace | undefined): void {
    if (found === undefined) return
    const recorded = found as Recorded
    const { span } = recorded
    recorded.ended = true
    if (error === undefined)
      span.setAttributes({
        [names.ATTR_CACHED]: cached,
        [names.ATTR_ROWS]: batchSize,
        [names.ATTR_QUEUE_S]: queueMs / SECOND,
        [names.ATTR_INFER_S]: inferMs / SECOND,
      })
    else fail(span, error)
    span.end(wall(endedAt))
  }

  function run(run: RunEnd): void {
    const members = run.traces as readonly Recorded[]
    const [first] = members
    if (!first) return
    const { sentAt, endedAt, inputMs, inferMs } = run
    const attributes: Attributes = {
      [names.ATTR_MODEL]: run.model,
      [names.ATTR_VERSION]: run.version,
      [names.ATTR_REASON]: run.reason,
      [names.ATTR_ROWS]: run.rows,
      [names.ATTR_REQUESTS]: run.requests,
      [names.ATTR_PADDING]: run.padding,
      [names.ATTR_INSTANCE]: run.instance,
      [names.ATTR_QUEUE_S]: run.queueMs / SECOND,
      [names.ATTR_INPUT_S]: inputMs / SECOND,
      [names.ATTR_INFER_S]: inferMs / SECOND,
      [names.ATTR_OUTPUT_S]: run.outputMs / SECOND,
    }
    if (run.provider !== undefined) attributes[names.ATTR_PROVIDER] = run.provider
    // A child of the first: as sampled as its requests are, and found from at least one of them even in viewers without links.
    const span = tracer.startSpan(
      `run ${run.model}`,
      {
        kind: SpanKind.INTERNAL,
        startTime: wall(sentAt),
        attributes,
        links: members.map((member) => ({ context: member.span.spanContext() })),
      },
      trace.setSpan(ROOT_CONTEXT, first.span),
    )
    if (!span.isRecording()) return
    const back = { context: span.spanContext() }
    for (const member of members) if (!member.ended) member.span.addLink(back)
    span.addEvent('pack', wall(sentAt))
    if (run.error === undefined) {
      span.addEvent('run', wall(sentAt + inputMs))
      span.addEvent('unpack', wall(sentAt + inputMs + inferMs))
    }
    fail(span, run.error)
    span.end(wall(endedAt))
  }

  function load({ model, version, error, startedAt, endedAt, steps }: LoadEnd): void {
    const attributes = { [names.ATTR_MODEL]: model, [names.ATTR_VERSION]: version }
    const span = tracer.startSpan(`load ${model}`, { startTime: wall(startedAt), attributes })
    if (!span.isRecording()) return
    const inside = trace.setSpan(context.active(), span)
    for (const step of steps)
      tracer.startSpan(step.name, { startTime: wall(step.startedAt), attributes }, inside).end(wall(step.endedAt))
    fail(span, error)
    span.end(wall(endedAt))
  }

  return { begin, end, run, load }
}
