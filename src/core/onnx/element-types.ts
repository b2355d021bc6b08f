/** TensorProto.DataType: numbers, the names ONNX prints, and which of them onnxruntime-node carries. */

import type { DType } from '../types.ts'

interface ElementType {
  readonly name: string
  readonly dtype?: DType
}

/** https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, index = number; 0 is UNDEFINED. */
const ELEMENT_TYPES: readonly (ElementType | undefined)[] = [
  undefined,
  { name: 'float', dtype: 'float32' },
  { name: 'uint8', dtype: 'uint8' },
  { name: 'int8', dtype: 'int8' },
  { name: 'uint16', dtype: 'uint16' },
  { name: 'int16', dtype: 'int16' },
  { name: 'int32', dtype: 'int32' },
  { name: 'int64', dtype: 'int64' },
  { name: 'string', dtype: 'string' },
  { name: 'bool', dtype: 'bool' },
  { name: 'float16', dtype: 'float16' },
  { name: 'double', dtype: 'float64' },
  { name: 'uint32', dtype: 'uint32' },
  { name: 'uint64', dtype: 'uint64' },
  { name: 'complex64' },
  { name: 'complex128' },
  { name: 'bfloat16' },
  { name: 'float8e4m3fn' },
  { name: 'float8e4m3fnuz' },
  { name: 'float8e5m2' },
  { name: 'float8e5m2fnuz' },
  { name: 'uint4' },
  { name: 'int4' },
  { name: 'float4e2m1' },
  { name: 'float8e8m0' },
  { name: 'uint2' },
  { name: 'int2' },
]

/** The name inside `tensor(…)`. */
export function elementName(elemType: number): string {
  return ELEMENT_TYPES[elemType]?.name ?? (elemType === 0 ? 'undefined' : `type ${elemType}`)
}

/** `undefined` for types that onnxruntime-node cannot carry. */
export function elementDType(elemType: number): DType | undefined {
  return ELEMENT_TYPES[elemType]?.dtype
}
