/** Public types of models that are encrypted at rest. */

/** A key that wraps the data keys of files: AES-256. */
export interface EncryptionKey {
  /** Stands in clear in every file that is encrypted with it; 1 to 128 characters. */
  readonly id: string
  /** 32 bytes. */
  readonly key: Uint8Array
}

/**
 * Where keys come from: the environment, a file, a key management service. Asked anew for each file, so that a key can be rotated without a
 * restart.
 */
export interface KeyProvider {
  /** The key for what is encrypted from now on. */
  current(): EncryptionKey | Promise<EncryptionKey>
  /** A key by the id that stands in a file; `undefined` for one that is retired or was never ours. */
  byId(id: string): EncryptionKey | undefined | Promise<EncryptionKey | undefined>
}

/** How the server reads encrypted models (`*.enc`). Needs the packages `@aws-crypto/decrypt-node` and its siblings. */
export interface EncryptionOptions {
  readonly keys: KeyProvider
  /** Part of what every file is bound to, so that a file of one application is refused by another that has the same key. @default 'modelmount' */
  readonly app?: string
}

/** What an encrypted model is bound to besides its own content: it is refused under any other name. */
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

export const DEFAULT_APP = 'modelmount'
export const DEFAULT_VERSION = '1'
