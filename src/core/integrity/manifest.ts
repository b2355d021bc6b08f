/** The files of a model, and a single name for exactly them. */

import { createHash } from 'node:crypto'
import { sortByName } from './names.ts'

export interface ManifestFile {
  /** Relative to the model's file, with `/`; `.` for that file itself, whatever its name. */
  readonly name: string
  /** 64 hex digits. */
  readonly sha256: string
  readonly size: number
}

/**
 * SHA-256 over a line per file: name, NUL, digest, in the order of the signature format.
 * Names are part of it, unlike in the digest that signatures cover. The name of the model's own file is not, because nothing
 * depends on it.
 */
export function manifestIdOf(files: readonly ManifestFile[]): string {
  const hash = createHash('sha256')
  for (const { name, sha256 } of sortByName(files)) hash.update(`${name}\0${sha256}\n`)
  return `sha256:${hash.digest('hex')}`
}
