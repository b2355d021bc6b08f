/**
 * Which requests are traced, decided before a span is made: the SDK draws ids and copies attributes first and asks its sampler then, which is more
 * than a microsecond for each request that is not recorded.
 */

import { type Context, createContextKey, isSpanContextValid, TraceFlags, trace } from '@opentelemetry/api'
import { tracing } from '@opentelemetry/sdk-node'

export interface Sampling {
  /** For the SDK; it records what was chosen, and a share of whatever else begins a trace in this process. */
  readonly sampler: tracing.Sampler
  /** @returns the context to make the span in; `undefined` where the sampler would drop it */
  choose(parent: Context): Context | undefined
}

const CHOSEN = createContextKey('modelmount.chosen')

/** Whoever began a trace decides; of those that begin here, a share is recorded. @param ratio from 0 to 1 */
export function createSampling(ratio: number): Sampling {
  const others = new tracing.TraceIdRatioBasedSampler(ratio)
  const root: tracing.Sampler = {
    shouldSample: (context, traceId) =>
      context.getValue(CHOSEN)
        ? { decision: tracing.SamplingDecision.RECORD_AND_SAMPLED }
        : others.shouldSample(context, traceId),
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
