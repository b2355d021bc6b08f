/** Answers of extensions, before the server relies on them. */

import { ModelmountError } from '../errors.ts'
import type { Answer } from './call.ts'

const TIMES = ['queueMs', 'inferMs', 'endedAt'] as const

/** `INTERNAL`, for a defect of the extension. */
export function faultIn(answer: Answer): ModelmountError | undefined {
  if (typeof answer !== 'object' || answer === null) return defect(`must be an object, got ${String(answer)}`)
  if (typeof answer.outputs !== 'object' || answer.outputs === null) return defect('must have outputs')
  for (const time of TIMES) if (!Number.isFinite(answer[time])) return defect(`must have ${time}, a number of milliseconds`)
  return undefined
}

const defect = (what: string): ModelmountError =>
  new ModelmountError('INTERNAL', 'internal error', { cause: new Error(`the answer of an extension ${what}`) })
