/** Says what is wrong with the bytes; stays inside this room, where `readOnnx` turns it into a `MODEL_INVALID`. */
export class Malformed extends Error {
  override readonly name = 'Malformed'
}
