/**
 * Mount ONNX models into the Node backend you already have.
 * @module modelmount
 */

export {
  type DecryptedModel,
  type DecryptModelOptions,
  decryptModel,
  type EncryptedModel,
  type EncryptionKey,
  type EncryptionOptions,
  type EncryptModelOptions,
  encryptModel,
  type KeyProvider,
  keysFromEnv,
  keysFromFile,
  keysFromJson,
  type ModelBinding,
  type RekeyedModel,
  rekeyModel,
} from './core/crypto/index.ts'
export { ERROR_TABLE, type ErrorCode, type ErrorDetails, isModelmountError, ModelmountError } from './core/errors.ts'
export {
  type CertificateTrust,
  type CertificateValidity,
  type Integrity,
  type KeylessTrust,
  type PemSource,
  type SignatureSource,
  type SignedModel,
  type Signer,
  type SignModelOptions,
  type StoreOptions,
  signModel,
  type TrustAnchors,
  type TrustedSigner,
  type TrustOptions,
  type Verification,
  type VerifiedModel,
  type VerifyModelOptions,
  verifyModel,
} from './core/integrity/index.ts'
export type { ScanFinding, ScanFindingId } from './core/onnx/index.ts'
export { mergeOpenApi } from './core/openapi/index.ts'
export type {
  InputsOf,
  ModelTypes,
  OutputsOf,
  PredictOptionsFor,
  PredictResultFor,
  TypedInput,
  TypedTensor,
} from './core/predict/typed.ts'
export { createModelServer } from './core/server.ts'
export type {
  LoadEnd,
  LoadStep,
  RequestEnd,
  RequestStart,
  RunEnd,
  Telemetry,
  TelemetrySource,
  Trace,
} from './core/telemetry/index.ts'
export type * from './core/types.ts'
