/** Describes a model on disk for a lock file. */

import { realpath } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isModelmountError } from '../errors.ts'
import { checkSignature, readAnchors } from './anchors.ts'
import { dataPath, missing, signatureBeside } from './beside.ts'
import { hashFiles } from './hash-thread.ts'
import { manifestIdOf } from './manifest.ts'
import { signerName } from './signer-name.ts'
import type { TrustAnchors } from './types.ts'
import { readSignature, signatureDigest, verifyModel } from './verify.ts'

export interface Described {
  readonly manifestId: string
  readonly signature: string | null
  /** Null if no signer was to be trusted. */
  readonly signer: string | null
}

/**
 * @param dataNames files that it keeps weights in
 * @param anchors if given, one of them must have signed the model
 * @throws ModelmountError `MODEL_UNTRUSTED`, `MODEL_LOAD_FAILED`, `OPTIONS_INVALID`
 */
export async function describeModel(
  source: string,
  dataNames: readonly string[],
  anchors: TrustAnchors | undefined,
): Promise<Described> {
  const root = await realpath(dirname(source)).catch(missing(source))
  const main = await realpath(source).catch(missing(source))
  const paths = [main, ...(await Promise.all(dataNames.map((name) => dataPath(root, name, undefined))))]
  const hashed = await hashFiles(paths.map((path) => ({ path })))
  const names = ['.', ...dataNames]
  const manifestId = manifestIdOf(hashed.map(({ sha256, size }, i) => ({ name: names[i] ?? '', sha256, size })))
  const signature = await signatureBeside(source).catch((error: unknown) => {
    if (anchors || !isModelmountError(error)) throw error
    return undefined
  })
  if (signature === undefined) return { manifestId, signature: null, signer: null }
  const file = await readSignature(signature)
  if (!anchors) return { manifestId, signature: signatureDigest(file), signer: null }
  const { statement } = await checkSignature(file, await readAnchors(anchors), Date.now())
  const isOfOneFile = statement.resources.some(({ name }) => name === '.')
  const { signer, signatureDigest: digest } = await verifyModel(isOfOneFile ? main : root, { ...anchors, signature })
  return { manifestId, signature: digest, signer: signerName(signer) }
}
