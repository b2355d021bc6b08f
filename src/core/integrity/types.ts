/** Public types of signing, verifying and trusting models. */

/** Where a key or certificate is read from: a path, a `file:` URL, or PEM text (recognised by its `-----BEGIN`). */
export type PemSource = string | URL

/** Where a signature is read from: a path, a `file:` URL, or the bytes of the file. */
export type SignatureSource = string | URL | Uint8Array

/** Who signed, as it was proved. */
export type Signer =
  /** `keyId` is the SHA-256 of the public key's PEM text, in hex, as the signature format has it. */
  | { readonly method: 'key'; readonly keyId: string }
  /** `subject` is written `CN=…, O=…`; `fingerprint` is the SHA-256 of the certificate, in hex. */
  | { readonly method: 'certificate'; readonly subject: string; readonly fingerprint: string }
  | { readonly method: 'keyless'; readonly identity: string; readonly issuer: string }

/**
 * At what time certificates must be valid: `notBefore`, the moment from which the signing certificate is valid, so that its end does not end
 * the life of what it signed (as the reference implementation has it); `now`; or `both`.
 */
export type CertificateValidity = 'notBefore' | 'now' | 'both'

export interface CertificateTrust {
  /** Certificates of authorities; a chain must end in one of them. A file may hold several. */
  readonly roots: readonly PemSource[]
  /**
   * Who may sign: subjects as `CN=…, O=…` (all of it, in the certificate's order), or `sha256:` and the fingerprint of a certificate in hex.
   * @default anyone whom an authority has given a certificate for signing
   */
  readonly subjects?: readonly string[]
  /** @default 'notBefore' */
  readonly validity?: CertificateValidity
}

/** Keyless signatures of Sigstore; needs the package `sigstore`. */
export interface KeylessTrust {
  /** The signer's e-mail address or URI, exactly. */
  readonly identity: string
  /** URL of the OpenID Connect issuer that vouched for it, exactly. */
  readonly issuer: string
  /** A `trusted_root.json`, which keeps verification offline. @default fetched from Sigstore's TUF repository, and cached */
  readonly trustedRoot?: string | URL
}

/** What a signature is checked against; at least one of the three, and one that fits is enough. */
export interface TrustAnchors {
  /** Public keys on P-256, P-384 or P-521. */
  readonly publicKey?: PemSource | readonly PemSource[]
  readonly certificates?: CertificateTrust
  readonly keyless?: KeylessTrust
}

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
  /** Every signed file, by its name inside the model; `.` where the model is one file. What is not in here was not verified. */
  readonly files: ReadonlyMap<string, { readonly sha256: string; readonly size: number }>
  /** SHA-256 of the signature file, `sha256:…`. */
  readonly signatureDigest: string
}

// ---------------------------------------------------------------- what a server trusts

/** Whose signature makes which models run. */
export interface TrustedSigner extends TrustAnchors {
  /** Names of models; `*` stands for any run of characters. @default ['*'] */
  readonly models?: readonly string[]
}

export interface TrustOptions {
  /** A model runs when one of those that its name fits has signed it. */
  readonly signers: readonly TrustedSigner[]
  /**
   * Manifest ids that never run again, whoever has signed them: `sha256:…` each, or the path of a file with one on each line (`#` starts a
   * comment), which is read again at every load.
   * @default none
   */
  readonly revoked?: readonly string[] | string
}

/**
 * What happens to a model that nobody trusted has signed: it is refused, it runs and a warning tells of it, or nobody looks.
 */
export type Verification = 'require' | 'warn' | 'off'

/** Where verified models are copied to, and loaded from. */
export interface StoreOptions {
  /**
   * A folder that is nobody else's; made when it is first needed.
   * @default `modelmount-models` in the user's cache folder (`$XDG_CACHE_HOME`, `~/.cache`, `~/Library/Caches`, `%LOCALAPPDATA%`)
   */
  readonly dir?: string
  /** Bytes from which on models that were not used for a day leave, the least recently used first. @default 21474836480 (20 GiB) */
  readonly maxBytes?: number
  /** Hash the stored files again at every load, instead of trusting that only this user can write there. @default false */
  readonly rehash?: boolean
}

/** What is known of the files of a model that was admitted. */
export interface Integrity {
  /** SHA-256 over the names and digests of all files that the model consists of, `sha256:…`; equal exactly for equal models. */
  readonly manifestId: string
  /** Who has signed it; absent when nobody trusted has. */
  readonly signer?: Signer
  /** SHA-256 of the signature file, `sha256:…`. */
  readonly signatureDigest?: string
}
