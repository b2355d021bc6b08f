/** EC keys: their curves, their names, and the signature itself. */

import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { signedBytes } from './bundle.ts'
import { badOption, refuse } from './refusal.ts'

interface Curve {
  readonly hash: string
  /** Their names in releases before 1.1. */
  readonly details: string
}

/** The curves of the reference implementation, each with its hash, under OpenSSL's names. */
const CURVES = new Map<string | undefined, Curve>([
  ['prime256v1', { hash: 'sha256', details: 'PKIX_ECDSA_P256_SHA_256' }],
  ['secp384r1', { hash: 'sha384', details: 'PKIX_ECDSA_P384_SHA_384' }],
  ['secp521r1', { hash: 'sha512', details: 'PKIX_ECDSA_P521_SHA_512' }],
])

const curveOf = ({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): Curve | undefined =>
  asymmetricKeyType === 'ec' ? CURVES.get(asymmetricKeyDetails?.namedCurve) : undefined

/** Describes why a key cannot sign models. */
export function keyProblem(key: KeyObject): string | undefined {
  if (curveOf(key)) return undefined
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  return `must be an EC key on P-256, P-384 or P-521, got ${type === 'ec' ? details?.namedCurve : type}`
}

/** @throws ModelmountError `OPTIONS_INVALID` */
export function publicKeyFrom(pem: string, field: string): KeyObject {
  let key: KeyObject
  try {
    // Node would also accept a private key or a certificate here, which is more likely a mistake.
    if (!pem.includes('-----BEGIN PUBLIC KEY-----')) throw badOption(field, "has no '-----BEGIN PUBLIC KEY-----'")
    key = createPublicKey({ key: withoutPreface(pem), format: 'pem' })
  } catch (cause) {
    throw badOption(field, 'is not a public key in PEM', cause)
  }
  const problem = keyProblem(key)
  if (problem) throw badOption(field, problem)
  return key
}

/** @throws ModelmountError `OPTIONS_INVALID` */
export function privateKeyFrom(pem: string, passphrase: string | undefined, field: string): KeyObject {
  let key: KeyObject
  try {
    key = createPrivateKey({ key: withoutPreface(pem), format: 'pem', ...(passphrase === undefined ? {} : { passphrase }) })
  } catch (cause) {
    throw badOption(
      field,
      `is not a private key in PEM${passphrase === undefined ? ', or needs its passphrase' : ' with this passphrase'}`,
      cause,
    )
  }
  const problem = keyProblem(key)
  if (problem) throw badOption(field, problem)
  return key
}

/** Tools write a description before the key, and `openssl ecparam -genkey` the parameters of its curve. */
function withoutPreface(pem: string): string {
  const start = /-----BEGIN (?:(?:EC |ENCRYPTED |)PRIVATE KEY|PUBLIC KEY)-----/.exec(pem)?.index
  return start === undefined ? pem : pem.slice(start)
}

const pemOf = (key: KeyObject): string => String(key.export({ type: 'spki', format: 'pem' }))

/** SHA-256 over the PEM text, not over the DER: that is how the format names keys. */
export const keyId = (publicKey: KeyObject): string => createHash('sha256').update(pemOf(publicKey)).digest('hex')

export function signPayload(payload: Uint8Array, privateKey: KeyObject): Uint8Array {
  return sign(curveOf(privateKey)?.hash, signedBytes(payload), { key: privateKey, dsaEncoding: 'der' })
}

export function isSignedBy(payload: Uint8Array, signature: Uint8Array, publicKey: KeyObject): boolean {
  const curve = curveOf(publicKey)
  if (!curve) return false
  return verify(curve.hash, signedBytes(payload), { key: publicKey, dsaEncoding: 'der' }, signature)
}

/** The signature's claims about its key must be true of this one. @throws ModelmountError `MODEL_UNTRUSTED` */
export function checkKeyClaims(
  claims: { readonly hint: string | undefined; readonly pem: Uint8Array | undefined; readonly details: unknown },
  publicKey: KeyObject,
): void {
  const { hint, pem, details } = claims
  if (hint !== undefined && hint !== keyId(publicKey)) throw refuse('the signature was made with another key')
  if (pem !== undefined && Buffer.from(pem).toString('latin1') !== pemOf(publicKey))
    throw refuse('the signature was made with another key')
  if (details !== undefined && details !== curveOf(publicKey)?.details)
    throw refuse('the signature was made with a key of another kind')
}
