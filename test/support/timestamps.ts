/** A timestamp authority of the tests' own: RFC 3161, in the signed message of RFC 5652. */

import { sign } from 'node:crypto'
import * as der from './der.ts'
import { certificate, ECDSA_WITH_SHA256, ERA, name, type Pair, pair, serial, sha256, tbs } from './x509.ts'

export interface Clock extends Pair {
  readonly serial: Buffer
  readonly chain: readonly Buffer[]
}

const ROOT = 'time root'
const SHA256 = der.sequence(der.oid('2.16.840.1.101.3.4.2.1'))
const SIGNED_DATA = der.oid('1.2.840.113549.1.7.2')
const TIMESTAMP_INFO = der.oid('1.2.840.113549.1.9.16.1.4')
const one = der.integer(Buffer.of(1))
const set = (...parts: readonly Uint8Array[]): Buffer => der.constructed(0x31, ...parts)

export function clock(): Clock {
  const [root, own] = [pair(), { ...pair(), serial: serial() }]
  const isAuthority = [der.extension('2.5.29.19', der.sequence(der.boolean(true)), { isCritical: true })]
  const timeStamping = der.extension('2.5.29.37', der.sequence(der.oid('1.3.6.1.5.5.7.3.8')), { isCritical: true })
  const ofRoot = tbs({ serial: serial(), issuer: ROOT, subject: ROOT, spki: root.spki, ...ERA, extensions: isAuthority })
  const ofOwn = tbs({ ...own, issuer: ROOT, subject: 'time', ...ERA, extensions: [timeStamping] })
  return { ...own, chain: [certificate(ofOwn, root.privateKey), certificate(ofRoot, root.privateKey)] }
}

/** The answer of the authority: that something was there at some time. */
export function timestamp(clock: Clock, what: Uint8Array, at: Date): Buffer {
  const imprint = der.sequence(SHA256, der.octets(sha256(what)))
  const info = der.sequence(one, der.oid('1.2.3'), imprint, der.integer(serial()), der.generalizedTime(at))
  const encapsulated = der.sequence(TIMESTAMP_INFO, der.constructed(0xa0, der.octets(info)))
  const signedData = der.sequence(der.integer(Buffer.of(3)), set(SHA256), encapsulated, set(signerInfo(clock, info)))
  const granted = der.sequence(der.integer(Buffer.of(0)))
  return der.sequence(granted, der.sequence(SIGNED_DATA, der.constructed(0xa0, signedData)))
}

function signerInfo({ serial, privateKey, chain: [own = Buffer.of()] }: Clock, info: Buffer): Buffer {
  const attributes = [
    der.sequence(der.oid('1.2.840.113549.1.9.3'), set(TIMESTAMP_INFO)),
    der.sequence(der.oid('1.2.840.113549.1.9.4'), set(der.octets(sha256(info)))),
    // Which certificate it is of, as RFC 5816 has it.
    der.sequence(der.oid('1.2.840.113549.1.9.16.2.47'), set(der.sequence(der.sequence(der.sequence(der.octets(sha256(own))))))),
  ]
  // Signed as a set, written as the field that it is.
  const signature = sign('sha256', set(...attributes), privateKey)
  const signer = der.sequence(name(ROOT), der.integer(serial))
  return der.sequence(one, signer, SHA256, der.constructed(0xa0, ...attributes), ECDSA_WITH_SHA256, der.octets(signature))
}
