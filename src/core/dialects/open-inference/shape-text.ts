/** The shape of an input in the text of a request: requests of one client may differ in it as they do in their numbers. */

import type { Dim } from '../../tensor/types.ts'

const KEY = Buffer.from('"shape"')
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const COLON = 0x3a
const COMMA = 0x2c
const ZERO = 0x30
const NINE = 0x39
/** Larger sizes are read the usual way. */
const MOST_DIGITS = 9

const isSpace = (code: number | undefined): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09

/** How often the key stands in a text without escapes, also as a value or deeper inside. */
export function countShapes(text: Buffer): number {
  let count = 0
  for (let at = text.indexOf(KEY); at >= 0; at = text.indexOf(KEY, at + KEY.length)) count++
  return count
}

/** The first byte after the bracket that opens the only shape of a text; `undefined` where there is no list behind the key. */
export function startOfShape(text: Buffer): number | undefined {
  let at = text.indexOf(KEY) + KEY.length
  if (at < KEY.length) return undefined
  while (isSpace(text[at])) at++
  if (text[at++] !== COLON) return undefined
  while (isSpace(text[at])) at++
  return text[at] === OPEN_ARRAY ? at + 1 : undefined
}

/**
 * The sizes from `from` up to a closing bracket, all of them above 0.
 * @param dims receives them
 * @returns the place of the bracket; -1 for anything else
 */
export function readShape(bytes: Uint8Array, from: number, dims: number[]): number {
  for (let at = from; ; at++) {
    while (isSpace(bytes[at])) at++
    const start = at
    let size = 0
    for (let code = bytes[at]; code !== undefined && code >= ZERO && code <= NINE; code = bytes[++at])
      size = size * 10 + code - ZERO
    if (at === start || at - start > MOST_DIGITS || bytes[start] === ZERO) return -1
    dims.push(size)
    while (isSpace(bytes[at])) at++
    if (bytes[at] === CLOSE_ARRAY) return at
    if (bytes[at] !== COMMA) return -1
  }
}

/** Sizes by symbol, of one request. */
export type Bound = (readonly [symbol: string, size: number])[]

/** True for a shape that fits the declared one, and the sizes that its symbols have elsewhere in the request. */
export function fitsShape(dims: readonly number[], declared: readonly Dim[] | undefined, bound: Bound): boolean {
  if (declared === undefined || dims.length !== declared.length) return false
  for (let i = 0; i < dims.length; i++) {
    const [dim, size] = [declared[i], dims[i] as number]
    if (typeof dim === 'number') {
      if (dim !== size) return false
    } else if (typeof dim === 'string') {
      const known = bound.find(([symbol]) => symbol === dim)
      if (known === undefined) bound.push([dim, size])
      else if (known[1] !== size) return false
    }
  }
  return true
}
