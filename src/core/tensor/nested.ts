/** Reads the shape of nested arrays from their lengths alone. */

import { typedArrayName } from './dtypes.ts'
import { kindOf } from './elements.ts'

/** Deepest nesting, and highest rank, that a request may have. */
export const MAX_RANK = 32

/** A row of elements: the innermost array, plain or typed. */
export type Row = readonly unknown[] | ArrayBufferView

/** The place where nested arrays stop being regular: a path of indices, and the words for it. */
export interface Irregularity {
  readonly path: readonly number[]
  readonly expected: string
  readonly got: string
}

/** True for an array that may be part of a nest; a DataView is not. */
export function isRow(value: unknown): value is Row {
  return Array.isArray(value) || typedArrayName(value) !== undefined
}

/** Number of elements of a row. */
export function rowLength(row: Row): number {
  return (row as ArrayLike<unknown>).length
}

/**
 * The lengths along the first path of a nest, outermost first; a typed array ends it.
 * @returns `undefined` when the nest is deeper than {@link MAX_RANK} (or contains itself)
 */
export function shapeOf(nest: Row): number[] | undefined {
  const shape = [rowLength(nest)]
  let node: Row = nest
  while (Array.isArray(node) && isRow(node[0])) {
    node = node[0]
    if (shape.length === MAX_RANK) return undefined
    shape.push(rowLength(node))
  }
  return shape
}

/**
 * The rows of a nest in order, after comparing every length but the elements themselves with `shape`.
 * The caller bounds the product of `shape`: a nest may contain the same array many times.
 */
export function collectRows(nest: Row, shape: readonly number[]): Row[] | Irregularity {
  const rows: Row[] = []
  const path: number[] = []
  const last = shape.length - 1

  function visit(node: unknown, depth: number): Irregularity | undefined {
    const length = shape[depth] ?? 0
    if (!isRow(node) || rowLength(node) !== length) {
      const got = isRow(node) ? `an array of length ${rowLength(node)}` : kindOf(node)
      return { path: path.slice(0, depth), expected: `an array of length ${length}`, got }
    }
    if (depth === last) {
      rows.push(node)
      return undefined
    }
    if (!Array.isArray(node)) return { path: path.slice(0, depth), expected: 'an array of arrays', got: 'a typed array' }
    for (let i = 0; i < length; i++) {
      path[depth] = i
      const irregular = visit(node[i], depth + 1)
      if (irregular !== undefined) return irregular
    }
    return undefined
  }

  return visit(nest, 0) ?? rows
}

/** The indices of the element at a flat position: position 7 in shape [2, 4] is [1, 3]. */
export function indicesAt(position: number, shape: readonly number[]): number[] {
  const indices: number[] = []
  let rest = position
  for (const size of shape.toReversed()) {
    indices.unshift(rest % size)
    rest = Math.floor(rest / size)
  }
  return indices
}
