import type { DimSpec, ElemType, NodePart, TensorPart } from './onnx-writer.mjs'

type Bytes = Uint8Array<ArrayBuffer>

export declare function addModel(): Bytes
/** @default identityModel('float', ['N']) */
export declare function identityModel(elemType?: ElemType, dims?: readonly DimSpec[]): Bytes
/** @default mlpModel({ layers: [32, 16, 2], seed: 1 }) */
export declare function mlpModel(opts?: {
  readonly layers?: readonly number[]
  readonly seed?: number
  readonly groups?: number
}): Bytes
/** @default matmulChainModel({ size: 256, count: 4, seed: 1 }) */
export declare function matmulChainModel(opts?: {
  readonly size?: number
  readonly count?: number
  readonly length?: number
  readonly seed?: number
}): Bytes
/** @default convModel({ size: 64, channels: 16, layers: 3, seed: 1 }) */
export declare function convModel(opts?: {
  readonly size?: number
  readonly channels?: number
  readonly layers?: number
  readonly seed?: number
}): Bytes
/** @default attentionModel({ length: 64, width: 128, heads: 4, blocks: 1, seed: 1 }) */
export declare function attentionModel(opts?: {
  readonly length?: number
  readonly width?: number
  readonly heads?: number
  readonly blocks?: number
  readonly seed?: number
}): Bytes
/** @default quantizedChainModel({ size: 256, count: 4, seed: 1 }) */
export declare function quantizedChainModel(opts?: {
  readonly size?: number
  readonly count?: number
  readonly seed?: number
}): Bytes
export declare function constantModel(): Bytes
export declare function scalarModel(): Bytes
/** Gives the scalar float32 `zero`. */
export declare const FIXED_COST: { readonly nodes: readonly NodePart[]; readonly initializers: readonly TensorPart[] }
export declare function slowLoopModel(): Bytes
export declare function gatherModel(): Bytes
export declare function sequenceModel(): Bytes
export declare function sequenceInputModel(): Bytes
export declare function int4OutputModel(): Bytes
export declare function bf16Model(): Bytes
export declare function futureOpsetModel(): Bytes
export declare function customOpModel(): Bytes
/** @returns path of the written model.onnx */
export declare function externalDataModel(dir: string): string
export declare function symbolModel(): Bytes
/** @default encoderModel({ vocabulary: 32, width: 16, seed: 1, careless: false, fixedCost: false }) */
export declare function encoderModel(opts?: {
  readonly vocabulary?: number
  readonly width?: number
  readonly seed?: number
  readonly careless?: boolean
  readonly fixedCost?: boolean
}): Bytes
export declare function totalModel(): Bytes
export declare function recurrentModel(): Bytes
