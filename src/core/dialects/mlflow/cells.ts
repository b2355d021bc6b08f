/** Cells of tables: their way to the types that a model wants, as pandas goes it. */

import { isFloat } from '../../tensor/index.ts'
import type { DType } from '../../tensor/types.ts'

/** Nothing is not-a-number where there is one; elsewhere the check of elements refuses it. */
export function jsonCell(value: unknown, type: DType | undefined): unknown {
  return (value === null || value === undefined) && type !== undefined && isFloat(type) ? 'NaN' : (value ?? null)
}

/** Texts that pandas reads as nothing. */
const MISSING = new Set([
  ...['', '#N/A', '#N/A N/A', '#NA', '<NA>', 'N/A', 'NA', 'n/a', 'NULL', 'null', 'None'],
  ...['NaN', 'nan', '-NaN', '-nan', '1.#IND', '-1.#IND', '1.#QNAN', '-1.#QNAN'],
])
const INFINITE = /^([+-]?)inf(?:inity)?$/i
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/
const INTEGER = /^[+-]?\d{1,20}$/

/** Ends the sentence that refuses a field of CSV which {@link csvCell} made nothing of. */
export const MISSING_FIELD = 'a missing value (an empty field, NA or the like), which only columns of floats may have'

/** Where it does not fit the type, the text stays as it is, and a missing value is null, for the check of elements to refuse. */
export function csvCell(value: unknown, type: DType | undefined): unknown {
  const text = String(value)
  if (type === 'string' || type === undefined) return text
  const trimmed = text.trim()
  if (MISSING.has(trimmed)) return isFloat(type) ? 'NaN' : null
  if (type === 'bool') return /^true$/i.test(trimmed) ? true : /^false$/i.test(trimmed) ? false : text
  if (isFloat(type)) {
    const infinite = INFINITE.exec(trimmed)
    if (infinite) return infinite[1] === '-' ? '-Infinity' : 'Infinity'
    return NUMBER.test(trimmed) ? Number(trimmed) : text
  }
  if (INTEGER.test(trimmed)) return BigInt(trimmed.replace('+', ''))
  return NUMBER.test(trimmed) ? Number(trimmed) : text
}
