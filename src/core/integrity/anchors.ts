/** The trusted keys and certificates, read once, and the check of a signature against them. */

import type { KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isModelmountError, type ModelmountError } from '../errors.ts'
import { type Bundle, readBundle } from './bundle.ts'
import { certificatesFrom, type TrustedAuthorities, trustedSigner } from './certificates.ts'
import { keylessSigner } from './keyless.ts'
import { checkKeyClaims, isSignedBy, keyId, publicKeyFrom } from './keys.ts'
import { CERTIFICATES } from './options.ts'
import { badOption, refuse } from './refusal.ts'
import { readStatement, type Statement } from './statement.ts'
import type { KeylessTrust, PemSource, Signer, TrustAnchors } from './types.ts'

export interface Anchors {
  readonly keys: readonly KeyObject[]
  readonly authorities: TrustedAuthorities | undefined
  readonly keyless: KeylessTrust | undefined
}

/** @throws ModelmountError `OPTIONS_INVALID` */
export async function readAnchors(given: TrustAnchors, path = ''): Promise<Anchors> {
  const { publicKey, certificates, keyless } = given
  const pems = publicKey === undefined ? [] : Array.isArray(publicKey) ? publicKey : [publicKey as PemSource]
  const field = (name: string): string => `${path}${name}`
  const keys = await Promise.all(
    pems.map(async (pem) => publicKeyFrom(await readPem(pem, field('publicKey')), field('publicKey'))),
  )
  if (keys.length === 0 && !certificates && !keyless)
    throw badOption(field('publicKey'), 'is missing: nothing says whose signature is trusted')
  return { keys, authorities: certificates && (await readAuthorities(certificates, field('certificates'))), keyless }
}

async function readAuthorities(given: NonNullable<TrustAnchors['certificates']>, field: string): Promise<TrustedAuthorities> {
  const roots = await Promise.all(
    given.roots.map(async (pem) => certificatesFrom(await readPem(pem, `${field}.roots`), `${field}.roots`)),
  )
  if (roots.length === 0) throw badOption(`${field}.roots`, 'is empty')
  return {
    roots: roots.flat(),
    subjects: given.subjects && new Set(given.subjects),
    validity: given.validity ?? CERTIFICATES.validity.fallback,
  }
}

/** @throws ModelmountError `OPTIONS_INVALID` */
export async function readPem(source: PemSource, field: string): Promise<string> {
  if (typeof source === 'string' && source.includes('-----BEGIN ')) return source
  return readFile(source, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw badOption(field, `'${String(source).slice(0, 300)}' cannot be read (${cause.code})`, cause)
  })
}

export interface Verdict {
  readonly signer: Signer
  readonly statement: Statement
}

/**
 * Whose signature it is, and what was signed. Says nothing about files.
 * @param file the bytes of a signature file
 * @throws ModelmountError `MODEL_UNTRUSTED`
 */
export async function checkSignature(file: Uint8Array, anchors: Anchors, nowMs: number): Promise<Verdict> {
  const bundle = readBundle(file)
  const signer = await signerOf(bundle, anchors, nowMs)
  return { signer, statement: readStatement(bundle.payload) }
}

async function signerOf(bundle: Bundle, { keys, authorities, keyless }: Anchors, nowMs: number): Promise<Signer> {
  const { material, payload, signature } = bundle
  if (material.method === 'keyless') {
    if (!keyless) throw refuse('the signature is a keyless one, and no identity is trusted')
    return keylessSigner(bundle, material.certificate, keyless)
  }
  if (material.method === 'certificate') {
    if (!authorities) throw refuse('the signature is by a certificate, and no authority is trusted')
    const { publicKey, signer } = trustedSigner(material.chain, authorities, nowMs)
    if (!isSignedBy(payload, signature, publicKey)) throw refuse('the signature does not fit what was signed')
    return signer
  }
  if (keys.length === 0) throw refuse('the signature is by a key, and no key is trusted')
  let refusal: ModelmountError | undefined
  for (const key of keys) {
    try {
      checkKeyClaims(material, key)
      if (isSignedBy(payload, signature, key)) return { method: 'key', keyId: keyId(key) }
      refusal = refuse('the signature does not fit what was signed, or was made with another key')
    } catch (error) {
      if (!isModelmountError(error)) throw error
      refusal ??= error
    }
  }
  throw refusal
}
