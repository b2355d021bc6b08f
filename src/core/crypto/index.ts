/** Models encrypted at rest: the AWS Encryption SDK's message format, raw AES keys, and the binding of each file. */

export { decryptModel } from './decrypt.ts'
export { encryptModel } from './encrypt.ts'
export { keysFromEnv, keysFromFile, keysFromJson } from './keys.ts'
export { rekeyModel } from './rekey.ts'
export { createDecrypt } from './server.ts'
export type * from './types.ts'
