/**
 * Tensors as raw bytes: the binary tensor data extension.
 * https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
 * Little endian, row-major, no padding; a BYTES element is its length in four bytes and then itself. Every Node platform that ONNX Runtime is
 * built for is little endian, so numbers need no conversion.
 */

import { isUtf8 } from 'node:buffer'
import { ModelmountError } from '../../errors.ts'
import { DTYPES, type ElementArrays, inputFault, mismatch, quote, toWireType } from '../../tensor/index.ts'
import type { DType, Tensor } from '../../tensor/types.ts'
import { type BufferPool, takeBuffer, VIEW_BYTES } from '../codec/buffer-pool.ts'
import type { Copies } from '../codec/copies.ts'
import { isOneStretch, type Steps, stretchesOf } from '../codec/write-json.ts'

type NumericArray = Exclude<Tensor['data'], readonly string[]>
type NumericConstructor = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => NumericArray

/** Bytes in the pieces they came in, mostly one. */
export type Blob = readonly Uint8Array[]

export function bytesOf(blob: Blob): number {
  let bytes = 0
  for (const piece of blob) bytes += piece.byteLength
  return bytes
}

/** The same in one piece. */
export function wholeOf(blob: Blob): Uint8Array {
  const [first] = blob
  return first && blob.length === 1 ? first : copied(blob)
}

function copied(blob: Blob, copies?: Copies): Uint8Array {
  const target = new Uint8Array(bytesOf(blob))
  copyTo(target, blob, copies)
  return target
}

function copyTo(target: Uint8Array, blob: Blob, copies: Copies = AT_ONCE): void {
  let at = 0
  for (const piece of blob) {
    copies.add(target.subarray(at, at + piece.byteLength), piece)
    at += piece.byteLength
  }
}

const AT_ONCE: Copies = { add: (target, source) => target.set(source) }

/** The use of the bytes of a blob. */
export interface Target {
  /** Where large tensors may lie; the worker that runs them must be able to take them from there. @default memory of their own, or the body's */
  readonly buffers?: BufferPool | undefined
  /** Takes the copying of numbers, so that not all of it has to be done at once. @default at once */
  readonly copies?: Copies | undefined
}

/** The part of a body after the JSON, taken tensor by tensor. */
export interface Blobs {
  /**
   * The next `size` bytes.
   * @throws ModelmountError `REQUEST_INVALID` when the body has fewer
   */
  take(size: number, field: string): Blob
  /** @throws ModelmountError `REQUEST_INVALID` when bytes are left */
  end(): void
  readonly target: Target
}

export function createBlobs(body: Blob, target: Target = {}): Blobs {
  const total = bytesOf(body)
  let at = 0
  let piece = 0
  /** Where the next blob starts in its piece. */
  let start = 0

  function next(size: number): Uint8Array {
    const bytes = body[piece] as Uint8Array
    const part = bytes.subarray(start, start + size)
    start += part.byteLength
    if (start === bytes.byteLength) {
      piece++
      start = 0
    }
    return part
  }

  return {
    target,
    take(size, field) {
      const left = total - at
      if (size > left) {
        const details = { field, expected: `at most ${left}, the bytes that are left in the body`, got: `${size}` }
        throw new ModelmountError('REQUEST_INVALID', `${field} is ${size}, but the body has ${left} bytes left`, { details })
      }
      at += size
      const blob: Uint8Array[] = []
      for (let missing = size; missing > 0; ) {
        const part = next(missing)
        blob.push(part)
        missing -= part.byteLength
      }
      return blob
    },
    end() {
      const left = total - at
      if (left === 0) return
      throw new ModelmountError('REQUEST_INVALID', `the body has ${left} bytes after the last tensor`, {
        details: { field: 'body', expected: `${at} bytes of tensors`, got: `${total}` },
      })
    },
  }
}

/** Where a blob stands in its request. */
export interface BlobPlace {
  readonly input: string
  readonly field: string
}

/**
 * The elements in a blob: a view of the body where its place allows one, a copy where it does not, or where there is room for large ones: from
 * there they go to the worker without another.
 * @param count how many there should be; BYTES stop at one more
 * @throws ModelmountError `INPUT_INVALID`
 */
export function elementsIn(
  type: DType,
  blob: Blob,
  count: number,
  place: BlobPlace,
  { buffers, copies }: Target = {},
): ElementArrays[DType] {
  if (type === 'string') return stringsIn(wholeOf(blob), count, place)
  const { bytes, array } = DTYPES[type]
  const size = bytesOf(blob)
  if (size !== count * bytes)
    throw mismatch(place.input, place.field, `${count * bytes} bytes for ${count} ${toWireType(type)} elements`, `${size}`)
  const lent = takeBuffer(buffers, type, count, VIEW_BYTES)
  if (lent) {
    copyTo(new Uint8Array(lent.buffer, lent.byteOffset, size), blob, copies)
    return lent
  }
  const [first] = blob
  // Typed arrays start at multiples of their element's size; the length of the JSON before them does not care.
  const isView = first !== undefined && blob.length === 1 && first.byteOffset % bytes === 0
  const { buffer, byteOffset } = isView ? first : copied(blob, copies)
  return new (array as NumericConstructor)(buffer, byteOffset, count)
}

function stringsIn(blob: Uint8Array, count: number, { input, field }: BlobPlace): string[] {
  const buffer = Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength)
  const strings: string[] = []
  let at = 0
  while (at < buffer.length) {
    if (strings.length === count) throw mismatch(input, field, `${count} BYTES elements`, 'more')
    if (buffer.length - at < 4)
      throw mismatch(input, field, 'a length of four bytes before each element', `${buffer.length - at}`)
    const size = buffer.readUInt32LE(at)
    at += 4
    if (size > buffer.length - at)
      throw mismatch(input, field, `at most ${buffer.length - at} bytes in element ${strings.length}`, `${size}`)
    strings.push(textOf(buffer.subarray(at, at + size), strings.length, { input, field }))
    at += size
  }
  if (strings.length < count) throw mismatch(input, field, `${count} BYTES elements`, `${strings.length}`)
  return strings
}

/** ONNX strings are UTF-8, and ONNX Runtime's Node binding carries no others. */
export function textOf(bytes: Buffer, index: number, { input, field }: BlobPlace): string {
  if (isUtf8(bytes)) return bytes.toString('utf8')
  throw inputFault(`input ${quote(input)}: element ${index} at ${field} is not valid UTF-8, which ONNX strings are`, {
    input,
    field,
    expected: 'UTF-8',
    got: 'other bytes',
  })
}

/** Between two turns of the event loop: bytes that are measured or copied, and what a string counts besides its own. */
const SLICE_BYTES = 256 * 1024
const STRING_BYTES = 32

/** A tensor as a blob; numbers are a view of its memory. */
export function* blobOf(tensor: Tensor): Steps<Uint8Array> {
  if (tensor.type !== 'string') return new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength)
  let done = 0
  const due = (bytes: number): number => {
    done += bytes
    if (done < SLICE_BYTES) return 0
    const slice = done
    done = 0
    return slice
  }
  const sizes = new Uint32Array(tensor.data.length)
  let bytes = 0
  for (const [i, text] of tensor.data.entries()) {
    let size = 0
    for (const stretch of isOneStretch(text) ? [text] : stretchesOf(text)) {
      size += Buffer.byteLength(stretch)
      const slice = due(stretch.length + STRING_BYTES)
      if (slice > 0) yield slice
    }
    sizes[i] = size
    bytes += 4 + size
  }
  const blob = Buffer.allocUnsafe(bytes)
  let at = 0
  for (const [i, text] of tensor.data.entries()) {
    at = blob.writeUInt32LE(sizes[i] as number, at)
    for (const stretch of isOneStretch(text) ? [text] : stretchesOf(text)) {
      const written = blob.write(stretch, at, 'utf8')
      at += written
      const slice = due(written + STRING_BYTES)
      if (slice > 0) yield slice
    }
  }
  return blob
}
