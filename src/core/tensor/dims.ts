/** Dimensions: reads those of a request, counts elements safely, and compares them with a signature. */

import { kindOf } from './elements.ts'
import { MAX_RANK } from './nested.ts'
import type { Dim } from './types.ts'
import { mismatch, type Vocabulary } from './vocabulary.ts'

/** ONNX Runtime's Node binding takes 32-bit dimensions. */
const MAX_DIM = 4294967295

/** Facts that the checks of one input share. */
export interface Scope {
  readonly input: string
  /** Path of the input in the request. */
  readonly path: string
  /** The signature's dims; `undefined` when the rank is unknown. */
  readonly dims: readonly Dim[] | undefined
  readonly maxElements: number
  readonly vocabulary: Vocabulary
}

/**
 * The dims that a request states, as a fresh array.
 * @throws ModelmountError `INPUT_INVALID` for anything but at most 32 integers from 0 to 4294967295
 */
export function readDims(scope: Scope, dims: unknown, field: string): number[] {
  const expected = 'an array of integers from 0 to 4294967295'
  if (!Array.isArray(dims)) throw mismatch(scope.input, field, expected, kindOf(dims))
  if (dims.length > MAX_RANK) throw mismatch(scope.input, field, `at most ${MAX_RANK} dims`, `${dims.length}`)
  return Array.from(dims, (dim: unknown, i) => {
    if (typeof dim === 'number' && Number.isInteger(dim) && dim >= 0 && dim <= MAX_DIM) return dim === 0 ? 0 : dim // not -0
    throw mismatch(scope.input, `${field}[${i}]`, 'an integer from 0 to 4294967295', describeDim(dim))
  })
}

/**
 * Compares rank, fixed dims and size with the signature.
 * The limit holds for the product of the dims that are not 0: an empty tensor of shape [0, 4294967295] could make a model allocate without bound.
 * @returns the number of elements
 * @throws ModelmountError `INPUT_INVALID`
 */
export function checkDims(scope: Scope, dims: readonly number[], field: string): number {
  const { input, dims: wanted, maxElements } = scope
  const isWanted =
    wanted === undefined ||
    (wanted.length === dims.length && wanted.every((dim, i) => typeof dim !== 'number' || dim === dims[i]))
  if (!isWanted) throw mismatch(input, field, `shape ${formatShape(wanted)}`, `shape ${formatShape(dims)}`)
  let count = 1
  let volume = 1
  for (const dim of dims) {
    count *= dim
    if (dim !== 0) volume *= dim
    // Stopping at the first product above the limit keeps every product exact.
    if (volume > maxElements) throw mismatch(input, field, `at most ${maxElements} elements`, `shape ${formatShape(dims)}`)
  }
  return count
}

/**
 * The shape of `length` elements that came without one.
 * @throws ModelmountError `INPUT_INVALID` if the signature leaves more than one dim open, or its fixed dims do not divide `length`
 */
export function inferDims(scope: Scope, length: number): number[] {
  const { input, path, dims: wanted } = scope
  if (wanted === undefined) return [length]
  const free = wanted.filter((dim) => typeof dim !== 'number').length
  const fixed = product(wanted.filter((dim) => typeof dim === 'number'))
  if (free > 1 || (free === 1 && fixed === 0)) {
    const expected = `{ type, dims, data }, because the shape ${formatShape(wanted)} cannot be inferred from a length`
    throw mismatch(input, path, expected, 'a typed array')
  }
  if (free === 0 && length !== fixed)
    throw mismatch(input, path, `${fixed} elements for shape ${formatShape(wanted)}`, `${length}`)
  if (free === 1 && length % fixed !== 0) {
    throw mismatch(input, path, `a multiple of ${fixed} elements for shape ${formatShape(wanted)}`, `${length}`)
  }
  return wanted.map((dim) => (typeof dim === 'number' ? dim : length / fixed))
}

/** Product of dims; 1 for none. Inexact beyond 2^53. */
export function product(dims: readonly number[]): number {
  return dims.reduce((total, dim) => total * dim, 1)
}

/** `[N,4,?]`: symbols by name, unnamed dims as `?`. */
export function formatShape(dims: readonly Dim[]): string {
  return `[${dims.map((dim) => dim ?? '?').join(',')}]`
}

function describeDim(dim: unknown): string {
  if (typeof dim !== 'number') return kindOf(dim)
  return Number.isInteger(dim) ? `${dim}` : 'a non-integer number'
}
