/** Certificates with any extension, signed at any time: RFC 5280. With `node:crypto` alone. */

import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import * as der from './der.ts'

export interface Pair {
  readonly privateKey: KeyObject
  /** SubjectPublicKeyInfo. */
  readonly spki: Buffer
}

/** The validity of every log and authority here. */
export const ERA = { from: new Date('2024-01-01T00:00:00Z'), to: new Date('2034-01-01T00:00:00Z') }

export const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

export function pair(): Pair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  return { privateKey, spki: publicKey.export({ type: 'spki', format: 'der' }) }
}

export interface ToBeSigned {
  readonly serial: Buffer
  readonly issuer: string
  readonly subject: string
  readonly spki: Buffer
  readonly from: Date
  readonly to: Date
  readonly extensions: readonly Buffer[]
}

export const serial = (): Buffer => Buffer.concat([Buffer.of(0x40), randomBytes(15)])

export const ECDSA_WITH_SHA256 = der.sequence(der.oid('1.2.840.10045.4.3.2'))

export const tbs = ({ serial, issuer, subject, spki, from, to, extensions }: ToBeSigned): Buffer =>
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

export const name = (common: string): Buffer =>
  common === '' ? der.sequence() : der.sequence(der.constructed(0x31, der.sequence(der.oid('2.5.4.3'), der.utf8(common))))

export const certificate = (content: Buffer, key: KeyObject): Buffer =>
  der.sequence(content, ECDSA_WITH_SHA256, der.bits(sign('sha256', content, key), 0))
