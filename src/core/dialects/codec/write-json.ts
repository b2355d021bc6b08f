/** Tensors as JSON text, piece by piece: one string could pass V8's limit of 2^29 characters. */

import { codeOf, DTYPES, type Kind, type KindArrays } from '../../tensor/index.ts'
import type { DType, Tensor } from '../../tensor/types.ts'
import { floatsBytes, floatsText } from './float-text.ts'

/** Elements per piece. */
const PIECE = 8192

/** So few floats go the way of the text around them: bytes of their own would cost more than they save. */
const FEW = 128

/** Characters that are collected before they become bytes, and bytes before they are a piece of the answer. */
const FLUSH = 256 * 1024

/** Bytes that are written between two turns of the event loop: about a millisecond. */
const SLICE_BYTES = 128 * 1024

/**
 * Work that can stop after each slice, so that the event loop turns in between; it yields the bytes that a slice went through. Short work
 * never yields.
 */
export type Steps<T> = Generator<number, T, void>

/** Does all of it in one go. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}

/** Collects text and gives it out as UTF-8. */
export interface TextSink {
  write(text: string): void
  /** @param bytes UTF-8 that no other code writes to */
  append(bytes: Uint8Array): void
  /** Characters and bytes since the last slice, once they are one; otherwise 0. */
  due(): number
  /** At least one piece; more of them where the text is long. */
  finish(): readonly Uint8Array[]
}

/** A {@link TextSink} in memory. */
export function createTextSink(): TextSink {
  const pieces: Uint8Array[] = []
  let parts: Uint8Array[] = []
  let partBytes = 0
  let pending = ''
  let written = 0

  function flush(): void {
    add(Buffer.from(pending, 'utf8'))
    pending = ''
  }

  function add(bytes: Uint8Array): void {
    parts.push(bytes)
    partBytes += bytes.byteLength
    if (partBytes >= FLUSH) closePiece()
  }

  function closePiece(): void {
    const [only] = parts
    pieces.push(only && parts.length === 1 ? only : Buffer.concat(parts, partBytes))
    parts = []
    partBytes = 0
  }

  return {
    write(text) {
      pending += text
      written += text.length
      if (pending.length >= FLUSH) flush()
    },
    append(bytes) {
      if (pending !== '') flush()
      written += bytes.byteLength
      add(bytes)
    },
    due() {
      if (written < SLICE_BYTES) return 0
      const slice = written
      written = 0
      return slice
    },
    finish() {
      if (pieces.length === 0 && parts.length === 0) return [Buffer.from(pending, 'utf8')]
      if (pending !== '') flush()
      if (parts.length > 0) closePiece()
      return pieces
    },
  }
}

/**
 * Writes the elements of a tensor as one flat JSON array.
 * Floats read back bit for bit, -0 included: float64 as its shortest text, float32 and float16 as the shortest that tells a float32 apart;
 * non-finite ones are the strings `NaN`, `Infinity` and `-Infinity`. Integers are bare digits, however long.
 */
export function* writeElements(tensor: Tensor, sink: TextSink): Steps<void> {
  if (isShort(tensor)) return writeShort(tensor, sink)
  sink.write('[')
  if (tensor.type === 'float32') {
    for (const bytes of floatsBytes(tensor.data)) {
      sink.append(bytes)
      const slice = sink.due()
      if (slice > 0) yield slice
    }
  } else if (tensor.type === 'string') yield* writeStrings(tensor.data, sink)
  else
    for (let start = 0; start < tensor.data.length; start += PIECE) {
      if (start > 0) sink.write(',')
      sink.write(pieceOf(tensor, start, start + PIECE))
      const slice = sink.due()
      if (slice > 0) yield slice
    }
  sink.write(']')
}

/** Characters of one string that are written at a time. */
const STRETCH = 64 * 1024

/** Between commas. */
export function* writeStrings(strings: readonly string[], sink: TextSink): Steps<void> {
  let separator = ''
  for (const string of strings) {
    sink.write(separator)
    separator = ','
    yield* writeString(string, sink)
  }
}

export function* writeString(string: string, sink: TextSink): Steps<void> {
  sink.write('"')
  for (const stretch of stretchesOf(string)) {
    sink.write(JSON.stringify(stretch).slice(1, -1))
    const slice = sink.due()
    if (slice > 0) yield slice
  }
  sink.write('"')
}

/** True for strings that are not worth a stretch of their own. */
export const isOneStretch = ({ length }: string): boolean => length <= STRETCH

/** A string in parts of which each can be worked on at once. */
export function* stretchesOf(string: string): Generator<string, void, void> {
  for (let start = 0; start < string.length; ) {
    const end = endOf(string, start)
    yield string.slice(start, end)
    start = end
  }
}

/** Not between the two halves of a character. */
function endOf(string: string, start: number): number {
  const end = Math.min(string.length, start + STRETCH)
  const last = string.charCodeAt(end - 1)
  return end < string.length && last >= 0xd800 && last <= 0xdbff ? end + 1 : end
}

/** True for tensors that are written at once: the work around a generator would cost more. */
export const isShort = ({ type, data }: Tensor): boolean => data.length <= FEW && (type !== 'string' || textIn(data) <= STRETCH)

const textIn = (strings: readonly string[]): number => strings.reduce((sum, { length }) => sum + length, 0)

export const writeShort = (tensor: Tensor, sink: TextSink): void => sink.write(`[${shortText(tensor)}]`)

/** The elements of a short tensor, between commas. */
export const shortText = (tensor: Tensor): string =>
  tensor.type === 'float32' ? floatsText(tensor.data) : pieceOf(tensor, 0, tensor.data.length)

/** Elements from one index to another, between commas, by kind. */
const PIECES: { readonly [K in Kind]: (data: KindArrays[K], start: number, end: number, type: DType) => string } = {
  float: (data, start, end) => joinDoubles(data.subarray(start, end)),
  coded: (data, start, end, type) => floatsText(Float32Array.from(data.subarray(start, end), codeOf(type).toNumber)),
  integer: joined,
  long: joined,
  bool: (data, start, end) => Array.from(data.subarray(start, end), (byte) => byte !== 0).join(','),
  string: (data, start, end) => JSON.stringify(data.slice(start, end)).slice(1, -1),
}

function joined(data: KindArrays['integer' | 'long'], start: number, end: number): string {
  return data.subarray(start, end).join(',')
}

const pieceOf = ({ type, data }: Tensor, start: number, end: number): string =>
  PIECES[DTYPES[type].kind](data as never, start, end, type)

function joinDoubles(values: KindArrays['float']): string {
  // The native join is by far the fastest way, and right for all numbers but these.
  return hasSpecial(values) ? Array.from(values, formatDouble).join(',') : values.join(',')
}

function hasSpecial(values: KindArrays['float']): boolean {
  for (const value of values) {
    if (!Number.isFinite(value) || Object.is(value, -0)) return true
  }
  return false
}

function formatDouble(value: number): string {
  if (!Number.isFinite(value)) return `"${value}"`
  return Object.is(value, -0) ? '-0' : `${value}`
}
