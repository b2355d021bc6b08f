/** ValueInfoProto and TypeProto: the inputs and outputs of a graph. */

import type { Dim, ValueInfo } from '../tensor/types.ts'
import { elementDType, elementName } from './element-types.ts'
import { Malformed } from './malformed.ts'
import { BYTES, type Reader, type Reading, VARINT } from './wire.ts'

type ValueType = Pick<ValueInfo, 'type' | 'declaredType' | 'dims'>

/** A value whose type the file leaves to inference. */
const UNDECLARED: ValueType = { type: undefined, declaredType: 'undeclared', dims: undefined }

/** Field number of each kind in TypeProto, for the kinds that wrap one other type. */
const WRAPPERS = new Map([
  [4, 'seq'],
  [9, 'optional'],
])
const TENSOR = 1
const MAP = 5
const OPAQUE = 7
const SPARSE_TENSOR = 8

/** Reads a ValueInfoProto; `what` names it in errors. */
export function* readValue(reader: Reader, what: string): Reading<ValueInfo> {
  let name = ''
  let doc = ''
  let type: ValueType | undefined
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) name = yield* reader.name(`the name of ${what}`)
    else if (reader.is(2, BYTES)) {
      // protobuf would merge the two; a file with both aims at readers that disagree
      if (type !== undefined) throw new Malformed(`${what} has two types`)
      type = yield* readType(reader, what)
    } else if (reader.is(3, BYTES)) doc = yield* reader.text()
  }
  if (name === '') throw new Malformed(`${what} has no name`)
  reader.keep(name.length)
  return { name, ...(type ?? UNDECLARED), ...(doc === '' ? {} : { doc }) }
}

function* readType(reader: Reader, what: string): Reading<ValueType> {
  let type: ValueType | undefined
  reader.enter()
  while (yield* reader.next()) {
    const next = yield* readKind(reader, what)
    if (next === undefined) continue
    if (type !== undefined) throw new Malformed(`${what} has two types`)
    type = next
  }
  return type ?? UNDECLARED
}

function* readKind(reader: Reader, what: string): Reading<ValueType | undefined> {
  const kind = reader.field()
  if (!reader.is(kind, BYTES)) return undefined
  if (kind === TENSOR) return yield* readTensorType(reader, what)
  if (kind === SPARSE_TENSOR) return yield* readSparseType(reader, what)
  if (kind === MAP) return yield* readMapType(reader, what)
  if (kind === OPAQUE) return nonTensor('opaque')
  const wrapper = WRAPPERS.get(kind)
  return wrapper === undefined ? undefined : yield* readWrappedType(reader, wrapper, what)
}

const nonTensor = (declaredType: string): ValueType => ({ type: undefined, declaredType, dims: undefined })

function* readTensorType(reader: Reader, what: string): Reading<ValueType> {
  let elemType = 0
  let dims: readonly Dim[] | undefined
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, VARINT)) elemType = enumValue(reader)
    else if (reader.is(2, BYTES)) {
      if (dims !== undefined) throw new Malformed(`${what} has two shapes`)
      dims = yield* readShape(reader)
    }
  }
  return { type: elementDType(elemType), declaredType: `tensor(${elementName(elemType)})`, dims }
}

function* readSparseType(reader: Reader, what: string): Reading<ValueType> {
  const dense = yield* readTensorType(reader, what)
  return nonTensor(`sparse_${dense.declaredType}`)
}

function* readWrappedType(reader: Reader, wrapper: string, what: string): Reading<ValueType> {
  let inner = UNDECLARED
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) inner = yield* readType(reader, what)
  }
  return nonTensor(`${wrapper}(${inner.declaredType})`)
}

function* readMapType(reader: Reader, what: string): Reading<ValueType> {
  let key = 0
  let inner = UNDECLARED
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, VARINT)) key = enumValue(reader)
    else if (reader.is(2, BYTES)) inner = yield* readType(reader, what)
  }
  return nonTensor(`map(${elementName(key)},${inner.declaredType})`)
}

function* readShape(reader: Reader): Reading<readonly Dim[]> {
  const dims: Dim[] = []
  reader.enter()
  while (yield* reader.next()) {
    if (!reader.is(1, BYTES)) continue
    reader.keep(0)
    dims.push(yield* readDim(reader))
  }
  return dims
}

function* readDim(reader: Reader): Reading<Dim> {
  let dim: Dim = null
  reader.enter()
  while (yield* reader.next()) {
    // value and symbol are alternatives: the last one counts
    if (reader.is(1, VARINT)) dim = fixedDim(reader.int())
    else if (reader.is(2, BYTES)) dim = (yield* reader.text()) || null
  }
  return dim
}

/** ONNX Runtime takes a negative size as unknown. Sizes above 2^53 lose digits, and no tensor can have them. */
function fixedDim(size: bigint): Dim {
  return size < 0n ? null : Number(size)
}

const enumValue = (reader: Reader): number => Number(BigInt.asIntN(32, reader.int()))
