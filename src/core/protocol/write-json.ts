/** Tensors as JSON text, piece by piece: one string could pass V8's limit of 2^29 characters. */

import { fromHalf } from '../tensor/index.ts'
import type { Tensor } from '../types.ts'
import { floatsBytes, floatsText } from './float-text.ts'

/** Elements per piece. */
const PIECE = 65536

/** So few floats go the way of the text around them: bytes of their own would cost more than they save. */
const FEW = 128

/** Characters that are collected before they become bytes. */
const FLUSH = 1 << 20

/** Collects text and gives it out as UTF-8 in one buffer. */
export interface TextSink {
  write(text: string): void
  /** @param bytes UTF-8 that nobody else writes to */
  append(bytes: Uint8Array): void
  finish(): Uint8Array
}

/** A {@link TextSink} in memory. */
export function createTextSink(): TextSink {
  const parts: Uint8Array[] = []
  let pending = ''

  function flush(): void {
    parts.push(Buffer.from(pending, 'utf8'))
    pending = ''
  }

  return {
    write(text) {
      pending += text
      if (pending.length >= FLUSH) flush()
    },
    append(bytes) {
      if (pending !== '') flush()
      parts.push(bytes)
    },
    finish() {
      if (parts.length === 0) return Buffer.from(pending, 'utf8')
      flush()
      return Buffer.concat(parts)
    },
  }
}

/**
 * Writes the elements of a tensor as one flat JSON array.
 * Floats read back bit for bit, -0 included: float64 as its shortest text, float32 and float16 as the shortest that tells a float32 apart;
 * non-finite ones are the strings `NaN`, `Infinity` and `-Infinity`. Integers are bare digits, however long.
 */
export function writeElements(tensor: Tensor, sink: TextSink): void {
  sink.write('[')
  if (tensor.type === 'float32') writeFloats(tensor.data, sink)
  else
    for (let start = 0; start < tensor.data.length; start += PIECE) {
      if (start > 0) sink.write(',')
      sink.write(pieceOf(tensor, start, start + PIECE))
    }
  sink.write(']')
}

function writeFloats(values: Float32Array, sink: TextSink): void {
  if (values.length <= FEW) sink.write(floatsText(values))
  else for (const bytes of floatsBytes(values)) sink.append(bytes)
}

function pieceOf(tensor: Exclude<Tensor, { readonly type: 'float32' }>, start: number, end: number): string {
  switch (tensor.type) {
    case 'float64':
      return joinDoubles(tensor.data.subarray(start, end))
    case 'float16':
      return floatsText(Float32Array.from(tensor.data.subarray(start, end), fromHalf))
    case 'bool':
      return Array.from(tensor.data.subarray(start, end), (byte) => byte !== 0).join(',')
    case 'string':
      return JSON.stringify(tensor.data.slice(start, end)).slice(1, -1)
    default:
      return tensor.data.subarray(start, end).join(',')
  }
}

function joinDoubles(values: Float64Array): string {
  // The native join is by far the fastest way, and right for all numbers but these.
  return hasSpecial(values) ? Array.from(values, formatDouble).join(',') : values.join(',')
}

function hasSpecial(values: Float64Array): boolean {
  for (const value of values) {
    if (!Number.isFinite(value) || Object.is(value, -0)) return true
  }
  return false
}

function formatDouble(value: number): string {
  if (!Number.isFinite(value)) return `"${value}"`
  return Object.is(value, -0) ? '-0' : `${value}`
}
