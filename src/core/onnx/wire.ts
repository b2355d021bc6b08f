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

import { Malformed } from './malformed.ts'
import type { Source } from './source.ts'

/** A piece of parsing that yields when the window has to move. */
export type Reading<T> = Generator<undefined, T, undefined>

export type WireType = typeof VARINT | typeof BYTES | typeof FIXED32
export const VARINT = 0
export const FIXED64 = 1
export const BYTES = 2
export const FIXED32 = 5

/** Names are compared and shown. Real models stay far below this length. */
export const MAX_NAME_BYTES = 4096

const WINDOW_BYTES = 64 * 1024
/** A tag and a value or length, ten bytes each at most. */
const MAX_HEADER_BYTES = 20
const MAX_VARINT_BYTES = 10
/** Message levels; ONNX Runtime's own parser stops at the same number. */
const MAX_DEPTH = 100
/** Most memory that one model may make us keep. */
const MAX_KEPT_BYTES = 64 * 1024 * 1024
/** Cost of a kept item besides its characters. */
const OVERHEAD_BYTES = 64

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

/** A reader at the start of a message of `size` bytes. */
export function createReader(size: number): Reader {
  const ends = [size]
  let window: Uint8Array = new Uint8Array(0)
  let windowStart = 0
  let wanted = 0
  let kept = 0

  let position = 0
  let fieldEnd = 0
  let fieldNumber = 0
  let fieldStart = 0
  let lengthAt = 0
  let wireType = VARINT

  /** True if the window lacks the next `count` bytes, as far as the file has them. */
  function lacks(count: number): boolean {
    wanted = Math.min(count, size - position)
    return position < windowStart || position + wanted > windowStart + window.length
  }

  /** An unsigned varint; above 2^53 it is rounded, which every later bounds check refuses. */
  function varint(end: number): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      if (position >= end) throw overrun(position - i, end)
      const byte = window[position - windowStart] ?? 0
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
    position = fieldEnd
    const end = ends[ends.length - 1] ?? 0
    if (position === end) {
      ends.pop()
      return false
    }
    if (lacks(MAX_HEADER_BYTES)) yield
    const start = position
    const tag = varint(end)
    fieldStart = start
    fieldNumber = Math.floor(tag / 8)
    wireType = tag % 8
    lengthAt = position
    if (fieldNumber === 0 || tag > 0xffffffff) throw new Malformed(`there is no valid field at byte ${start}`)
    readExtent(start, end)
    if (fieldEnd > end) throw overrun(start, end)
    return true
  }

  /** Sets `position` and `fieldEnd` to the borders of the payload. */
  function readExtent(start: number, end: number): void {
    if (wireType === BYTES) {
      const length = varint(end)
      fieldEnd = position + length
    } else if (wireType === VARINT) {
      const valueStart = position
      varint(end)
      fieldEnd = position
      position = valueStart
    } else if (wireType === FIXED32 || wireType === FIXED64) {
      fieldEnd = position + (wireType === FIXED32 ? 4 : 8)
    } else {
      // 3 and 4 are groups, which ONNX does not have
      throw new Malformed(`the field at byte ${start} has the unknown wire type ${wireType}`)
    }
  }

  function enter(): void {
    if (ends.length > MAX_DEPTH) throw new Malformed(`it is nested deeper than ${MAX_DEPTH} levels`)
    ends.push(fieldEnd)
    fieldEnd = position
  }

  function int(): bigint {
    let value = 0n
    for (let at = fieldEnd - 1; at >= position; at--) value = (value << 7n) | BigInt((window[at - windowStart] ?? 0) & 0x7f)
    return BigInt.asIntN(64, value)
  }

  function* payload(): Reading<Uint8Array> {
    if (lacks(fieldEnd - position)) yield
    return window.subarray(position - windowStart, fieldEnd - windowStart)
  }

  function* float(): Reading<number> {
    const bytes = yield* payload()
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getFloat32(0, true)
  }

  function keep(bytes: number): void {
    kept += bytes + OVERHEAD_BYTES
    if (kept > MAX_KEPT_BYTES)
      throw new Malformed(`its names, shapes, documentation and metadata take more than ${MAX_KEPT_BYTES} bytes`)
  }

  function* text(): Reading<string> {
    keep(fieldEnd - position)
    return lenient.decode(yield* payload())
  }

  function* bytes(): Reading<Uint8Array> {
    keep(fieldEnd - position)
    return (yield* payload()).slice()
  }

  function* peek(maxBytes: number): Reading<Uint8Array | undefined> {
    return fieldEnd - position > maxBytes ? undefined : yield* payload()
  }

  function* name(what: string): Reading<string> {
    const length = fieldEnd - position
    if (length > MAX_NAME_BYTES) throw new Malformed(`${what} is ${length} bytes long, more than ${MAX_NAME_BYTES}`)
    const bytes = yield* payload()
    try {
      return strict.decode(bytes)
    } catch {
      throw new Malformed(`${what} is not valid UTF-8`)
    }
  }

  async function refill(source: Source): Promise<void> {
    window = await source.read(position, Math.max(wanted, WINDOW_BYTES))
    windowStart = position
    if (window.length < wanted) throw new Malformed('the file became shorter while it was read')
  }

  return {
    next,
    is: (field, wire) => field === fieldNumber && wire === wireType,
    field: () => fieldNumber,
    length: () => fieldEnd - position,
    span: () => ({ start: fieldStart, lengthAt, body: position, end: fieldEnd }),
    enter,
    int,
    float,
    text,
    bytes,
    peek,
    name,
    keep,
    refill,
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
