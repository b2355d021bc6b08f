/** Answers of extensions, before the server relies on them. */

import type { Answer } from './call.ts'

/** @throws TypeError which is a defect of the extension */
export function checkedAnswer(answer: Answer): Answer {
  if (typeof answer !== 'object' || answer === null) throw new TypeError(`an answer must be an object, got ${String(answer)}`)
  if (typeof answer.outputs !== 'object' || answer.outputs === null) throw new TypeError('an answer must have outputs')
  for (const time of ['queueMs', 'inferMs', 'endedAt'] as const)
    if (!Number.isFinite(answer[time])) throw new TypeError(`an answer must have ${time}, a number of milliseconds`)
  return answer
}
