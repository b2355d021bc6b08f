/** Only models from trusted signers run, and the running bytes are the signed ones. */

import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type ModelServer, type ModelServerOptions, type ModelSpec, signModel } from 'modelmount'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { externalDataModel } from '../../tools/models.mjs'
import { node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { watch } from '../support/events.ts'
import { ecPair } from '../support/openssl.ts'
import { serverFor } from '../support/server.ts'
import { constantOf } from '../support/small-models.ts'

const pair = ecPair()
const stranger = ecPair()
let dir: string
beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), 'trust-'))
  onTestFinished(() => fs.rmSync(dir, { recursive: true, force: true }))
})

/** Writes a model into a folder of its own and signs that. @returns its path */
async function signed(name: string, model: Uint8Array | 'external', by = pair): Promise<string> {
  const folder = join(dir, name)
  fs.mkdirSync(folder, { recursive: true })
  const path = join(folder, 'model.onnx')
  if (model === 'external') externalDataModel(folder)
  else fs.writeFileSync(path, model)
  await signModel(folder, { privateKey: by.privateKey, signature: join(folder, 'model.sig') })
  return path
}

const trust = { signers: [{ publicKey: pair.publicKey }] }
const storeDir = (): string => join(dir, 'store')
const server = (options: Partial<ModelServerOptions> = {}): Promise<ModelServer> =>
  serverFor({ models: [], trust, store: { dir: storeDir() }, ...options })
const answerOf = async (server: ModelServer, name = 'm'): Promise<unknown> => (await server.predict(name, {})).outputs.y?.data[0]
const spec = (source: ModelSpec['source'], more: Partial<ModelSpec> = {}): ModelSpec => ({ name: 'm', source, ...more })
const untrusted = (why: string | RegExp) => ({ code: 'MODEL_UNTRUSTED', message: expect.stringMatching(why) })
const filesIn = (folder: string): string[] =>
  (fs.readdirSync(folder, { recursive: true }) as string[]).filter((name) => fs.statSync(join(folder, name)).isFile())

describe('with a trusted key', () => {
  test('a signed model runs from a private copy, and everything tells which one it is', async () => {
    const path = await signed('m', 'external')
    const mounted = await server()
    const events = watch(mounted)
    const info = await mounted.load(spec(path))
    expect(info).toMatchObject({
      manifestId: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      signer: { method: 'key' },
      signatureDigest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    })
    expect(events.seen).toContainEqual(
      expect.objectContaining({
        type: 'integrity',
        outcome: 'verified',
        manifestId: info.manifestId,
        signer: expect.any(String),
      }),
    )
    expect(events.seen).toContainEqual(expect.objectContaining({ type: 'model', state: 'ready', manifestId: info.manifestId }))
    const { outputs } = await mounted.predict('m', { x: [[1, 2, 3, 4]] })
    expect(outputs.y?.data).toEqual(Float32Array.of(2, 4, 6, 8))

    const folder = join(storeDir(), 'models', String(info.manifestId).slice('sha256:'.length), 'files')
    expect(filesIn(folder).sort()).toEqual(['model.onnx', 'weights.bin'])
    for (const file of filesIn(folder)) expect(fs.statSync(join(folder, file)).mode & 0o777).toBe(0o400)
    for (const each of [storeDir(), dirname(folder), folder]) expect(fs.statSync(each).mode & 0o777).toBe(0o700)
    expect(fs.readdirSync(join(storeDir(), 'staging'))).toEqual([])
  })

  test('an unsigned one, one of a stranger and one that was tampered with are refused; the others run', async () => {
    const good = await signed('good', constantOf(1))
    const tampered = await signed('tampered', constantOf(1))
    fs.writeFileSync(tampered, constantOf(2))
    const data = await signed('data', 'external')
    fs.appendFileSync(join(dirname(data), 'weights.bin'), 'x')
    const strange = await signed('strange', constantOf(1), stranger)
    const more = await signed('more', constantOf(1))
    fs.writeFileSync(join(dirname(more), 'script.py'), '')
    fs.writeFileSync(join(dir, 'unsigned.onnx'), constantOf(1))
    const models = { good, tampered, data, strange, more, unsigned: join(dir, 'unsigned.onnx') }
    const mounted = await server({ models: Object.entries(models).map(([name, source]) => ({ name, source })) })
    const reasons = Object.fromEntries(mounted.models().map(({ name, reason }) => [name, reason]))
    expect(reasons).toEqual({
      good: undefined,
      tampered: untrusted("the model's file is not what was signed"),
      data: untrusted("file 'weights.bin' is not what was signed"),
      strange: untrusted('another key'),
      more: untrusted("not signed: 'script.py'"),
      unsigned: untrusted("no signature: neither 'unsigned.onnx.sig' nor 'model.sig'"),
    })
    expect(mounted.health().ready).toBe(false)
    expect(await answerOf(mounted, 'good')).toBe(1)
    await expect(mounted.predict('tampered', {})).rejects.toMatchObject({ code: 'MODEL_NOT_READY' })
    // Nothing of what was refused is left lying.
    expect(fs.readdirSync(join(storeDir(), 'models'))).toHaveLength(1)
    expect(fs.readdirSync(join(storeDir(), 'staging'))).toEqual([])
  })

  test('files, bytes, and signatures that lie elsewhere', async () => {
    const model = join(dir, 'm.onnx')
    fs.writeFileSync(model, constantOf(3))
    const { signature } = await signModel(model, { privateKey: pair.privateKey, signature: `${model}.sig` })
    const mounted = await server()
    const { manifestId } = await mounted.load(spec(model))
    // The same bytes are the same model, whatever they are called and wherever they come from.
    expect((await mounted.load({ name: 'bytes', source: constantOf(3), signature })).manifestId).toBe(manifestId)
    fs.renameSync(`${model}.sig`, join(dir, 'elsewhere'))
    await expect(mounted.load(spec(model))).rejects.toMatchObject(untrusted('no signature'))
    await mounted.load(spec(model, { signature: join(dir, 'elsewhere') }))
    await expect(mounted.load({ name: 'b', source: constantOf(4), signature })).rejects.toMatchObject(
      untrusted('not what was signed'),
    )
    await expect(mounted.load({ name: 'c', source: constantOf(3) })).rejects.toMatchObject(untrusted('without a signature'))
  })

  test('a swap between the look and the load changes nothing', async () => {
    const path = await signed('m', constantOf(1))
    const mounted = await server()
    let swapped = 0
    mounted.subscribe((event) => {
      if (event.type !== 'integrity' || event.outcome !== 'verified') return
      // Verified, and nothing has been loaded: the moment that an attacker waits for.
      fs.rmSync(path)
      fs.writeFileSync(path, constantOf(666))
      swapped++
    })
    await mounted.load(spec(path))
    expect(swapped).toBe(1)
    expect(await answerOf(mounted)).toBe(1)
    await expect(mounted.load(spec(path))).rejects.toMatchObject(untrusted('not what was signed'))
    expect(await answerOf(mounted)).toBe(1)
  })

  test('weights in a place that the signature leaves out are not loaded', async () => {
    const folder = join(dir, 'm')
    fs.mkdirSync(join(folder, '.git'), { recursive: true })
    fs.writeFileSync(join(folder, '.git/w.bin'), new Uint8Array(4))
    fs.writeFileSync(join(folder, 'model.onnx'), withWeightsIn('.git/w.bin'))
    await signModel(folder, { privateKey: pair.privateKey, signature: join(folder, 'model.sig') })
    const mounted = await server()
    await expect(mounted.load(spec(join(folder, 'model.onnx')))).rejects.toMatchObject(untrusted('not covered by the signature'))
    // Of the file alone, the signature covers no weights at all.
    const path = externalDataModel(join(dir, 'external'))
    await signModel(path, { privateKey: pair.privateKey, signature: `${path}.sig` })
    await expect(mounted.load(spec(path))).rejects.toMatchObject(untrusted("'weights.bin', which is not covered"))
  })

  test('a model that fails its reload keeps the version before, and says so', async () => {
    const path = await signed('m', constantOf(1))
    const mounted = await server()
    await mounted.load(spec(path))
    expect(mounted.health().models[0]).not.toHaveProperty('reloadFailed')
    const events = watch(mounted)
    fs.writeFileSync(path, constantOf(2))
    await expect(mounted.load(spec(path))).rejects.toMatchObject(untrusted('not what was signed'))
    expect(await answerOf(mounted)).toBe(1)
    const [health] = mounted.health().models
    expect(health).toMatchObject({ state: 'ready', reloadFailed: expect.stringContaining('not what was signed') })
    expect(mounted.health().ready).toBe(true)
    expect(events.seen).toContainEqual(
      expect.objectContaining({ type: 'integrity', outcome: 'refused', reason: expect.stringContaining('not what was signed') }),
    )
    await signed('m', constantOf(1))
    await mounted.load(spec(path))
    expect(mounted.health().models[0]).not.toHaveProperty('reloadFailed')
  })

  test('a version stands for the same bytes, unless it is replaced', async () => {
    const first = await signed('first', constantOf(1))
    const second = await signed('second', constantOf(2))
    const mounted = await server({ models: [spec(first)] })
    await expect(mounted.load(spec(second))).rejects.toMatchObject({ code: 'MODEL_CONFLICT', status: 409 })
    expect(await answerOf(mounted)).toBe(1)
    await mounted.load(spec(second, { version: '2' }))
    await mounted.load(spec(second), { replace: true })
    await mounted.unload('m', '2')
    expect(await answerOf(mounted)).toBe(2)
    await expect(mounted.load(spec(first), { replace: 1 as never })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
  })

  test('a revoked one never runs again: the list is read at every load', async () => {
    const [old, fixed] = [await signed('old', constantOf(1)), await signed('fixed', constantOf(2))]
    const list = join(dir, 'revoked')
    fs.writeFileSync(list, '# none yet\n')
    const mounted = await server({ trust: { ...trust, revoked: list } })
    const { manifestId } = await mounted.load(spec(old))
    await mounted.load(spec(fixed), { replace: true })
    fs.writeFileSync(list, `${manifestId}  # leaks its training data\n`)
    await expect(mounted.load(spec(old), { replace: true })).rejects.toMatchObject(untrusted(`${manifestId} is revoked`))
    expect(await answerOf(mounted)).toBe(2)
    fs.rmSync(list)
    await expect(mounted.load(spec(fixed))).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
  })

  test('a key signs only the models that it is trusted with', async () => {
    const signers = [
      { models: ['fraud*'], publicKey: pair.publicKey },
      { models: ['ocr', 'a*c'], publicKey: stranger.publicKey },
    ]
    const mounted = await server({ trust: { signers } })
    const [ours, theirs] = [await signed('ours', constantOf(1)), await signed('theirs', constantOf(1), stranger)]
    await mounted.load({ name: 'fraud-eu', source: ours })
    await mounted.load({ name: 'ocr', source: theirs })
    await mounted.load({ name: 'abc', source: theirs })
    await expect(mounted.load({ name: 'fraud', source: theirs })).rejects.toMatchObject(untrusted('another key'))
    await expect(mounted.load({ name: 'ab', source: theirs })).rejects.toMatchObject(untrusted('no signer is trusted for model'))
    await expect(mounted.load({ name: 'ocr2', source: theirs })).rejects.toMatchObject(
      untrusted('no signer is trusted for model'),
    )
  })

  test('each of several keys for one model is tried', async () => {
    const signers = [{ publicKey: pair.publicKey }, { models: ['m*'], publicKey: stranger.publicKey }]
    const mounted = await server({ trust: { signers } })
    await mounted.load(spec(await signed('ours', constantOf(1))))
    await mounted.load({ name: 'm2', source: await signed('theirs', constantOf(1), stranger) })
    const third = await signed('third', constantOf(1), ecPair())
    await expect(mounted.load({ name: 'm3', source: third })).rejects.toMatchObject(untrusted('another key'))
  })

  test('only warned of, a model runs; switched off, nobody looks', async () => {
    fs.writeFileSync(join(dir, 'm.onnx'), constantOf(1))
    const warned: string[] = []
    const logger = { info() {}, warn: (message: string) => void warned.push(message), error() {} }
    const mounted = await server({ verification: 'warn', models: [spec(join(dir, 'm.onnx'))], logger })
    expect(await answerOf(mounted)).toBe(1)
    expect(mounted.model('m')).toMatchObject({ manifestId: expect.any(String) })
    expect(mounted.model('m')).not.toHaveProperty('signer')
    expect(warned.join()).toContain('m@1: runs although it is not trusted: the model has no signature')
    const off = await server({ verification: 'off', models: [spec(join(dir, 'm.onnx'))] })
    expect(await answerOf(off)).toBe(1)
  })
})

/** y = one weight that lies in another file. */
function withWeightsIn(location: string): Uint8Array {
  return writeModel({
    graph: {
      name: 'elsewhere',
      outputs: [value('y', 'float', [1])],
      nodes: [node('Identity', ['w'], ['y'])],
      initializers: [tensor('w', 'float', [1], undefined, { external: { location, offset: 0, length: 4 } })],
    },
  })
}

describe('without a signer', () => {
  test('there is no store, and no manifest is known', async () => {
    fs.writeFileSync(join(dir, 'm.onnx'), constantOf(1))
    const mounted = await serverFor({ models: [spec(join(dir, 'm.onnx'))] })
    expect(mounted.model('m')).not.toHaveProperty('manifestId')
  })

  test('a store takes no weights that lie elsewhere', async () => {
    fs.mkdirSync(join(dir, 'm/sub'), { recursive: true })
    fs.writeFileSync(join(dir, 'secret'), new Uint8Array(4))
    fs.symlinkSync(join(dir, 'secret'), join(dir, 'm/link'))
    fs.symlinkSync(dir, join(dir, 'm/up'))
    fs.linkSync(join(dir, 'secret'), join(dir, 'm/hard'))
    fs.writeFileSync(join(dir, 'm/sub/w'), new Uint8Array(4))
    const mounted = await serverFor({ models: [], store: { dir: storeDir() } })
    const load = (location: string) => {
      fs.writeFileSync(join(dir, 'm/model.onnx'), withWeightsIn(location))
      return mounted.load(spec(join(dir, 'm/model.onnx')), { replace: true })
    }
    for (const location of ['../secret', '/etc/hostname', 'sub/../../secret', join(dir, 'secret')])
      await expect(load(location)).rejects.toMatchObject(untrusted('cannot belong to it'))
    for (const location of ['link', 'up/secret'])
      await expect(load(location)).rejects.toMatchObject(untrusted('leads out of its folder'))
    await expect(load('hard')).rejects.toMatchObject(untrusted('hard link'))
    await expect(load('none')).rejects.toMatchObject({ code: 'MODEL_LOAD_FAILED' })
    await expect(load('sub')).rejects.toMatchObject({
      code: 'MODEL_LOAD_FAILED',
      message: expect.stringContaining('not a regular file'),
    })
    expect((await load('sub/w')).manifestId).toMatch(/^sha256:/)
    expect(await answerOf(mounted)).toBe(0)
  })

  test('what is asked for must make sense', async () => {
    const wrong: readonly [Partial<ModelServerOptions>, string][] = [
      [{ trust: undefined, verification: 'require' }, 'needs trust.signers'],
      [{ trust: { signers: [] }, verification: 'warn' }, 'needs trust.signers'],
      [{ trust: { signers: [{}] } }, 'trust.signers[0] must have publicKey, certificates or keyless'],
      [{ trust: { signers: [{ publicKey: 7 as never }] } }, 'trust.signers[0].publicKey must be a path'],
      [{ trust: { signers: [{ publicKey: join(dir, 'none') }] } }, 'trust.signers[0].publicKey'],
      [{ trust: { ...trust, revoked: ['sha256:1'] } }, 'must hold manifest ids'],
      [{ lock: join(dir, 'none') }, 'modelmount lock writes one'],
      [{ store: { path: 'x' } as never }, 'store.path is not an option'],
    ]
    for (const [options, message] of wrong)
      await expect(server(options)).rejects.toMatchObject({ code: 'OPTIONS_INVALID', message: expect.stringContaining(message) })
  })
})

describe('a lock file', () => {
  test('lets run what is in it, byte for byte', async () => {
    const path = join(dir, 'm.onnx')
    fs.writeFileSync(path, constantOf(1))
    const open = await serverFor({ models: [spec(path)], store: { dir: storeDir() } })
    const { manifestId } = open.model('m')
    const lock = join(dir, 'models.lock.json')
    const write = (models: object[], onnxruntime = '1.30.0') =>
      fs.writeFileSync(lock, JSON.stringify({ lockVersion: 1, onnxruntime, models }))
    write([{ name: 'm', version: '1', manifestId, opset: {}, signature: null, signer: null }], '0.0.1')
    const warned: string[] = []
    const logger = { info() {}, warn: (message: string) => void warned.push(message), error() {} }
    const locked = await serverFor({ models: [spec(path)], lock, store: { dir: storeDir() }, logger })
    expect(await answerOf(locked)).toBe(1)
    expect(warned.join()).toContain('was written with onnxruntime-node 0.0.1')
    fs.writeFileSync(path, constantOf(2))
    await expect(locked.load(spec(path), { replace: true })).rejects.toMatchObject(untrusted('is not what the lock file says'))
    await expect(locked.load(spec(path, { version: '2' }))).rejects.toMatchObject(untrusted('not in the lock file'))
    for (const text of ['{', '[]', '{"lockVersion":2}', '{"lockVersion":1,"onnxruntime":"1","models":[{}]}']) {
      fs.writeFileSync(lock, text)
      await expect(serverFor({ models: [], lock })).rejects.toMatchObject({ code: 'OPTIONS_INVALID', details: { field: 'lock' } })
    }
  })
})
