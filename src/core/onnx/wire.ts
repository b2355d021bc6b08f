/**
 * Protobuf wire format over a moving window of a file.
 *
 * Hand-written because a protobuf runtime decodes a whole message into memory, and the message here is the model with all its
 * weights. This reader holds one window, looks at field headers and steps over payloads by seeking.
 *
 * Parsing code is written as generators: it yields whenever the bytes it needs are not in the window, the driver refills the
 * window and resumes it. So the grammar reads top to bottom, costs no promise per field, and the event loop turns between windows.
 * https://protobuf.dev/programming-guides/encoding/
 */

import { createKept } from './kept.ts'
import { Malformed } from './malformed.ts'
import type { Source } from './source.ts'
import { createWindow } from './window.ts'

/** A piece of parsing that yields when the window has to move. */
export type Reading<T> = Generator<undefined, T, undefined>

export type WireType = typeof VARINT | typeof BYTES | typeof FIXED32
export const VARINT = 0
export const FIXED64 = 1
export const BYTES = 2
export const FIXED32 = 5

/** Names are compared and shown. Real models stay far below this length. */
export const MAX_NAME_BYTES = 4096

/** A tag and a value or length, ten bytes each at most. */
const MAX_HEADER_BYTES = 20
const MAX_VARINT_BYTES = 10
/** Message levels; ONNX Runtime's own parser stops at the same number. */
const MAX_DEPTH = 100

const lenient = new TextDecoder('utf-8', { ignoreBOM: true })
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true })

/** Position of a field in the input. */
export interface Span {
  /** Start of its tag. */
  readonly start: number
  /** Start of the length before its payload, if it has one. */
  readonly lengthAt: number
  /** Start of its payload. */
  readonly body: number
  readonly end: number
}

export interface Reader {
  /** Goes to the next field of the current message, past any unread part of the last one. At the end it leaves the message with `false`. */
  next(): Reading<boolean>
  /** True if the current field has this number and wire type. A known number with another wire type counts as unknown, as in protobuf. */
  is(field: number, wire: WireType): boolean
  /** Number of the current field. */
  field(): number
  /** Payload bytes of the current field. */
  length(): number
  /** Position of the current field; to be read before its payload is entered. */
  span(): Span
  /** Makes the current field's payload the current message. */
  enter(): void
  /** The current varint as a signed 64-bit integer. */
  int(): bigint
  /** The current field of 32 bits as a float. */
  float(): Reading<number>
  /** The current payload as text that will be kept. */
  text(): Reading<string>
  /** A copy of the current payload that will be kept. */
  bytes(): Reading<Uint8Array>
  /** The current payload, valid until the next call; `undefined` if it is longer than `maxBytes`. It does not count as kept. */
  peek(maxBytes: number): Reading<Uint8Array | undefined>
  /** The current payload as an identifier: short, valid UTF-8, not counted as kept. */
  name(what: string): Reading<string>
  /** Counts a kept item; bounds the memory that a hostile file can take. */
  keep(bytes: number): void
  /** Fetches the bytes that the parser waits for. */
  refill(source: Source): Promise<void>
}

/** The field that the reader is at. Before the first one, its end is the start of the message. */
interface Field {
  number: number
  wire: number
  /** As in `Span`. */
  start: number
  lengthAt: number
  end: number
}

/** A reader at the start of a message of `size` bytes. */
export function createReader(size: number): Reader {
  const ends = [size]
  const window = createWindow(size)
  const keep = createKept()
  const field: Field = { number: 0, wire: VARINT, start: 0, lengthAt: 0, end: 0 }
  /** At the start of the field's payload, between two calls. */
  let position = 0

  /** An unsigned varint; above 2^53 it is rounded, which every later bounds check refuses. */
  function varint(end: number): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      if (position >= end) throw overrun(position - i, end)
      const byte = window.at(position)
      position++
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 128
    }
    throw new Malformed(`the number at byte ${position - MAX_VARINT_BYTES} is longer than ten bytes`)
  }

  function overrun(at: number, end: number): Malformed {
    return end === size
      ? new Malformed(`it is cut off or damaged: the field at byte ${at} goes beyond the end at byte ${size}`)
      : new Malformed(`the field at byte ${at} does not fit into the message around it`)
  }

  function* next(): Reading<boolean> {
    position = field.end
    const end = ends[ends.length - 1] ?? 0
    if (position === end) {
      ends.pop()
      return false
    }
    if (window.lacks(position, MAX_HEADER_BYTES)) yield
    field.start = position
    const tag = varint(end)
    field.number = Math.floor(tag / 8)
    field.wire = tag % 8
    field.lengthAt = position
    if (field.number === 0 || tag > 0xffffffff) throw new Malformed(`there is no valid field at byte ${field.start}`)
    readExtent(end)
    if (field.end > end) throw overrun(field.start, end)
    return true
  }

  /** Sets `position` and the field's end to the borders of the payload. */
  function readExtent(end: number): void {
    const { wire } = field
    if (wire === BYTES) {
      const length = varint(end)
      field.end = position + length
    } else if (wire === VARINT) {
      const valueStart = position
      varint(end)
      field.end = position
      position = valueStart
    } else if (wire === FIXED32 || wire === FIXED64) {
      field.end = position + (wire === FIXED32 ? 4 : 8)
    } else {
      // 3 and 4 are groups, which ONNX does not have
      throw new Malformed(`the field at byte ${field.start} has the unknown wire type ${wire}`)
    }
  }

  function enter(): void {
    if (ends.length > MAX_DEPTH) throw new Malformed(`it is nested deeper than ${MAX_DEPTH} levels`)
    ends.push(field.end)
    field.end = position
  }

  function int(): bigint {
    let value = 0n
    for (let at = field.end - 1; at >= position; at--) value = (value << 7n) | BigInt(window.at(at) & 0x7f)
    return BigInt.asIntN(64, value)
  }

  const length = (): number => field.end - position

  function* payload(): Reading<Uint8Array> {
    if (window.lacks(position, length())) yield
    return window.view(position, field.end)
  }

  function* float(): Reading<number> {
    const bytes = yield* payload()
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getFloat32(0, true)
  }

  function* text(): Reading<string> {
    keep(length())
    return lenient.decode(yield* payload())
  }

  function* bytes(): Reading<Uint8Array> {
    keep(length())
    return (yield* payload()).slice()
  }

  function* peek(maxBytes: number): Reading<Uint8Array | undefined> {
    return length() > maxBytes ? undefined : yield* payload()
  }

  function* name(what: string): Reading<string> {
    if (length() > MAX_NAME_BYTES) throw new Malformed(`${what} is ${length()} bytes long, more than ${MAX_NAME_BYTES}`)
    const bytes = yield* payload()
    try {
      return strict.decode(bytes)
    } catch {
      throw new Malformed(`${what} is not valid UTF-8`)
    }
  }

  return {
    next,
    is: (number, wire) => number === field.number && wire === field.wire,
    field: () => field.number,
    length,
    span: () => ({ start: field.start, lengthAt: field.lengthAt, body: position, end: field.end }),
    enter,
    int,
    float,
    text,
    bytes,
    peek,
    name,
    keep,
    refill: (source) => window.refill(source, position),
  }
}

/** The integers of a packed field. */
export function packedInts(bytes: Uint8Array): bigint[] {
  const values: bigint[] = []
  let value = 0n
  let shift = 0n
  for (const byte of bytes) {
    value |= BigInt(byte & 0x7f) << shift
    shift += 7n
    if (byte >= 0x80) continue
    values.push(BigInt.asIntN(64, value))
    value = 0n
    shift = 0n
  }
  return values
}

/** Runs a reading to its end. */
export async function drive<T>(reader: Reader, source: Source, reading: Reading<T>): Promise<T> {
  for (;;) {
    const step = reading.next()
    if (step.done === true) return step.value
    await reader.refill(source)
  }
}
