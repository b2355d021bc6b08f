/** Describes a fault in the bytes. It stays inside this room: `readOnnx` turns it into a `MODEL_INVALID`. */
export class Malformed extends Error {
  override readonly name = 'Malformed'
}
