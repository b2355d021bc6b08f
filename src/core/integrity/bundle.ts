/**
 * The signature file: a Sigstore bundle in JSON around a DSSE envelope. Unknown parts are refused, as in the reference implementation:
 * nothing in the file may go unread.
 * https://docs.sigstore.dev/about/bundle/, https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md
 */

import { isRecord, parseBase64, parseJson } from './json.ts'
import { refuse } from './refusal.ts'

const MEDIA_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json'
const PAYLOAD_TYPE = 'application/vnd.in-toto+json'
export const MAX_SIGNATURE_BYTES = 8 * 1024 * 1024
const MAX_CERTIFICATES = 16

/** The claimed origin of the signature. */
export type Material =
  /** Releases before 1.1 wrote the key itself instead of its hash. */
  | { readonly method: 'key'; readonly hint: string | undefined; readonly pem: Uint8Array | undefined; readonly details: unknown }
  /** DER, the signer's own first. */
  | { readonly method: 'certificate'; readonly chain: readonly Uint8Array[] }
  /** DER. */
  | { readonly method: 'keyless'; readonly certificate: Uint8Array }

export interface Bundle {
  readonly material: Material
  readonly payload: Uint8Array
  /** DER-encoded ECDSA signature over `signedBytes(payload)`. */
  readonly signature: Uint8Array
  /** The parsed file, for readers of their own. */
  readonly json: Readonly<Record<string, unknown>>
}

/** Pre-authentication encoding: the bytes that an envelope's signature covers. */
export const signedBytes = (payload: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from(`DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.length} `), payload])

export function writeBundle(
  material: { readonly hint: string } | { readonly chain: readonly Uint8Array[] },
  payload: Uint8Array,
  signature: Uint8Array,
): Uint8Array {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
  const verificationMaterial =
    'hint' in material
      ? { publicKey: { hint: material.hint } }
      : { x509CertificateChain: { certificates: material.chain.map((der) => ({ rawBytes: base64(der) })) } }
  const bundle = {
    mediaType: MEDIA_TYPE,
    verificationMaterial: { ...verificationMaterial, tlogEntries: [] },
    dsseEnvelope: {
      payload: base64(payload),
      payloadType: PAYLOAD_TYPE,
      signatures: [{ sig: base64(signature), keyid: '' }],
    },
  }
  return Buffer.from(JSON.stringify(bundle))
}

/** Reads a signature file without trusting it. @throws ModelmountError `MODEL_UNTRUSTED` */
export function readBundle(file: Uint8Array): Bundle {
  if (file.length > MAX_SIGNATURE_BYTES)
    throw refuse(`the signature file has ${file.length} bytes, more than the ${MAX_SIGNATURE_BYTES} that are read`)
  const json = fields(parseJson(file, 'the signature file'), 'the signature file', [
    'mediaType',
    'verificationMaterial',
    'dsseEnvelope',
  ])
  if (json.mediaType !== MEDIA_TYPE) throw refuse(`mediaType of the signature file must be '${MEDIA_TYPE}'`)
  const envelope = fields(json.dsseEnvelope, 'dsseEnvelope', ['payload', 'payloadType', 'signatures'])
  if (envelope.payloadType !== PAYLOAD_TYPE) throw refuse(`payloadType must be '${PAYLOAD_TYPE}'`)
  const { signatures } = envelope
  if (!Array.isArray(signatures) || signatures.length !== 1)
    throw refuse(`the envelope must have one signature, got ${Array.isArray(signatures) ? signatures.length : 'none'}`)
  const { sig, keyid } = fields(signatures[0], 'the envelope’s signature', ['sig', 'keyid'])
  if (keyid !== undefined && keyid !== null && keyid !== '') throw refuse('keyid of the signature must be empty')
  return {
    material: readMaterial(json.verificationMaterial),
    payload: parseBase64(envelope.payload, 'payload'),
    signature: parseBase64(sig, 'sig'),
    json,
  }
}

function readMaterial(value: unknown): Material {
  const kinds = ['publicKey', 'x509CertificateChain', 'certificate']
  const material = fields(value, 'verificationMaterial', [...kinds, 'tlogEntries', 'timestampVerificationData'])
  const given = kinds.filter((kind) => material[kind] !== undefined && material[kind] !== null)
  if (given.length !== 1)
    throw refuse(`verificationMaterial must have one of ${kinds.join(', ')}, got ${given.join(', ') || 'none'}`)
  if (given[0] === 'certificate') {
    const { rawBytes } = fields(material.certificate, 'the certificate', ['rawBytes'])
    return { method: 'keyless', certificate: parseBase64(rawBytes, 'the certificate') }
  }
  const { tlogEntries, timestampVerificationData } = material
  const logged = Array.isArray(tlogEntries) ? tlogEntries.length > 0 : tlogEntries !== undefined && tlogEntries !== null
  // They would go unread here.
  if (logged || (timestampVerificationData !== undefined && timestampVerificationData !== null))
    throw refuse(`a signature by ${given[0]} must come without log entries and time stamps`)
  return given[0] === 'publicKey' ? readKey(material.publicKey) : readChain(material.x509CertificateChain)
}

function readKey(value: unknown): Material {
  const { hint, rawBytes, keyDetails } = fields(value, 'publicKey', ['hint', 'rawBytes', 'keyDetails'])
  if (hint !== undefined && hint !== null && typeof hint !== 'string') throw refuse('hint of the public key must be text')
  return {
    method: 'key',
    hint: hint ?? undefined,
    pem: rawBytes === undefined ? undefined : parseBase64(rawBytes, 'rawBytes of the public key'),
    details: keyDetails,
  }
}

function readChain(value: unknown): Material {
  const { certificates } = fields(value, 'x509CertificateChain', ['certificates'])
  if (!Array.isArray(certificates) || certificates.length === 0) throw refuse('x509CertificateChain has no certificates')
  if (certificates.length > MAX_CERTIFICATES) throw refuse(`x509CertificateChain has more than ${MAX_CERTIFICATES} certificates`)
  return {
    method: 'certificate',
    chain: certificates.map((entry) => parseBase64(fields(entry, 'a certificate', ['rawBytes']).rawBytes, 'a certificate')),
  }
}

function fields(value: unknown, what: string, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (!isRecord(value)) throw refuse(`${what} is not a JSON object`)
  const strange = Object.keys(value).find((key) => !known.includes(key))
  if (strange !== undefined) throw refuse(`${what} has an unknown field ${JSON.stringify(strange.slice(0, 100))}`)
  return value
}
