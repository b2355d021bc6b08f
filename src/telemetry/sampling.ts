/**
 * Which requests are traced, decided before a span is made: the SDK draws ids and copies attributes first and asks its sampler then, which is more
 * than a microsecond for each request that is not recorded.
 */

import { type Context, createContextKey, isSpanContextValid, TraceFlags, trace } from '@opentelemetry/api'
import type { NodeSDKConfiguration } from '@opentelemetry/sdk-node'
import { partOfSdk } from './sdk-parts.ts'

type Sampler = NodeSDKConfiguration['sampler']

export interface Sampling {
  /** For the SDK; it records what was chosen, and a share of whatever else begins a trace in this process. */
  readonly sampler: Sampler
  /** @returns the context to make the span in; `undefined` where the sampler would drop it */
  choose(parent: Context): Context | undefined
}

/** The part of the SDK's package of traces that is needed here. */
interface Tracing {
  readonly ParentBasedSampler: new (config: { readonly root: Sampler }) => Sampler
  readonly TraceIdRatioBasedSampler: new (ratio: number) => Sampler
  readonly SamplingDecision: { readonly RECORD_AND_SAMPLED: ReturnType<Sampler['shouldSample']>['decision'] }
}

const CHOSEN = createContextKey('modelmount.chosen')

/** Whoever began a trace decides; of those that begin here, a share is recorded. @param ratio from 0 to 1 */
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
