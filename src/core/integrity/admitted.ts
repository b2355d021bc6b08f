/** A model before and after the gate. */

import type { ManifestFile } from './manifest.ts'
import type { Integrity, SignatureSource } from './types.ts'

export interface AdmitRequest {
  readonly name: string
  readonly version: string
  readonly source: string | Uint8Array
  /** @default `<source>.sig`, or `model.sig` beside it */
  readonly signature: SignatureSource | undefined
}

export interface Admitted {
  /** The source to load. */
  readonly source: string | Uint8Array
  /** Files that it keeps weights in, by name, unless they are read from disk. */
  readonly data: ReadonlyMap<string, Uint8Array>
  /** Undefined if no check was required. */
  readonly integrity: Integrity | undefined
  /** Why it would have been refused, if that is only worth a warning. */
  readonly doubt: string | undefined
  /** Checks once more before a reload. @throws ModelmountError `MODEL_UNTRUSTED` if it was revoked meanwhile, or changed in the store */
  recheck(): Promise<void>
  /** The model is gone: the store may forget it. */
  release(): void
}

/** A model without any plain bytes on disk. */
export interface InMemory {
  /** Path of its own file without the suffix of encryption: the signature is looked up beside it. */
  readonly plainPath: string
  readonly bytes: Uint8Array
  readonly data: ReadonlyMap<string, Uint8Array>
  readonly files: readonly ManifestFile[]
}

export const NO_DATA: ReadonlyMap<string, Uint8Array> = new Map()

export const asItIs = (source: string | Uint8Array) => ({ source, data: NO_DATA, release() {} })
