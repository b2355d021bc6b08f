/**
 * The turn of a request, by its own parameters: Triton's schedule policy.
 * https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_schedule_policy.md
 */

import { NO_PARAMETERS, type Parameters, readCount } from '../codec/fields.ts'
import type { Schedule } from '../operation.ts'

const MAX_TIMEOUT_MS = 3_600_000
const NOTHING: Schedule = { priority: undefined, timeoutMs: undefined }

/**
 * `priority` 1 is the highest and 0 the model's own; larger numbers are lower, and from 3 on they are all `low`. `timeout` bounds the whole
 * request, not only its wait: an answer that comes too late is of no use either.
 * @throws ModelmountError `REQUEST_INVALID`
 */
export function scheduleOf(parameters: Readonly<Parameters>): Schedule {
  // Most requests say nothing.
  if (parameters === NO_PARAMETERS) return NOTHING
  for (const _ in parameters) return read(parameters)
  return NOTHING
}

function read(parameters: Readonly<Parameters>): Schedule {
  const priority = readCount(parameters, 'priority', 'parameters') ?? 0
  const timeoutUs = readCount(parameters, 'timeout', 'parameters') ?? 0
  return {
    priority: priority === 0 ? undefined : priority === 1 ? 'high' : priority === 2 ? 'normal' : 'low',
    timeoutMs: timeoutUs === 0 ? undefined : Math.min(timeoutUs / 1000, MAX_TIMEOUT_MS),
  }
}
