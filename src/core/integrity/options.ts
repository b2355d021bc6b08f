/** Options of trust: whose signature makes which models run, and which bytes of them. */

import {
  boolean,
  type Check,
  type Declared,
  decided,
  either,
  filled,
  integer,
  type Kind,
  list,
  object,
  oneOf,
  scalar,
  special,
} from '../options/kinds.ts'

/** Where a key or certificate is read from: a path, a `file:` URL, or PEM text (recognised by its `-----BEGIN`). */
export type PemSource = string | URL

/** Where a signature is read from: a path, a `file:` URL, or the bytes of the file. */
export type SignatureSource = string | URL | Uint8Array

/**
 * At what time certificates must be valid: `notBefore`, the moment from which the signing certificate is valid, so that its end does not end
 * the life of what it signed (as the reference implementation has it); `now`; or `both`.
 */
export type CertificateValidity = 'notBefore' | 'now' | 'both'

/** Authorities, and the subjects whose certificates of theirs count. */
export interface CertificateTrust {
  /** Certificates of authorities; a chain must end in one of them. A file may hold several. */
  readonly roots: readonly PemSource[]
  /**
   * Subjects that may sign: `CN=…, O=…` (all of it, in the certificate's order), or `sha256:` and the fingerprint of a certificate in hex.
   * @default anyone whom an authority has given a certificate for signing
   */
  readonly subjects?: readonly string[]
  /** At what time certificates must be valid. @default 'notBefore' */
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

/** The proofs that a signature is checked against; at least one of the three, and one that fits is enough. */
export interface TrustAnchors {
  /** Public keys on P-256, P-384 or P-521. @default none */
  readonly publicKey?: PemSource | readonly PemSource[]
  /** Authorities whose certificates count. @default none */
  readonly certificates?: CertificateTrust
  /** A signer that Sigstore vouches for. @default none */
  readonly keyless?: KeylessTrust
}

/** Whose signature makes which models run. */
export interface TrustedSigner extends TrustAnchors {
  /** Names of models; `*` stands for any run of characters. @default ['*'] */
  readonly models?: readonly string[]
}

/** Whose signatures count, and which models never run again. */
export interface TrustOptions {
  /** A model runs when one of those that its name fits has signed it. */
  readonly signers: readonly TrustedSigner[]
  /**
   * Manifest ids that never run again, with any signature: `sha256:…` each, or the path of a file with one on each line (`#` starts a
   * comment), which is read again at every load.
   * @default none
   */
  readonly revoked?: readonly string[] | string
}

/** How a model without a trusted signature is treated: it is refused, it runs with a warning, or signatures are not looked at. */
export type Verification = 'require' | 'warn' | 'off'

/** Where verified models are copied to, and loaded from. */
export interface StoreOptions {
  /**
   * A private folder; made when it is first needed.
   * @default `modelmount-models` in the user's cache folder (`$XDG_CACHE_HOME`, `~/.cache`, `~/Library/Caches`, `%LOCALAPPDATA%`)
   */
  readonly dir?: string
  /** Bytes from which on models that were not used for a day leave, the least recently used first. @default 21474836480 (20 GiB) */
  readonly maxBytes?: number
  /** Hash the stored files again at every load, instead of trusting that only this user can write there. @default false */
  readonly rehash?: boolean
}

/** The signature of one model. */
export interface SignatureOptions {
  /**
   * Its signature, in the format OpenSSF Model Signing v1.0: of the file, or of the folder that it lies in.
   * @default `<source>.sig`, or else `model.sig` in the same folder
   */
  readonly signature?: SignatureSource
}

/** Which models may run, and from which bytes. */
export interface IntegrityOptions {
  /** Whose signatures make which models run. @default none: signatures are not looked at */
  readonly trust?: TrustOptions
  /**
   * How a model without a trusted signature is treated: `require` refuses it, `warn` runs it with a warning, `off` does not look.
   * @default 'require' with `trust`, 'off' without
   */
  readonly verification?: Verification
  /** Path of a `models.lock.json` (`modelmount lock`): only the models in it run, byte for byte. @default none */
  readonly lock?: string
  /**
   * Where models that are verified or locked are copied to and loaded from; given without `trust` and `lock`, all models are.
   * @default used with `trust` or `lock`, in the user's cache folder
   */
  readonly store?: StoreOptions
}

const isFilled = (value: unknown): boolean => typeof value === 'string' && value !== ''
const isLocation = (value: unknown): boolean => isFilled(value) || (value instanceof URL && value.protocol === 'file:')

const location = scalar<string | URL>('a path or a file: URL', isLocation)
const signature = scalar<SignatureSource>('a path or a file: URL', (value) => value instanceof Uint8Array || isLocation(value))

const oneOrMore = <T>(item: Kind<T>): Kind<T | readonly T[]> => {
  const many = list(item, { min: 1 })
  return special(item.says, (value, problems) => (Array.isArray(value) ? many : item).check(value, problems))
}

const needsAnchor: Check = (value, problems) => {
  const { publicKey, certificates, keyless } = value as TrustAnchors
  if ((publicKey ?? certificates ?? keyless) === undefined)
    problems.push((path) => `${path} must have publicKey, certificates or keyless`)
}

export const CERTIFICATES = {
  roots: list<PemSource>(location, { min: 1 }).required(),
  subjects: list(filled()),
  validity: oneOf('notBefore', 'now', 'both').default('notBefore'),
} satisfies Declared<CertificateTrust>

const signer = object<TrustedSigner>({
  models: list(filled(), { min: 1 }).default(['*']),
  publicKey: oneOrMore<PemSource>(location),
  certificates: object<CertificateTrust>(CERTIFICATES),
  keyless: object<KeylessTrust>({ identity: filled().required(), issuer: filled().required(), trustedRoot: location }),
}).refine(needsAnchor)

const STORE = {
  dir: filled(),
  maxBytes: integer(0, Number.MAX_SAFE_INTEGER).default(20 * 2 ** 30),
  rehash: boolean.default(false),
} satisfies Declared<StoreOptions>

export const SIGNATURE_OPTIONS = { signature } satisfies Declared<SignatureOptions>

export const INTEGRITY_OPTIONS = {
  trust: object<TrustOptions>({ signers: list(signer).required(), revoked: either(filled(), list(filled())) }),
  verification: oneOf('require', 'warn', 'off'),
  lock: filled(),
  store: object<StoreOptions>(STORE),
} satisfies Declared<IntegrityOptions>

/** Decides what was left open. */
export const storeConfig = (set: StoreOptions) => decided(STORE, set)

export type GateConfig = ReturnType<typeof gateConfig>

/** Decides what was left open. */
export function gateConfig({ trust, verification, lock, store }: IntegrityOptions) {
  const isTrusting = trust !== undefined && trust.signers.length > 0
  return { trust, verification: verification ?? (isTrusting ? ('require' as const) : ('off' as const)), lock, store }
}

/** Contradictions between its parts. */
export function integrityContradictions(set: IntegrityOptions): string[] {
  const { verification, trust } = gateConfig(set)
  return verification === 'off' || trust?.signers.length
    ? []
    : [`verification: '${verification}' needs trust.signers: at least one signer whose signature counts`]
}
