/** The face of the room: bytes <-> requests and results, one codec per dialect. */

export { encodeError } from './open-inference/errors.ts'
export { encodeModelMetadata, encodeServerMetadata } from './open-inference/metadata.ts'
export { decodeInfer, type InferRequest } from './open-inference/request.ts'
export { type EncodedInfer, encodeInfer } from './open-inference/response.ts'
export { scheduleOf } from './open-inference/schedule.ts'
