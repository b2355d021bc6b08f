/** Bytes as text: a string of one byte per character is written faster than a buffer, and in one piece with a head. */

/** Larger bodies are not worth copying. */
export const ONE_WRITE_BYTES = 16 * 1024

/** Keeps every byte. */
export const latin1 = (bytes: Uint8Array): string =>
  (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)).toString('latin1')
