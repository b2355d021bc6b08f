/** Public types of models that are encrypted at rest. */

import type { KeyProvider } from './options.ts'

export type { EncryptionKey, EncryptionOptions, KeyProvider } from './options.ts'

/** The binding of an encrypted model besides its own content: it is refused under any other name. */
export interface ModelBinding {
  readonly model: string
  /** @default '1' */
  readonly version?: string
  /** @default 'modelmount' */
  readonly app?: string
}

export interface EncryptModelOptions extends ModelBinding {
  readonly keys: KeyProvider
  /** Folder to write to; made where it is missing. Files that are there already are not overwritten. */
  readonly out: string | URL
}

export interface EncryptedModel {
  /** Id of the manifest of the plain files: the same that `ModelInfo` shows once it is loaded. */
  readonly manifestId: string
  /** Names of the encrypted files, relative to `out`. */
  readonly files: readonly string[]
  readonly keyId: string
}

export interface DecryptModelOptions extends Partial<ModelBinding> {
  readonly keys: KeyProvider
  /** Folder to write to; made where it is missing. Files that are there already are not overwritten. */
  readonly out: string | URL
}

export interface DecryptedModel {
  readonly manifestId: string
  readonly files: readonly string[]
  readonly model: string
  readonly version: string
}

export interface RekeyedModel {
  /** Encrypted with the current key now. */
  readonly rekeyed: readonly string[]
  /** Had the current key already. */
  readonly skipped: readonly string[]
  readonly keyId: string
}

export const DEFAULT_VERSION = '1'
