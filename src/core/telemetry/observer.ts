/** Turns the facts of the server about its requests into reports. */

import { toModelmountError } from '../errors.ts'
import type { Clock } from '../host/clock.ts'
import type { RequestStart, Telemetry, Trace } from './reports.ts'

interface Named {
  readonly name: string
  readonly version: string
}

interface Answered {
  readonly queueMs: number
  readonly inferMs: number
  readonly batchSize: number
  readonly endedAt: number
  readonly ageMs?: number | undefined
}

/**
 * Reports the server's facts about requests. By calls, not a wrapper: one more promise per request costs as much as all the rest together.
 */
export interface RequestObserver {
  begin(
    model: Named,
    startedAt: number,
    asked: Pick<RequestStart, 'id' | 'label'>,
    headers: RequestStart['headers'],
  ): Trace | undefined
  answered(model: Named, startedAt: number, answer: Answered, trace: Trace | undefined): void
  failed(model: Named | undefined, startedAt: number, error: unknown, trace: Trace | undefined): void
}

/** @param idOf the id that the headers of an HTTP request bring, where it is one */
export function observeRequests(
  telemetry: Telemetry,
  clock: Clock,
  idOf: (headers: RequestStart['headers']) => string | undefined,
): RequestObserver {
  function failed(model: Named | undefined, startedAt: number, error: unknown, trace: Trace | undefined): void {
    telemetry.end?.(
      {
        model: model?.name,
        version: model?.version,
        error: toModelmountError(error).code,
        startedAt,
        endedAt: clock.now(),
        queueMs: 0,
        inferMs: 0,
        batchSize: 0,
        cached: false,
      },
      trace,
    )
  }

  return {
    begin: ({ name, version }, startedAt, { id, label }, headers) =>
      telemetry.begin?.({ model: name, version, startedAt, id: id || idOf(headers), label, headers }),
    answered({ name, version }, startedAt, { queueMs, inferMs, batchSize, endedAt, ageMs }, trace) {
      const cached = ageMs !== undefined
      telemetry.end?.({ model: name, version, error: undefined, startedAt, endedAt, queueMs, inferMs, batchSize, cached }, trace)
    },
    failed,
  }
}
