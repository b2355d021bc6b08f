/**
 * The format of messages with tensors, between a host and its workers. A message is one ArrayBuffer, which is transferred between threads
 * and copied through the pipe of a child process. Both sides run on one machine, so its own byte order is used.
 *
 * 1. Words (float64): the header, then per run its duration, its error, the wanted outputs and its tensors. A tensor is its name, element
 *    type, place, offset, number of elements, rank and dimensions.
 * 2. The bytes of the tensors, each aligned to 8 bytes.
 * 3. Texts, if there are any: errors, the elements of string tensors, and names that the session did not describe.
 *
 * Names are places in the lists that the session described when it was loaded (`names.ts`). A tensor of 64 KB or more may travel in a
 * buffer of its own beside the message: see `Packet`.
 *
 * `write.ts` makes a message of tensor maps, and `read.ts` takes it apart. `open.ts` gives out an empty message with room for the rows of one
 * run, into which its caller writes them.
 */

import { ModelmountError } from '../../errors.ts'
import { DTYPES } from '../../tensor/index.ts'
import type { DType, Tensor } from '../../tensor/types.ts'

export type TensorRecord = Readonly<Record<string, Tensor>>
export type NumericData = Exclude<Tensor['data'], readonly string[]>
export type NumericType = Exclude<DType, 'string'>

/** A message, or a message with the buffers of its large tensors behind it. */
export type Packet = ArrayBuffer | readonly ArrayBuffer[]

/** Changes with the format. Host and worker compare it when a model loads. */
export const FORMAT = 1

/** Tensor maps by themselves; runs; the answers to runs. */
export const MAPS = 0
export const RUNS = 1
export const ANSWERS = 2

// Places of the words in a header.
export const FORMAT_AT = 0
export const KIND_AT = 1
/** The session of a worker that runs; a worker with one session calls it 0. */
export const SESSION_AT = 2
/** The host's number for a message, which its answer repeats. */
export const ID_AT = 3
/** Number of runs, or of maps. */
export const COUNT_AT = 4
/** When the first run began: milliseconds of `process.hrtime()`. */
export const BEGAN_AT = 5
/** First byte of the tensors. */
export const DATA_AT = 6
/** First byte of the texts; 0 without any. */
export const TEXTS_AT = 7
/** Buffers at the end of the packet that the host wants back; or that it gets back. */
export const BACK_AT = 8
/** Bytes in use. The rest of the memory is room that was not needed. */
export const USED_AT = 9
export const HEADER_WORDS = 10

/** Words of a run before its lists: duration, error, number of wanted outputs, number of tensors. */
export const RUN_WORDS = 4
/** Words of a tensor before its dimensions. */
export const TENSOR_WORDS = 6

// Places of a tensor.
export const IN_MESSAGE = 0
export const IN_BUFFER = 1
export const IN_TEXTS = 2

/** From here a tensor gets its own buffer: copying it into the message would cost more than one more transferred object. */
export const LARGE_BYTES = 64 * 1024

export const WORD = 8
/** Offsets are multiples of the widest element, because typed arrays refuse unaligned views. */
export const align = (bytes: number): number => Math.ceil(bytes / WORD) * WORD

export const TYPES = Object.keys(DTYPES) as DType[]
export const TYPE_INDEX: ReadonlyMap<DType, number> = new Map(TYPES.map((type, index) => [type, index]))

export type NumericArray = new (buffer: ArrayBufferLike, byteOffset?: number, length?: number) => NumericData
export const arrayOf = (type: NumericType): NumericArray => DTYPES[type].array as NumericArray

export const isPacket = (message: object): message is Packet => message instanceof ArrayBuffer || Array.isArray(message)

/** The message of a packet. */
export const messageOf = (packet: Packet): ArrayBuffer => (packet instanceof ArrayBuffer ? packet : (packet[0] as ArrayBuffer))

/** The packet without the room that its message does not use: a pipe costs time for every byte. */
export function withoutRoom(packet: Packet): Packet {
  const memory = messageOf(packet)
  const used = new Float64Array(memory, 0, HEADER_WORDS)[USED_AT] as number
  if (used >= memory.byteLength) return packet
  const short = memory.slice(0, used)
  return packet instanceof ArrayBuffer ? short : [short, ...packet.slice(1)]
}

/** @throws ModelmountError `INTERNAL` where a message has another format: its sender was started from another version of this library */
export function checkFormat(format: number | undefined): void {
  if (format === FORMAT) return
  throw new ModelmountError(
    'INTERNAL',
    `a message has format ${format}, and this version of modelmount reads format ${FORMAT}. Restart the process after an update`,
  )
}
