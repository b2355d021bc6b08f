/** Counts what a body holds, and stops where that is more than the model's inputs can take. Builds nothing. */

import { ModelmountError } from '../../errors.ts'
import type { Bounds } from './bounds.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const COMMA = 0x2c
const COLON = 0x3a
const MINUS = 0x2d

/** The names of the counted things. */
export const COUNTED_WORDS: Readonly<Record<keyof Bounds, string>> = {
  depth: 'levels of nesting',
  nodes: 'lists and objects',
  values: 'values',
  strings: 'strings',
  members: 'members in one object',
}

function excess(what: keyof Bounds, bounds: Bounds): ModelmountError {
  const expected = `at most ${Math.floor(bounds[what])} ${COUNTED_WORDS[what]}`
  return new ModelmountError('REQUEST_INVALID', `the request body must have ${expected} for the inputs of this model, got more`, {
    details: { field: 'body', expected, got: 'more' },
  })
}

/**
 * @param text JSON, right or wrong
 * @throws ModelmountError `REQUEST_INVALID` at the first bracket, comma, string or member over the bounds
 */
export function refuseExcess(text: string, bounds: Bounds): void {
  const what = firstExcess(text, bounds)
  if (what !== undefined) throw excess(what, bounds)
}

/**
 * The bound that a text passes first.
 * @param text JSON, right or wrong
 */
export function firstExcess(text: string, bounds: Bounds): keyof Bounds | undefined {
  const { depth: deepest, nodes: mostNodes, values: mostValues, strings: mostStrings, members: mostMembers } = bounds
  /** By depth: members of the object that is open there. */
  const members = new Int32Array(deepest + 1)
  let depth = 0
  let nodes = 0
  let values = 0
  let strings = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === COMMA) {
      if (++values > mostValues) return 'values'
    } else if (code === QUOTE) {
      const start = at + 1
      at = stringEnd(text, at)
      if (isNumberWord(text, start, at)) continue
      // Keys are taken off again at their colon.
      if (++strings > mostStrings + 1) return 'strings'
    } else if (code === COLON) {
      strings--
      const count = (members[depth] as number) + 1
      if (count > mostMembers) return 'members'
      members[depth] = count
    } else if (code === OPEN_ARRAY || code === OPEN_OBJECT) {
      if (++nodes > mostNodes) return 'nodes'
      if (++depth > deepest) return 'depth'
      members[depth] = 0
    } else if ((code === CLOSE_ARRAY || code === CLOSE_OBJECT) && depth > 0) depth--
  }
  return undefined
}

/** The words for numbers that JSON does not have. A table of floats may miss many, and they cost no more than numbers. */
const isNumberWord = (text: string, start: number, end: number): boolean =>
  end - start <= 9 &&
  ((end - start === 3 && text.startsWith('NaN', start)) ||
    (end - start >= 8 && text.startsWith('Infinity', text.charCodeAt(start) === MINUS ? start + 1 : start)))

/** Index of the quote that closes the string opened at `start`, or the end of the text. */
export function stringEnd(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let before = end
    while (text.charCodeAt(before - 1) === BACKSLASH) before--
    if ((end - before) % 2 === 0) return end
  }
  return text.length
}

/**
 * The same of a body that an app has parsed; it may contain itself.
 * @throws ModelmountError `REQUEST_INVALID`
 */
export function refuseExcessIn(body: unknown, bounds: Bounds): void {
  let nodes = 0
  let values = 0
  let strings = 0

  function visit(value: unknown, depth: number): void {
    if (typeof value === 'string') {
      if (!isNumberWord(value, 0, value.length) && ++strings > bounds.strings) throw excess('strings', bounds)
      return
    }
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return
    if (++nodes > bounds.nodes) throw excess('nodes', bounds)
    if (depth > bounds.depth) throw excess('depth', bounds)
    if (Array.isArray(value)) {
      values += value.length
      if (values > bounds.values) throw excess('values', bounds)
      for (const item of value) visit(item, depth + 1)
      return
    }
    let members = 0
    for (const key in value) {
      if (++members > bounds.members) throw excess('members', bounds)
      if (++values > bounds.values) throw excess('values', bounds)
      visit((value as Readonly<Record<string, unknown>>)[key], depth + 1)
    }
  }

  visit(body, 1)
}
