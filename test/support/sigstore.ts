/**
 * A Sigstore of the tests' own: an authority that certifies identities for minutes, a log of its certificates, a log of signatures, and the
 * trusted root that names them. With `node:crypto` alone, and no service.
 * Certificates: RFC 5280, https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md. Their log: RFC 6962 3.2, 3.3.
 * Log of signatures: https://docs.sigstore.dev/logging/overview/, checkpoints as https://github.com/C2SP/C2SP/blob/main/tlog-checkpoint.md
 */

import { sign } from 'node:crypto'
import * as der from './der.ts'
import { certificate, ERA, type Pair, pair, serial, sha256, tbs } from './x509.ts'

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

const KEY_DETAILS = 'PKIX_ECDSA_P256_SHA_256'
const REKOR = 'rekor.test'
const INTERMEDIATE = 'intermediate'

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

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

/** The promise of the certificate log, put into the certificate: signed over the certificate without it. */
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

export interface Logging {
  readonly log: Log
  /** When; a log of the newer kind does not say. */
  readonly at: Date | undefined
  /** @default the log */
  readonly checkpointBy?: Log
}

/** A log's entry for a signed envelope, the second in a tree of two: Rekor's first kind, and its second where no time is given. */
export function logEntry(envelope: Envelope, by: Certified, { log, at, checkpointBy = log }: Logging): Record<string, unknown> {
  const entry = at ? entryBody(envelope, by) : timelessBody(envelope, by)
  const body = Buffer.from(JSON.stringify(entry))
  const leaf = (bytes: Uint8Array): Buffer => sha256(Buffer.of(0), bytes)
  const before = leaf(Buffer.from('somebody else’s'))
  const root = sha256(Buffer.of(1), before, leaf(body))
  const logIndex = 1
  return {
    logIndex: String(logIndex),
    logId: { keyId: base64(log.id) },
    kindVersion: { kind: entry.kind, version: entry.apiVersion },
    ...(at ? promised(body, logIndex, log, at) : {}),
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

function promised(body: Buffer, logIndex: number, { id, privateKey }: Log, at: Date): object {
  const integratedTime = at.getTime() / 1000
  const promise = JSON.stringify({ body: base64(body), integratedTime, logID: id.toString('hex'), logIndex })
  return {
    integratedTime: String(integratedTime),
    inclusionPromise: { signedEntryTimestamp: base64(sign('sha256', Buffer.from(promise), privateKey)) },
  }
}

interface Body {
  readonly apiVersion: string
  readonly kind: string
}

const entryBody = ({ payload, signatures }: Envelope, { certificate }: Certified): Body & Record<string, unknown> => ({
  apiVersion: '0.0.1',
  kind: 'dsse',
  spec: {
    payloadHash: { algorithm: 'sha256', value: sha256(Buffer.from(payload, 'base64')).toString('hex') },
    signatures: signatures.map(({ sig }) => ({ signature: sig, verifier: base64(Buffer.from(der.pem(certificate))) })),
  },
})

const timelessBody = ({ payload, signatures }: Envelope, { certificate }: Certified): Body & Record<string, unknown> => ({
  apiVersion: '0.0.2',
  kind: 'dsse',
  spec: {
    dsseV002: {
      payloadHash: { algorithm: 'SHA2_256', digest: base64(sha256(Buffer.from(payload, 'base64'))) },
      signatures: signatures.map(({ sig }) => ({
        content: sig,
        verifier: { keyDetails: KEY_DETAILS, x509Certificate: { rawBytes: base64(certificate) } },
      })),
    },
  },
})

function checkpoint(root: Buffer, { id, privateKey }: Log): string {
  const note = `${REKOR} - 1\n2\n${base64(root)}\n`
  const signature = sign('sha256', Buffer.from(note), privateKey)
  return `${note}\n\u2014 ${REKOR} ${base64(Buffer.concat([id.subarray(0, 4), signature]))}\n`
}

export interface Trusted {
  readonly authority: Authority
  /** The log of certificates. */
  readonly certificates: Log
  /** The log of signatures. */
  readonly signatures: Log
  /** The authority for the time. */
  readonly clock: { readonly chain: readonly Buffer[] }
}

/** The contents of a `trusted_root.json`. */
export function trustedRoot({ authority, certificates, signatures, clock }: Trusted): object {
  const validFor = { start: ERA.from.toISOString(), end: ERA.to.toISOString() }
  const aLog = (host: string, { id, spki }: Log): object => ({
    baseUrl: `https://${host}`,
    hashAlgorithm: 'SHA2_256',
    publicKey: { rawBytes: base64(spki), keyDetails: KEY_DETAILS, validFor },
    logId: { keyId: base64(id) },
  })
  const anAuthority = (host: string, chain: readonly Buffer[]): object => ({
    subject: { organization: 'test', commonName: host },
    uri: `https://${host}`,
    certChain: { certificates: chain.map((bytes) => ({ rawBytes: base64(bytes) })) },
    validFor,
  })
  return {
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    tlogs: [aLog(REKOR, signatures)],
    certificateAuthorities: [anAuthority('fulcio.test', authority.chain)],
    ctlogs: [aLog('ct.test', certificates)],
    timestampAuthorities: [anAuthority('time.test', clock.chain)],
  }
}
