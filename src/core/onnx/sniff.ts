/** Recognises files commonly mistaken for models, so that the refusal can name them. */

const HEAD_BYTES = 512

interface Signature {
  readonly offset: number
  readonly magic: string
  readonly found: string
}

const SIGNATURES: readonly Signature[] = [
  {
    offset: 0,
    magic: 'version https://git-lfs.github.com',
    found: 'a Git LFS pointer: the model itself was not downloaded (git lfs pull)',
  },
  { offset: 0, magic: 'PK\x03\x04', found: 'a ZIP archive (a PyTorch or Keras file, perhaps)' },
  { offset: 0, magic: '\x1f\x8b', found: 'a gzip archive' },
  { offset: 0, magic: '\x89HDF', found: 'an HDF5 file (Keras)' },
  { offset: 0, magic: 'GGUF', found: 'a GGUF file (llama.cpp)' },
  { offset: 4, magic: 'TFL3', found: 'a TensorFlow Lite file' },
  { offset: 8, magic: '{"', found: 'a safetensors file' },
  { offset: 0, magic: '\x80', found: 'a Python pickle' },
  { offset: 0, magic: '<', found: 'an HTML or XML document' },
]

const ORT_FORMAT: Signature = { offset: 4, magic: 'ORTM', found: '.ort' }

/** Most bytes that the functions below read. */
export const SNIFF_BYTES = HEAD_BYTES

/** True for ONNX Runtime's own flatbuffer format. */
export function isOrtFormat(head: Uint8Array): boolean {
  return matches(head, ORT_FORMAT)
}

/** Probable kind of a file that is no ONNX model. */
export function lookalike(head: Uint8Array): string | undefined {
  const known = SIGNATURES.find((signature) => matches(head, signature))
  if (known !== undefined) return known.found
  if (head.every((byte) => byte === 0)) return 'a file of zero bytes'
  return isText(head) ? 'a text file' : undefined
}

function matches(head: Uint8Array, { offset, magic }: Signature): boolean {
  return head.length >= offset + magic.length && [...magic].every((char, i) => head[offset + i] === char.charCodeAt(0))
}

/** Tab to carriage return and everything from the space on; an ONNX model starts with byte 8 or soon has a byte below 8. */
function isText(head: Uint8Array): boolean {
  return head.every((byte) => (byte >= 0x09 && byte <= 0x0d) || (byte >= 0x20 && byte !== 0x7f))
}
