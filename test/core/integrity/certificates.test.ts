/** Signing with certificates: whom an authority has certified, for what, and until when. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CertificateTrust, signModel, verifyModel } from 'modelmount'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readCertificate } from '../../../src/core/integrity/der.ts'
import * as der from '../../support/der.ts'
import { AUTHORITY, type Certified, certificate, ecPair, OPENSSL, SIGNER } from '../../support/openssl.ts'
import { treeFor } from '../../support/tree.ts'
import { ERA, type Pair, pair, serial, certificate as signedBy, tbs } from '../../support/x509.ts'

describe('certificates', OPENSSL, () => {
  let dir: string
  let model: string
  let root: Certified
  let between: Certified
  let made = 0
  const issue = (issuer: Certified | undefined, extensions: readonly string[], more: object = {}): Certified =>
    certificate(dir, { name: `c${made++}`, ...(issuer ? { issuer } : {}), extensions, ...more })

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'certificates-'))
    model = join(dir, 'model.onnx')
    writeFileSync(model, 'x')
    root = issue(undefined, AUTHORITY)
    between = issue(root, AUTHORITY)
  })
  afterAll(() => rmSync(dir, { recursive: true, force: true }))

  const signed = async (by: Certified, chain: readonly Certified[] = [between]) =>
    (await signModel(model, { privateKey: by.key, certificate: by.pem, certificateChain: chain.map(({ pem }) => pem) })).signature
  const verify = (signature: Uint8Array, trust: Partial<CertificateTrust> = {}) =>
    verifyModel(model, { signature, certificates: { roots: [root.file], ...trust } })
  const refused = (why: string | RegExp) => ({ code: 'MODEL_UNTRUSTED', message: expect.stringMatching(why) })

  test('a signer two steps below the root', async () => {
    const by = issue(between, SIGNER)
    const { signer } = await verify(await signed(by))
    expect(signer).toMatchObject({ method: 'certificate', subject: `CN=${by.name}, O=Test` })
    // The root may come along, and other certificates too; order does not matter.
    await verify(await signed(by, [root, issue(root, AUTHORITY), between]))
    // One of several roots, in one file or several.
    await verify(await signed(by), { roots: [`${issue(undefined, AUTHORITY).pem}\n${root.pem}`] })
    // Trust in the authority in the middle extends to the signers that it certifies.
    await verify(await signed(by, []), { roots: [between.pem] })
  })

  const wrong: Readonly<Record<string, readonly [() => readonly [Certified, ...Certified[]], string]>> = {
    'a missing one in between': [() => [issue(between, SIGNER)], 'nothing leads from it'],
    'another root': [() => [issue(undefined, SIGNER)], 'nothing leads from it'],
    'an authority as the signer': [() => [issue(root, AUTHORITY)], 'not for signing'],
    'a server certificate': [
      () => [issue(root, ['keyUsage=keyAgreement', 'extendedKeyUsage=serverAuth'])],
      'neither digitalSignature nor codeSigning',
    ],
    'no usage at all': [() => [issue(root, ['basicConstraints=CA:FALSE'])], 'not for signing'],
    'a signer that certifies': [
      () => {
        const middle = issue(root, ['basicConstraints=CA:FALSE', 'keyUsage=digitalSignature,keyCertSign'])
        return [issue(middle, SIGNER), middle]
      },
      'nothing leads from it|not the certificate of an authority',
    ],
    'an authority that may not certify': [
      () => {
        const middle = issue(root, ['basicConstraints=critical,CA:TRUE', 'keyUsage=cRLSign'])
        return [issue(middle, SIGNER), middle]
      },
      'nothing leads from it|may not sign certificates',
    ],
    'more authorities than allowed': [
      () => {
        const last = issue(root, ['basicConstraints=critical,CA:TRUE,pathlen:0', 'keyUsage=keyCertSign'])
        const beyond = issue(last, AUTHORITY)
        return [issue(beyond, SIGNER), beyond, last]
      },
      'allows 0 authorities below it, got 1',
    ],
    'an extension that must be understood': [() => [issue(root, [...SIGNER, '1.2.3.4=critical,ASN1:NULL'])], '1.2.3.4'],
    'constraints on names': [
      () => {
        const middle = issue(root, [...AUTHORITY, 'nameConstraints=permitted;email:example.com'])
        return [issue(middle, SIGNER), middle]
      },
      'name constraints',
    ],
    'a certificate signed over SHA-1': [() => [issue(root, SIGNER, { algorithm: 'sha1' })], 'weak or unknown algorithm'],
  }
  test.each(Object.entries(wrong))('%s', async (_, [make, why]) => {
    const [by, ...chain] = make()
    await expect(verify(await signed(by, chain))).rejects.toMatchObject(refused(why))
  })

  test('codeSigning alone is enough, as for the reference implementation', async () => {
    await verify(await signed(issue(root, ['extendedKeyUsage=codeSigning']), []))
  })

  test('the signature must be by the key of the certificate', async () => {
    const by = issue(root, SIGNER)
    const other = await signed(issue(root, SIGNER), [])
    const mixed = JSON.parse(Buffer.from(await signed(by, [])).toString())
    mixed.verificationMaterial = JSON.parse(Buffer.from(other).toString()).verificationMaterial
    await expect(verify(Buffer.from(JSON.stringify(mixed)))).rejects.toMatchObject(refused('does not fit what was signed'))
    await expect(signModel(model, { privateKey: ecPair().privateKey, certificate: by.pem })).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      details: { field: 'certificate' },
    })
  })

  test('one that has expired is good for what it signed, unless told otherwise', async () => {
    const signature = await signed(issue(root, SIGNER, { from: '20240201000000Z', to: '20240301000000Z' }), [])
    await verify(signature)
    await verify(signature, { validity: 'notBefore' })
    for (const validity of ['now', 'both'] as const)
      await expect(verify(signature, { validity })).rejects.toMatchObject(refused('not valid after'))
  })

  test('one that its authority gave before it was one itself', async () => {
    const young = issue(root, AUTHORITY, { from: '20250101000000Z' })
    const signature = await signed(issue(young, SIGNER), [young])
    await verify(signature, { validity: 'now' })
    for (const validity of ['notBefore', 'both'] as const)
      await expect(verify(signature, { validity })).rejects.toMatchObject(refused('not valid before'))
  })

  test('only some may sign', async () => {
    const [by, other] = [issue(root, SIGNER), issue(root, SIGNER)]
    const { signer } = await verify(await signed(by, []), { subjects: [`CN=${by.name}, O=Test`] })
    const fingerprint = signer.method === 'certificate' ? signer.fingerprint : ''
    await verify(await signed(by, []), { subjects: [`sha256:${fingerprint}`] })
    for (const subjects of [[`CN=${by.name}`], [`CN=${by.name}, O=Test`, `sha256:${fingerprint}`], []])
      await expect(verify(await signed(other, []), { subjects })).rejects.toMatchObject(refused('none of those that may sign'))
  })

  test('what is no certificate', async () => {
    const file = JSON.parse(Buffer.from(await signed(issue(root, SIGNER))).toString())
    const { certificates } = file.verificationMaterial.x509CertificateChain
    const good = certificates[0].rawBytes
    for (const bytes of [Buffer.of(0x30, 0), Buffer.concat([Buffer.from(good, 'base64'), Buffer.of(0)]), Buffer.from('x')]) {
      certificates[0].rawBytes = bytes.toString('base64')
      await expect(verify(Buffer.from(JSON.stringify(file)))).rejects.toMatchObject(refused('certificate'))
    }
    certificates[0].rawBytes = good
    certificates.length = 0
    await expect(verify(Buffer.from(JSON.stringify(file)))).rejects.toMatchObject(refused('no certificates'))
    certificates.push(...Array.from({ length: 17 }, () => ({ rawBytes: good })))
    await expect(verify(Buffer.from(JSON.stringify(file)))).rejects.toMatchObject(refused('more than 16'))
    for (const roots of [[model], [join(dir, 'none')], []])
      await expect(verify(await signed(root, []), { roots })).rejects.toMatchObject({
        code: 'OPTIONS_INVALID',
        details: { field: 'certificates.roots' },
      })
  })
})

describe('ways to a root', () => {
  const CERTIFIES = [
    der.extension('2.5.29.19', der.sequence(der.boolean(true)), { isCritical: true }),
    der.extension('2.5.29.15', der.bits(Buffer.of(0x04), 2), { isCritical: true }),
  ]
  const SIGNS = [der.extension('2.5.29.15', der.bits(Buffer.of(0x80), 7), { isCritical: true })]
  interface Named {
    readonly name: string
    readonly pair: Pair
  }
  const named = (name: string): Named => ({ name, pair: pair() })
  const issued = (by: Named, to: Named, extensions = CERTIFIES): string =>
    der.pem(
      signedBy(
        tbs({ serial: serial(), issuer: by.name, subject: to.name, spki: to.pair.spki, ...ERA, extensions }),
        by.pair.privateKey,
      ),
    )

  async function verified(by: Named, certificate: string, chain: readonly string[], root: string) {
    const model = join(treeFor({ 'model.onnx': 'x' }), 'model.onnx')
    const privateKey = by.pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const { signature } = await signModel(model, { privateKey, certificate, certificateChain: [...chain] })
    return verifyModel(model, { signature, certificates: { roots: [root] } })
  }

  /** A way of so many certificates, the signer's and the root's included. */
  async function way(length: number) {
    const all = Array.from({ length }, (_, i) => named(`step ${i}`))
    const [root, signer] = [all[0], all.at(-1)] as [Named, Named]
    const chain = all.slice(1, -1).map((to, i) => issued(all[i] as Named, to))
    return verified(signer, issued(all.at(-2) as Named, signer, SIGNS), chain, issued(root, root))
  }

  test('have eight certificates at most', async () => {
    expect(await way(8)).toMatchObject({ signer: { subject: 'CN=step 7' } })
    await expect(way(9)).rejects.toMatchObject({
      code: 'MODEL_UNTRUSTED',
      message: expect.stringContaining('nothing leads from it'),
    })
  })

  test('are not all walked where certificates certify each other', async () => {
    const [loop, signer, root] = [named('loop'), named('signer'), named('root')]
    const [byLoop, ground] = [issued(loop, signer, SIGNS), issued(root, root)]
    // A way goes from any to any: 32 million of them.
    const chain = Array.from({ length: 15 }, () => issued(loop, loop))
    await expect(verified(signer, byLoop, chain, ground)).rejects.toMatchObject({ code: 'MODEL_UNTRUSTED' })
    // One way out is found.
    chain[14] = issued(root, loop)
    expect(await verified(signer, byLoop, chain, ground)).toMatchObject({ signer: { subject: 'CN=signer' } })
  })

  test('the shortest counts, for authorities that allow few below them', async () => {
    const [root, middle, signer] = [named('root'), named('middle'), named('signer')]
    const few = [
      der.extension('2.5.29.19', der.sequence(der.boolean(true), der.integer(Buffer.of(1))), { isCritical: true }),
      CERTIFIES[1] as Buffer,
    ]
    // The longer way, by its own renewal, comes first.
    const chain = [issued(middle, middle), issued(root, middle)]
    const bySigner = issued(middle, signer, SIGNS)
    expect(await verified(signer, bySigner, chain, issued(root, root, few))).toMatchObject({ signer: { subject: 'CN=signer' } })
  })

  test.each<[string, readonly number[]]>([
    ['no length', [0x05]],
    ['a length that is left open', [0x05, 0x80]],
    ['such a length, and as many bytes as it would be as a number', [0x05, 0x80, ...new Array<number>(0x80).fill(0)]],
    ['a length of five bytes', [0x05, 0x85, 0, 0, 0, 0, 0]],
    ['more bytes than there are', [0x05, 0x01]],
  ])('a certificate that ends with %s is malformed', (_, end) => {
    const by = pair()
    const content = tbs({ serial: serial(), issuer: 'a', subject: 'a', spki: by.spki, ...ERA, extensions: SIGNS })
    const whole = (more: readonly number[]): Buffer => {
      // The contents, after the tag and a length of four bytes.
      const inside = der.sequence(Buffer.concat([content.subarray(4), Buffer.from(more)]))
      return signedBy(inside, by.privateKey)
    }
    expect(readCertificate(whole([])).keyUsage).toEqual({ digitalSignature: true, keyCertSign: false })
    expect(() => readCertificate(whole(end))).toThrow('malformed')
  })
})
