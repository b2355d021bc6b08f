/** How much a request body may hold, from what the model's inputs can take. Larger bodies are counted against it before anything is built. */

import { MAX_RANK, product } from '../../tensor/index.ts'
import type { ModelSignature, ValueInfo } from '../../tensor/types.ts'

export interface Bounds {
  /** Levels of nesting. */
  readonly depth: number
  /** Lists and objects together. */
  readonly nodes: number
  /** Commas: every value of a list or object but its first follows one. */
  readonly values: number
  /** Strings that are values. */
  readonly strings: number
  /** Members of one object. */
  readonly members: number
}

/** A body up to here is parsed without being counted first: so few bytes cannot hold much. */
export const COUNTED_BYTES = 16 * 1024

/** Around the tensors: ids, parameters, shapes, wanted outputs. */
const ENVELOPE = 4096
const ENVELOPE_DEPTH = 8
/** An array of one element takes a hundred bytes and more than a microsecond. */
const MOST_NODES = 2 ** 19
/** A string that is new to V8 takes a microsecond; and all of them go on to the worker of a model as they are. */
export const MOST_STRINGS = 2 ** 16
/** Columns of one row where no width is fixed. */
const MOST_COLUMNS = 2 ** 14

const known = new WeakMap<ModelSignature, { readonly maxElements: number; readonly bounds: Bounds }>()

/** @param maxElements largest number of elements of one input */
export function boundsOf(signature: ModelSignature, maxElements: number): Bounds {
  const before = known.get(signature)
  if (before?.maxElements === maxElements) return before.bounds
  const bounds = read(signature, maxElements)
  known.set(signature, { maxElements, bounds })
  return bounds
}

function read({ inputs }: ModelSignature, maxElements: number): Bounds {
  const sum = (of: (info: ValueInfo) => number): number => inputs.reduce((total, info) => total + of(info), 0)
  const widths = inputs.map(({ dims }) => dims?.at(-1)).map((width) => (typeof width === 'number' ? width : MOST_COLUMNS))
  const ranks = inputs.map(({ dims }) => dims?.length ?? MAX_RANK)
  const elements = sum((info) => elementsOf(info, maxElements))
  return {
    depth: ENVELOPE_DEPTH + Math.max(0, ...ranks),
    nodes: Math.min(MOST_NODES, ENVELOPE + sum((info) => nodesOf(info, maxElements))),
    values: ENVELOPE + 2 * elements,
    strings: Math.min(MOST_STRINGS, ENVELOPE + elements),
    members: ENVELOPE + inputs.length + Math.max(0, ...widths),
  }
}

const elementsOf = ({ dims }: ValueInfo, maxElements: number): number =>
  dims?.every((dim) => typeof dim === 'number') ? Math.min(product(dims), maxElements) : maxElements

/** Lists of a nest, level by level; the rows once more, each of which may be an object; and elements that may be objects, as `{ b64 }` is. */
function nodesOf(info: ValueInfo, maxElements: number): number {
  const { dims, type } = info
  if (dims === undefined) return maxElements
  const listsAt = (level: number): number => sizeOf(dims.slice(0, level), dims.slice(level), maxElements)
  let lists = 0
  for (let level = 0; level < dims.length; level++) lists += listsAt(level)
  return lists + listsAt(1) + (type === 'string' ? elementsOf(info, maxElements) : 0)
}

/** How often what has the `inner` shape can stand in the `outer` one: exactly, or as often as its elements fit where a size is open. */
function sizeOf(outer: NonNullable<ValueInfo['dims']>, inner: NonNullable<ValueInfo['dims']>, maxElements: number): number {
  if (outer.every((dim) => typeof dim === 'number')) return product(outer)
  return maxElements / Math.max(1, product(inner.filter((dim) => typeof dim === 'number')))
}
