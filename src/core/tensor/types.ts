/** Tensors, and the inputs and outputs of a model. */

/** Element types that onnxruntime-node carries, spelled as it spells them. */
export type DType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'bool'
  | 'string'

/** The array that holds the elements of each {@link DType}. */
export interface DTypeArrays {
  float32: Float32Array
  float64: Float64Array
  /** Raw IEEE 754 half bits, on every version of Node. */
  float16: Uint16Array
  int8: Int8Array
  int16: Int16Array
  int32: Int32Array
  int64: BigInt64Array
  uint8: Uint8Array
  uint16: Uint16Array
  uint32: Uint32Array
  uint64: BigUint64Array
  /** 0 or 1 per element. */
  bool: Uint8Array
  string: readonly string[]
}

/** A dense row-major tensor; `data.length` equals the product of `dims` (1 for a scalar, whose `dims` is `[]`). */
export type Tensor = {
  [T in DType]: { readonly type: T; readonly dims: readonly number[]; readonly data: DTypeArrays[T] }
}[DType]

/** Any typed array that can stand for a whole tensor. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array
  | Uint32Array
  | BigUint64Array

export type TensorScalar = number | bigint | boolean | string

export type NestedArray = readonly (TensorScalar | NestedArray)[]

/** A value for one input of `predict()`: a tensor, a typed array (its shape is inferred), nested arrays, or a scalar. */
export type TensorLike = Tensor | TypedArray | NestedArray | TensorScalar

/** One dimension: a number is fixed, a string is symbolic (equal symbols mean equal sizes), `null` is dynamic and unnamed. */
export type Dim = number | string | null

/** One input or output of a model. */
export interface ValueInfo {
  readonly name: string
  /** Element type; `undefined` if the value is not a tensor or its type is not supported. */
  readonly type: DType | undefined
  /**
   * Type as the file declares it, for example `tensor(float)`, `tensor(int4)`, `seq(tensor(int64))`. Inferred if the file declares
   * none.
   */
  readonly declaredType: string
  /** `undefined` when the rank is unknown; `[]` is a scalar. */
  readonly dims: readonly Dim[] | undefined
  /** True if a request may leave the input out: a mask of `batching.ragged`, which is filled in when missing. */
  readonly optional?: boolean
  /** Inputs only: `reject` if the settings refuse NaN and infinities. */
  readonly nonFinite?: 'reject'
  readonly doc?: string
}

/** Facts about a model that need no run. */
export interface ModelSignature {
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
  /** Outputs of the file that are not served; absent if all are. */
  readonly leftOut?: readonly LeftOutput[]
}

/** An output of a model's file that is not served. */
export interface LeftOutput {
  readonly name: string
  /** As {@link ValueInfo} has it. */
  readonly declaredType: string
  /** The reason and the remedy, worded as the rest of a sentence. */
  readonly reason: string
}
