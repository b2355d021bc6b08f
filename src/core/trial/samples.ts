/** Made-up inputs for trying a model. Deterministic. */

import type { BatchAxes } from '../scheduler/batch.ts'
import { allocate, DTYPES, toElement } from '../tensor/index.ts'
import type { Dim, DType, ModelSignature, Tensor, ValueInfo } from '../tensor/types.ts'

/**
 * Sizes tried for dynamic dimensions that do not count rows, small ones first. A size of one proves little, but some models take no other.
 */
export const FREE_SIZES = [16, 4, 1, 64, 224]
/**
 * Numbers of integers tried, from 0 on, the most first: an input that is an index accepts only the indices of its table. With a count of
 * one only zero remains, so that rows cannot differ.
 */
export const RANGES = [1000, 100, 16, 3, 2, 1] as const
/** Below this count, text is a letter; below `WORDS_FROM` it is a number, the only kind that some models accept. */
const NUMBERS_FROM = 16
const WORDS_FROM = 100

export interface SampleOptions {
  /** Size of dynamic dimensions that do not count rows. */
  readonly free: number
  readonly seed: number
  /** Factor of floats, which are from 0 to 1 otherwise. Integers are all the lowest for a negative one, all the highest for one above 1. */
  readonly scale: number
  /** How many different integers an input takes. */
  rangeOf(name: string): number
  /** Dimensions that count rows. @default the first of each input */
  readonly axes: BatchAxes | undefined
}

/** Numerical Recipes' linear congruential generator; good enough to make rows differ. */
function generator(seed: number): () => number {
  let state = Math.imul(seed, 2654435761) >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** One row of inputs. */
export function sampleInputs(signature: ModelSignature, opts: SampleOptions): Record<string, Tensor> {
  const inputs: Record<string, Tensor> = Object.create(null)
  const random = generator(opts.seed)
  for (const info of signature.inputs) inputs[info.name] = sampleTensor(info, opts, random)
  return inputs
}

function sampleTensor(info: ValueInfo, opts: SampleOptions, random: () => number): Tensor {
  const type = info.type ?? 'float32'
  const axis = opts.axes ? opts.axes[info.name] : 0
  const size = (dim: Dim, index: number): number => (typeof dim === 'number' ? dim : index === axis ? 1 : opts.free)
  const dims = (info.dims ?? []).map(size)
  const count = dims.reduce((product, dim) => product * dim, 1)
  const { seed, scale } = opts
  const range = Math.min(opts.rangeOf(info.name), mostOf(type))
  // The first element differs from seed to seed, whatever is drawn.
  const whole = (i: number): number => {
    if (scale !== 1) return scale < 0 ? 0 : range - 1
    return i === 0 ? (seed * (1 + (range >> 2)) + Math.floor(random() * (range >> 2))) % range : Math.floor(random() * range)
  }
  if (type === 'string') return { type, dims, data: Array.from({ length: count }, (_, i) => textOf(whole(i), range, seed + i)) }
  const { kind } = DTYPES[type]
  const data = allocate(type, count)
  for (let i = 0; i < count; i++) {
    const value = kind === 'coded' ? clamped(random() * scale) : kind === 'float' ? random() * scale : whole(i)
    ;(data as Float32Array)[i] = toElement(type, value) as number
  }
  return { type, dims, data } as Tensor
}

/** How many integers from 0 on a type of one byte holds; larger types hold more than are tried. */
const mostOf = (type: DType): number => (DTYPES[type].bytes === 1 ? Number(DTYPES[type].max) + 1 : Number.POSITIVE_INFINITY)

/** Bits of floats hold no more than that. */
const MOST_CODED = 60000
const clamped = (x: number): number => Math.max(-MOST_CODED, Math.min(MOST_CODED, x))

const WORDS = ['a', 'word', 'be', 'longest-of-them', 'Case', '42', 'etc.', 'ünlike']
const MOST_WORDS = 5

/** Text for a number. @param turn chooses how many words, if there are words */
function textOf(number: number, range: number, turn: number): string {
  if (range < NUMBERS_FROM) return number % 2 === 0 ? 'a' : 'b'
  if (range < WORDS_FROM) return String(number ** 2)
  return Array.from({ length: 1 + (turn % MOST_WORDS) }, (_, i) => WORDS[(number + 3 * i) % WORDS.length]).join(' ')
}
