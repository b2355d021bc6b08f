/** Public types of signing, verifying and trusting models. */

import type { PemSource, SignatureSource, TrustAnchors } from './options.ts'

export type {
  CertificateTrust,
  CertificateValidity,
  KeylessTrust,
  PemSource,
  SignatureSource,
  StoreOptions,
  TrustAnchors,
  TrustedSigner,
  TrustOptions,
  Verification,
} from './options.ts'

/** The signer, as proved. */
export type Signer =
  /** `keyId` is the SHA-256 of the public key's PEM text, in hex, as the signature format has it. */
  | { readonly method: 'key'; readonly keyId: string }
  /** `subject` is written `CN=…, O=…`; `fingerprint` is the SHA-256 of the certificate, in hex. */
  | { readonly method: 'certificate'; readonly subject: string; readonly fingerprint: string }
  | { readonly method: 'keyless'; readonly identity: string; readonly issuer: string }

export interface VerifyModelOptions extends TrustAnchors {
  readonly signature: SignatureSource
  /** Files and folders inside the model that need not be signed, relative to it, besides those that the signature itself leaves out. */
  readonly ignorePaths?: readonly string[]
  /** Check that `.git`, `.gitattributes`, `.github` and `.gitignore` are signed too. @default false */
  readonly includeGitPaths?: boolean
}

export interface SignModelOptions {
  /** EC private key on P-256, P-384 or P-521, as PEM. */
  readonly privateKey: PemSource
  /** Passphrase of an encrypted key. */
  readonly passphrase?: string
  /** Certificate of the key; the signature then names a certificate instead of a key. */
  readonly certificate?: PemSource
  /** Certificates between that one and the root, in any order. */
  readonly certificateChain?: readonly PemSource[]
  /** Where to write the signature; inside the model is fine. @default nowhere, it is only returned */
  readonly signature?: string | URL
  /** Files and folders inside the model that are not signed, relative to it. */
  readonly ignorePaths?: readonly string[]
  /** Sign `.git`, `.gitattributes`, `.github` and `.gitignore` too. @default false */
  readonly includeGitPaths?: boolean
}

export interface SignedModel {
  /** SHA-256 over the digests of all files, `sha256:…`; says nothing about their names. */
  readonly digest: string
  readonly signer: Signer
  /** Names that were signed. */
  readonly files: readonly string[]
  /** The signature file. */
  readonly signature: Uint8Array
}

export interface VerifiedModel {
  /** The model's name as the signer had it: the last part of a path, nothing to rely on. */
  readonly name: string
  /** SHA-256 over the digests of all files, `sha256:…`; says nothing about their names. */
  readonly digest: string
  readonly signer: Signer
  /** Every signed file, by its name inside the model; `.` if the model is one file. Files that are not listed were not verified. */
  readonly files: ReadonlyMap<string, { readonly sha256: string; readonly size: number }>
  /** SHA-256 of the signature file, `sha256:…`. */
  readonly signatureDigest: string
}

/** Facts about the files of an admitted model. */
export interface Integrity {
  /** SHA-256 over the names and digests of all files that the model consists of, `sha256:…`; equal exactly for equal models. */
  readonly manifestId: string
  /** Its signer; absent without a trusted one. */
  readonly signer?: Signer
  /** SHA-256 of the signature file, `sha256:…`. */
  readonly signatureDigest?: string
}
