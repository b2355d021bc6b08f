/** Exact 64-bit integers where a model has them, and the speed of JSON.parse where it has not. */

import { DTYPES } from '../../tensor/index.ts'
import type { ModelSignature } from '../../tensor/types.ts'
import { type Bounds, COUNTED_BYTES } from './bounds.ts'
import { refuseExcess } from './count.ts'
import { parseJson, parseJsonExact, parseText, readText } from './json.ts'

/** A token of 16 digits or more that JSON.parse may round; shorter integers are always exact. */
const LONG_INTEGER = /(?<![\d.])\d{16,}(?![\d.eE])/

/** The id of a sequence counts with every digit: two that were rounded to the same number would get each other's state. */
const SEQUENCE_ID = 'sequence_id'

/** Whether a model has an input whose elements may be long integers. */
export const takesLong = ({ inputs }: ModelSignature): boolean =>
  inputs.some(({ type }) => type !== undefined && DTYPES[type].kind === 'long')

export interface ParseOptions {
  /** Long integers matter wherever they stand, and not only in the id of a sequence. */
  readonly exact: boolean
  /** Of a body that is long enough to be counted. */
  readonly bounds?: Bounds
}

/**
 * A body as `JSON.parse` reads it; with long integers as BigInts if it has any and they matter. It is parsed once.
 * @throws ModelmountError `REQUEST_INVALID`
 */
export function parseBody(body: Uint8Array | string, { exact, bounds }: ParseOptions): unknown {
  const text = readText(body)
  const isCounted = bounds !== undefined && text.length > COUNTED_BYTES
  if (isCounted) refuseExcess(text, bounds)
  const isExact = (exact || text.includes(SEQUENCE_ID)) && LONG_INTEGER.test(text)
  if (isExact) return parseJsonExact(text)
  return isCounted ? parseText(text) : parseJson(text)
}
