/** The face of the room: bytes <-> requests and results, one codec per dialect. */

export { COUNTED_BYTES, MOST_STRINGS } from './bounds.ts'
export { type Copies, createLaterCopies, type LaterCopies } from './copies.ts'
export { COUNTED_WORDS, firstExcess } from './count.ts'
export type { Parameters } from './fields.ts'
export { parseJson, parseJsonExact } from './json.ts'
export { decodeInvocation, type InvocationRequest } from './mlflow/request.ts'
export { encodeInvocation, encodeMlflowError } from './mlflow/response.ts'
export { encodeConfig } from './open-inference/config.ts'
export { encodeError } from './open-inference/errors.ts'
export { decodeGenerate, encodeGenerate, encodeGenerateEvent, type GenerateRequest } from './open-inference/generate.ts'
export type { InferRequest } from './open-inference/infer-request.ts'
export { encodeModelMetadata, encodeServerMetadata } from './open-inference/metadata.ts'
export {
  checkLoadRequest,
  checkUnloadRequest,
  encodeIndex,
  type IndexEntry,
  loadFailure,
  MOST_REPOSITORY_BYTES,
  readIndexRequest,
} from './open-inference/repository.ts'
export { decodeInfer, decodeNumbers } from './open-inference/request.ts'
export { type EncodedInfer, encodeInfer, encodeShort } from './open-inference/response.ts'
export { type Schedule, scheduleOf } from './open-inference/schedule.ts'
export { sequenceOf } from './open-inference/sequence.ts'
export { encodeStatistics } from './open-inference/statistics.ts'
export type { Result } from './result.ts'
export type { Room } from './room.ts'
export { encodeTfError, encodeTfMetadata, encodeTfStatus } from './tf-serving/metadata.ts'
export { decodeTfPredict, type TfPredictRequest } from './tf-serving/request.ts'
export { encodeTfPredict } from './tf-serving/response.ts'
export { atOnce, type Steps } from './write-json.ts'
