/** Reports of answered runs. Promises settle after this turn, so the requests have not ended yet. */

import type { Instance } from '../engine/instance.ts'
import type { Answer } from '../engine/instance-stats.ts'
import type { Done } from '../engine/posts.ts'
import type { RunEnd, Trace } from '../telemetry/index.ts'
import type { Batch } from './entry.ts'

/** The part of a run's report that the scheduler knows. */
export type BatchReport = Omit<RunEnd, 'model' | 'version' | 'provider'>

type Reported = Pick<Batch, 'requests' | 'rows' | 'padding' | 'reason'>

interface Burst {
  readonly instance: Instance
  readonly outcomes: Parameters<Done>[0]
  readonly sentAt: number
  /** When ONNX Runtime began with the first run; `undefined` if the worker was lost. */
  readonly beganAt: number | undefined
  readonly endedAt: number
}

export function reportBurst(onRun: (report: BatchReport) => void, batches: readonly Reported[], burst: Burst): void {
  const { instance, outcomes, sentAt, endedAt } = burst
  const beganAt = Math.min(Math.max(burst.beganAt ?? endedAt, sentAt), endedAt)
  let at = beganAt
  for (const [index, { requests, rows, padding, reason }] of batches.entries()) {
    const outcome = typeof outcomes === 'string' ? undefined : outcomes[index]
    const inferMs = outcome?.inferMs ?? 0
    const traces: Trace[] = []
    let enqueuedAt = sentAt
    for (const request of requests) {
      if (request.enqueuedAt < enqueuedAt) enqueuedAt = request.enqueuedAt
      if (request.trace) traces.push(request.trace)
    }
    onRun({
      instance: instance.id,
      requests: requests.length,
      rows,
      padding,
      reason,
      error: outcome === undefined ? 'WORKER_LOST' : 'error' in outcome ? outcome.error.code : undefined,
      sentAt,
      endedAt,
      queueMs: sentAt - enqueuedAt,
      inputMs: at - sentAt,
      inferMs,
      outputMs: Math.max(0, endedAt - at - inferMs),
      traces,
    })
    at = Math.min(at + inferMs, endedAt)
  }
}

/** A burst's evidence about its instance, not about its requests. */
export function verdictOf(outcomes: Parameters<Done>[0]): Pick<Answer, 'tookMs' | 'verdict'> {
  if (typeof outcomes === 'string') return { tookMs: 0, verdict: 'bad' }
  const tookMs = outcomes.reduce((sum, { inferMs }) => sum + inferMs, 0)
  if (outcomes.every((outcome) => !('error' in outcome))) return { tookMs, verdict: 'good' }
  const allFailed = outcomes.every((outcome) => 'error' in outcome && outcome.error.code === 'INFERENCE_FAILED')
  return { tookMs, verdict: allFailed ? 'bad' : 'neutral' }
}

/** Adds the run. Field by field: Node 20 takes microseconds to spread an object of this size and add to it. */
export const runEndOf = (report: BatchReport, owner: Pick<RunEnd, 'model' | 'version' | 'provider'>): RunEnd => ({
  model: owner.model,
  version: owner.version,
  provider: owner.provider,
  instance: report.instance,
  requests: report.requests,
  rows: report.rows,
  padding: report.padding,
  reason: report.reason,
  error: report.error,
  sentAt: report.sentAt,
  endedAt: report.endedAt,
  queueMs: report.queueMs,
  inputMs: report.inputMs,
  inferMs: report.inferMs,
  outputMs: report.outputMs,
  traces: report.traces,
})
