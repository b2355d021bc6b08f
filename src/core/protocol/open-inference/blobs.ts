/**
 * Tensors as raw bytes: the binary tensor data extension.
 * https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
 * Little endian, row-major, no padding; a BYTES element is its length in four bytes and then itself. Every Node platform that ONNX Runtime is
 * built for is little endian, so numbers need no conversion.
 */

import { isUtf8 } from 'node:buffer'
import { ModelmountError } from '../../errors.ts'
import { DTYPES, type ElementArrays, inputFault, mismatch, quote, toWireType } from '../../tensor/index.ts'
import type { DType, Tensor } from '../../types.ts'
import { type Room, takeRoom } from '../room.ts'

type NumericArray = Exclude<Tensor['data'], readonly string[]>
type NumericConstructor = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => NumericArray

/** What follows the JSON part of a body, taken tensor by tensor. */
export interface Blobs {
  /**
   * The next `size` bytes.
   * @throws ModelmountError `REQUEST_INVALID` when the body has fewer
   */
  take(size: number, field: string): Uint8Array
  /** @throws ModelmountError `REQUEST_INVALID` when bytes are left */
  end(): void
  readonly room: Room | undefined
}

export function createBlobs(bytes: Uint8Array, room?: Room): Blobs {
  let at = 0
  return {
    room,
    take(size, field) {
      const left = bytes.byteLength - at
      if (size > left) {
        const details = { field, expected: `at most ${left}, the bytes that are left in the body`, got: `${size}` }
        throw new ModelmountError('REQUEST_INVALID', `${field} is ${size}, but the body has ${left} bytes left`, { details })
      }
      at += size
      return bytes.subarray(at - size, at)
    },
    end() {
      const left = bytes.byteLength - at
      if (left === 0) return
      throw new ModelmountError('REQUEST_INVALID', `the body has ${left} bytes after the last tensor`, {
        details: { field: 'body', expected: `${at} bytes of tensors`, got: `${bytes.byteLength}` },
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
export function elementsIn(type: DType, blob: Uint8Array, count: number, place: BlobPlace, room?: Room): ElementArrays[DType] {
  if (type === 'string') return stringsIn(blob, count, place)
  const { bytes, array } = DTYPES[type]
  if (blob.byteLength !== count * bytes)
    throw mismatch(
      place.input,
      place.field,
      `${count * bytes} bytes for ${count} ${toWireType(type)} elements`,
      `${blob.byteLength}`,
    )
  const lent = takeRoom(room, type, count)
  if (lent) {
    new Uint8Array(lent.buffer, lent.byteOffset, blob.byteLength).set(blob)
    return lent
  }
  // Typed arrays start at multiples of their element's size; the length of the JSON before them does not care.
  const { buffer, byteOffset } = blob.byteOffset % bytes === 0 ? blob : new Uint8Array(blob)
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

/** A tensor as a blob; numbers are a view of its memory. */
export function blobOf(tensor: Tensor): Uint8Array {
  if (tensor.type !== 'string') return new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength)
  const sizes = tensor.data.map((text) => Buffer.byteLength(text))
  const blob = Buffer.allocUnsafe(sizes.reduce((sum, size) => sum + 4 + size, 0))
  let at = 0
  for (const [i, text] of tensor.data.entries()) {
    at = blob.writeUInt32LE(sizes[i] as number, at)
    at += blob.write(text, at, 'utf8')
  }
  return blob
}
