/** Exact 64-bit integers where a model has them, and the speed of JSON.parse where it has not. */

import { isObject } from './fields.ts'
import { parseJson, parseJsonExact, readText } from './json.ts'

/** The id of a sequence counts with every digit: two that were rounded to the same number would get each other's state. */
export const hasLongSequenceId = (request: unknown): boolean =>
  isObject(request) && isObject(request.parameters) && Number(request.parameters.sequence_id) > Number.MAX_SAFE_INTEGER

/** A token of 16 digits or more that JSON.parse may round; shorter integers are always exact. */
const LONG_INTEGER = /(?<![\d.])\d{16,}(?![\d.eE])/

/**
 * A body as `JSON.parse` reads it; with long integers as BigInts if it has any and `isNeeded` says that they matter.
 * @throws ModelmountError `REQUEST_INVALID`
 */
export function parseExactWhere(isNeeded: (value: unknown) => boolean, body: Uint8Array | string): unknown {
  const text = readText(body)
  const value = parseJson(text)
  return isNeeded(value) && LONG_INTEGER.test(text) ? parseJsonExact(text) : value
}
