/** `models.lock.json`: pins the bytes that run under each name. */

import { readFile } from 'node:fs/promises'
import { isRecord } from './json.ts'
import { badOption } from './refusal.ts'

export const LOCK_FILE = 'models.lock.json'
const LOCK_VERSION = 1

export interface LockedModel {
  readonly name: string
  readonly version: string
  readonly manifestId: string
  /** Operator set version by domain; nothing for formats without one. */
  readonly opset: Readonly<Record<string, number>>
  /** SHA-256 of the signature file, for the record. */
  readonly signature: string | null
  /** The signer, if the signature was verified when the lock was written; in the form of `signerName()`. */
  readonly signer: string | null
}

export interface Lock {
  readonly lockVersion: typeof LOCK_VERSION
  /** The release of onnxruntime-node that wrote it. */
  readonly onnxruntime: string
  readonly models: readonly LockedModel[]
}

export const lockOf = (onnxruntime: string, models: readonly LockedModel[]): Lock => ({
  lockVersion: LOCK_VERSION,
  onnxruntime,
  models,
})

/** Two lines of two lock files are equal if they say the same. */
export const writeLock = (lock: Lock): string => `${JSON.stringify(lock, null, 2)}\n`

/** @throws ModelmountError `OPTIONS_INVALID` */
export async function readLock(path: string): Promise<Lock> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw badOption('lock', `file '${path}' cannot be read (${cause.code}); modelmount lock writes one`, cause)
  })
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw badOption('lock', `file '${path}' is not valid JSON`, cause)
  }
  if (!isRecord(json) || json.lockVersion !== LOCK_VERSION || !Array.isArray(json.models) || typeof json.onnxruntime !== 'string')
    throw badOption('lock', `file '${path}' is not a lock file of version ${LOCK_VERSION}`)
  return lockOf(
    json.onnxruntime,
    json.models.map((entry: unknown, i) => {
      if (!isRecord(entry) || !['name', 'version', 'manifestId'].every((field) => typeof entry[field] === 'string'))
        throw badOption('lock', `file '${path}': models[${i}] must have a name, a version and a manifestId`)
      return entry as unknown as LockedModel
    }),
  )
}
