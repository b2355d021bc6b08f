/**
 * An open message: memory in the format of messages, with room for the rows of one run. Its caller writes rows straight into it, as they
 * come, so that the batch is the message and nothing is copied when it leaves.
 *
 * 1. `messageLayout()` once per model: which inputs a run has, their element types and the shape of one row, and the outputs it wants.
 * 2. `openMessage(layout, capacityRows, memory)`: `inputs[i]` is an array with room for `capacityRows` rows of the layout's input `i`.
 *    Row `r` begins at element `r * rowElements(i)`. All elements of a row must be written: used memory holds earlier contents.
 * 3. `instance.send(message, rows, done)` with the number of rows that were written. The arrays are detached by that.
 * 4. `done` gets the answer. `answer.tensors[k]` is output `k` of the layout; its numbers are views on `answer.memory`, and must be copied
 *    before the callback returns or the memory is used again. After that `answer.memory` may be given to the next `openMessage()`.
 *
 * A batch that cannot leave (all of its callers are gone) is just dropped, or its memory is used again.
 */

import type { Tensor } from '../../tensor/types.ts'
import {
  align,
  arrayOf,
  COUNT_AT,
  DATA_AT,
  FORMAT,
  FORMAT_AT,
  HEADER_WORDS,
  ID_AT,
  IN_MESSAGE,
  KIND_AT,
  type NumericData,
  type NumericType,
  RUNS,
  SESSION_AT,
  TENSOR_WORDS,
  TYPE_INDEX,
  USED_AT,
  WORD,
} from './format.ts'
import type { SessionNames } from './names.ts'

export interface RowInput {
  readonly name: string
  readonly type: NumericType
  /** Dimensions of a tensor with one row. */
  readonly dims: readonly number[]
  /** The dimension that counts rows; all dimensions before it are 1. */
  readonly axis: number
}

export interface MessageLayout {
  readonly inputs: readonly RowInput[]
  /** Names of the wanted outputs. */
  readonly outputs: readonly string[]
  /** Elements of one row, per input. */
  readonly rowElements: readonly number[]
  /** Bytes of one row, all inputs together. */
  readonly rowBytes: number
  /** The words of a message, but for those that depend on its rows. */
  readonly words: Float64Array
  /** Per input, the place of its words. */
  readonly places: readonly number[]
}

export interface OpenMessage {
  readonly layout: MessageLayout
  readonly capacityRows: number
  /** Per input, room for that many rows. */
  readonly inputs: readonly NumericData[]
  readonly memory: ArrayBuffer
}

/** The answer to an open message. */
export interface RowsAnswer {
  /** Milliseconds inside ONNX Runtime. */
  readonly inferMs: number
  /** ONNX Runtime's text; '' for success. */
  readonly error: string
  /** The wanted outputs, in the order of the layout; empty after an error. Numbers are views on `memory` or own their buffer. */
  readonly tensors: readonly Tensor[]
  /** May be used for the next message. */
  readonly memory: ArrayBuffer
}

/** @param session number of the session in its worker. @default 0 */
export function messageLayout(
  names: SessionNames,
  inputs: readonly RowInput[],
  outputs: readonly string[],
  session = 0,
): MessageLayout {
  const words = [...new Array<number>(HEADER_WORDS).fill(0), 0, 0, outputs.length, inputs.length]
  for (const name of outputs) words.push(names.outputs.places.get(name) ?? Number.NaN)
  const places: number[] = []
  for (const { name, type, dims } of inputs) {
    places.push(words.length)
    words.push(names.inputs.places.get(name) ?? Number.NaN, TYPE_INDEX.get(type) ?? -1, IN_MESSAGE, 0, 0, dims.length, ...dims)
  }
  words[FORMAT_AT] = FORMAT
  words[KIND_AT] = RUNS
  words[SESSION_AT] = session
  words[COUNT_AT] = 1
  words[DATA_AT] = words.length * WORD
  const rowElements = inputs.map(({ dims }) => dims.reduce((product, dim) => product * dim, 1))
  const rowBytes = inputs.reduce((sum, { type }, i) => sum + (rowElements[i] as number) * bytesOf(type), 0)
  return { inputs, outputs, rowElements, rowBytes, words: Float64Array.from(words), places }
}

const bytesOf = (type: NumericType): number =>
  (arrayOf(type) as unknown as { readonly BYTES_PER_ELEMENT: number }).BYTES_PER_ELEMENT

/** Bytes of a message with room for that many rows. */
export function sizeOfMessage({ inputs, rowElements, words }: MessageLayout, capacityRows: number): number {
  let bytes = words.byteLength
  for (let i = 0; i < inputs.length; i++)
    bytes += align(capacityRows * (rowElements[i] as number) * bytesOf((inputs[i] as RowInput).type))
  return bytes
}

/** @param memory of an earlier message or answer; used if it is large enough. @default fresh */
export function openMessage(layout: MessageLayout, capacityRows: number, memory?: ArrayBuffer): OpenMessage {
  const size = sizeOfMessage(layout, capacityRows)
  const room = memory !== undefined && memory.byteLength >= size ? memory : new ArrayBuffer(size)
  const words = new Float64Array(room, 0, layout.words.length)
  words.set(layout.words)
  const dataAt = layout.words.byteLength
  const inputs: NumericData[] = []
  let offset = 0
  for (let i = 0; i < layout.inputs.length; i++) {
    const { type } = layout.inputs[i] as RowInput
    const length = capacityRows * (layout.rowElements[i] as number)
    words[(layout.places[i] as number) + 3] = offset
    inputs.push(new (arrayOf(type))(room, dataAt + offset, length))
    offset += align(length * bytesOf(type))
  }
  return { layout, capacityRows, inputs, memory: room }
}

/** Completes the message. @param rows that were written, up to its capacity */
export function seal({ layout, memory }: OpenMessage, rows: number, id: number): ArrayBuffer {
  const words = new Float64Array(memory, 0, layout.words.length)
  let used = layout.words.byteLength
  words[ID_AT] = id
  for (let i = 0; i < layout.places.length; i++) {
    const at = layout.places[i] as number
    const { type, dims, axis } = layout.inputs[i] as RowInput
    words[at + 4] = rows * (layout.rowElements[i] as number)
    words[at + TENSOR_WORDS + axis] = rows * (dims[axis] as number)
    // The room behind the last rows ends the message.
    used = layout.words.byteLength + (words[at + 3] as number) + align((words[at + 4] as number) * bytesOf(type))
  }
  words[USED_AT] = used
  return memory
}
