/** Made-up inputs for trying a model. Deterministic. */

import type { BatchAxes } from '../scheduler/batch.ts'
import { allocate, toHalf } from '../tensor/index.ts'
import type { Dim, ModelSignature, Tensor, ValueInfo } from '../types.ts'

/** Sizes tried for dynamic dimensions that do not count rows. */
export const FREE_SIZES = [16, 64, 1, 224]
/** Integers tried: 0 and 1 at random, so that an input which is an index stays in range; then only zeros. */
export const INTEGERS = ['small', 'zero'] as const

export interface SampleOptions {
  /** Size of dynamic dimensions that do not count rows. */
  readonly free: number
  readonly seed: number
  /** Factor of floats, which are from 0 to 1 otherwise. */
  readonly scale: number
  readonly integers: (typeof INTEGERS)[number]
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
  const bit = (): number => (opts.integers === 'zero' ? 0 : Math.round(random()))
  if (type === 'string') return { type, dims, data: Array.from({ length: count }, () => (bit() ? 'a' : 'b')) }
  const data = allocate(type, count) as Exclude<Tensor['data'], readonly string[]>
  for (let i = 0; i < count; i++) {
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = BigInt(bit())
    else if (type === 'float16') data[i] = toHalf(Math.max(-60000, Math.min(60000, random() * opts.scale)))
    else data[i] = type === 'float32' || type === 'float64' ? random() * opts.scale : bit()
  }
  return { type, dims, data } as Tensor
}
