/** TensorProto and SparseTensorProto: reads their headers and steps over their elements. */

import { Malformed } from './malformed.ts'
import { addDim, type Dims, judgeSparse, judgeTensor, SCALAR } from './scan/tensor.ts'
import { addOnce, type Tally } from './tally.ts'
import { BYTES, packedInts, type Reader, type Reading, VARINT } from './wire.ts'

interface Tensor {
  readonly name: string
  readonly type: number
}

const EXTERNAL = 1
/** Fields that hold elements one by one: float, int32, int64, double, uint64. */
const LISTS: ReadonlySet<number> = new Set([4, 5, 7, 10, 11])
/** 64 dimensions of ten bytes. */
const MAX_DIMS_BYTES = 640

/** Reads a TensorProto. */
export function* readTensor(reader: Reader, tally: Tally, isSparse = false): Reading<Tensor> {
  const external = { locations: [] as string[], offsets: [] as string[], lengths: [] as string[], prepacked: false }
  let name = ''
  let type = 0
  let dims = SCALAR
  let rawBytes: number | undefined
  let listedBytes = 0
  let strings = 0
  let isExternal: boolean | undefined
  reader.enter()
  while (yield* reader.next()) {
    if (reader.field() === 1) dims = yield* readDims(reader, dims)
    else if (reader.is(2, VARINT)) type = int32(reader)
    else if (LISTS.has(reader.field())) listedBytes += reader.length()
    else if (reader.is(6, BYTES)) {
      strings++
      tally.weightBytes += reader.length()
    } else if (reader.is(9, BYTES)) {
      if (rawBytes !== undefined) throw new Malformed('a tensor has its data twice')
      rawBytes = reader.length()
    } else if (reader.is(8, BYTES)) name = yield* reader.name('the name of a tensor')
    else if (reader.is(13, BYTES)) {
      const { key, value } = yield* readExternalEntry(reader)
      if (key === 'location') external.locations.push(value)
      else if (key === 'offset') external.offsets.push(value)
      else if (key === 'length') external.lengths.push(value)
      else if (key.startsWith('prepacked')) external.prepacked = true
    } else if (reader.is(14, VARINT)) {
      // Parsers disagree about which of two they keep, and about numbers without a meaning.
      const location = int32(reader)
      if (isExternal !== undefined || (location !== 0 && location !== EXTERNAL))
        throw new Malformed('a tensor does not say clearly where its data is')
      isExternal = location === EXTERNAL
    }
  }
  tally.weightBytes += listedBytes + (rawBytes ?? 0)
  tally.watch.name('the name of a tensor', name)
  const data = { rawBytes, listedBytes, strings, external: isExternal ? external : undefined }
  judgeTensor(tally.watch, { type, dims, isSparse, ...data })
  // without this mark ONNX Runtime does not look at the locations either
  if (isExternal) for (const file of external.locations) addOnce(reader, tally.externalData, file)
  return { name, type }
}

/** Enumerations have 32 bits. */
const int32 = (reader: Reader): number => Number(BigInt.asIntN(32, reader.int()))

/** Earlier dimensions plus those of this field, which holds one, or many packed. */
function* readDims(reader: Reader, before: Dims): Reading<Dims> {
  if (reader.is(reader.field(), VARINT)) return addDim(before, reader.int())
  if (!reader.is(reader.field(), BYTES)) return before
  const bytes = yield* reader.peek(MAX_DIMS_BYTES)
  if (bytes === undefined) return { ...before, rank: before.rank + reader.length() }
  return packedInts(bytes).reduce(addDim, before)
}

/** An external_data entry. Values of other keys (checksums) are not read. */
function* readExternalEntry(reader: Reader): Reading<{ key: string; value: string }> {
  let key: string | undefined
  let value: string | undefined
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) {
      if (key !== undefined) throw new Malformed('an external data entry has two keys')
      key = yield* reader.name('the key of an external data entry')
    } else if (reader.is(2, BYTES)) {
      if (value !== undefined) throw new Malformed('an external data entry has two values')
      value = isRead(key) ? yield* reader.name('an external data location') : ''
    }
  }
  return { key: key ?? '', value: value ?? '' }
}

const isRead = (key: string | undefined): boolean =>
  key === undefined || key === 'location' || key === 'offset' || key === 'length'

/** Reads a SparseTensorProto, named after its values. */
export function* readSparseTensor(reader: Reader, tally: Tally): Reading<string> {
  const { watch } = tally
  let values: Tensor | undefined
  let hasIndices = false
  let dims = SCALAR
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) {
      if (values !== undefined) throw new Malformed('a sparse tensor has its values twice')
      watch.enter('values')
      values = yield* readTensor(reader, tally, true)
      watch.leave()
    } else if (reader.is(2, BYTES)) {
      if (hasIndices) throw new Malformed('a sparse tensor has its indices twice')
      hasIndices = true
      watch.enter('indices')
      yield* readTensor(reader, tally, true)
      watch.leave()
    } else if (reader.field() === 3) dims = yield* readDims(reader, dims)
  }
  judgeSparse(watch, values?.type ?? 0, dims)
  return values?.name ?? ''
}
