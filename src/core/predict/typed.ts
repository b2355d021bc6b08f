/**
 * `predict()` as `modelmount typegen` lets TypeScript see it. The generated file adds the models of a repository to {@link ModelTypes}; a model
 * that is not there is as untyped as it would be without.
 */

import type { DType, DTypeArrays, Tensor } from '../tensor/types.ts'
import type { PredictInputs, PredictOptions, PredictResult } from './types.ts'

/**
 * Name of a model -> what it takes and gives. Empty here: the file that `modelmount typegen` writes fills it in by declaration merging.
 * Each member is `{ inputs: { [name]: TypedInput }, outputs: { [name]: TypedTensor } }`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: made for others to add to
export interface ModelTypes {}

/** A tensor of one element type; `Dims` has a number for each size that is known, and `number` for one that is open. */
export interface TypedTensor<Type extends DType, Dims extends readonly number[]> {
  readonly type: Type
  readonly dims: Readonly<Dims>
  readonly data: DTypeArrays[Type]
}

/** Values for one input: a tensor, arrays nested to its rank, and a typed array where at most one size is open and so can be inferred. */
export type TypedInput<Type extends DType, Dims extends readonly number[]> =
  | TypedTensor<Type, Dims>
  | Nested<Elements[Type], Dims>
  | (OpenSizes<Dims> extends 'none' | 'one' ? WholeArrays[Type] : never)
  | (IsOne<Dims> extends true ? Elements[Type] : never)

/** Values that can stand for an element. */
type Elements = {
  [Type in DType]: Type extends 'bool'
    ? boolean | 0 | 1
    : DTypeArrays[Type] extends BigInt64Array | BigUint64Array
      ? number | bigint
      : DTypeArrays[Type][number]
}

/** Typed arrays that can stand for a whole tensor. */
type WholeArrays = { [Type in DType]: Type extends 'string' ? never : DTypeArrays[Type] } & {
  uint8: Uint8Array | Uint8ClampedArray
}

/** Arrays as deep as there are sizes; any depth where the rank is unknown. */
type Nested<Element, Dims extends readonly number[]> = number extends Dims['length']
  ? AnyDepth<Element>
  : Dims extends readonly [number, ...infer Rest extends readonly number[]]
    ? readonly (Rest extends readonly [] ? Element : Nested<Element, Rest>)[]
    : Element
type AnyDepth<Element> = Element | readonly AnyDepth<Element>[]

type OpenSizes<Dims extends readonly number[]> = Dims extends readonly [
  infer First extends number,
  ...infer Rest extends readonly number[],
]
  ? number extends First
    ? OpenSizes<Rest> extends 'none'
      ? 'one'
      : 'many'
    : OpenSizes<Rest>
  : 'none'

type IsOne<Dims extends readonly number[]> = number extends Dims['length'] ? true : Dims[number] extends 1 ? true : false

/** Names of models that are typed. */
type Known = keyof ModelTypes & string

type Shape<Name> = Name extends Known
  ? ModelTypes[Name] extends { readonly inputs: infer Inputs; readonly outputs: infer Outputs }
    ? { readonly inputs: Inputs; readonly outputs: Outputs }
    : never
  : { readonly inputs: PredictInputs; readonly outputs: Record<string, Tensor> }

/** Inputs of `predict()` for a model. */
export type InputsOf<Name extends string> = Shape<Name>['inputs']

/** Names of the outputs of a model. */
export type OutputsOf<Name extends string> = Name extends Known ? keyof Shape<Name>['outputs'] & string : string

/** Options of `predict()` for a model: only outputs that it has. */
export type PredictOptionsFor<Outputs extends string> = Omit<PredictOptions, 'outputs'> & {
  /** Names of the outputs to compute. @default all */
  readonly outputs?: readonly Outputs[]
}

/** Result of `predict()` for a model: the outputs that were asked for. */
export type PredictResultFor<Name extends string, Outputs extends string> = Name extends Known
  ? Omit<PredictResult, 'outputs'> & {
      readonly outputs: Readonly<Pick<Shape<Name>['outputs'], Outputs & keyof Shape<Name>['outputs']>>
    }
  : PredictResult
