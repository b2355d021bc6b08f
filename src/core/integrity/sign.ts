/** Signs a model on disk. */

import { createPublicKey, type KeyObject, randomUUID } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { ModelmountError } from '../errors.ts'
import { readPem } from './anchors.ts'
import { writeBundle } from './bundle.ts'
import { certificatesFrom, fingerprintOf, subjectOf } from './certificates.ts'
import { GIT_PATHS, listFiles } from './files.ts'
import { hashFiles } from './hash-thread.ts'
import { keyId, privateKeyFrom, signPayload } from './keys.ts'
import { tidy } from './names.ts'
import { badOption, refuse } from './refusal.ts'
import { rootDigest, writeStatement } from './statement.ts'
import type { SignedModel, Signer, SignModelOptions } from './types.ts'
import { pathOf, signatureNames } from './verify.ts'

/**
 * Signs every file of a model in the format OpenSSF Model Signing v1.0, which `model_signing` for Python verifies as well.
 * @param path a folder, or a model of one file
 * @throws ModelmountError `MODEL_UNTRUSTED` if the model holds anything that cannot be signed (links, special files) or is empty;
 *   `OPTIONS_INVALID` if a key or certificate cannot be used; `MODEL_LOAD_FAILED` if a file cannot be read or written
 */
export async function signModel(path: string | URL, opts: SignModelOptions): Promise<SignedModel> {
  const root = pathOf(path)
  const privateKey = privateKeyFrom(await readPem(opts.privateKey, 'privateKey'), opts.passphrase, 'privateKey')
  const { material, signer } = await materialFor(opts, createPublicKey(privateKey))
  const ignored = [
    ...(opts.ignorePaths ?? []),
    ...(opts.includeGitPaths ? [] : GIT_PATHS),
    ...(await signatureNames(root, opts.signature)),
  ]
  const files = await listFiles(root, ignored)
  if (files.length === 0) throw refuse('there is nothing to sign', { path: root })
  const hashed = await hashFiles(files)
  const resources = files.map(({ name }, i) => ({ name, sha256: hashed[i]?.sha256 ?? '' }))
  const ignorePaths = [...new Set(ignored.map(tidy).filter((name) => name !== undefined))].sort()
  const payload = writeStatement({ name: basename(root), resources, ignorePaths })
  const signature = writeBundle(material, payload, signPayload(payload, privateKey))
  if (opts.signature !== undefined) await writeWhole(pathOf(opts.signature), signature)
  return { digest: `sha256:${rootDigest(resources)}`, signer, files: files.map(({ name }) => name), signature }
}

async function materialFor(
  { certificate, certificateChain = [] }: SignModelOptions,
  publicKey: KeyObject,
): Promise<{ readonly material: Parameters<typeof writeBundle>[0]; readonly signer: Signer }> {
  const id = keyId(publicKey)
  if (certificate === undefined) {
    if (certificateChain.length > 0) throw badOption('certificateChain', 'is given without the certificate of the key')
    return { material: { hint: id }, signer: { method: 'key', keyId: id } }
  }
  const [own, ...rest] = certificatesFrom(await readPem(certificate, 'certificate'), 'certificate')
  if (!own?.publicKey.equals(publicKey)) throw badOption('certificate', 'is not of the private key')
  const chain = await Promise.all(
    certificateChain.map(async (pem) => certificatesFrom(await readPem(pem, 'certificateChain'), 'certificateChain')),
  )
  return {
    material: { chain: [own, ...rest, ...chain.flat()].map(({ raw }) => raw) },
    signer: { method: 'certificate', subject: subjectOf(own), fingerprint: fingerprintOf(own) },
  }
}

/** A concurrent reader sees the old signature or the new one. */
async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`
  try {
    await writeFile(temporary, bytes, { flag: 'wx' })
    await rename(temporary, path)
  } catch (cause) {
    await rm(temporary, { force: true })
    const { code } = cause as NodeJS.ErrnoException
    throw new ModelmountError('MODEL_LOAD_FAILED', `signature '${path}' could not be written (${code})`, { cause })
  }
}
