/** Parses a server's JSON exactly as written, within the bounds of memory. */

import { COUNTED_BYTES, COUNTED_WORDS, firstExcess, parseJson, parseJsonExact } from '../core/dialects/codec/index.ts'
import type { ModelmountError } from '../core/errors.ts'

export type Json = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Small lists and strings take many times the bytes of their text; numbers a few. */
const BOUNDS = { depth: 64, nodes: 2 ** 20, values: Number.POSITIVE_INFINITY, strings: 2 ** 22, members: 2 ** 16 }

/** True for texts with so few brackets and quotes that they cannot be too many; flat lists of numbers pass at any length. */
const isFlat = (text: string): boolean =>
  isFew(text, '[', BOUNDS.depth / 2) && isFew(text, '{', BOUNDS.depth / 2) && isFew(text, '"', BOUNDS.depth * 64)

function isFew(text: string, character: string, most: number): boolean {
  let count = 0
  for (let at = text.indexOf(character); at !== -1; at = text.indexOf(character, at + 1)) if (++count > most) return false
  return true
}

/**
 * Parses an answer into an object. `NaN`, `Infinity` and integers beyond 2^53 keep their meaning.
 * @param invalid makes the error for a fault
 */
export function parseAnswer(
  bytes: Uint8Array,
  maxBytes: number,
  invalid: (what: string, cause?: unknown) => ModelmountError,
): Json {
  if (bytes.byteLength > maxBytes) throw invalid(`its JSON is longer than ${maxBytes} bytes`)
  const json = parsed(textOf(bytes))
  if (!isObject(json)) throw invalid('it is no object')
  return json

  function textOf(bytes: Uint8Array): string {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    } catch (cause) {
      throw invalid('it is not UTF-8', cause)
    }
  }

  function parsed(text: string): unknown {
    const excess = text.length <= COUNTED_BYTES || isFlat(text) ? undefined : firstExcess(text, BOUNDS)
    if (excess) throw invalid(`it has too many ${COUNTED_WORDS[excess]}`)
    try {
      return /"U?INT64"/.test(text) ? parseJsonExact(text) : parseJson(text)
    } catch (cause) {
      throw invalid('it is not JSON', cause)
    }
  }
}
