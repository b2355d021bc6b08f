/** Proving where a model comes from: signatures in the format OpenSSF Model Signing v1.0. */

export { signModel } from './sign.ts'
export type * from './types.ts'
export { verifyModel } from './verify.ts'
