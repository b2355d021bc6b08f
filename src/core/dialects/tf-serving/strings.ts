/** Strings in requests: as they are, or as `{ "b64": … }`. */

import { isUtf8 } from 'node:buffer'
import { mismatch } from '../../tensor/index.ts'
import { isObject } from '../codec/fields.ts'

/** Deeper nests are refused by their shape; a body that an app has parsed may have any depth. */
const MAX_DEPTH = 32

/**
 * A nest of strings with every `{ b64 }` decoded. Anything else stays, for the check of elements to refuse.
 * @throws ModelmountError `INPUT_INVALID` for what is not base64, or not UTF-8, which ONNX strings are
 */
export function decodeStrings(value: unknown, input: string, field: string, depth = 0): unknown {
  if (Array.isArray(value))
    return depth === MAX_DEPTH ? value : value.map((item, i) => decodeStrings(item, input, `${field}[${i}]`, depth + 1))
  if (!isObject(value)) return value
  const { b64, ...others } = value
  if (typeof b64 !== 'string' || Object.keys(others).length > 0)
    throw mismatch(input, field, 'a string or { "b64": "<base64>" }', 'another object')
  const bytes = Buffer.from(b64, 'base64')
  if (withoutPadding(bytes.toString('base64')) !== withoutPadding(b64))
    throw mismatch(input, `${field}.b64`, 'base64', 'another string')
  if (!isUtf8(bytes)) throw mismatch(input, `${field}.b64`, 'the base64 of UTF-8 text, which ONNX strings are', 'other bytes')
  return bytes.toString('utf8')
}

function withoutPadding(text: string): string {
  let end = text.length
  // Two at most: more would not be base64.
  while (end > text.length - 2 && end > 0 && text[end - 1] === '=') end--
  return text.slice(0, end)
}
