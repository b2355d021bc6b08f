/** Takes a message apart. */

import type { Tensor } from '../../tensor/types.ts'
import {
  arrayOf,
  BACK_AT,
  BEGAN_AT,
  COUNT_AT,
  checkFormat,
  DATA_AT,
  FORMAT_AT,
  HEADER_WORDS,
  ID_AT,
  IN_MESSAGE,
  KIND_AT,
  messageOf,
  type NumericData,
  type NumericType,
  type Packet,
  RUN_WORDS,
  SESSION_AT,
  TENSOR_WORDS,
  TEXTS_AT,
  type TensorRecord,
  TYPES,
} from './format.ts'
import type { Names } from './names.ts'
import { readTexts } from './texts.ts'

/** One run of a message, or its answer. */
export interface Part {
  readonly inferMs: number
  /** '' for success. */
  readonly error: string
  /** Names of its tensors, in their order. */
  readonly names: readonly string[]
  /** Numbers are views on the message, for a reader that is done with them soon. */
  readonly tensors: readonly Tensor[]
  /** Names of the wanted outputs. */
  readonly wanted: readonly string[]
}

export interface Received {
  readonly kind: number
  readonly session: number
  readonly id: number
  /** Number of runs. */
  readonly count: number
  readonly beganMs: number
  /** Memory that its sender wants back, or gives back. */
  readonly back: readonly ArrayBuffer[]
  /** The memory of the message. */
  readonly memory: ArrayBuffer
  /** The next run. @param names of its tensors @param wanted of its wanted outputs */
  next(names: Names, wanted: Names): Part
}

const NO_BUFFERS: readonly ArrayBuffer[] = []

export const sessionOf = (packet: Packet): number => new Float64Array(messageOf(packet), 0, HEADER_WORDS)[SESSION_AT] as number

/** @throws ModelmountError `INTERNAL` where it has another format */
export function read(packet: Packet): Received {
  const memory = messageOf(packet)
  const words = new Float64Array(memory)
  checkFormat(words[FORMAT_AT])
  const buffers = packet instanceof ArrayBuffer ? NO_BUFFERS : packet
  const dataAt = words[DATA_AT] as number
  const textsAt = words[TEXTS_AT] as number
  const back = words[BACK_AT] as number
  let at = HEADER_WORDS

  const textOf = (place: number): string => readTexts(memory, textsAt, place, 1)[0] ?? ''

  const nameOf = (number: number, names: Names): string => (number < 0 ? textOf(-1 - number) : (names.list[number] as string))

  function numeric(type: NumericType, place: number, where: number, count: number): NumericData {
    const ArrayOf = arrayOf(type)
    if (place === IN_MESSAGE) return new ArrayOf(memory, dataAt + where, count)
    // Those that go back are the last ones.
    const index = where < 0 ? buffers.length - back - 1 - where : 1 + where
    return new ArrayOf(buffers[index] as ArrayBuffer, 0, count)
  }

  function tensor(): Tensor {
    const type = TYPES[words[at + 1] as number] as Tensor['type']
    const place = words[at + 2] as number
    const where = words[at + 3] as number
    const count = words[at + 4] as number
    const rank = words[at + 5] as number
    at += TENSOR_WORDS
    const dims: number[] = []
    for (const end = at + rank; at < end; at++) dims.push(words[at] as number)
    const data = type === 'string' ? readTexts(memory, textsAt, where, count) : numeric(type, place, where, count)
    return { type, dims, data } as Tensor
  }

  function next(names: Names, wantedNames: Names): Part {
    const inferMs = words[at] as number
    const error = words[at + 1] as number
    const wantedCount = words[at + 2] as number
    const count = words[at + 3] as number
    at += RUN_WORDS
    const wanted: string[] = []
    for (let i = 0; i < wantedCount; i++) wanted.push(nameOf(words[at++] as number, wantedNames))
    const called: string[] = []
    const tensors: Tensor[] = []
    for (let i = 0; i < count; i++) {
      called.push(nameOf(words[at] as number, names))
      tensors.push(tensor())
    }
    return { inferMs, error: error === 0 ? '' : textOf(error - 1), names: called, tensors, wanted }
  }

  return {
    kind: words[KIND_AT] as number,
    session: words[SESSION_AT] as number,
    id: words[ID_AT] as number,
    count: words[COUNT_AT] as number,
    beganMs: words[BEGAN_AT] as number,
    back: back === 0 ? NO_BUFFERS : buffers.slice(buffers.length - back),
    memory,
    next,
  }
}

/** The tensors of a part as a map. @param opts.share views on the message; else each tensor owns its memory */
export function mapOf({ names, tensors }: Pick<Part, 'names' | 'tensors'>, { share }: { readonly share: boolean }): TensorRecord {
  const map: Record<string, Tensor> = Object.create(null)
  for (let i = 0; i < names.length; i++) {
    const tensor = tensors[i] as Tensor
    map[names[i] as string] = share ? tensor : owned(tensor)
  }
  return map
}

/** Results that share a buffer would show each caller its neighbours' rows through `.buffer`. */
function owned(tensor: Tensor): Tensor {
  if (tensor.type === 'string') return tensor
  const { data } = tensor
  if (data.byteOffset === 0 && data.byteLength === data.buffer.byteLength) return tensor
  return { type: tensor.type, dims: tensor.dims, data: data.slice() } as Tensor
}
