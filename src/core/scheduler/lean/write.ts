/** Writes the inputs of one request behind the rows that wait already: checked and copied in one go. */

import { fillRow, javascript } from '../../tensor/index.ts'
import type { Tensor } from '../../tensor/types.ts'
import type { LeanInput, NumericData } from './layout.ts'

type Target = readonly NumericData[]

/**
 * Values as callers of `predict()` give them: typed arrays, whole tensors, arrays of rows.
 * @param at row from which on `target` is free
 * @param most rows that fit
 * @returns the number of rows; 0 for anything unusual, right or wrong: nothing counts as written then
 * @throws whatever a getter or proxy of the caller's throws
 */
export function writeValues(
  inputs: readonly LeanInput[],
  target: Target,
  at: number,
  most: number,
  maxElements: number,
  values: unknown,
): number {
  if (typeof values !== 'object' || values === null || Object.getPrototypeOf(values) !== Object.prototype) return 0
  // As many names as inputs: each must be one of them, because all are looked up.
  let names = 0
  for (const _ in values) names++
  if (names !== inputs.length) return 0
  let rows = 0
  for (let index = 0; index < inputs.length; index++) {
    const input = inputs[index] as LeanInput
    const written = writeValue(
      input,
      target[index] as NumericData,
      at * input.elements,
      Math.min(most, Math.floor(maxElements / input.elements)),
      (values as Record<string, unknown>)[input.name],
    )
    if (written === 0 || (index > 0 && written !== rows)) return 0
    rows = written
  }
  return rows
}

function writeValue(input: LeanInput, target: NumericData, at: number, most: number, value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === input.prototype) return input.type === 'bool' ? 0 : writeArray(input, target, at, most, value as NumericData)
  if (Array.isArray(value)) return input.rest.length === 1 ? writeRows(input, target, at, most, value) : 0
  if (prototype !== Object.prototype || input.type === 'bool') return 0
  // Each property is read once, so that the checked value is the one used.
  const { type, dims, data } = value as { readonly type?: unknown; readonly dims?: unknown; readonly data?: unknown }
  if (type !== input.type || typeof data !== 'object' || data === null || Object.getPrototypeOf(data) !== input.prototype)
    return 0
  if (!Array.isArray(dims) || dims.length !== input.rest.length + 1) return 0
  for (let index = 0; index < input.rest.length; index++) if (dims[index + 1] !== input.rest[index]) return 0
  const rows = writeArray(input, target, at, most, data as NumericData)
  return dims[0] === rows ? rows : 0
}

/** Its `buffer` is not looked at: that of a small array would have to be made first, which costs more than all the rest. */
function writeArray({ elements }: LeanInput, target: NumericData, at: number, most: number, data: NumericData): number {
  const rows = data.length === elements ? 1 : data.length / elements
  if (rows > most || !Number.isInteger(rows)) return 0
  target.set(data as never, at)
  return rows
}

function writeRows(
  { type, elements }: LeanInput,
  target: NumericData,
  at: number,
  most: number,
  rows: readonly unknown[],
): number {
  const count = rows.length
  if (count > most) return 0
  for (let index = 0; index < count; index++) {
    const row = rows[index]
    if (!Array.isArray(row) || row.length !== elements) return 0
    if (fillRow(type, target as never, at + index * elements, row, javascript.elements) !== -1) return 0
  }
  return count
}

/** Tensors that have passed the check. @returns the number of rows; 0 if they do not fit */
export function writeTensors(
  inputs: readonly LeanInput[],
  target: Target,
  at: number,
  most: number,
  tensors: Readonly<Record<string, Tensor>>,
): number {
  let rows = 0
  for (let index = 0; index < inputs.length; index++) {
    const { name, elements, prototype } = inputs[index] as LeanInput
    const tensor = tensors[name]
    const count = tensor?.dims[0]
    if (!tensor || count === undefined || count === 0 || count > most || (index > 0 && count !== rows)) return 0
    if (Object.getPrototypeOf(tensor.data) !== prototype || tensor.data.length !== count * elements) return 0
    ;(target[index] as NumericData).set(tensor.data as never, at * elements)
    rows = count
  }
  return rows
}
