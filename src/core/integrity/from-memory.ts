/** Admits models that are in memory: bytes from the caller, and encrypted models after their decryption. */

import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { type AdmitRequest, type Admitted, asItIs, type InMemory } from './admitted.ts'
import { type Coverage, expectSigned, integrityOf } from './coverage.ts'
import type { Judge } from './judge.ts'
import { type ManifestFile, manifestIdOf } from './manifest.ts'
import { refuse } from './refusal.ts'

/** Bytes hashed in one go, so that the event loop turns in between. */
const SLICE_BYTES = 1024 * 1024

export async function admitBytes(
  request: AdmitRequest,
  source: Uint8Array,
  coverage: Coverage | undefined,
  judge: Judge,
): Promise<Admitted> {
  const hash = createHash('sha256')
  for (let at = 0; at < source.length; at += SLICE_BYTES) {
    hash.update(source.subarray(at, at + SLICE_BYTES))
    await setImmediate()
  }
  const file = { name: '.', sha256: hash.digest('hex'), size: source.length }
  if (coverage && !coverage.isOfOneFile) throw refuse('the signature is of a folder, and the model is bytes: sign its file')
  expectSigned(coverage, '.', '.', file.sha256)
  return judged(request, asItIs(source), [file], coverage, judge)
}

/** Every loaded file is in memory. Other files of a signed folder are not checked, and cannot be opened. */
export async function admitOpened(
  request: AdmitRequest,
  { plainPath, bytes, data, files }: InMemory,
  coverage: Coverage | undefined,
  judge: Judge,
): Promise<Admitted> {
  for (const { name, sha256 } of files)
    expectSigned(coverage, name === '.' && !coverage?.isOfOneFile ? basename(plainPath) : name, name, sha256)
  return judged(request, { ...asItIs(bytes), data }, files, coverage, judge)
}

async function judged(
  request: AdmitRequest,
  loaded: Pick<Admitted, 'source' | 'data' | 'release'>,
  files: readonly ManifestFile[],
  coverage: Coverage | undefined,
  judge: Judge,
): Promise<Admitted> {
  const manifestId = manifestIdOf(files)
  await judge(request, manifestId, coverage)
  return {
    ...loaded,
    integrity: integrityOf(manifestId, coverage),
    doubt: undefined,
    recheck: () => judge(request, manifestId, coverage),
  }
}
