/**
 * Ships decoded requests back from the decoding thread: numbers as transferred buffers, strings as one run of UTF-8. The host's thread
 * turns that into strings again, a slice at a time.
 */

import type { Steps } from '../dialects/codec/index.ts'
import type { Tensor } from '../tensor/types.ts'

type NumericTensor = Exclude<Tensor, { readonly type: 'string' }>

interface PackedStrings {
  readonly type: 'string'
  readonly dims: readonly number[]
  readonly text: Uint8Array
  /** Where each string ends in `text`. */
  readonly ends: Uint32Array
}

type Packed = NumericTensor | PackedStrings

/** A request with inputs, whatever else it has: data that structured clone takes. */
interface WithInputs {
  readonly inputs: Readonly<Record<string, Tensor>>
  readonly parameters?: Readonly<Record<string, unknown>>
}

export interface Parcel {
  /** The request without its tensors. */
  readonly around: Readonly<Record<string, unknown>>
  readonly inputs: readonly (readonly [name: string, tensor: Packed])[]
  /** Their own list, because structured clone gives objects the usual prototype. */
  readonly parameters: readonly (readonly [name: string, value: unknown])[] | undefined
}

/** @returns the parcel, and the buffers to transfer with it */
export function packRequest({ inputs, parameters, ...around }: WithInputs): {
  readonly parcel: Parcel
  readonly transfer: ArrayBuffer[]
} {
  const packed = Object.entries(inputs).map(([name, tensor]) => [name, packTensor(tensor)] as const)
  const transfer = new Set<ArrayBuffer>()
  for (const [, tensor] of packed) {
    const arrays = tensor.type === 'string' && 'text' in tensor ? [tensor.text, tensor.ends] : [(tensor as NumericTensor).data]
    for (const { buffer } of arrays) transfer.add(buffer as ArrayBuffer)
  }
  return { parcel: { around, inputs: packed, parameters: parameters && Object.entries(parameters) }, transfer: [...transfer] }
}

function packTensor(tensor: Tensor): Packed {
  if (tensor.type === 'string') return packStrings(tensor.dims, tensor.data)
  const { data } = tensor
  // Small tensors share a block, and tensors of a binary body are views of it.
  return data.byteLength === data.buffer.byteLength ? tensor : ({ ...tensor, data: data.slice() } as NumericTensor)
}

function packStrings(dims: readonly number[], strings: readonly string[]): PackedStrings {
  const ends = new Uint32Array(strings.length)
  let bytes = 0
  for (const [i, string] of strings.entries()) {
    bytes += Buffer.byteLength(string)
    ends[i] = bytes
  }
  const text = Buffer.allocUnsafeSlow(bytes)
  for (const [i, string] of strings.entries()) text.write(string, i === 0 ? 0 : (ends[i - 1] as number), 'utf8')
  return { type: 'string', dims, text, ends }
}

/** Strings between two turns of the event loop, and bytes of them. */
const STRINGS_PER_SLICE = 4096
const SLICE_BYTES = 256 * 1024

export function* unpackRequest<T>({ around, inputs, parameters }: Parcel): Steps<T> {
  const tensors: Record<string, Tensor> = Object.create(null)
  for (const [name, tensor] of inputs) tensors[name] = 'text' in tensor ? yield* unpackStrings(tensor) : tensor
  const request = { ...around, inputs: tensors }
  return (
    parameters ? { ...request, parameters: Object.assign(Object.create(null), Object.fromEntries(parameters)) } : request
  ) as T
}

function* unpackStrings({ dims, text, ends }: PackedStrings): Steps<Tensor> {
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength)
  const data = new Array<string>(ends.length)
  let start = 0
  let sliceStart = 0
  for (let i = 0; i < ends.length; i++) {
    const end = ends[i] as number
    let text = ''
    for (; end - start > SLICE_BYTES; sliceStart = start) {
      const stop = characterAt(bytes, start + SLICE_BYTES)
      text += bytes.toString('utf8', start, stop)
      start = stop
      yield stop - sliceStart
    }
    data[i] = text + bytes.toString('utf8', start, end)
    start = end
    if ((i + 1) % STRINGS_PER_SLICE !== 0 && end - sliceStart < SLICE_BYTES) continue
    yield end - sliceStart
    sliceStart = end
  }
  return { type: 'string', dims, data }
}

/** Start of the character that the byte at `at` belongs to. */
function characterAt(bytes: Uint8Array, at: number): number {
  let start = at
  while (((bytes[start] as number) & 0b1100_0000) === 0b1000_0000) start--
  return start
}
