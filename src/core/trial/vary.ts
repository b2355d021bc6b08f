/** Makes other rows from a given one. Deterministic. */

import type { TensorRecord } from '../engine/frame.ts'
import { codeOf, DTYPES, isFloat, type Kind, type KindArrays } from '../tensor/index.ts'
import type { Tensor } from '../tensor/types.ts'

type Numeric = Exclude<Tensor, { type: 'string' }>
type NumericData = Numeric['data']
type Vary = (tensor: Tensor, step: number) => Tensor['data']

/**
 * Ways of varying, the most acceptable one first. Elements of a row change places, so that only given values occur. Else they become
 * larger, away from zero; else they alternate between zero and the given value.
 */
export const VARIATIONS: readonly Vary[] = [
  (tensor, step) => rotated(tensor, step) ?? grown(tensor, step),
  (tensor, step) => grown(tensor, step),
  (tensor, step) => rotated(tensor, step) ?? grown(tensor, step % 2),
  (tensor, step) => rotated(tensor, step) ?? emptied(tensor, step),
]

const VARIETY = 8

/** The row with the named inputs varied; the first row stays unchanged. */
export function varied(row: TensorRecord, names: readonly string[], seed: number, vary: Vary): TensorRecord {
  const step = (seed - 1) % VARIETY
  return step === 0 ? row : changed(row, names, (tensor) => vary(tensor, step))
}

/** The row with floats times `scale`. */
export const scaleFloats = (row: TensorRecord, names: readonly string[], scale: number): TensorRecord =>
  changed(row, names, (tensor) => (isFloat(tensor.type) ? eachFloat(tensor, (x) => x * scale) : tensor.data))

export const equal = (a: Tensor, b: Tensor): boolean =>
  a.data.length === b.data.length &&
  a.dims.every((dim, i) => dim === b.dims[i]) &&
  Array.prototype.every.call(a.data, (x, i) => Object.is(x, b.data[i]))

function changed(row: TensorRecord, names: readonly string[], change: (tensor: Tensor) => Tensor['data']): TensorRecord {
  const result: Record<string, Tensor> = Object.assign(Object.create(null), row)
  for (const name of names) {
    const tensor = row[name]
    if (tensor) result[name] = { ...tensor, data: change(tensor) } as Tensor
  }
  return result
}

/** `undefined` if all elements are equal; else each step differs from the one before. */
function rotated({ type, data }: Tensor, step: number): Tensor['data'] | undefined {
  const { length } = data
  if (Array.prototype.every.call(data, (x) => x === data[0])) return undefined
  if (type === 'string') return Array.from({ length }, (_, i) => data[(i + step) % length] as string)
  const turned = (data as NumericData).slice()
  for (let i = 0; i < length; i++) turned[i] = data[(i + step) % length] as never
  return turned
}

/** Bits of floats hold no more than these. */
const MOST_CODED = 60000

function eachFloat({ type, data }: Tensor, change: (x: number, index: number) => number): Tensor['data'] {
  const code = codeOf(type)
  if (DTYPES[type].kind !== 'coded') return (data as Float32Array).map(change)
  return (data as KindArrays['coded']).map((bits, i) => code.toBits(clamped(change(code.toNumber(bits), i))))
}

const GROWN: { readonly [K in Kind]: (data: KindArrays[K], step: number, tensor: Tensor) => Tensor['data'] } = {
  float: (_, step, tensor) => eachFloat(tensor, (x, i) => x * (1 + ((step + i) % VARIETY) / 8) + step / 8),
  coded: (_, step, tensor) => eachFloat(tensor, (x) => x * (1 + step / 8) + step / 8),
  integer: (data, step) => (data as Int32Array).map((x) => (x < 0 ? x - step : x + step)),
  long: (data, step) => (data as BigInt64Array).map((x) => (x < 0n ? x - BigInt(step) : x + BigInt(step))),
  bool: (data, step) => data.map((flag) => (step % 2 === 0 ? flag : 1 - flag)),
  string: (data, step) => data.map((text) => `${text}${' more'.repeat(step)}`),
}

const grown = (tensor: Tensor, step: number): Tensor['data'] =>
  GROWN[DTYPES[tensor.type].kind](tensor.data as never, step, tensor)

function emptied(tensor: Tensor, step: number): Tensor['data'] {
  if (step % 2 === 0) return tensor.data
  return tensor.type === 'string' ? tensor.data.map(() => '') : tensor.data.slice().fill(0 as never)
}

const clamped = (x: number): number => Math.max(-MOST_CODED, Math.min(MOST_CODED, x))
