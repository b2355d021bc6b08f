/** TensorProto.DataType: numbers, the names ONNX prints, and the types onnxruntime-node carries. */

import { DTYPES } from '../tensor/index.ts'
import type { DType } from '../tensor/types.ts'

interface ElementType {
  readonly name: string
  /** Size of one element in raw data; strings have none. */
  readonly bits?: number
}

/** https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, index = number; 0 is UNDEFINED. */
const ELEMENT_TYPES: readonly (ElementType | undefined)[] = [
  undefined,
  { name: 'float', bits: 32 },
  { name: 'uint8', bits: 8 },
  { name: 'int8', bits: 8 },
  { name: 'uint16', bits: 16 },
  { name: 'int16', bits: 16 },
  { name: 'int32', bits: 32 },
  { name: 'int64', bits: 64 },
  { name: 'string' },
  { name: 'bool', bits: 8 },
  { name: 'float16', bits: 16 },
  { name: 'double', bits: 64 },
  { name: 'uint32', bits: 32 },
  { name: 'uint64', bits: 64 },
  { name: 'complex64', bits: 64 },
  { name: 'complex128', bits: 128 },
  { name: 'bfloat16', bits: 16 },
  { name: 'float8e4m3fn', bits: 8 },
  { name: 'float8e4m3fnuz', bits: 8 },
  { name: 'float8e5m2', bits: 8 },
  { name: 'float8e5m2fnuz', bits: 8 },
  { name: 'uint4', bits: 4 },
  { name: 'int4', bits: 4 },
  { name: 'float4e2m1', bits: 4 },
  { name: 'float8e8m0', bits: 8 },
  { name: 'uint2', bits: 2 },
  { name: 'int2', bits: 2 },
]

const BY_NAME: ReadonlyMap<string | undefined, DType> = new Map(
  (Object.keys(DTYPES) as DType[]).map((type) => [DTYPES[type].onnx, type]),
)

/** The highest number in IR version 13. */
export const LAST_ELEMENT_TYPE = 26

/** The name inside `tensor(…)`. */
export function elementName(elemType: number): string {
  return ELEMENT_TYPES[elemType]?.name ?? (elemType === 0 ? 'undefined' : `type ${elemType}`)
}

/** `undefined` for types that onnxruntime-node cannot carry. */
export function elementDType(elemType: number): DType | undefined {
  return BY_NAME.get(ELEMENT_TYPES[elemType]?.name)
}

/** Bits of one element in raw data; `undefined` for strings and for types that do not exist. */
export function elementBits(elemType: number): number | undefined {
  return ELEMENT_TYPES[elemType]?.bits
}
