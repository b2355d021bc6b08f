/** The face of the room: bytes <-> requests and results, one codec per dialect. */

export { decodeInfer, encodeError, encodeInfer, encodeModelMetadata, encodeServerMetadata } from './open-inference.ts'
