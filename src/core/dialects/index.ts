/** The face of the room: bytes <-> requests and results, one folder per dialect. */

export { decodeInvocation, type InvocationRequest } from './mlflow/request.ts'
export { encodeError } from './open-inference/errors.ts'
export { decodeGenerate, type GenerateRequest } from './open-inference/generate.ts'
export type { InferRequest } from './open-inference/infer-request.ts'
export { decodeInfer, decodeNumbers } from './open-inference/request.ts'
export { type Schedule, scheduleOf } from './open-inference/schedule.ts'
export { sequenceOf } from './open-inference/sequence.ts'
export { decodeTfPredict, type TfPredictRequest } from './tf-serving/request.ts'
