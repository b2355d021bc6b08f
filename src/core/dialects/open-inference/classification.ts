/**
 * Outputs as their top classes: strings `score:index` or `score:index:label`, best first.
 * https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_classification.md
 */

import { DTYPES, product } from '../../tensor/index.ts'
import type { ModelSignature, Tensor } from '../../tensor/types.ts'
import type { Steps } from '../codec/write-json.ts'
import { hasRows } from './forms.ts'

export interface ClassNames {
  readonly signature?: ModelSignature
  /** By output, the names of its elements. */
  readonly labels?: Readonly<Record<string, readonly string[]>>
}

type Ordered = Extract<Tensor, { data: ArrayLike<number> | ArrayLike<bigint> }>

/**
 * One row of strings per row of a tensor that has rows (an open first dimension before others), else one for all of it. NaN counts as the
 * lowest score; equal scores stay in order.
 */
export function* topClasses(output: string, tensor: Tensor, classes: number, { signature, labels }: ClassNames): Steps<Tensor> {
  const { dims, data } = tensor as Ordered
  const { isInRows, rows, width, count } = classShape(output, tensor, classes, signature)
  const names = labels && Object.hasOwn(labels, output) ? labels[output] : undefined
  const strings: string[] = []
  let seen = 0
  for (let row = 0; row < rows; row++) {
    const scores = data.subarray(row * width, (row + 1) * width)
    // Rows that are shorter than a slice are many.
    seen += width
    if (seen >= SCORES_PER_SLICE) {
      yield seen * SCORE_BYTES
      seen = 0
    }
    for (const index of yield* topIndices(scores, count)) {
      const label = names?.[index]
      strings.push(`${format(scores[index] as number | bigint, tensor.type)}:${index}${label === undefined ? '' : `:${label}`}`)
      if (strings.length % STRINGS_PER_SLICE === 0) yield STRINGS_PER_SLICE * STRING_BYTES
    }
  }
  return { type: 'string', dims: isInRows ? [dims[0] as number, count] : [count], data: strings }
}

/** How many labels that makes. */
export function labelsIn(output: string, tensor: Tensor, classes: number, signature: ModelSignature | undefined): number {
  const { rows, count } = classShape(output, tensor, classes, signature)
  return rows * count
}

function classShape(output: string, { dims }: Tensor, classes: number, signature: ModelSignature | undefined) {
  const isInRows = hasRows(dims, signature?.outputs.find(({ name }) => name === output)?.dims)
  const rows = isInRows ? (dims[0] as number) : 1
  const width = product(isInRows ? dims.slice(1) : dims)
  return { isInRows, rows, width, count: Math.min(classes, width) }
}

type Scores = ArrayLike<number | bigint>

/** Between two turns of the event loop: about a millisecond each. */
const SCORES_PER_SLICE = 16 * 1024
const STRINGS_PER_SLICE = 4 * 1024
const [SCORE_BYTES, STRING_BYTES] = [8, 32]

/** Indices of the `count` highest scores, highest first. A heap of the best so far, its worst at the root: n log count at most. */
export function* topIndices(scores: Scores, count: number): Steps<number[]> {
  const better = (a: number, b: number): boolean => isHigher(scores[a], scores[b]) || (!isHigher(scores[b], scores[a]) && a < b)
  const heap: number[] = []

  function siftUp(at: number): void {
    for (let i = at; i > 0; ) {
      const parent = (i - 1) >> 1
      if (!better(heap[parent] as number, heap[i] as number)) return
      swap(i, parent)
      i = parent
    }
  }

  function siftDown(size: number): void {
    for (let i = 0; ; ) {
      let worst = i
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < size && better(heap[worst] as number, heap[child] as number)) worst = child
      if (worst === i) return
      swap(i, worst)
      i = worst
    }
  }

  function swap(i: number, j: number): void {
    const kept = heap[i] as number
    heap[i] = heap[j] as number
    heap[j] = kept
  }

  for (let i = 0; i < scores.length && count > 0; i++) {
    if (heap.length < count) siftUp(heap.push(i) - 1)
    else if (better(i, heap[0] as number)) {
      heap[0] = i
      siftDown(count)
    }
    if ((i + 1) % SCORES_PER_SLICE === 0) yield SCORES_PER_SLICE * SCORE_BYTES
  }
  // The worst goes to the end, time after time.
  for (let size = heap.length - 1; size > 0; size--) {
    swap(0, size)
    siftDown(size)
    if (size % STRINGS_PER_SLICE === 0) yield STRINGS_PER_SLICE * SCORE_BYTES
  }
  return heap
}

/** NaN is below everything. */
function isHigher(a: number | bigint | undefined, b: number | bigint | undefined): boolean {
  if (a === undefined || b === undefined) return false
  return a > b || (Number.isNaN(b) && !Number.isNaN(a))
}

/** As C++ `std::to_string` writes it: floats with six decimals and without exponent, whatever their size. */
function format(score: number | bigint, type: Tensor['type']): string {
  if (typeof score === 'bigint' || DTYPES[type].kind !== 'float') return `${score}`
  if (Number.isNaN(score)) return 'nan'
  if (!Number.isFinite(score)) return score > 0 ? 'inf' : '-inf'
  if (Object.is(score, -0)) return '-0.000000'
  // Beyond 1e21 toFixed() changes to exponents; such numbers are integers.
  return Math.abs(score) < 1e21 ? score.toFixed(6) : `${BigInt(score)}.000000`
}
