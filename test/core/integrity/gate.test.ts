/** Admission by the gate: locks, revocations, bytes, and files beside a model. */

import { linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { signModel, verifyModel } from 'modelmount'
import { describe, expect, onTestFinished, test } from 'vitest'
import { dataPath, signatureBeside } from '../../../src/core/integrity/beside.ts'
import { readCertificate } from '../../../src/core/integrity/der.ts'
import { createGate, type GateConfig } from '../../../src/core/integrity/index.ts'
import { lockOf, writeLock } from '../../../src/core/integrity/lock-file.ts'
import { manifestIdOf } from '../../../src/core/integrity/manifest.ts'
import { extension, integer, octets, oid, primitive, sequence } from '../../support/der.ts'
import { POSIX } from '../../support/needs.ts'
import { ecPair } from '../../support/openssl.ts'
import { treeFor } from '../../support/tree.ts'

const [ours, theirs] = [ecPair(), ecPair()]
const trust = { signers: [{ publicKey: ours.publicKey }] }
const BYTES = Buffer.from('model')
const SHA = '9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4'
const ID = manifestIdOf([{ name: '.', sha256: SHA, size: BYTES.length }])

async function gateOver(config: Partial<GateConfig>) {
  const warnings: string[] = []
  const root = treeFor({ 'm/model.onnx': 'model' })
  const gate = await createGate(
    { verification: 'off', trust: undefined, lock: undefined, store: { dir: join(root, 'store') }, ...config },
    {
      dataNamesOf: async () => [],
      wallNow: () => Date.now() + 10_000,
      warn: (message) => void warnings.push(message),
      decrypt: () => undefined,
      onnxruntime: '1.30.0',
    },
  )
  onTestFinished(() => gate.close())
  const admit = (source: string | Uint8Array = join(root, 'm/model.onnx'), signature?: Uint8Array) =>
    gate.admit({ name: 'm', version: '1', source, signature })
  return { root, admit, warnings }
}

const untrusted = (message: string | RegExp, details?: object) =>
  expect.objectContaining({ code: 'MODEL_UNTRUSTED', message: expect.stringMatching(message), ...(details ? { details } : {}) })

const signed = async (source: string, by = ours) => (await signModel(source, { privateKey: by.privateKey })).signature

describe('a lock file', () => {
  const entry = { name: 'm', version: '1', manifestId: ID, opset: {}, signature: null, signer: null }
  const locked = (change: object, onnxruntime = '1.30.0'): string =>
    join(treeFor({ 'lock.json': writeLock(lockOf(onnxruntime, [{ ...entry, ...change }])) }), 'lock.json')

  test('lets in what it names, as a file and as bytes', async () => {
    const { admit, warnings } = await gateOver({ lock: locked({}) })
    for (const source of [undefined, BYTES]) {
      const admitted = await admit(source)
      expect(admitted).toMatchObject({ integrity: { manifestId: ID }, doubt: undefined })
      await admitted.recheck()
      admitted.release()
    }
    expect(warnings).toEqual([])
  })

  test.each<[string, object, string | RegExp]>([
    ['another name', { name: 'n' }, "model 'm' version '1' is not in the lock file"],
    ['another version', { version: '2' }, "model 'm' version '1' is not in the lock file"],
    ['other bytes', { manifestId: `sha256:${'0'.repeat(64)}` }, new RegExp(`sha256:0+ expected, got ${ID}`)],
  ])('with %s refuses', async (_what, change, why) => {
    const { admit } = await gateOver({ lock: locked(change) })
    for (const source of [undefined, BYTES]) await expect(admit(source)).rejects.toEqual(untrusted(why))
  })

  test('that was written for another signer refuses, though this one is trusted', async () => {
    const { root, admit } = await gateOver({ verification: 'require', trust, lock: locked({ signer: 'key sha256:other' }) })
    const signature = await signed(join(root, 'm/model.onnx'))
    await expect(admit(BYTES, signature)).rejects.toEqual(untrusted(/was signed by .*, not by key sha256:other/))
  })

  test('of another release of ONNX Runtime is warned of', async () => {
    const { warnings } = await gateOver({ lock: locked({}, '1.29.0') })
    expect(warnings).toEqual([expect.stringMatching(/onnxruntime-node 1\.29\.0, this process has 1\.30\.0/)])
  })

  test.each([
    '{',
    '[]',
    'null',
    '{ "lockVersion": 2, "onnxruntime": "1", "models": [] }',
    '{ "lockVersion": 1, "models": [] }',
    '{ "lockVersion": 1, "onnxruntime": "1", "models": {} }',
    '{ "lockVersion": 1, "onnxruntime": "1", "models": [1] }',
    '{ "lockVersion": 1, "onnxruntime": "1", "models": [{ "name": "m", "version": "1" }] }',
  ])('that is %s is none', async (text) => {
    const lock = join(treeFor({ 'lock.json': text }), 'lock.json')
    await expect(gateOver({ lock })).rejects.toMatchObject({ code: 'OPTIONS_INVALID', details: { field: 'lock' } })
  })

  test('that is not there stops the server', async () => {
    const lock = join(treeFor({}), 'none.json')
    await expect(gateOver({ lock })).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringContaining('ENOENT'),
    })
  })
})

describe('a signature', () => {
  test('of the file is good for its bytes, and says whose it is', async () => {
    const { root, admit } = await gateOver({ verification: 'require', trust })
    const signature = await signed(join(root, 'm/model.onnx'))
    expect(await admit(BYTES, signature)).toMatchObject({
      source: BYTES,
      doubt: undefined,
      integrity: { manifestId: ID, signer: { method: 'key' }, signatureDigest: expect.stringMatching(/^sha256:/) },
    })
    await expect(admit(Buffer.from('other'), signature)).rejects.toEqual(untrusted("the model's file is not what was signed"))
  })

  test('of a folder is not one of bytes', async () => {
    const { root, admit } = await gateOver({ verification: 'require', trust })
    await expect(admit(BYTES, await signed(join(root, 'm')))).rejects.toEqual(untrusted('sign its file'))
  })

  test('that is missing or another’s is refused, or with a warning only is a doubt', async () => {
    const strict = await gateOver({ verification: 'require', trust })
    const signature = await signed(join(strict.root, 'm/model.onnx'), theirs)
    await expect(strict.admit(BYTES, signature)).rejects.toEqual(untrusted('another key'))
    await expect(strict.admit(BYTES)).rejects.toEqual(untrusted('comes without a signature'))
    await expect(strict.admit()).rejects.toEqual(untrusted("neither 'model.onnx.sig' nor 'model.sig'"))
    const lenient = await gateOver({ verification: 'warn', trust })
    const admitted = await lenient.admit(BYTES, signature)
    expect(admitted).toMatchObject({ source: BYTES, doubt: expect.stringContaining('another key') })
    expect(admitted.integrity).toEqual({ manifestId: ID })
  })

  test('of a revoked model does not let it in, not even with a warning', async () => {
    for (const verification of ['require', 'warn'] as const) {
      const { root, admit } = await gateOver({ verification, trust: { ...trust, revoked: [ID] } })
      const refused = untrusted('is revoked', { manifestId: ID, revoked: true })
      await expect(admit(BYTES, await signed(join(root, 'm/model.onnx')))).rejects.toEqual(refused)
    }
  })

  test('holds where any one of the trusted keys has made it', async () => {
    const file = join(treeFor({ m: 'model' }), 'm')
    const signature = await signed(file)
    for (const publicKey of [
      [theirs.publicKey, ours.publicKey],
      [ours.publicKey, theirs.publicKey],
    ])
      expect(await verifyModel(file, { signature, publicKey })).toMatchObject({ signer: { method: 'key' } })
    await expect(verifyModel(file, { signature, publicKey: [theirs.publicKey] })).rejects.toEqual(untrusted('another key'))
  })

  test('needs somebody who is trusted', async () => {
    const file = join(treeFor({ m: 'model' }), 'm')
    const signature = await signed(file)
    const options = (field: string) => ({ code: 'OPTIONS_INVALID', details: { field } })
    await expect(verifyModel(file, { signature })).rejects.toMatchObject(options('publicKey'))
    await expect(verifyModel(file, { signature, publicKey: [] })).rejects.toMatchObject(options('publicKey'))
    await expect(verifyModel(file, { signature, publicKey: '/no/such.pem' })).rejects.toMatchObject(options('publicKey'))
    await expect(verifyModel(file, { signature, certificates: { roots: [] } })).rejects.toMatchObject(
      options('certificates.roots'),
    )
  })
})

describe('beside a model', () => {
  test('its own signature comes before that of the folder', async () => {
    const root = treeFor({ 'a.onnx': '', 'a.onnx.sig': '', 'model.sig': '' })
    expect(await signatureBeside(join(root, 'a.onnx'))).toBe(join(root, 'a.onnx.sig'))
    rmSync(join(root, 'a.onnx.sig'))
    expect(await signatureBeside(join(root, 'a.onnx'))).toBe(join(root, 'model.sig'))
  })

  test('weights are a file of its folder', POSIX, async () => {
    const root = treeFor({ 'm/w': 'w', 'm/below/w': 'w', secret: 's' })
    const folder = join(root, 'm')
    expect(await dataPath(folder, 'below/w', undefined)).toMatch(/m\/below\/w$/)
    symlinkSync(join(root, 'secret'), join(folder, 'link'))
    linkSync(join(root, 'secret'), join(folder, 'hard'))
    mkdirSync(join(folder, 'inner'))
    symlinkSync('../w', join(folder, 'inner/w'))
    expect(await dataPath(folder, 'inner/w', undefined)).toMatch(/m\/w$/)
    const refused = (name: string, why: string, names?: readonly string[]) =>
      expect(dataPath(folder, name, names && new Map(names.map((one) => [one, ''])))).rejects.toEqual(untrusted(why))
    await refused('../secret', "a part '..'")
    await refused('link', 'leads out of its folder')
    await refused('hard', 'is a hard link')
    await refused('w', 'not covered by the signature', ['below/w'])
    expect(await dataPath(folder, 'hard', new Map([['hard', '']]))).toMatch(/m\/hard$/)
    for (const name of ['none', 'w/none'])
      await expect(dataPath(folder, name, undefined)).rejects.toMatchObject({
        code: 'MODEL_LOAD_FAILED',
        message: expect.stringContaining('does not exist'),
        details: { path: join(folder, name) },
      })
    writeFileSync(join(folder, 'w'), 'again')
  })
})

describe('a certificate', () => {
  const TBS = (...extensions: readonly Uint8Array[]): Uint8Array =>
    sequence(sequence(integer(Uint8Array.of(1)), primitive(0xa3, sequence(...extensions))), sequence(oid('1.2.840.10045.4.3.2')))

  test('tells its algorithm, usage, path length and extensions, which may be long or critical', () => {
    const usage = extension('2.5.29.15', primitive(0x03, Uint8Array.of(7, 0x80)), { isCritical: true })
    const basic = extension('2.5.29.19', sequence(primitive(0x01, Uint8Array.of(0xff)), integer(Uint8Array.of(0x01, 0x02))))
    const long = extension('1.3.6.1.4.1.57264', octets(new Uint8Array(300)))
    expect(readCertificate(TBS(usage, basic, long))).toEqual({
      algorithm: '1.2.840.10045.4.3.2',
      keyUsage: { digitalSignature: true, keyCertSign: false },
      pathLength: 0x0102,
      extensions: new Set(['2.5.29.15', '2.5.29.19', '1.3.6.1.4.1.57264']),
      critical: new Set(['2.5.29.15']),
    })
    const ca = extension('2.5.29.15', primitive(0x03, Uint8Array.of(2, 0x04)))
    expect(readCertificate(TBS(ca))).toMatchObject({
      keyUsage: { digitalSignature: false, keyCertSign: true },
      pathLength: undefined,
      critical: new Set(),
    })
    expect(readCertificate(TBS()).keyUsage).toBeUndefined()
  })

  test('that is cut off anywhere, or says a length that is not there, is malformed', () => {
    const whole = TBS(extension('2.5.29.14', octets(new Uint8Array(200))))
    for (let length = 0; length < whole.length; length++)
      expect(() => readCertificate(whole.subarray(0, length)), String(length)).toThrow(untrusted('malformed'))
    for (const size of [0x80, 0x85, 0xff])
      expect(() => readCertificate(Uint8Array.of(0x30, size, 1, 1, 1, 1, 1, 1))).toThrow(untrusted('malformed'))
    const same = extension('2.5.29.14', octets(Uint8Array.of(1)))
    expect(() => readCertificate(TBS(same, same))).toThrow(untrusted('malformed'))
    const endless = primitive(0x06, new Uint8Array(20).fill(0xff))
    expect(() => readCertificate(sequence(sequence(), sequence(endless)))).toThrow(untrusted('malformed'))
  })
})
