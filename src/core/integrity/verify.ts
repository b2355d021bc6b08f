/** Verifies a model on disk against its signature. */

import { createHash } from 'node:crypto'
import { lstat, open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { printable } from '../host/printable.ts'
import { checkSignature, readAnchors } from './anchors.ts'
import { MAX_SIGNATURE_BYTES } from './bundle.ts'
import { GIT_PATHS, listFiles, type ModelFile, nameInside } from './files.ts'
import type { Hashed } from './hash.ts'
import { hashFiles } from './hash-thread.ts'
import { refuse } from './refusal.ts'
import { type Resource, rootDigest } from './statement.ts'
import type { SignatureSource, VerifiedModel, VerifyModelOptions } from './types.ts'

/** Most names in an error. */
const MAX_NAMED = 10

/**
 * Proves that a model is exactly what a trusted signer signed: every file is there, none was added, and none has changed.
 *
 * The proof holds for the moment of the call. A server that will run the model should get the trust itself (`trust`), so that it loads the
 * very bytes that were verified.
 * @param path a folder, or a model of one file
 * @throws ModelmountError `MODEL_UNTRUSTED` with the reason; `OPTIONS_INVALID` if a key, certificate or root cannot be read;
 *   `MODEL_LOAD_FAILED` if a file cannot be read
 */
export async function verifyModel(path: string | URL, opts: VerifyModelOptions): Promise<VerifiedModel> {
  const root = pathOf(path)
  const anchors = await readAnchors(opts)
  const file = await readSignature(opts.signature)
  const { signer, statement } = await checkSignature(file, anchors, Date.now())
  const ignored = [
    ...(opts.ignorePaths ?? []),
    ...(opts.includeGitPaths ? [] : GIT_PATHS),
    ...statement.ignorePaths,
    ...(await signatureNames(root, opts.signature)),
  ]
  const files = await listFiles(root, ignored)
  checkNames(statement.resources, files)
  const hashed = await hashFiles(files)
  checkDigests(statement.resources, files, hashed)
  return {
    name: statement.name,
    digest: `sha256:${rootDigest(statement.resources)}`,
    signer,
    files: new Map(files.map(({ name }, i) => [name, { sha256: hashed[i]?.sha256 ?? '', size: hashed[i]?.size ?? 0 }])),
    signatureDigest: signatureDigest(file),
  }
}

export const pathOf = (path: string | URL): string => resolve(path instanceof URL ? fileURLToPath(path) : path)

export const signatureDigest = (file: Uint8Array): string => `sha256:${createHash('sha256').update(file).digest('hex')}`

/** The name of a signature that lies inside the model, and cannot be part of it. */
export async function signatureNames(root: string, signature: SignatureSource | undefined): Promise<readonly string[]> {
  if (signature === undefined || signature instanceof Uint8Array) return []
  const isFolder = await lstat(root).then(
    (stats) => stats.isDirectory(),
    () => false,
  )
  const name = isFolder ? await nameInside(root, pathOf(signature)) : undefined
  return name === undefined ? [] : [name]
}

/** @throws ModelmountError `MODEL_UNTRUSTED` if it cannot be read, or is far too large for a signature */
export async function readSignature(source: SignatureSource): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source
  const path = pathOf(source)
  try {
    const handle = await open(path)
    try {
      const stats = await handle.stat()
      if (!stats.isFile()) throw refuse(`signature '${printable(path)}' is not a regular file`, { path })
      if (stats.size > MAX_SIGNATURE_BYTES)
        throw refuse(`signature '${printable(path)}' has ${stats.size} bytes, more than the ${MAX_SIGNATURE_BYTES} that are read`)
      return await handle.readFile()
    } finally {
      await handle.close()
    }
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'MODEL_UNTRUSTED') throw cause
    throw refuse(
      `signature '${printable(path)}' ${code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`}`,
      { path },
      cause,
    )
  }
}

/** @throws ModelmountError `MODEL_UNTRUSTED` naming the missing and the additional files */
export function checkNames(signed: readonly Resource[], files: readonly ModelFile[]): void {
  const wanted = new Set(signed.map(({ name }) => name))
  const there = new Set(files.map(({ name }) => name))
  const extra = [...there].filter((name) => !wanted.has(name))
  const missing = [...wanted].filter((name) => !there.has(name))
  const reasons = [
    ...(extra.length > 0 ? [`it has files that were not signed: ${listed(extra)}`] : []),
    ...(missing.length > 0 ? [`signed files are missing: ${listed(missing)}`] : []),
  ]
  if (reasons.length > 0)
    throw refuse(`the model is not what was signed: ${reasons.join('; ')}`, {
      extra: extra.slice(0, MAX_NAMED),
      missing: missing.slice(0, MAX_NAMED),
    })
}

function checkDigests(signed: readonly Resource[], files: readonly ModelFile[], hashed: readonly Hashed[]): void {
  const digests = new Map(signed.map(({ name, sha256 }) => [name, sha256]))
  const changed = files.filter(({ name }, i) => digests.get(name) !== hashed[i]?.sha256).map(({ name }) => name)
  if (changed.length > 0)
    throw refuse(`the model is not what was signed: files have changed: ${listed(changed)}`, {
      changed: changed.slice(0, MAX_NAMED),
    })
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMED).map((name) => `'${printable(name).slice(0, 200)}'`)
  return names.length > MAX_NAMED ? `${shown.join(', ')} and ${names.length - MAX_NAMED} more` : shown.join(', ')
}
