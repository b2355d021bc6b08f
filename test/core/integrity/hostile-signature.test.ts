/** Forged signature files. */

import { createHash, sign as rawSign } from 'node:crypto'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { isModelmountError, signModel, verifyModel } from 'modelmount'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ecPair } from '../../support/openssl.ts'

const MB = 1024 * 1024
const pair = ecPair()
let dir: string
let signed: string
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'hostile-'))
  for (const name of ['a', 'b']) writeFileSync(join(dir, name), name)
  signed = Buffer.from((await signModel(dir, { privateKey: pair.privateKey })).signature).toString()
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const verify = (signature: string | Uint8Array) =>
  verifyModel(dir, { publicKey: pair.publicKey, signature: typeof signature === 'string' ? Buffer.from(signature) : signature })
const refused = (why: string | RegExp) => ({ code: 'MODEL_UNTRUSTED', message: expect.stringMatching(why) })

// biome-ignore lint/suspicious/noExplicitAny: files that are wrong on purpose
type Wrong = any

/** A statement that the library would not write, with a good signature and a root digest that adds up. */
function forged(change: (statement: Wrong) => unknown, addUp = true): string {
  const bundle = JSON.parse(signed)
  const statement = JSON.parse(Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString())
  change(statement)
  const hash = createHash('sha256')
  for (const { digest } of statement.predicate.resources) hash.update(Buffer.from(digest, 'hex'))
  if (addUp && statement.subject[0]) statement.subject[0].digest.sha256 = hash.digest('hex')
  const payload = Buffer.from(JSON.stringify(statement))
  const pae = Buffer.concat([Buffer.from(`DSSEv1 28 application/vnd.in-toto+json ${payload.length} `), payload])
  bundle.dsseEnvelope.payload = payload.toString('base64')
  bundle.dsseEnvelope.signatures[0].sig = rawSign('sha256', pae, pair.privateKey).toString('base64')
  return JSON.stringify(bundle)
}

test('what is signed here by hand would be believed', async () => {
  await verify(forged(() => {}))
  // The order is the signer's business, as long as the digest is of that order.
  await verify(forged(({ predicate }) => predicate.resources.reverse()))
})

describe('a statement with a good signature is refused', () => {
  test.each(['../x', '/etc/passwd', 'a\\b', 'a/../x', 'a//x', './x', 'x/', '', '.', 'C:/x', 'a\0b', 'x'.repeat(5000)])(
    'with a file called %j',
    async (name) => {
      const file = forged(({ predicate }) => Object.assign(predicate.resources[0], { name }))
      await expect(verify(file)).rejects.toMatchObject(refused('cannot belong to a model'))
    },
  )

  const cases: Readonly<Record<string, readonly [(statement: Wrong) => unknown, string]>> = {
    'a file twice': [({ predicate }) => predicate.resources.push(predicate.resources[0]), 'twice'],
    'a digest in upper case': [
      ({ predicate: { resources } }) => Object.assign(resources[1], { digest: resources[1].digest.toUpperCase() }),
      '64 hex digits',
    ],
    'a short digest': [({ predicate }) => Object.assign(predicate.resources[1], { digest: 'abcd' }), '64 hex digits'],
    'another algorithm': [({ predicate }) => Object.assign(predicate.resources[1], { algorithm: 'md5' }), "'sha256', got 'md5'"],
    'two subjects': [(statement) => statement.subject.push(statement.subject[0]), 'one subject, got 2'],
    'no subject': [(statement) => statement.subject.pop(), 'one subject, got 0'],
    'the predicate of v0.2': [
      (statement) => Object.assign(statement, { predicateType: 'https://model_signing/Digests/v0.1' }),
      'predicateType must be',
    ],
    'another type': [(statement) => Object.assign(statement, { _type: 'https://in-toto.io/Statement/v0.1' }), '_type must be'],
    shards: [({ predicate }) => Object.assign(predicate.serialization, { method: 'shards' }), "'files', got 'shards'"],
    blake3: [({ predicate }) => Object.assign(predicate.serialization, { hash_type: 'blake3' }), "'sha256', got 'blake3'"],
    'no files': [({ predicate }) => Object.assign(predicate, { resources: [] }), 'lists no files'],
    'paths to ignore that are no list': [
      ({ predicate }) => Object.assign(predicate.serialization, { ignore_paths: { 0: 'a' } }),
      'must be a list',
    ],
    'a file of another model': [
      ({ predicate }) => Object.assign(predicate.resources[1], { digest: '0'.repeat(64) }),
      "changed: 'b'",
    ],
  }
  test.each(Object.entries(cases))('with %s', async (_, [change, why]) => {
    await expect(verify(forged(change))).rejects.toMatchObject(refused(why))
  })

  test('with a root digest that does not add up', async () => {
    const file = forged(({ predicate }) => predicate.resources.reverse(), false)
    await expect(verify(file)).rejects.toMatchObject(refused('contradicts itself'))
  })
})

describe('a signature file is refused', () => {
  const cases: Readonly<Record<string, readonly [(bundle: Wrong) => unknown, string]>> = {
    'with an old media type': [
      (bundle) => Object.assign(bundle, { mediaType: 'application/vnd.dev.sigstore.bundle+json;version=0.1' }),
      'mediaType',
    ],
    'with a key and a certificate': [
      ({ verificationMaterial }) => Object.assign(verificationMaterial, { x509CertificateChain: { certificates: [] } }),
      'must have one of',
    ],
    'with neither': [({ verificationMaterial }) => delete verificationMaterial.publicKey, 'must have one of'],
    'with two signatures': [
      ({ dsseEnvelope }) => dsseEnvelope.signatures.push(dsseEnvelope.signatures[0]),
      'one signature, got 2',
    ],
    'with an unknown field': [({ dsseEnvelope }) => Object.assign(dsseEnvelope, { note: 1 }), 'unknown field "note"'],
    'with a field __proto__': [
      (bundle) => Object.defineProperty(bundle, '__proto__', { value: {}, enumerable: true }),
      'unknown field',
    ],
    'with another payload type': [
      ({ dsseEnvelope }) => Object.assign(dsseEnvelope, { payloadType: 'text/plain' }),
      'payloadType',
    ],
    'with log entries that nobody reads': [
      ({ verificationMaterial }) => Object.assign(verificationMaterial, { tlogEntries: [{}] }),
      'log entries',
    ],
    'with base64 that has another text for its bytes': [
      ({ dsseEnvelope: { signatures } }) => Object.assign(signatures[0], { sig: `${signatures[0].sig}\n` }),
      'not base64',
    ],
    'with the hint of another key': [
      ({ verificationMaterial }) => Object.assign(verificationMaterial.publicKey, { hint: 'ab' }),
      'another key',
    ],
    'without an identity to compare a keyless one with': [
      ({ verificationMaterial: material }) => {
        delete material.publicKey
        material.certificate = { rawBytes: 'AAAA' }
      },
      'no identity is trusted',
    ],
  }
  test.each(Object.entries(cases))('%s', async (_, [change, why]) => {
    const bundle = JSON.parse(signed)
    change(bundle)
    await expect(verify(JSON.stringify(bundle))).rejects.toMatchObject(refused(why))
  })

  test('that is too large, deeply nested, or no such thing', async () => {
    const huge = `${dir}.sig`
    writeFileSync(huge, '')
    truncateSync(huge, 200 * MB)
    await expect(verifyModel(dir, { publicKey: pair.publicKey, signature: huge })).rejects.toMatchObject(refused('8388608'))
    rmSync(huge)
    await expect(verify(Buffer.alloc(9 * MB))).rejects.toMatchObject(refused('8388608'))
    for (const text of ['['.repeat(4 * MB), '{"a":'.repeat(MB), '', 'null', '7', '{}', '{"mediaType":1}'])
      await expect(verify(text)).rejects.toMatchObject({ code: 'MODEL_UNTRUSTED' })
    await expect(verify(Buffer.of(0xff, 0xfe))).rejects.toMatchObject(refused('UTF-8'))
  })

  test('to the byte: as much as is read, and one more, which is refused before it is read', async () => {
    const file = `${dir}.sig`
    const atFile = () => verifyModel(dir, { publicKey: pair.publicKey, signature: file })
    try {
      writeFileSync(file, '')
      truncateSync(file, 8 * MB)
      await expect(atFile()).rejects.toMatchObject(refused('not valid JSON'))
      truncateSync(file, 8 * MB + 1)
      await expect(atFile()).rejects.toMatchObject(refused(/^signature '.*' has 8388609 bytes, more than the 8388608/))
      // More than fits into memory.
      truncateSync(file, 2 ** 40)
      await expect(atFile()).rejects.toMatchObject(refused('has 1099511627776 bytes, more than the 8388608'))
    } finally {
      rmSync(file)
    }
    await expect(verify(Buffer.alloc(8 * MB))).rejects.toMatchObject(refused('not valid JSON'))
    await expect(verify(Buffer.alloc(8 * MB + 1))).rejects.toMatchObject(refused('has 8388609 bytes, more than the 8388608'))
  })

  test('whatever is done to it: it verifies nothing else, and fails in no other way', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(signed.length - 1), fc.nat(6), fc.string({ maxLength: 6 }), async (at, drop, insert) => {
        const mutated = `${signed.slice(0, at)}${insert}${signed.slice(at + drop)}`
        const outcome = await verify(mutated).catch((error) => error)
        if (isModelmountError(outcome)) expect(outcome.code).toBe('MODEL_UNTRUSTED')
        // Space between tokens claims nothing.
        else expect(JSON.parse(mutated)).toEqual(JSON.parse(signed))
      }),
      { numRuns: 300 },
    )
  })
})
