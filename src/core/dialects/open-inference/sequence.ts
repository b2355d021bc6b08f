/**
 * Which sequence a request is of: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_sequence.md
 */

import { ModelmountError } from '../../errors.ts'
import type { SequencePlace } from '../../sequences/types.ts'
import { NO_PARAMETERS, type Parameters, readFlag } from '../codec/fields.ts'

const MAX_TEXT = 256
const MAX_NUMBER = 2n ** 64n - 1n

/**
 * @param keepsState of the model
 * @returns `undefined` for a request of no sequence: no id, or 0, or an empty one
 * @throws ModelmountError `REQUEST_INVALID`
 */
export function sequenceOf(parameters: Readonly<Parameters>, keepsState: boolean): SequencePlace | undefined {
  if (parameters === NO_PARAMETERS) return undefined
  const { sequence_id: id, sequence_start: starts, sequence_end: ends } = parameters
  if (id === undefined && starts === undefined && ends === undefined) return undefined
  const isGiven = id !== undefined && id !== 0 && id !== ''
  const start = readFlag(parameters, 'sequence_start', 'parameters') ?? false
  const end = readFlag(parameters, 'sequence_end', 'parameters') ?? false
  if (!isGiven && !start && !end) return undefined
  const field = isGiven ? 'parameters.sequence_id' : `parameters.sequence_${start ? 'start' : 'end'}`
  if (!keepsState) throw invalid(`${field} is not supported: this model keeps no state between requests`, { field })
  if (!isGiven) throw invalid(`${field} needs parameters.sequence_id`, { field: 'parameters.sequence_id' })
  return { id: checked(id, field), start, end }
}

function checked(id: Parameters[string], field: string): SequencePlace['id'] {
  if (typeof id === 'string' && id.length <= MAX_TEXT) return id
  if (typeof id === 'bigint' && id > 0n && id <= MAX_NUMBER) return id
  if (typeof id === 'number' && Number.isSafeInteger(id) && id > 0) return id
  // A long number that was read by other means than ours may be another one by now.
  const isLong = typeof id === 'number' && id > Number.MAX_SAFE_INTEGER
  const advice = isLong ? '; this body was read without all digits of its numbers: send the id as a string' : ''
  const expected = `a whole number from 1 to ${MAX_NUMBER}, or a string of at most ${MAX_TEXT} characters`
  const got = typeof id === 'string' ? 'a longer one' : typeof id === 'boolean' ? 'a boolean' : 'another number'
  throw invalid(`${field} must be ${expected}, got ${got}${advice}`, { field, expected, got })
}

const invalid = (message: string, details: Record<string, string>): ModelmountError =>
  new ModelmountError('REQUEST_INVALID', message, { details })
