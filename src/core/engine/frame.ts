/**
 * Several tensor maps in one message. Structured clone costs microseconds per object, so small tensors share one transferred slab.
 * Large ones travel in their own transferred buffer, and names, types and shapes are one flat array of numbers.
 */

import { DTYPES } from '../tensor/index.ts'
import type { DType, Tensor } from '../tensor/types.ts'
import type { LendingBufferPool } from './buffer-pool.ts'

export type TensorRecord = Readonly<Record<string, Tensor>>

export interface Frame {
  /** Per map: number of tensors; per tensor: name, type, place, offset or index, element count, rank, dims. */
  readonly layout: readonly number[]
  readonly names: readonly string[]
  readonly slab: Uint8Array
  readonly buffers: readonly Uint8Array[]
  readonly strings: readonly (readonly string[])[]
  /** Those of `buffers` that the sender wants back with the answer. */
  readonly back?: readonly number[]
}

type NumericData = Exclude<Tensor['data'], readonly string[]>
type NumericConstructor = new (buffer: ArrayBufferLike, byteOffset?: number, length?: number) => NumericData

const TYPES = Object.keys(DTYPES) as DType[]
const TYPE_INDEX = new Map(TYPES.map((type, index) => [type, index]))

const IN_SLAB = 0
const IN_BUFFER = 1
const IN_STRINGS = 2

/** From here a tensor gets its own buffer: copying it into the slab would cost more than one more transferred object. */
const LARGE_BYTES = 64 * 1024

/** Slab offsets are multiples of the widest element, because typed arrays refuse unaligned views. */
const align = (n: number): number => (n + 7) & ~7

/** The tensor is its whole buffer, so the buffer can be given away without other tensors' bytes. */
const ownsBuffer = (data: NumericData): boolean =>
  data.byteOffset === 0 && data.byteLength === data.buffer.byteLength && data.buffer instanceof ArrayBuffer

/** In a message from a pipe, arrays start at any offset. */
const aligned = (bytes: Uint8Array): Uint8Array => (bytes.byteOffset % 8 === 0 ? bytes : bytes.slice())

const bytesOf = (data: NumericData): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

/**
 * Packs tensor maps. Large tensors that are alone in their buffer are given away with `transfer`: the caller must not use them afterwards
 * if it passes that list to `postMessage`.
 * @param pool copies tensors that share their buffer, and gets back its loans; without one, copies are fresh memory
 */
export function pack(
  maps: readonly TensorRecord[],
  pool?: LendingBufferPool,
): { readonly frame: Frame; readonly transfer: ArrayBuffer[] } {
  const layout: number[] = []
  const names: string[] = []
  const nameIndex = new Map<string, number>()
  const small: { readonly data: NumericData; readonly offset: number }[] = []
  const buffers: Uint8Array[] = []
  const strings: (readonly string[])[] = []
  const back: number[] = []
  let slabBytes = 0

  for (const map of maps) {
    const keys = Object.keys(map)
    layout.push(keys.length)
    for (const key of keys) {
      const tensor = map[key] as Tensor
      let name = nameIndex.get(key)
      if (name === undefined) {
        name = names.push(key) - 1
        nameIndex.set(key, name)
      }
      layout.push(name, TYPE_INDEX.get(tensor.type) ?? -1)
      if (tensor.type === 'string') {
        layout.push(IN_STRINGS, strings.push(tensor.data) - 1)
      } else if (tensor.data.byteLength >= LARGE_BYTES) {
        const bytes = aloneIn(bytesOf(tensor.data), pool)
        const index = buffers.push(bytes) - 1
        if (pool?.isLent(bytes.buffer)) back.push(index)
        layout.push(IN_BUFFER, index)
      } else {
        layout.push(IN_SLAB, slabBytes)
        small.push({ data: tensor.data, offset: slabBytes })
        slabBytes = align(slabBytes + tensor.data.byteLength)
      }
      layout.push(tensor.data.length, tensor.dims.length, ...tensor.dims)
    }
  }

  const slab = new Uint8Array(slabBytes)
  for (const { data, offset } of small) slab.set(bytesOf(data), offset)
  const transfer = [slab.buffer as ArrayBuffer]
  for (const bytes of buffers) if (!transfer.includes(bytes.buffer as ArrayBuffer)) transfer.push(bytes.buffer as ArrayBuffer)
  const frame = { layout, names, slab, buffers, strings }
  return { frame: back.length > 0 ? { ...frame, back } : frame, transfer }
}

/** The same bytes in a buffer that holds nothing else. */
function aloneIn(bytes: Uint8Array, pool: LendingBufferPool | undefined): Uint8Array {
  if (ownsBuffer(bytes) || pool?.isLent(bytes.buffer)) return bytes
  return pool ? pool.copy(bytes) : bytes.slice()
}

/** The memory that the sender of a frame wants back; its tensors must not be used any more. */
export function wantedBack({ back = [], buffers }: Frame): ArrayBuffer[] {
  return [...new Set(back.map((index) => (buffers[index] as Uint8Array).buffer as ArrayBuffer))]
}

/**
 * Unpacks a frame into null-prototype maps.
 * @param opts.share views on the slab (for the worker, which drops them after the run) instead of a copy per tensor: results that share a
 *   slab would show each caller its neighbours' rows through `.buffer`.
 */
export function unpack(frame: Frame, opts: { readonly share: boolean }): TensorRecord[] {
  const { layout, names, buffers, strings } = frame
  const slab = aligned(frame.slab)
  const maps: TensorRecord[] = []
  let at = 0
  const next = (): number => layout[at++] as number

  const numeric = (type: Exclude<DType, 'string'>, place: number, where: number, count: number): NumericData => {
    const ArrayOf = DTYPES[type].array as NumericConstructor
    if (place === IN_BUFFER) {
      const bytes = buffers[where] as Uint8Array
      const own = opts.share ? aligned(bytes) : ownsBuffer(bytes) ? bytes : bytes.slice()
      return new ArrayOf(own.buffer, own.byteOffset, count)
    }
    const view = new ArrayOf(slab.buffer, slab.byteOffset + where, count)
    return opts.share ? view : view.slice()
  }

  while (at < layout.length) {
    const map: Record<string, Tensor> = Object.create(null)
    for (let left = next(); left > 0; left--) {
      const name = names[next()] as string
      const type = TYPES[next()] as DType
      const place = next()
      const where = next()
      const count = next()
      const rank = next()
      const dims = layout.slice(at, at + rank)
      at += rank
      const data = type === 'string' ? (strings[where] as readonly string[]) : numeric(type, place, where, count)
      map[name] = { type, dims, data } as Tensor
    }
    maps.push(map)
  }
  return maps
}
