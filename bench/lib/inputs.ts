/** Inputs that change from call to call: one array asked again and again flatters caches of the engine and of number formatting. */

const KINDS = 64

export function rotatingFloats(length: number): (index: number) => Float32Array {
  const kinds = Array.from({ length: KINDS }, () => Float32Array.from({ length }, () => Math.random() * 2 - 1))
  return (index) => kinds[index % KINDS] as Float32Array
}
