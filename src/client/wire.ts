/** Shared parts of requests and answers on the wire. */

/** Length of the JSON in a body whose tensors follow it as bytes. */
export const JSON_LENGTH = 'inference-header-content-length'

/** Tensors are little-endian. */
export const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/** Reverses the bytes of each element of `size` bytes. */
export function swapped(bytes: Uint8Array, size: number): Uint8Array {
  const result = bytes.slice()
  for (let i = 0; i < result.length; i += size) result.subarray(i, i + size).reverse()
  return result
}
