/**
 * Decides which requests are traced before a span is made. The SDK draws ids and copies attributes before it asks its sampler, which costs
 * more than a microsecond for each unrecorded request.
 */

import { type Context, createContextKey, isSpanContextValid, TraceFlags, trace } from '@opentelemetry/api'
import type { NodeSDKConfiguration } from '@opentelemetry/sdk-node'
import { partOfSdk } from './sdk-parts.ts'

type Sampler = NodeSDKConfiguration['sampler']

export interface Sampling {
  /** For the SDK. It records the chosen requests, and a share of any other trace that begins in this process. */
  readonly sampler: Sampler
  /** @returns the context for the span; `undefined` if the sampler would drop it */
  choose(parent: Context): Context | undefined
}

/** The used part of the SDK's package of traces. */
interface Tracing {
  readonly ParentBasedSampler: new (config: { readonly root: Sampler }) => Sampler
  readonly TraceIdRatioBasedSampler: new (ratio: number) => Sampler
  readonly SamplingDecision: { readonly RECORD_AND_SAMPLED: ReturnType<Sampler['shouldSample']>['decision'] }
}

const CHOSEN = createContextKey('modelmount.chosen')

/** The service that began a trace decides; a share of those that begin here is recorded. @param ratio from 0 to 1 */
export function createSampling(ratio: number): Sampling {
  const tracing = partOfSdk('@opentelemetry/sdk-trace', '@opentelemetry/sdk-trace-base') as Tracing
  const others = new tracing.TraceIdRatioBasedSampler(ratio)
  const root: Sampler = {
    shouldSample: (context, traceId, ...rest) =>
      context.getValue(CHOSEN)
        ? { decision: tracing.SamplingDecision.RECORD_AND_SAMPLED }
        : others.shouldSample(context, traceId, ...rest),
    toString: () => `ModelmountRoot{${ratio}}`,
  }
  return {
    sampler: new tracing.ParentBasedSampler({ root }),
    choose(parent) {
      const before = trace.getSpanContext(parent)
      if (before && isSpanContextValid(before)) return before.traceFlags & TraceFlags.SAMPLED ? parent : undefined
      return Math.random() < ratio ? parent.setValue(CHOSEN, true) : undefined
    },
  }
}
