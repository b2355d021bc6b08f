/**
 * A Sigstore of the tests' own: an authority that certifies identities for minutes, a log of its certificates, a log of signatures, and the
 * trusted root that names the three. With `node:crypto` alone, and no service.
 * Certificates: RFC 5280, https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md. Their log: RFC 6962 3.2, 3.3.
 * Log of signatures: https://docs.sigstore.dev/logging/overview/, checkpoints as https://github.com/C2SP/C2SP/blob/main/tlog-checkpoint.md
 */

import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import * as der from './der.ts'

interface Pair {
  readonly privateKey: KeyObject
  /** SubjectPublicKeyInfo. */
  readonly spki: Buffer
}

/** Of certificates or of signatures. */
export interface Log extends Pair {
  /** Hash of its key. */
  readonly id: Buffer
}

/** A root and, below it, the one that certifies; the one that certifies comes first. */
export interface Authority extends Pair {
  readonly chain: readonly Buffer[]
}

export interface Certified {
  readonly certificate: Buffer
  /** PEM. */
  readonly privateKey: string
}

/** What every log and authority here is valid in. */
const ERA = { from: new Date('2024-01-01T00:00:00Z'), to: new Date('2034-01-01T00:00:00Z') }
const REKOR = 'rekor.test'
const INTERMEDIATE = 'intermediate'

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

function pair(): Pair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  return { privateKey, spki: publicKey.export({ type: 'spki', format: 'der' }) }
}

export function log(): Log {
  const keys = pair()
  return { ...keys, id: sha256(keys.spki) }
}

/** Every one has the same names: only keys tell them apart. */
export function authority(): Authority {
  const [root, between] = [pair(), pair()]
  const extensions = [
    der.extension('2.5.29.19', der.sequence(der.boolean(true)), { isCritical: true }),
    // keyCertSign and cRLSign.
    der.extension('2.5.29.15', der.bits(Buffer.of(0x06), 1), { isCritical: true }),
  ]
  const issued = (subject: string, { spki }: Pair): Buffer =>
    certificate(tbs({ serial: serial(), issuer: 'root', subject, spki, ...ERA, extensions }), root.privateKey)
  return { ...between, chain: [issued(INTERMEDIATE, between), issued('root', root)] }
}

export interface Wish {
  readonly by: Authority
  readonly loggedBy?: Log
  /** A URI when it begins with `https:`, else an e-mail address; bytes, which need not be text, are those of an address. */
  readonly identity?: string | Uint8Array
  /** As extension 1.8, a UTF8String. */
  readonly issuer?: string | Uint8Array
  /** As the older extension 1.1, the bare text. */
  readonly olderIssuer?: string
  readonly from: Date
  readonly to: Date
}

/** A key, and the certificate that says whose it is. */
export function certify({ by, loggedBy, identity, issuer, olderIssuer, from, to }: Wish): Certified {
  const { privateKey, spki } = pair()
  const fulcio = (last: number): string => `1.3.6.1.4.1.57264.1.${last}`
  const extensions = [
    // digitalSignature, codeSigning.
    der.extension('2.5.29.15', der.bits(Buffer.of(0x80), 7), { isCritical: true }),
    der.extension('2.5.29.37', der.sequence(der.oid('1.3.6.1.5.5.7.3.3'))),
    ...(identity === undefined ? [] : [der.extension('2.5.29.17', der.sequence(generalName(identity)), { isCritical: true })]),
    ...(olderIssuer === undefined ? [] : [der.extension(fulcio(1), Buffer.from(olderIssuer))]),
    ...(issuer === undefined ? [] : [der.extension(fulcio(8), der.utf8(issuer))]),
  ]
  const unlogged = { serial: serial(), issuer: INTERMEDIATE, subject: '', spki, from, to, extensions }
  const logged = loggedBy ? [timestampExtension(loggedBy, by, tbs(unlogged), from)] : []
  return {
    certificate: certificate(tbs({ ...unlogged, extensions: [...extensions, ...logged] }), by.privateKey),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

const generalName = (identity: string | Uint8Array): Buffer =>
  der.primitive(typeof identity === 'string' && identity.startsWith('https:') ? 0x86 : 0x81, Buffer.from(identity))

interface ToBeSigned {
  readonly serial: Buffer
  readonly issuer: string
  readonly subject: string
  readonly spki: Buffer
  readonly from: Date
  readonly to: Date
  readonly extensions: readonly Buffer[]
}

const serial = (): Buffer => Buffer.concat([Buffer.of(0x40), randomBytes(15)])

const ECDSA_WITH_SHA256 = der.sequence(der.oid('1.2.840.10045.4.3.2'))

const tbs = ({ serial, issuer, subject, spki, from, to, extensions }: ToBeSigned): Buffer =>
  der.sequence(
    der.constructed(0xa0, der.integer(Buffer.of(2))),
    der.integer(serial),
    ECDSA_WITH_SHA256,
    name(issuer),
    der.sequence(der.time(from), der.time(to)),
    name(subject),
    spki,
    der.constructed(0xa3, der.sequence(...extensions)),
  )

const name = (common: string): Buffer =>
  common === '' ? der.sequence() : der.sequence(der.constructed(0x31, der.sequence(der.oid('2.5.4.3'), der.utf8(common))))

const certificate = (content: Buffer, key: KeyObject): Buffer =>
  der.sequence(content, ECDSA_WITH_SHA256, der.bits(sign('sha256', content, key), 0))

/** What the log of certificates promises, put into the certificate: signed over the certificate without it. */
function timestampExtension({ id, privateKey }: Log, { spki }: Authority, content: Buffer, at: Date): Buffer {
  const [version, certificateTimestamp, precertificate, noExtensions] = [uint(0, 1), uint(0, 1), uint(1, 2), uint(0, 2)]
  const time = uint(at.getTime(), 8)
  const entry = Buffer.concat([precertificate, sha256(spki), uint(content.length, 3), content, noExtensions])
  const signature = sign('sha256', Buffer.concat([version, certificateTimestamp, time, entry]), privateKey)
  const [hashSha256, signedEcdsa] = [uint(4, 1), uint(3, 1)]
  const promise = Buffer.concat([version, id, time, noExtensions, hashSha256, signedEcdsa, uint(signature.length, 2), signature])
  const list = Buffer.concat([uint(promise.length + 2, 2), uint(promise.length, 2), promise])
  return der.extension('1.3.6.1.4.1.11129.2.4.2', der.octets(list))
}

function uint(value: number, bytes: number): Buffer {
  const whole = Buffer.alloc(8)
  whole.writeBigUInt64BE(BigInt(value))
  return whole.subarray(8 - bytes)
}

export interface Envelope {
  readonly payload: string
  readonly signatures: readonly { readonly sig: string }[]
}

/** A log's entry for a signed envelope, the second in a tree of two. */
export function logEntry(
  envelope: Envelope,
  by: Certified,
  { log, at, checkpointBy = log }: { readonly log: Log; readonly at: Date; readonly checkpointBy?: Log },
): Record<string, unknown> {
  const body = Buffer.from(JSON.stringify(entryBody(envelope, by)))
  const leaf = (bytes: Uint8Array): Buffer => sha256(Buffer.of(0), bytes)
  const before = leaf(Buffer.from('somebody else’s'))
  const root = sha256(Buffer.of(1), before, leaf(body))
  const [logIndex, integratedTime] = [1, at.getTime() / 1000]
  const promise = JSON.stringify({ body: base64(body), integratedTime, logID: log.id.toString('hex'), logIndex })
  return {
    logIndex: String(logIndex),
    logId: { keyId: base64(log.id) },
    kindVersion: { kind: 'dsse', version: '0.0.1' },
    integratedTime: String(integratedTime),
    inclusionPromise: { signedEntryTimestamp: base64(sign('sha256', Buffer.from(promise), log.privateKey)) },
    inclusionProof: {
      logIndex: String(logIndex),
      rootHash: base64(root),
      treeSize: '2',
      hashes: [base64(before)],
      checkpoint: { envelope: checkpoint(root, checkpointBy) },
    },
    canonicalizedBody: base64(body),
  }
}

const entryBody = ({ payload, signatures }: Envelope, { certificate }: Certified): object => ({
  apiVersion: '0.0.1',
  kind: 'dsse',
  spec: {
    payloadHash: { algorithm: 'sha256', value: sha256(Buffer.from(payload, 'base64')).toString('hex') },
    signatures: signatures.map(({ sig }) => ({ signature: sig, verifier: base64(Buffer.from(der.pem(certificate))) })),
  },
})

function checkpoint(root: Buffer, { id, privateKey }: Log): string {
  const note = `${REKOR} - 1\n2\n${base64(root)}\n`
  const signature = sign('sha256', Buffer.from(note), privateKey)
  return `${note}\n\u2014 ${REKOR} ${base64(Buffer.concat([id.subarray(0, 4), signature]))}\n`
}

/** What is in a `trusted_root.json`. */
export function trustedRoot(trusted: {
  readonly authority: Authority
  readonly certificates: Log
  readonly signatures: Log
}): object {
  const validFor = { start: ERA.from.toISOString(), end: ERA.to.toISOString() }
  const named = (host: string, { id, spki }: Log): object => ({
    baseUrl: `https://${host}`,
    hashAlgorithm: 'SHA2_256',
    publicKey: { rawBytes: base64(spki), keyDetails: 'PKIX_ECDSA_P256_SHA_256', validFor },
    logId: { keyId: base64(id) },
  })
  return {
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    tlogs: [named(REKOR, trusted.signatures)],
    certificateAuthorities: [
      {
        subject: { organization: 'test', commonName: 'root' },
        uri: 'https://fulcio.test',
        certChain: { certificates: trusted.authority.chain.map((bytes) => ({ rawBytes: base64(bytes) })) },
        validFor,
      },
    ],
    ctlogs: [named('ct.test', trusted.certificates)],
    timestampAuthorities: [],
  }
}
