declare const PART: unique symbol
interface Part<Kind extends string> {
  readonly [PART]: Kind
}

export type ElemTypeName =
  | 'float'
  | 'uint8'
  | 'int8'
  | 'uint16'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'string'
  | 'bool'
  | 'float16'
  | 'double'
  | 'uint32'
  | 'uint64'
  | 'complex64'
  | 'complex128'
  | 'bfloat16'
  | 'float8e4m3fn'
  | 'float8e4m3fnuz'
  | 'float8e5m2'
  | 'float8e5m2fnuz'
  | 'uint4'
  | 'int4'
  | 'float4e2m1'
  | 'float8e8m0'
  | 'uint2'
  | 'int2'
  | 'float32'
  | 'float64'
/** A name, or any number for types that do not exist yet. */
export type ElemType = ElemTypeName | number
export declare const ELEM_TYPES: Readonly<Record<ElemTypeName, number>>

/** number = fixed, string = symbol, null = dynamic without a name. */
export type DimSpec = number | bigint | string | null

export type TypePart = Part<'type'>
export type ValuePart = Part<'value'>
export type TensorPart = Part<'tensor'>
export type SparseTensorPart = Part<'sparse-tensor'>
export type NodePart = Part<'node'>
export type AttrPart = Part<'attr'>
export type FunctionPart = Part<'function'>

export interface ValueOptions {
  readonly doc?: string
}
export declare const type: {
  readonly tensor: (elemType: ElemType, dims?: readonly DimSpec[]) => TypePart
  readonly sparseTensor: (elemType: ElemType, dims?: readonly DimSpec[]) => TypePart
  readonly sequence: (elem: TypePart) => TypePart
  readonly optional: (elem: TypePart) => TypePart
  readonly map: (keyType: ElemType, valueType: TypePart) => TypePart
}
export declare function typedValue(name: string, valueType: TypePart, opts?: ValueOptions): ValuePart
export declare function untypedValue(name: string): ValuePart
export declare function value(name: string, elemType: ElemType, dims?: readonly DimSpec[], opts?: ValueOptions): ValuePart
export declare function sequenceValue(name: string, elemType: ElemType, dims?: readonly DimSpec[], opts?: ValueOptions): ValuePart
export declare function optionalValue(name: string, elemType: ElemType, dims?: readonly DimSpec[], opts?: ValueOptions): ValuePart

export interface ExternalLocation {
  readonly location: string
  readonly offset?: number | string
  readonly length?: number | string
}
export declare function tensor(
  name: string,
  elemType: ElemType,
  dims: readonly number[],
  data: NodeJS.ArrayBufferView | readonly (number | bigint | boolean)[] | readonly string[] | undefined,
  opts?: { readonly external?: ExternalLocation; readonly doc?: string },
): TensorPart
export declare function sparseTensor(values: TensorPart, indices: TensorPart, dims: readonly number[]): SparseTensorPart

export declare const attr: {
  readonly float: (v: number) => AttrPart
  readonly int: (v: number | bigint) => AttrPart
  readonly string: (v: string) => AttrPart
  readonly tensor: (v: TensorPart) => AttrPart
  readonly graph: (v: GraphSpec) => AttrPart
  readonly floats: (v: readonly number[]) => AttrPart
  readonly ints: (v: readonly (number | bigint)[]) => AttrPart
  readonly strings: (v: readonly string[]) => AttrPart
  readonly tensors: (v: readonly TensorPart[]) => AttrPart
  readonly graphs: (v: readonly GraphSpec[]) => AttrPart
  readonly sparseTensor: (v: SparseTensorPart) => AttrPart
  readonly type: (v: TypePart) => AttrPart
}
export declare function node(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attrs?: Readonly<Record<string, AttrPart>>,
  opts?: { readonly domain?: string; readonly name?: string },
): NodePart

export interface GraphSpec {
  readonly name?: string
  readonly doc?: string
  readonly inputs?: readonly ValuePart[]
  readonly outputs?: readonly ValuePart[]
  readonly nodes?: readonly NodePart[]
  readonly initializers?: readonly TensorPart[]
  readonly sparseInitializers?: readonly SparseTensorPart[]
}

export declare function modelFunction(spec: {
  readonly domain: string
  readonly name: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly nodes: readonly NodePart[]
  readonly opsets?: Readonly<Record<string, number>>
}): FunctionPart

export interface ModelFileSpec {
  /** @default 8 */
  readonly irVersion?: number
  /** Opset of the default domain. @default 17 */
  readonly opset?: number
  /** Opsets by domain; wins over `opset`. */
  readonly opsets?: Readonly<Record<string, number>>
  /** @default 'modelmount-tools' */
  readonly producer?: string
  readonly producerVersion?: string
  readonly domain?: string
  readonly modelVersion?: number | bigint
  readonly doc?: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly functions?: readonly FunctionPart[]
  readonly graph: GraphSpec
}
export declare function writeModel(spec: ModelFileSpec): Uint8Array<ArrayBuffer>
