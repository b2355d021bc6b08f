/** The facts of each element type: size, array, range, and names in the protocols and in ONNX. Other rooms ask here instead of comparing names. */

import { type FloatCode, HALF, PLAIN } from './float16.ts'
import type { DType, DTypeArrays } from './types.ts'

/** {@link DTypeArrays} with a writable array of strings. */
export type ElementArrays = { [T in DType]: T extends 'string' ? string[] : DTypeArrays[T] }

/** Datatype names of the Open Inference Protocol that have a {@link DType}. BF16 has none: ONNX Runtime's Node binding cannot carry it. */
export type WireType =
  | 'FP32'
  | 'FP64'
  | 'FP16'
  | 'INT8'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'UINT8'
  | 'UINT16'
  | 'UINT32'
  | 'UINT64'
  | 'BOOL'
  | 'BYTES'

interface TypedArrayConstructor<A> {
  readonly prototype: A
  new (length: number): A
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): A
}

/**
 * How elements are kept, which decides how they are read, made and written: `float` as numbers, `coded` as the bits of floats that JavaScript
 * has no array for, `integer` as numbers, `long` as bigints, `bool` as 0 or 1.
 */
export type Kind = 'float' | 'coded' | 'integer' | 'long' | 'bool' | 'string'

/** The arrays of each {@link Kind}. */
export interface KindArrays {
  float: Float32Array | Float64Array
  coded: Uint16Array
  integer: Int8Array | Int16Array | Int32Array | Uint8Array | Uint16Array | Uint32Array
  long: BigInt64Array | BigUint64Array
  bool: Uint8Array
  string: string[]
}

type Keeping =
  | { readonly kind: Exclude<Kind, 'coded'>; readonly code?: undefined }
  /** How floats become bits. */
  | { readonly kind: 'coded'; readonly code: FloatCode }

type DTypeFacts<T extends DType> = Keeping & {
  /** Bytes per element; 0 for strings, whose size varies. */
  readonly bytes: number
  /** `undefined` for strings, which live in a plain array. */
  readonly array: T extends 'string' ? undefined : TypedArrayConstructor<ElementArrays[T]>
  /** Name of another typed array that may stand for the elements. */
  readonly alike?: string
  readonly wire: WireType
  /** In TensorFlow. */
  readonly tf: `DT_${string}`
  /** In ONNX, inside `tensor(…)`. */
  readonly onnx: string
  readonly isInteger: boolean
  /** Smallest and largest finite element, both included. A bigint if a number cannot hold them exactly, 0 for unordered types. */
  readonly min: number | bigint
  readonly max: number | bigint
}

const FLOAT32_MAX = 3.4028234663852886e38
const FLOAT16_MAX = 65504

/** The facts of every element type. */
export const DTYPES: { readonly [T in DType]: DTypeFacts<T> } = {
  float32: {
    kind: 'float',
    bytes: 4,
    array: Float32Array,
    wire: 'FP32',
    tf: 'DT_FLOAT',
    onnx: 'float',
    isInteger: false,
    min: -FLOAT32_MAX,
    max: FLOAT32_MAX,
  },
  float64: {
    kind: 'float',
    bytes: 8,
    array: Float64Array,
    wire: 'FP64',
    tf: 'DT_DOUBLE',
    onnx: 'double',
    isInteger: false,
    min: -Number.MAX_VALUE,
    max: Number.MAX_VALUE,
  },
  float16: {
    kind: 'coded',
    code: HALF,
    bytes: 2,
    array: Uint16Array,
    alike: 'Float16Array',
    wire: 'FP16',
    tf: 'DT_HALF',
    onnx: 'float16',
    isInteger: false,
    min: -FLOAT16_MAX,
    max: FLOAT16_MAX,
  },
  int8: {
    kind: 'integer',
    bytes: 1,
    array: Int8Array,
    wire: 'INT8',
    tf: 'DT_INT8',
    onnx: 'int8',
    isInteger: true,
    min: -128,
    max: 127,
  },
  int16: {
    kind: 'integer',
    bytes: 2,
    array: Int16Array,
    wire: 'INT16',
    tf: 'DT_INT16',
    onnx: 'int16',
    isInteger: true,
    min: -32768,
    max: 32767,
  },
  int32: {
    kind: 'integer',
    bytes: 4,
    array: Int32Array,
    wire: 'INT32',
    tf: 'DT_INT32',
    onnx: 'int32',
    isInteger: true,
    min: -2147483648,
    max: 2147483647,
  },
  int64: {
    kind: 'long',
    bytes: 8,
    array: BigInt64Array,
    wire: 'INT64',
    tf: 'DT_INT64',
    onnx: 'int64',
    isInteger: true,
    min: -(2n ** 63n),
    max: 2n ** 63n - 1n,
  },
  uint8: {
    kind: 'integer',
    bytes: 1,
    array: Uint8Array,
    alike: 'Uint8ClampedArray',
    wire: 'UINT8',
    tf: 'DT_UINT8',
    onnx: 'uint8',
    isInteger: true,
    min: 0,
    max: 255,
  },
  uint16: {
    kind: 'integer',
    bytes: 2,
    array: Uint16Array,
    wire: 'UINT16',
    tf: 'DT_UINT16',
    onnx: 'uint16',
    isInteger: true,
    min: 0,
    max: 65535,
  },
  uint32: {
    kind: 'integer',
    bytes: 4,
    array: Uint32Array,
    wire: 'UINT32',
    tf: 'DT_UINT32',
    onnx: 'uint32',
    isInteger: true,
    min: 0,
    max: 4294967295,
  },
  uint64: {
    kind: 'long',
    bytes: 8,
    array: BigUint64Array,
    wire: 'UINT64',
    tf: 'DT_UINT64',
    onnx: 'uint64',
    isInteger: true,
    min: 0n,
    max: 2n ** 64n - 1n,
  },
  bool: {
    kind: 'bool',
    bytes: 1,
    array: Uint8Array,
    wire: 'BOOL',
    tf: 'DT_BOOL',
    onnx: 'bool',
    isInteger: false,
    min: 0,
    max: 1,
  },
  string: {
    kind: 'string',
    bytes: 0,
    array: undefined,
    wire: 'BYTES',
    tf: 'DT_STRING',
    onnx: 'string',
    isInteger: false,
    min: 0,
    max: 0,
  },
}

const FROM_WIRE: ReadonlyMap<string, DType> = new Map((Object.keys(DTYPES) as DType[]).map((type) => [DTYPES[type].wire, type]))

/** True for one of the 13 spellings of {@link DType}. */
export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(DTYPES, value)
}

/** True for types whose elements may be not-a-number or infinite. */
export const isFloat = (type: DType): boolean => {
  const { kind } = DTYPES[type]
  return kind === 'float' || kind === 'coded'
}

/** How numbers and elements of a type become each other. */
export const codeOf = (type: DType): FloatCode => DTYPES[type].code ?? PLAIN

/** A number as an element of a numeric type. */
export const toElement = (type: DType, value: number): number | bigint =>
  DTYPES[type].kind === 'long' ? BigInt(value) : codeOf(type).toBits(value)

/** The Open Inference datatype of an element type: `float32` -> `FP32`, `string` -> `BYTES`. */
export function toWireType(type: DType): WireType {
  return DTYPES[type].wire
}

/** The element type of an Open Inference datatype, or `undefined` for a name this library does not know (BF16 among them). */
export function fromWireType(name: string): DType | undefined {
  return FROM_WIRE.get(name)
}

/** A zeroed array for `length` elements (empty strings for `string`). */
export function allocate<T extends DType>(type: T, length: number): ElementArrays[T]
export function allocate(type: DType, length: number): ElementArrays[DType] {
  const Elements = DTYPES[type].array
  return Elements === undefined ? new Array<string>(length).fill('') : new Elements(length)
}

// The getter reads an internal slot, so it also recognises arrays of another realm (Jest, vm) and cannot be fooled by a subclass.
const readBrand = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)?.get

/** The built-in name of a typed array (`Uint8Array` for a Buffer), or `undefined` for anything else, DataView included. */
export function typedArrayName(value: unknown): string | undefined {
  return readBrand?.call(value)
}

/** Names of the typed arrays that may stand for elements of a type; the first is the usual one. Empty for strings. */
export function typedArrayNames(type: DType): readonly string[] {
  const usual = DTYPES[type].array?.name
  if (usual === undefined) return []
  const { alike } = DTYPES[type]
  return alike === undefined ? [usual] : [usual, alike]
}

/**
 * A typed array as the elements of a type, copied only when sharing is unsafe.
 * Subclasses become the plain array: `Buffer.slice` shares memory, unlike every other `slice`.
 * Shared memory is copied because ONNX Runtime refuses it, resizable memory because it can shrink while the request waits.
 * @returns `undefined` when the array is of the wrong kind for the type
 */
export function elementsOf(type: DType, view: ArrayBufferView): Exclude<ElementArrays[DType], string[]> | undefined {
  const Elements = DTYPES[type].array
  const name = typedArrayName(view)
  if (Elements === undefined || name === undefined || !typedArrayNames(type).includes(name)) return undefined
  const { buffer, byteOffset } = view
  const { length } = view as Uint8Array
  // A detached buffer cannot be viewed again; its arrays have length 0.
  const plain = Object.getPrototypeOf(view) === Elements.prototype ? (view as Uint8Array) : undefined
  const elements = plain ?? (length === 0 ? new Elements(0) : new Elements(buffer, byteOffset, length))
  return mayChangeUnderUs(buffer) ? elements.slice() : elements
}

function mayChangeUnderUs(buffer: ArrayBufferLike): boolean {
  const kind = Object.prototype.toString.call(buffer)
  return kind === '[object SharedArrayBuffer]' || (buffer as { readonly resizable?: boolean }).resizable === true
}
