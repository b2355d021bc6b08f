/** Inputs that change from call to call: one array asked again and again flatters caches of the engine and of number formatting. */

const KINDS = 64
/** Large inputs come in fewer kinds, so that making them takes no time. */
const MAX_FLOATS = 2 ** 21

export function rotatingFloats(length: number): (index: number) => Float32Array {
  const kinds = Array.from({ length: Math.max(2, Math.min(KINDS, Math.floor(MAX_FLOATS / length))) }, () =>
    Float32Array.from({ length }, () => Math.random() * 2 - 1),
  )
  return (index) => kinds[index % kinds.length] as Float32Array
}

export const product = (dims: readonly number[]): number => dims.reduce((all, dim) => all * dim, 1)
