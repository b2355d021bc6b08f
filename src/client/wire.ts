/** What requests and answers share on the wire. */

/** Header of a body whose tensors follow the JSON as bytes: how long the JSON is. */
export const JSON_LENGTH = 'inference-header-content-length'

/** Tensors are the least significant byte first. */
export const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/** Elements of `size` bytes with their bytes the other way round. */
export function swapped(bytes: Uint8Array, size: number): Uint8Array {
  const result = bytes.slice()
  for (let i = 0; i < result.length; i += size) result.subarray(i, i + size).reverse()
  return result
}
