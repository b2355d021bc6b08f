/** A valid signature, and the files that it covers. */

import { dirname } from 'node:path'
import { printable } from '../host/printable.ts'
import type { AdmitRequest } from './admitted.ts'
import type { Verdict } from './anchors.ts'
import { signatureBeside } from './beside.ts'
import { GIT_PATHS } from './files.ts'
import type { Policy } from './policy.ts'
import { refuse } from './refusal.ts'
import type { Integrity } from './types.ts'
import { readSignature, signatureDigest, signatureNames } from './verify.ts'

export interface Coverage extends Verdict {
  readonly digest: string
  /** Digest by name, from the signer. */
  readonly signed: ReadonlyMap<string, string>
  /** `.` is the only file. */
  readonly isOfOneFile: boolean
  readonly ignored: readonly string[]
}

/** Reads and checks a model's signature. @throws ModelmountError `MODEL_UNTRUSTED` */
export async function coverageOf({ name, source, signature }: AdmitRequest, policy: Policy | undefined): Promise<Coverage> {
  if (!policy) throw refuse('no signer is trusted')
  const from = signature ?? (await signatureBeside(source))
  const file = await readSignature(from)
  const verdict = await policy.check(name, file)
  const { resources, ignorePaths } = verdict.statement
  const signatureFiles = typeof source === 'string' ? await signatureNames(dirname(source), from) : []
  return {
    ...verdict,
    digest: signatureDigest(file),
    signed: new Map(resources.map(({ name, sha256 }) => [name, sha256])),
    isOfOneFile: resources.some(({ name }) => name === '.'),
    ignored: [...GIT_PATHS, ...ignorePaths, ...signatureFiles],
  }
}

/** @param shown its name in errors */
export function expectSigned(coverage: Coverage | undefined, name: string, shown: string, sha256: string): void {
  if (!coverage) return
  const signed = coverage.signed.get(name)
  const what = shown === '.' ? "the model's file" : `file '${printable(shown)}'`
  if (signed === undefined) throw refuse(`${what} is not covered by the signature`, { file: shown })
  if (signed !== sha256) throw refuse(`${what} is not what was signed`, { file: shown })
}

export const integrityOf = (manifestId: string, coverage: Coverage | undefined): Integrity =>
  coverage ? { manifestId, signer: coverage.signer, signatureDigest: coverage.digest } : { manifestId }
