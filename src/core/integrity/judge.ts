/** The last word on a model whose files are known: it must not be revoked, and must be the one in the lock file. */

import type { AdmitRequest } from './admitted.ts'
import type { Coverage } from './coverage.ts'
import type { Lock } from './lock-file.ts'
import type { Policy } from './policy.ts'
import { refuse } from './refusal.ts'
import { signerName } from './signer-name.ts'

/** @throws ModelmountError `MODEL_UNTRUSTED` */
export type Judge = (request: AdmitRequest, manifestId: string, coverage: Coverage | undefined) => Promise<void>

export function createJudge(policy: Policy | undefined, lock: Lock | undefined): Judge {
  return async ({ name, version }, manifestId, coverage) => {
    await policy?.refuseRevoked(manifestId)
    if (lock) checkLock(lock, name, version, manifestId, coverage)
  }
}

function checkLock({ models }: Lock, name: string, version: string, manifestId: string, coverage: Coverage | undefined): void {
  const entry = models.find((model) => model.name === name && model.version === version)
  if (!entry) throw refuse(`model '${name}' version '${version}' is not in the lock file`)
  if (entry.manifestId !== manifestId)
    throw refuse(
      `model '${name}' version '${version}' is not what the lock file says: ${entry.manifestId} expected, got ${manifestId}`,
    )
  const signer = coverage && signerName(coverage.signer)
  if (entry.signer && signer !== undefined && signer !== entry.signer)
    throw refuse(`model '${name}' version '${version}' was signed by ${signer}, not by ${entry.signer} as the lock file says`)
}
