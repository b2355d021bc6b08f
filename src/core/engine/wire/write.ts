/** Makes a message of tensor maps. */

import type { Tensor } from '../../tensor/types.ts'
import type { LendingBufferPool } from '../buffer-pool.ts'
import {
  align,
  BACK_AT,
  BEGAN_AT,
  COUNT_AT,
  DATA_AT,
  FORMAT,
  FORMAT_AT,
  ID_AT,
  IN_BUFFER,
  IN_MESSAGE,
  IN_TEXTS,
  KIND_AT,
  LARGE_BYTES,
  type NumericData,
  type Packet,
  SESSION_AT,
  TEXTS_AT,
  TYPE_INDEX,
  USED_AT,
  WORD,
} from './format.ts'
import type { Names } from './names.ts'
import { sizeOfTexts, writeTexts } from './texts.ts'

export interface Header {
  readonly kind: number
  readonly session: number
  readonly id: number
  readonly count: number
  /** @default 0 */
  readonly beganMs?: number
}

export interface Sent {
  readonly packet: Packet
  /** The memory that is given away with it. */
  readonly transfer: ArrayBuffer[]
}

/** The tensor is its whole buffer, so the buffer can be given away without other tensors' bytes. */
const ownsBuffer = (data: NumericData): boolean =>
  data.byteOffset === 0 && data.byteLength === data.buffer.byteLength && data.buffer instanceof ArrayBuffer

const bytesOf = (data: NumericData): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

/** A message in the making. */
export interface Writer {
  /** The next run begins. @param count of its tensors */
  run(inferMs: number, error: string, wanted: readonly string[], wantedNames: Names, count: number): void
  /** The next tensor of the run. */
  tensor(name: string, names: Names, tensor: Tensor): void
  /**
   * @param back large buffers that go home with an answer. @default none
   * @param memory for the message; used if it is large enough. @default fresh
   */
  end(header: Header, back?: readonly ArrayBuffer[], memory?: ArrayBuffer): Sent
}

/**
 * Large tensors that are alone in their buffers are given away: they must not be used afterwards.
 * @param pool copies large tensors that share their buffer, and gets back its loans; without one, copies are fresh memory
 */
export function createWriter(pool?: LendingBufferPool): Writer {
  // Room for the header.
  const words: number[] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
  const small: NumericData[] = []
  const large: ArrayBuffer[] = []
  let lent: ArrayBuffer[] | undefined
  let texts: string[] | undefined
  let bytes = 0

  function text(content: string): number {
    texts ??= []
    return texts.push(content) - 1
  }

  /** Its place in the list, or a text of this message as a number below 0. */
  const numberOf = (name: string, names: Names): number => names.places.get(name) ?? -1 - text(name)

  function place(tensor: Tensor): void {
    if (tensor.type === 'string') {
      texts ??= []
      words.push(IN_TEXTS, texts.length)
      for (const element of tensor.data) texts.push(element)
    } else if (tensor.data.byteLength >= LARGE_BYTES) {
      words.push(IN_BUFFER, numberOfBuffer(tensor.data))
    } else {
      words.push(IN_MESSAGE, bytes)
      small.push(tensor.data)
      bytes += align(tensor.data.byteLength)
    }
  }

  /** Buffers that the pool wants back are counted from the end, below 0, so that the others need not move. */
  function numberOfBuffer(data: NumericData): number {
    const buffer = aloneIn(data, pool)
    if (pool?.isLent(buffer)) {
      lent ??= []
      return -1 - placeIn(lent, buffer)
    }
    return placeIn(large, buffer)
  }

  return {
    run(inferMs, error, wanted, wantedNames, count) {
      words.push(inferMs, error === '' ? 0 : 1 + text(error), wanted.length, count)
      for (const name of wanted) words.push(numberOf(name, wantedNames))
    },
    tensor(name, names, tensor) {
      words.push(numberOf(name, names), TYPE_INDEX.get(tensor.type) ?? -1)
      place(tensor)
      const { dims } = tensor
      words.push(tensor.data.length, dims.length)
      for (const dim of dims) words.push(dim)
    },
    end({ kind, session, id, count, beganMs = 0 }, back, memory) {
      const dataAt = words.length * WORD
      const textsAt = dataAt + bytes
      const used = align(textsAt + (texts ? sizeOfTexts(texts) : 0))
      const message = memory !== undefined && memory.byteLength >= used ? memory : new ArrayBuffer(used)
      const buffers = back ?? lent
      words[FORMAT_AT] = FORMAT
      words[KIND_AT] = kind
      words[SESSION_AT] = session
      words[ID_AT] = id
      words[COUNT_AT] = count
      words[BEGAN_AT] = beganMs
      words[DATA_AT] = dataAt
      words[TEXTS_AT] = texts ? textsAt : 0
      words[BACK_AT] = buffers?.length ?? 0
      words[USED_AT] = used
      copyWords(words, message)
      copySmall(small, message, dataAt)
      if (texts) writeTexts(message, textsAt, texts)
      if (large.length === 0 && buffers === undefined) return { packet: message, transfer: [message] }
      const packet = [message, ...large, ...(buffers ?? [])]
      return { packet, transfer: packet }
    },
  }
}

function copyWords(words: readonly number[], message: ArrayBuffer): void {
  const into = new Float64Array(message, 0, words.length)
  for (let i = 0; i < words.length; i++) into[i] = words[i] as number
}

function copySmall(small: readonly NumericData[], message: ArrayBuffer, dataAt: number): void {
  if (small.length === 0) return
  const into = new Uint8Array(message, dataAt)
  let at = 0
  for (const data of small) {
    into.set(bytesOf(data), at)
    at += align(data.byteLength)
  }
}

function placeIn(list: ArrayBuffer[], buffer: ArrayBuffer): number {
  const known = list.indexOf(buffer)
  return known >= 0 ? known : list.push(buffer) - 1
}

/** A buffer that begins with these bytes and holds nothing else of worth. */
function aloneIn(data: NumericData, pool: LendingBufferPool | undefined): ArrayBuffer {
  if (ownsBuffer(data) || pool?.isLent(data.buffer)) return data.buffer as ArrayBuffer
  const bytes = bytesOf(data)
  return (pool ? pool.copy(bytes) : bytes.slice()).buffer as ArrayBuffer
}
