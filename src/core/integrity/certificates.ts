/** A signer's certificate: its path to a trusted authority, and whether it may sign models. */

import { type KeyObject, X509Certificate } from 'node:crypto'
import { type CertificateFacts, readCertificate } from './der.ts'
import { keyProblem } from './keys.ts'
import { badOption, refuse } from './refusal.ts'
import type { CertificateValidity, Signer } from './types.ts'

export interface TrustedAuthorities {
  readonly roots: readonly X509Certificate[]
  readonly subjects: ReadonlySet<string> | undefined
  readonly validity: CertificateValidity
}

/** Longer paths are taken for an attempt to keep us busy. */
const MAX_CHAIN = 8
const MIN_RSA_BITS = 2048
const CODE_SIGNING = '1.3.6.1.5.5.7.3.3'

/** SHA-2 with RSA, RSA-PSS, ECDSA; Ed25519 and Ed448. Node checks a signature, not the strength of its hash. */
const ALGORITHMS = new Set([
  ...['11', '12', '13', '10'].map((last) => `1.2.840.113549.1.1.${last}`),
  ...['2', '3', '4'].map((last) => `1.2.840.10045.4.3.${last}`),
  '1.3.101.112',
  '1.3.101.113',
])

/** Extensions that are checked here or do not affect trust. Any other critical extension makes the certificate unusable. */
const UNDERSTOOD = new Set([
  '2.5.29.14', // subject key identifier
  '2.5.29.15', // key usage
  '2.5.29.17', // subject alternative name
  '2.5.29.19', // basic constraints
  '2.5.29.35', // authority key identifier
  '2.5.29.37', // extended key usage
])
/** It must be honoured even if it is not critical. */
const NAME_CONSTRAINTS = '2.5.29.30'

/** Reads all certificates of a PEM text. @throws ModelmountError `OPTIONS_INVALID` */
export function certificatesFrom(pem: string, field: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g)
  if (!blocks) throw badOption(field, "has no '-----BEGIN CERTIFICATE-----'")
  return blocks.map((block) => {
    try {
      return new X509Certificate(block)
    } catch (cause) {
      throw badOption(field, 'holds something that is not a certificate', cause)
    }
  })
}

/** `CN=…, O=…`: Node writes one part a line, and escapes commas inside a part. */
export const subjectOf = (certificate: X509Certificate): string => certificate.subject.split('\n').join(', ')

export const fingerprintOf = (certificate: X509Certificate): string =>
  certificate.fingerprint256.replaceAll(':', '').toLowerCase()

/**
 * Finds a path from the signer's certificate to a trusted one and checks every certificate on it.
 * @param chain DER, the signer's own first
 * @returns the certificate whose key must have made the signature
 * @throws ModelmountError `MODEL_UNTRUSTED`
 */
export function trustedSigner(
  chain: readonly Uint8Array[],
  { roots, subjects, validity }: TrustedAuthorities,
  nowMs: number,
): { readonly publicKey: KeyObject; readonly signer: Signer } {
  const [leaf, ...between] = chain.map(parsed)
  if (!leaf) throw refuse('the signature has no certificate')
  const facts = factsOf(leaf)
  const subject = subjectOf(leaf)
  // As in the reference implementation, either is enough.
  if (!facts.keyUsage?.digitalSignature && !leaf.keyUsage?.includes(CODE_SIGNING))
    throw refuse(`certificate '${subject}' is not for signing: neither digitalSignature nor codeSigning`)
  const problem = keyProblem(leaf.publicKey)
  if (problem) throw refuse(`certificate '${subject}': its key ${problem}`)
  const times = validity === 'now' ? [nowMs] : [Date.parse(leaf.validFrom), ...(validity === 'both' ? [nowMs] : [])]
  const failures: string[] = []
  if (!leadsToRoot(leaf, between, roots, times, failures))
    throw refuse(`certificate '${subject}' is not trusted: ${failures[0] ?? 'nothing leads from it to a trusted root'}`)
  const fingerprint = fingerprintOf(leaf)
  if (subjects && !subjects.has(subject) && !subjects.has(`sha256:${fingerprint}`))
    throw refuse(`certificate '${subject}' (sha256:${fingerprint}) is none of those that may sign`)
  return { publicKey: leaf.publicKey, signer: { method: 'certificate', subject, fingerprint } }
}

/**
 * Breadth first, and each certificate once: on the shortest path to it, with the fewest certificates below. A longer path is never better.
 * Certificates that all certify each other have more paths than could be walked. Names are no identity, so a signature proves every step.
 */
function leadsToRoot(
  leaf: X509Certificate,
  between: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  times: readonly number[],
  failures: string[],
): boolean {
  const left = new Set([...roots, ...between])
  let level = [leaf]
  for (let below = 0; below < MAX_CHAIN && level.length > 0; below++) {
    const sound = level.filter((certificate) => {
      const problem = problemOf(certificate, below, times)
      if (problem) failures.push(`'${subjectOf(certificate)}' ${problem}`)
      return problem === undefined
    })
    if (sound.some(({ raw }) => roots.some((root) => root.raw.equals(raw)))) return true
    level = [...left].filter((issuer) => sound.some((certificate) => isIssuedBy(certificate, issuer)))
    for (const issuer of level) left.delete(issuer)
  }
  return false
}

const isIssuedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)

/** @param below certificates between this one and the leaf: 0 for the signer's own */
function problemOf(certificate: X509Certificate, below: number, times: readonly number[]): string | undefined {
  const { algorithm, keyUsage, pathLength, extensions, critical } = factsOf(certificate)
  for (const time of times) {
    if (time < Date.parse(certificate.validFrom)) return `is not valid before ${certificate.validFrom}`
    if (time > Date.parse(certificate.validTo)) return `is not valid after ${certificate.validTo}`
  }
  if (!ALGORITHMS.has(algorithm)) return `is signed with a weak or unknown algorithm (${algorithm})`
  const unknown = [...critical].find((id) => !UNDERSTOOD.has(id))
  if (unknown !== undefined) return `has an extension that is not understood (${unknown})`
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = certificate.publicKey
  if (type?.startsWith('rsa') && (details?.modulusLength ?? 0) < MIN_RSA_BITS)
    return `has an RSA key of ${details?.modulusLength} bits, fewer than ${MIN_RSA_BITS}`
  if (below === 0) return undefined
  if (!certificate.ca) return 'is not the certificate of an authority'
  if (keyUsage && !keyUsage.keyCertSign) return 'may not sign certificates'
  if (pathLength !== undefined && below - 1 > pathLength) return `allows ${pathLength} authorities below it, got ${below - 1}`
  return extensions.has(NAME_CONSTRAINTS) ? 'has name constraints, which are not supported' : undefined
}

function parsed(der: Uint8Array): X509Certificate {
  try {
    const certificate = new X509Certificate(der)
    // Bytes after a certificate would go unread. A key that is no point on its curve throws when it is read.
    if (certificate.raw.equals(der) && certificate.publicKey) return certificate
  } catch (cause) {
    throw refuse('the signature holds something that is not a certificate', undefined, cause)
  }
  throw refuse('the signature holds more than a certificate')
}

const factsOf = ({ raw }: X509Certificate): CertificateFacts => readCertificate(raw)
