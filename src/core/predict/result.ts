/** The result of a prediction, as `predict()` gives it. */

import type { Answer } from './call.ts'
import type { PredictResult } from './types.ts'

export function resultOf(
  id: string,
  model: string,
  version: string,
  at: number,
  { outputs, queueMs, inferMs, batchSize, endedAt, ageMs }: Omit<Answer, 'run'>,
): PredictResult {
  const timings = { queueMs, inferMs, totalMs: endedAt - at }
  const result = { id, model, version, outputs, batchSize, cached: ageMs !== undefined, timings }
  return ageMs === undefined ? result : { ...result, ageMs }
}
