/** Encrypted models are served from memory: whole, of the right name, or not at all. */

import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EncryptionKey, encryptModel, type KeyProvider, type ModelServerOptions, signModel } from 'modelmount'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import * as models from '../../tools/models.mjs'
import { workerPids } from '../support/children.ts'
import { watch } from '../support/events.ts'
import { provedServerFor as serverFor } from '../support/server.ts'

const key: EncryptionKey = { id: 'k1', key: new Uint8Array(randomBytes(32)) }
const keys: KeyProvider = { current: () => key, byId: (id) => (id === key.id ? key : undefined) }

let dir = ''
let plain = ''
let repository = ''

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'modelmount-encrypted-'))
  plain = join(dir, 'plain')
  repository = join(dir, 'models')
  models.externalDataModel(plain)
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const encrypt = (opts: { version?: string; to?: string } = {}) =>
  encryptModel(plain, { keys, model: 'scale', version: opts.version ?? '1', out: opts.to ?? join(repository, 'scale', '1') })

const serve = (options: Partial<ModelServerOptions> = {}) => serverFor({ repository, encryption: { keys }, ...options })

/** The stored weights double their input. */
async function expectAnswers(server: Awaited<ReturnType<typeof serve>>): Promise<void> {
  const { outputs } = await server.predict('scale', { x: [[1, 2, 3, 4]] })
  expect(Array.from(outputs.y?.data as Float32Array)).toEqual([2, 4, 6, 8])
}

const reasonOf = (server: Awaited<ReturnType<typeof serve>>) => server.model('scale').reason

describe.each(['thread', 'process'] as const)('%s tier', (isolation) => {
  test('a model and its weights from a repository, and nothing plain on disk', async () => {
    const { manifestId } = await encrypt()
    rmSync(plain, { recursive: true })
    const server = await serve({ isolation, strict: true, instances: 2 })
    await expectAnswers(server)
    expect(server.model('scale')).toMatchObject({ manifestId, instances: { ready: 2 } })
    expect(readdirSync(dir, { recursive: true }).filter((name) => /\.(onnx|bin)$/.test(String(name)))).toEqual([])
  })
})

test('a large one, which is put together in another thread, and is refused when its end is missing', async () => {
  const model = { name: 'large', version: '1' }
  writeFileSync(join(dir, 'large.onnx'), models.matmulChainModel({ size: 2100, count: 1 }))
  const { manifestId } = await encryptModel(join(dir, 'large.onnx'), { keys, model: 'large', out: join(dir, 'out') })
  const source = join(dir, 'out', 'large.onnx.enc')
  const server = await serverFor({ models: [], encryption: { keys } })
  // Twice: the thread is used again.
  for (let i = 0; i < 2; i++) expect(await server.load({ ...model, source })).toMatchObject({ manifestId })
  const message = readFileSync(source)
  for (const end of [message.length - 1, message.length - 1024 * 1024 - 100, 1000]) {
    writeFileSync(source, message.subarray(0, end))
    await expect(server.load({ ...model, source })).rejects.toMatchObject({ code: 'MODEL_UNTRUSTED' })
  }
  writeFileSync(source, message)
  expect(await server.load({ ...model, source })).toMatchObject({ manifestId })
})

test('its weights are not shared by a file, nor copied into the store or anywhere else', async () => {
  const bytes = models.matmulChainModel({ size: 512, count: 2 })
  writeFileSync(join(dir, 'model.onnx'), bytes)
  await encryptModel(join(dir, 'model.onnx'), { keys, model: 'shared', out: join(repository, 'shared', '1') })
  rmSync(join(dir, 'model.onnx'))
  rmSync(plain, { recursive: true })
  // Short, and several: where weights are packed only a few stand beside each other as before.
  const markers = Array.from({ length: 8 }, (_, i) => Buffer.from(bytes.subarray(100_000 * (i + 1), 100_000 * (i + 1) + 16)))
  const where = { cacheDirectory: join(dir, 'cache'), store: { dir: join(dir, 'store') } }
  const holders = (): string[] =>
    readdirSync(dir, { recursive: true })
      .map(String)
      .filter((name) => statSync(join(dir, name)).isFile())
      .filter((name) => {
        const content = readFileSync(join(dir, name))
        return markers.some((marker) => content.includes(marker))
      })
  for (const isolation of ['thread', 'process'] as const) {
    const server = await serve({ ...where, isolation, instances: 2, shareWeights: true, strict: true })
    expect(server.model('shared')).toMatchObject({ weights: { form: 'plain' }, instances: { ready: 2 } })
    expect(server.model('shared').weights.reason).toContain('bytes')
    expect(holders()).toEqual([])
    await server.close()
    expect(holders()).toEqual([])
  }
  // The same model in clear is shared, and found.
  mkdirSync(join(dir, 'clear'))
  writeFileSync(join(dir, 'clear', 'model.onnx'), bytes)
  const server = await serverFor({ models: [], ...where })
  const made = watch(server).next(({ type }) => type === 'weights')
  await server.load({ name: 'clear', source: join(dir, 'clear', 'model.onnx'), instances: 2, shareWeights: true })
  await made
  expect(holders().map((name) => name.split('/')[0])).toEqual(expect.arrayContaining(['clear', 'store', 'cache']))
})

test('a child that crashed comes back with the same model', async () => {
  await encrypt()
  const server = await serve({ isolation: 'process', strict: true })
  await expectAnswers(server)
  const [pid] = workerPids()
  process.kill(pid as number, 'SIGKILL')
  await expect.poll(() => workerPids().filter((other) => other !== pid).length).toBe(1)
  await expectAnswers(server)
})

test('without keys it says which option is missing', async () => {
  await encrypt()
  expect(reasonOf(await serverFor({ repository }))).toMatchObject({
    code: 'MODEL_LOAD_FAILED',
    message: expect.stringContaining('encryption.keys'),
  })
})

test.each([
  ['another name', { name: 'other', version: '1' }],
  ['another version', { name: 'scale', version: '2' }],
])('under %s it is refused', async (_, names) => {
  await encrypt()
  const source = join(repository, 'scale', '1', 'model.onnx.enc')
  const server = await serverFor({ models: [{ ...names, source }], encryption: { keys } })
  expect(server.model(names.name).reason).toMatchObject({ code: 'MODEL_UNTRUSTED' })
})

test('a changed byte in the weights is refused before ONNX Runtime sees anything', async () => {
  await encrypt()
  const file = join(repository, 'scale', '1', 'weights.bin.enc')
  const bytes = readFileSync(file)
  bytes[bytes.length - 20] = (bytes[bytes.length - 20] as number) ^ 1
  writeFileSync(file, bytes)
  const server = await serve({ isolation: 'process' })
  expect(reasonOf(server)).toMatchObject({ code: 'MODEL_UNTRUSTED', message: expect.stringContaining('weights.bin.enc') })
  await expect.poll(workerPids).toEqual([])
})

describe('signed, then encrypted', () => {
  const pair = () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    return {
      privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
      publicKey: publicKey.export({ type: 'spki', format: 'pem' }) as string,
    }
  }

  test('the signature over the plain files counts', async () => {
    const [ours, theirs] = [pair(), pair()]
    await signModel(plain, { privateKey: ours.privateKey, signature: join(plain, 'model.sig') })
    await encrypt()
    const trusting = (publicKey: string) => ({ trust: { signers: [{ models: ['*'], publicKey }] } })
    const server = await serve({ ...trusting(ours.publicKey), strict: true })
    await expectAnswers(server)
    expect(server.model('scale')).toMatchObject({ signer: { method: 'key' } })
    expect(reasonOf(await serve(trusting(theirs.publicKey)))).toMatchObject({ code: 'MODEL_UNTRUSTED' })
  })

  test('a signature over other files does not', async () => {
    const { privateKey, publicKey } = pair()
    await signModel(plain, { privateKey, signature: join(plain, 'model.sig') })
    const weights = readFileSync(join(plain, 'weights.bin'))
    weights[3] = (weights[3] as number) ^ 1
    writeFileSync(join(plain, 'weights.bin'), weights)
    await encrypt()
    const server = await serve({ trust: { signers: [{ models: ['*'], publicKey }] } })
    expect(reasonOf(server)).toMatchObject({ code: 'MODEL_UNTRUSTED', message: expect.stringContaining('not what was signed') })
  })
})
