/** Judges a tensor by its header: whether type, dimensions and data agree, and where its data is. */

import { elementBits, elementName } from '../element-types.ts'
import { shown } from '../shown.ts'
import type { Watch } from './watch.ts'

export interface ExternalData {
  /** Each as often as the file has it. */
  readonly locations: readonly string[]
  readonly offsets: readonly string[]
  readonly lengths: readonly string[]
  /** Kernels' own forms of the weights, which ONNX Runtime would map and use unseen. */
  readonly prepacked: boolean
}

export interface TensorFacts {
  readonly type: number
  readonly dims: Dims
  /** Payload bytes of raw data; `undefined` if there is none. */
  readonly rawBytes: number | undefined
  /** Payload bytes of elements in typed fields, and how many strings. */
  readonly listedBytes: number
  readonly strings: number
  readonly external: ExternalData | undefined
  /** Values or indices of a sparse tensor. */
  readonly isSparse: boolean
}

export interface Dims {
  readonly rank: number
  readonly isNegative: boolean
  /** Product, 0 included; and of the others alone. */
  readonly elements: bigint
  readonly extent: bigint
}

const STRING = 8
const MAX_RANK = 64
/** More elements than any memory has bytes. */
const MAX_ELEMENTS = 2n ** 53n
const MAX_OFFSET = 2n ** 63n - 1n
/** Fewest bytes of an element in its typed field: floats are written as they are, integers as varints. */
const LEAST_BITS = new Map([
  [1, 32],
  [11, 64],
  [14, 64],
  [15, 128],
  [21, 4],
  [22, 4],
  [23, 4],
  [25, 2],
  [26, 2],
])

/** Starts at the dims of a scalar. */
export const SCALAR: Dims = { rank: 0, isNegative: false, elements: 1n, extent: 1n }

/** Adds a dimension. Numbers stop growing once they are wrong anyway. */
export function addDim({ rank, isNegative, elements, extent }: Dims, size: bigint): Dims {
  const clamp = (value: bigint): bigint => (value > MAX_ELEMENTS ? MAX_ELEMENTS + 1n : value)
  return {
    rank: rank + 1,
    isNegative: isNegative || size < 0n,
    elements: clamp(elements * size),
    extent: size > 0n ? clamp(extent * size) : extent,
  }
}

export function judgeTensor(watch: Watch, tensor: TensorFacts): void {
  const { type, dims, external } = tensor
  if (!judgeDims(watch, dims)) {
    watch.tensor(0n)
    return
  }
  const bits = elementBits(type)
  if (bits === undefined && type !== STRING) {
    if (hasData(tensor)) watch.find('tensor-type', `a tensor has the unknown element type ${type}`)
    watch.tensor(0n)
    return
  }
  const bytes = bits === undefined ? 0n : bytesOf(dims.elements, bits)
  watch.tensor(bytes)
  if (external) judgeExternal(watch, tensor, external, bytes)
  else if (bits === undefined) judgeStrings(watch, tensor)
  else judgeData(watch, tensor, bytes)
}

/** ONNX Runtime unfolds it into a dense tensor. */
export function judgeSparse(watch: Watch, type: number, dims: Dims): void {
  if (judgeDims(watch, dims)) watch.tensor(bytesOf(dims.elements, elementBits(type) ?? 8))
}

/** False if they are unusable for computation. */
function judgeDims(watch: Watch, { rank, isNegative, extent }: Dims): boolean {
  if (isNegative) watch.find('tensor-dims', 'a tensor has a negative dimension')
  else if (rank > MAX_RANK) watch.find('tensor-dims', `a tensor has ${rank} dimensions, more than ${MAX_RANK}`)
  else if (extent > MAX_ELEMENTS) watch.find('tensor-dims', `a tensor has more than ${MAX_ELEMENTS} elements`)
  else return true
  return false
}

const bytesOf = (elements: bigint, bits: number): bigint => (elements * BigInt(bits) + 7n) / 8n

const hasData = ({ rawBytes, listedBytes, external }: TensorFacts): boolean =>
  (rawBytes ?? 0) > 0 || listedBytes > 0 || external !== undefined

function judgeStrings(watch: Watch, { dims, rawBytes, strings }: TensorFacts): void {
  if (rawBytes) watch.find('tensor-bytes', 'a tensor of strings has raw data')
  else if (BigInt(strings) !== dims.elements)
    watch.find('tensor-bytes', `a tensor of ${dims.elements} strings has ${strings} of them`)
}

function judgeData(watch: Watch, { type, dims, rawBytes, listedBytes }: TensorFacts, bytes: bigint): void {
  const what = `a tensor of ${dims.elements} elements of type ${elementName(type)}`
  // Empty raw data beside listed elements counts as none.
  if (rawBytes !== undefined && (rawBytes > 0 || listedBytes === 0)) {
    if (BigInt(rawBytes) !== bytes) watch.find('tensor-bytes', `${what} has ${rawBytes} bytes of raw data instead of ${bytes}`)
  } else if (BigInt(listedBytes) < bytesOf(dims.elements, LEAST_BITS.get(type) ?? 8))
    watch.find('tensor-bytes', `${what} has ${listedBytes} bytes of elements, too few`)
}

function judgeExternal(watch: Watch, { type, isSparse }: TensorFacts, external: ExternalData, bytes: bigint): void {
  const { locations, offsets, lengths, prepacked } = external
  const [location = ''] = locations
  if (isSparse)
    watch.find('external-sparse', `a sparse tensor is kept in "${shown(location)}": only dense ones may lie in other files`)
  if (type === STRING) watch.find('tensor-type', `a tensor of strings is kept in "${shown(location)}"`)
  if (prepacked) watch.find('external-prepacked', 'a tensor brings weights in the form of a kernel, which cannot be checked')
  if (locations.length > 1 || offsets.length > 1 || lengths.length > 1)
    watch.find('external-entry', 'a tensor says more than once where its data is')
  const ends = [...(offsets.length === 0 ? ['0'] : offsets)].map((text) => rangeEnd(watch, text, lengths, bytes))
  const end = ends.reduce((most, next) => (next > most ? next : most), 0n)
  // Checks each of them, because readers disagree about the one they follow. No location at all is an empty one.
  for (const name of locations.length === 0 ? [''] : locations) watch.references.add(name, end, watch.where())
}

/** End of the tensor's bytes in the file. */
function rangeEnd(watch: Watch, offsetText: string, lengths: readonly string[], bytes: bigint): bigint {
  const offset = wholeNumber(offsetText)
  if (offset === undefined) watch.find('external-range', `a tensor has its data at offset "${shown(offsetText)}"`)
  for (const text of lengths) {
    const length = wholeNumber(text)
    if (length === undefined) watch.find('external-range', `a tensor has data of length "${shown(text)}"`)
    // Some exporters write zero for "see the dimensions", and ONNX Runtime accepts it.
    else if (length !== 0n && length !== bytes)
      watch.find('external-length', `a tensor of ${bytes} bytes has data of ${length} bytes`)
  }
  return (offset ?? 0n) + bytes
}

function wholeNumber(text: string): bigint | undefined {
  if (!/^\d{1,19}$/.test(text)) return undefined
  const value = BigInt(text)
  return value > MAX_OFFSET ? undefined : value
}
