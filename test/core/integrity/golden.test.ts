/** Signatures of the reference implementation, from releases 0.3.1 to 1.1.0. */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type VerifyModelOptions, verifyModel } from 'modelmount'
import { describe, expect, test } from 'vitest'
import { needs } from '../../support/needs.ts'

const data = fileURLToPath(new URL('../../../../shared/data/model-signing/', import.meta.url))
const SIGNATURES = needs('golden signatures of the reference implementation', existsSync(data))

const at = (path: string): string => join(data, path)
const key = { publicKey: at('keys/certificate/signing-key-pub.pem') }
const root = { certificates: { roots: [at('keys/certificate/ca-cert.pem')] } }

interface Golden {
  readonly folder: string
  readonly model: string
  readonly anchors: Omit<VerifyModelOptions, 'signature'>
  readonly digest: string
  readonly ignorePaths?: readonly string[]
}
const GOLDEN: readonly Golden[] = [
  { folder: 'v0.3.1-elliptic-key', model: 'signme-1', anchors: key, digest: 'afa48c8674afe334' },
  { folder: 'v0.3.1-certificate', model: '', anchors: root, digest: '61d4849d9d90076d' },
  { folder: 'v1.0.0-elliptic-key', model: 'signme-1', anchors: key, digest: 'afa48c8674afe334' },
  { folder: 'v1.0.0-certificate', model: '', anchors: root, digest: '61d4849d9d90076d' },
  { folder: 'v1.0.1-elliptic-key', model: '', anchors: key, digest: '92745110b1ab4368', ignorePaths: ['ignore-me'] },
  { folder: 'v1.0.1-certificate', model: '', anchors: root, digest: '61d4849d9d90076d', ignorePaths: ['ignore-me'] },
  { folder: 'v1.1.0-elliptic-key', model: '', anchors: key, digest: '92745110b1ab4368' },
  { folder: 'v1.1.0-certificate', model: '', anchors: root, digest: '61d4849d9d90076d' },
]
const [KEYED, CERTIFIED] = GOLDEN.slice(-2) as [Golden, Golden]

const verify = (
  { folder, model, anchors, ignorePaths = [] }: Golden,
  signature: Uint8Array | string = at(`${folder}/model.sig`),
) =>
  // Given as bytes, the signature has no place inside the model that would be left out.
  verifyModel(at(join(folder, model)), { ...anchors, signature, ignorePaths: [...ignorePaths, 'model.sig'] })

describe('golden signatures', SIGNATURES, () => {
  test.each(GOLDEN)('$folder', async (golden) => {
    const { digest, signer, files } = await verify(golden)
    expect(digest.slice('sha256:'.length)).toMatch(new RegExp(`^${golden.digest}`))
    expect(signer.method).toBe(golden.anchors === key ? 'key' : 'certificate')
    expect([...files.keys()]).toEqual(golden.model ? ['.'] : ['signme-1', 'signme-2'])
  })

  test('v1.0.1 did not record what it left out', async () => {
    const { ignorePaths: _, ...strict } = GOLDEN.find(({ ignorePaths }) => ignorePaths) as Golden
    await expect(verify(strict)).rejects.toMatchObject({
      code: 'MODEL_UNTRUSTED',
      message: expect.stringContaining("'ignore-me'"),
    })
  })

  test('the signature of one model is none of another; a key vouches for no certificate, nor the other way round', async () => {
    await expect(verify({ ...CERTIFIED, anchors: key }, at(`${KEYED.folder}/model.sig`))).rejects.toThrow("changed: 'signme-1'")
    await expect(verify({ ...CERTIFIED, anchors: key })).rejects.toThrow('no authority is trusted')
    await expect(verify({ ...KEYED, anchors: root })).rejects.toThrow('no key is trusted')
  })

  test('a certificate needs its way to the root', async () => {
    const bundle = JSON.parse(readFileSync(at(`${CERTIFIED.folder}/model.sig`), 'utf8'))
    bundle.verificationMaterial.x509CertificateChain.certificates.length = 1
    const alone = Buffer.from(JSON.stringify(bundle))
    await expect(verify(CERTIFIED, alone)).rejects.toThrow('nothing leads from it to a trusted root')
  })

  // Every byte of one file, and every thirteenth of the others: old releases wrote fields that new ones do not.
  test.each(GOLDEN)('$folder: no byte of the signature may change', { timeout: 60_000 }, async (golden) => {
    const original = readFileSync(at(`${golden.folder}/model.sig`))
    const survivors: string[] = []
    for (let i = 0; i < original.length; i += golden === KEYED ? 1 : 13) {
      const changed = Buffer.from(original)
      changed[i] = (changed[i] ?? 0) ^ (i % 2 ? 0x01 : 0x20)
      await verify(golden, changed).then(
        () => survivors.push(`byte ${i}: ${original.subarray(Math.max(0, i - 8), i + 8)}`),
        (error) => {
          if (error.code !== 'MODEL_UNTRUSTED') survivors.push(`byte ${i}: ${error.code} ${error.message}`)
        },
      )
    }
    expect(survivors).toEqual([])
  })
})
