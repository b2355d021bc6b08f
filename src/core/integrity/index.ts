/** Proving where a model comes from and what it is: signatures, the private store, the lock file, and the gate that asks for them. */

export { type Described, describeModel } from './describe.ts'
export { GIT_PATHS, listFiles } from './files.ts'
export { type Admitted, createGate, type Gate, type GateConfig } from './gate.ts'
export { identityOf } from './hash.ts'
export { type Collected, hashFiles, withCollector } from './hash-thread.ts'
export { LOCK_FILE, type Lock, type LockedModel, lockOf, readLock, writeLock } from './lock-file.ts'
export { manifestIdOf } from './manifest.ts'
export { nameProblem } from './names.ts'
export { signModel } from './sign.ts'
export { signerName } from './signer-name.ts'
export type * from './types.ts'
export { verifyModel } from './verify.ts'
