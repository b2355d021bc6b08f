/** Models that are encrypted at rest: the AWS Encryption SDK's message format, raw AES keys, and what each file is bound to. */

export { decryptModel } from './decrypt.ts'
export { encryptModel } from './encrypt.ts'
export { keysFromEnv, keysFromFile, keysFromJson } from './keys.ts'
export { type OpenModel, openModel } from './open.ts'
export { isEncrypted } from './plan.ts'
export { rekeyModel } from './rekey.ts'
export type * from './types.ts'
