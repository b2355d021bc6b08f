/** Made-up inputs for trying a model, and the comparison of what it answers. Deterministic. */

import { allocate } from '../tensor/index.ts'
import type { Dim, ModelSignature, Tensor, ValueInfo } from '../types.ts'

/** Sizes tried for dynamic dimensions other than the first. */
export const FREE_SIZES = [16, 64, 1, 224]

/** Relative and absolute difference that counts as the same: kernels for several rows may sum in another order. */
const RELATIVE = 1e-3
const ABSOLUTE = 1e-5

/** Numerical Recipes' linear congruential generator; good enough to make rows differ. */
function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

const sizeOf = (dim: Dim, index: number, free: number): number => (typeof dim === 'number' ? dim : index === 0 ? 1 : free)

/** One row of inputs: small numbers, so that an input which is an index stays in range. */
export function sampleInputs(
  signature: ModelSignature,
  opts: { readonly size: number; readonly seed: number; readonly zeros: boolean },
): Record<string, Tensor> {
  const inputs: Record<string, Tensor> = Object.create(null)
  const random = generator(opts.seed)
  for (const info of signature.inputs) inputs[info.name] = sampleTensor(info, opts.size, opts.zeros ? () => 0 : random)
  return inputs
}

function sampleTensor(info: ValueInfo, free: number, random: () => number): Tensor {
  const type = info.type ?? 'float32'
  const dims = (info.dims ?? []).map((dim, index) => sizeOf(dim, index, free))
  const count = dims.reduce((product, size) => product * size, 1)
  if (type === 'string') return { type, dims, data: Array.from({ length: count }, () => (random() < 0.5 ? 'a' : 'b')) }
  const data = allocate(type, count) as Exclude<Tensor['data'], readonly string[]>
  for (let i = 0; i < count; i++) {
    const value = random()
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = value < 0.5 ? 0n : 1n
    // Half bits of a number from 0.5 to 1, or zero.
    else if (type === 'float16') data[i] = value === 0 ? 0 : 0x3800 + Math.floor(value * 0x400)
    else data[i] = type === 'float32' || type === 'float64' ? value : Math.round(value)
  }
  return { type, dims, data } as Tensor
}

/** True when two outputs agree: exactly for integers and strings, within a small tolerance for floats. */
export function sameWithin(a: Tensor, b: Tensor): boolean {
  if (a.type !== b.type || a.dims.length !== b.dims.length || a.dims.some((dim, i) => dim !== b.dims[i])) return false
  const isFloat = a.type === 'float32' || a.type === 'float64'
  for (let i = 0; i < a.data.length; i++) {
    const [x, y] = [a.data[i], b.data[i]]
    if (Object.is(x, y) || x === y) continue
    if (a.type === 'float16' && Math.abs(Number(x) - Number(y)) <= 4) continue
    if (!isFloat) return false
    const [p, q] = [x as number, y as number]
    if (!(Math.abs(p - q) <= ABSOLUTE + RELATIVE * Math.max(Math.abs(p), Math.abs(q)))) return false
  }
  return true
}
