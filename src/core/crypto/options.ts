/** Options of models that are encrypted at rest. */

import { type Check, type Declared, filled, object, special } from '../options/kinds.ts'

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
  /** Where keys come from. */
  readonly keys: KeyProvider
  /** Part of what every file is bound to, so that a file of one application is refused by another that has the same key. @default 'modelmount' */
  readonly app?: string
}

/** How encrypted models are read. */
export interface CryptoOptions {
  /** For models that are encrypted at rest (`model.onnx.enc`). They are decrypted in memory and never written anywhere. @default none */
  readonly encryption?: EncryptionOptions
}

export const DEFAULT_APP = 'modelmount'

const checkProvider: Check = (value, problems) => {
  const methods = value as Partial<Record<'current' | 'byId', unknown>> | null
  if (typeof methods !== 'object' || typeof methods?.current !== 'function' || typeof methods.byId !== 'function')
    problems.push((path) => `${path} must be an object with the functions current() and byId()`)
}

export const CRYPTO_OPTIONS = {
  encryption: object<EncryptionOptions>({
    keys: special<KeyProvider>('an object with the functions current() and byId()', checkProvider).required(),
    app: filled().default(DEFAULT_APP),
  }),
} satisfies Declared<CryptoOptions>
