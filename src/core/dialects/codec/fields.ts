/** Members of a request's JSON, checked for their form; faults name the member and never a value. */

import { ModelmountError } from '../../errors.ts'
import { kindOf, quote } from '../../tensor/index.ts'
import type { ModelSignature } from '../../tensor/types.ts'

export type Json = Readonly<Record<string, unknown>>

/** The scalars that parameters may be, long integers as BigInts where the body was read exactly; null-prototype object. */
export type Parameters = Record<string, string | number | bigint | boolean>

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * A field that a request may leave out: clients whose types have a member for everything write `null` for what they do not say. All such fields are
 * read through this.
 */
export const optional = (value: unknown): unknown => value ?? undefined

/** A `REQUEST_INVALID` error: `<field> must be <expected>, got <kind>`. */
export function invalid(field: string, expected: string, value: unknown): ModelmountError {
  const got = value === undefined ? 'nothing' : kindOf(value)
  return new ModelmountError('REQUEST_INVALID', `${field} must be ${expected}, got ${got}`, { details: { field, expected, got } })
}

/** Characters of an id, which every answer repeats. */
const LONGEST_ID = 1024
/** Of one object. A client has a handful. */
const MOST_PARAMETERS = 256
/** Characters of their names and texts together. They are copied between threads in one step. */
const MOST_PARAMETER_TEXT = 64 * 1024

export function readId(id: unknown): string | undefined {
  if (id === undefined || id === '') return undefined
  if (typeof id !== 'string') throw invalid('id', 'a string', id)
  if (id.length <= LONGEST_ID) return id
  const [field, expected, got] = ['id', `a string of at most ${LONGEST_ID} characters`, `${id.length}`]
  throw new ModelmountError('REQUEST_INVALID', `id must be ${expected}, got ${got}`, { details: { field, expected, got } })
}

/** Of a request without any. */
export const NO_PARAMETERS: Readonly<Parameters> = Object.freeze(Object.create(null))

/** Parameters that mean something here, on a request or on one tensor. */
const KNOWN: ReadonlySet<string> = new Set([
  'binary_data',
  'binary_data_output',
  'binary_data_size',
  'classification',
  'priority',
  'sequence_end',
  'sequence_id',
  'sequence_start',
  'shared_memory_region',
  'timeout',
])

const isScalar = (value: unknown): value is Parameters[string] =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean'

/** The scalars; objects and lists under names that mean nothing here are passed over. */
export function readParameters(parameters: unknown, path: string): Readonly<Parameters> {
  if (parameters === undefined) return NO_PARAMETERS
  if (!isObject(parameters)) throw invalid(path, 'an object', parameters)
  const result: Parameters = Object.create(null)
  let count = 0
  let text = 0
  for (const [name, value] of Object.entries(parameters)) {
    if (++count > MOST_PARAMETERS) throw tooMuch(path, `${MOST_PARAMETERS} members`)
    text += name.length + (typeof value === 'string' ? value.length : 0)
    if (text > MOST_PARAMETER_TEXT) throw tooMuch(path, `${MOST_PARAMETER_TEXT} characters of names and texts`)
    if (isScalar(value)) result[name] = value
    else if (optional(value) !== undefined && KNOWN.has(name))
      throw invalid(`${path}[${quote(name)}]`, 'a string, number or boolean', value)
  }
  return result
}

function tooMuch(field: string, most: string): ModelmountError {
  const expected = `at most ${most}`
  return new ModelmountError('REQUEST_INVALID', `${field} must have ${expected}, got more`, {
    details: { field, expected, got: 'more' },
  })
}

/** Refuses parameters whose silent loss would change what the request means. */
export function refuseParameters(parameters: Readonly<Parameters>, path: string, unsupported: readonly string[]): void {
  for (const name of unsupported) {
    if (parameters[name] === undefined) continue
    throw new ModelmountError('REQUEST_INVALID', `${path}.${name} is not supported by this server`, {
      details: { field: `${path}.${name}` },
    })
  }
}

export function readFlag(parameters: Json, name: string, path: string): boolean | undefined {
  const value = parameters[name]
  if (value === undefined || typeof value === 'boolean') return value
  throw invalid(`${path}.${name}`, 'true or false', value)
}

/** A whole number that is not negative. */
export function readCount(parameters: Readonly<Parameters>, name: string, path: string): number | undefined {
  const value = parameters[name]
  if (value === undefined || isSize(value)) return value
  const got = typeof value === 'number' || typeof value === 'bigint' ? 'another number' : typeof value
  const expected = 'a non-negative integer'
  const field = `${path}.${name}`
  throw new ModelmountError('REQUEST_INVALID', `${field} must be ${expected}, got ${got}`, { details: { field, expected, got } })
}

export function isSize(dim: unknown): dim is number {
  return typeof dim === 'number' && Number.isSafeInteger(dim) && dim >= 0
}

/** Drops the optional inputs that are null in each row: they are left out, as where no row names them. */
export function leaveOutNulls(rowsOf: Record<string, unknown>, { inputs }: ModelSignature): void {
  for (const { name, optional } of inputs) {
    const rows = optional === true ? rowsOf[name] : undefined
    if (Array.isArray(rows) && rows.every((row) => row === null)) delete rowsOf[name]
  }
}
