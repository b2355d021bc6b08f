/** The gate and its store: the hashed bytes are the loaded ones, and nothing is hashed or copied twice. */

import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signModel } from 'modelmount'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { createGate, type GateConfig } from '../../../src/core/integrity/index.ts'
import { manifestIdOf } from '../../../src/core/integrity/manifest.ts'
import { matches } from '../../../src/core/integrity/policy.ts'
import { ecPair } from '../../support/openssl.ts'

const DAY_MS = 24 * 3600 * 1000
const pair = ecPair()
let dir: string
let model: string
/** Later than whatever was just written, so that a file is known to have been left alone. */
let now: number
beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), 'store-'))
  onTestFinished(() => fs.rmSync(dir, { recursive: true, force: true }))
  fs.mkdirSync(join(dir, 'm'))
  model = join(dir, 'm/model.onnx')
  fs.writeFileSync(model, 'model')
  fs.writeFileSync(join(dir, 'm/weights'), 'weights')
  now = Date.now() + 10_000
})

const sign = () => signModel(join(dir, 'm'), { privateKey: pair.privateKey, signature: join(dir, 'm/model.sig') })

async function gateFor(more: Partial<GateConfig> = {}, hashed?: () => void) {
  const dataNamesOf = vi.fn(async () => ['weights'])
  const store = { dir: join(dir, 'store'), ...more.store }
  const config = {
    verification: 'require',
    trust: { signers: [{ publicKey: pair.publicKey }] },
    lock: undefined,
    ...more,
    store,
  } as const
  const deps = {
    dataNamesOf,
    wallNow: () => now,
    warn() {},
    decrypt: () => undefined,
    onnxruntime: '1.30.0',
    ...(hashed ? { hashed } : {}),
  }
  const gate = await createGate(config, deps)
  onTestFinished(() => gate.close())
  const admit = () => gate.admit({ name: 'm', version: '1', source: model, signature: undefined })
  return { admit, dataNamesOf }
}
const read = (source: string | Uint8Array): string => fs.readFileSync(String(source), 'utf8')
const stored = (): string[] => fs.readdirSync(join(dir, 'store/models'))

test('files that are swapped after they were hashed are not what is loaded', async () => {
  await sign()
  const { admit } = await gateFor({}, () => {
    for (const name of ['model.onnx', 'weights']) fs.writeFileSync(join(dir, 'm', name), 'evil')
  })
  const { source } = await admit()
  expect(read(source)).toBe('model')
  expect(read(join(String(source), '../weights'))).toBe('weights')
  expect(fs.readdirSync(join(String(source), '..')).sort()).toEqual(['model.onnx', 'weights'])
  await expect(admit()).rejects.toMatchObject({ code: 'MODEL_UNTRUSTED' })
})

test('what was not touched is neither read nor copied again, in this process or the next', async () => {
  await sign()
  const first = await gateFor()
  const { source, integrity } = await first.admit()
  expect(first.dataNamesOf).toHaveBeenCalledTimes(1)
  const written = fs.statSync(source as string).ctimeMs
  const second = await gateFor()
  expect(await second.admit()).toMatchObject({ source, integrity })
  expect(await second.admit()).toMatchObject({ source, integrity })
  expect(second.dataNamesOf).not.toHaveBeenCalled()
  expect(fs.statSync(source as string).ctimeMs).toBe(written)
  // Touched, with the same bytes: looked at again, and found in the store.
  fs.writeFileSync(model, 'model')
  now = Date.now() + 10_000
  expect(await second.admit()).toMatchObject({ source, integrity })
  expect(second.dataNamesOf).toHaveBeenCalledTimes(1)
  expect(fs.readdirSync(join(dir, 'store/staging'))).toEqual([])
})

test('a file that was written a moment ago is not believed to be left alone', async () => {
  await sign()
  now = Date.now()
  const { admit, dataNamesOf } = await gateFor()
  await admit()
  await admit()
  expect(dataNamesOf).toHaveBeenCalledTimes(2)
})

test('a damaged store is mended', async () => {
  await sign()
  const { admit } = await gateFor()
  const { source, integrity } = await admit()
  fs.chmodSync(source as string, 0o600)
  fs.writeFileSync(source as string, 'evil!')
  expect(read((await admit()).source)).toBe('model')
  fs.rmSync(source as string)
  expect(read((await admit()).source)).toBe('model')
  fs.writeFileSync(join(String(source), '../../manifest.json'), '{"files":')
  expect(await admit()).toMatchObject({ source, integrity })
  expect(stored()).toHaveLength(1)
})

test('with rehash, also where nothing shows from outside', async () => {
  await sign()
  const { admit } = await gateFor({ store: { rehash: true } })
  const { source } = await admit()
  const manifest = join(String(source), '../../manifest.json')
  fs.chmodSync(source as string, 0o600)
  fs.writeFileSync(source as string, 'evil!')
  const { dev, ino, size, mtimeNs, ctimeNs } = fs.lstatSync(source as string, { bigint: true })
  const kept = JSON.parse(fs.readFileSync(manifest, 'utf8'))
  kept.files[0].identity = [dev, ino, size, mtimeNs, ctimeNs].join(':')
  fs.writeFileSync(manifest, JSON.stringify(kept))
  expect(read((await admit()).source)).toBe('model')
})

test('before it is loaded again it must still be there, and still be allowed', async () => {
  await sign()
  const list = join(dir, 'revoked')
  fs.writeFileSync(list, '')
  const { admit } = await gateFor({ trust: { signers: [{ publicKey: pair.publicKey }], revoked: list } })
  const admitted = await admit()
  await admitted.recheck()
  fs.writeFileSync(list, admitted.integrity?.manifestId ?? '')
  await expect(admitted.recheck()).rejects.toMatchObject({ code: 'MODEL_UNTRUSTED' })
  fs.writeFileSync(list, '')
  await admitted.recheck()
  fs.rmSync(admitted.source as string, { force: true })
  await expect(admitted.recheck()).rejects.toThrow('changed in the store')
})

test('the store must be nobody else’s', async () => {
  const { admit } = await gateFor({ verification: 'off', trust: undefined })
  fs.mkdirSync(join(dir, 'store'))
  fs.chmodSync(join(dir, 'store'), 0o777)
  await expect(admit()).rejects.toMatchObject({
    code: 'MODEL_LOAD_FAILED',
    message: expect.stringContaining('can be written to by others'),
    details: { field: 'store.dir' },
  })
  fs.chmodSync(join(dir, 'store'), 0o700)
  fs.rmdirSync(join(dir, 'store/staging'))
  fs.symlinkSync(dir, join(dir, 'store/staging'))
  await expect(admit()).rejects.toThrow('is not a folder')
  fs.rmSync(join(dir, 'store'), { recursive: true })
  fs.writeFileSync(join(dir, 'store'), '')
  await expect(admit()).rejects.toMatchObject({ message: expect.stringContaining('store.dir names another') })
})

test('what was not used for a day leaves when there is no room; what is in use stays', async () => {
  const { admit } = await gateFor({ verification: 'off', trust: undefined, store: { maxBytes: 20 } })
  const put = async (text: string) => {
    fs.writeFileSync(model, text)
    return admit()
  }
  const first = await put('the first')
  const second = await put('the second')
  second.release()
  now += 2 * DAY_MS
  await put('the third')
  await vi.waitFor(() => expect(stored()).toHaveLength(2))
  const name = (id: string | undefined): string => String(id).slice('sha256:'.length)
  expect(stored()).toContain(name(first.integrity?.manifestId))
  expect(stored()).not.toContain(name(second.integrity?.manifestId))
})

test('what a crash has left is kept for a day, because another process may be at work on it', async () => {
  const { admit } = await gateFor({ verification: 'off', trust: undefined, store: { maxBytes: 1 } })
  const left = ['staging/crashed/files/model.onnx', 'seen/entry.json.unfinished'].map((name) => join(dir, 'store', name))
  for (const path of left) {
    fs.mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
    fs.writeFileSync(path, 'half')
  }
  /** How many are left once the store has been cleaned up, which it is when another model has come in. */
  const leftAfter = async (ms: number, text: string): Promise<number> => {
    now = Date.now() + ms
    fs.writeFileSync(model, text)
    // Goes last.
    fs.mkdirSync(join(dir, 'store/models/empty'), { recursive: true, mode: 0o700 })
    await admit()
    await vi.waitFor(() => expect(stored()).not.toContain('empty'))
    return left.filter((path) => fs.existsSync(path)).length
  }
  expect(await leftAfter(DAY_MS - 60_000, 'second')).toBe(2)
  expect(await leftAfter(DAY_MS + 60_000, 'third')).toBe(0)
  expect(fs.readdirSync(join(dir, 'store/seen'))).toHaveLength(2)
})

test('ids tell names and bytes apart, and not the order of files', () => {
  const a = { name: '.', sha256: 'a'.repeat(64), size: 1 }
  const b = { name: 'w', sha256: 'b'.repeat(64), size: 1 }
  expect(manifestIdOf([a, b])).toBe(manifestIdOf([b, a]))
  const swapped = [
    { ...a, sha256: b.sha256 },
    { ...b, sha256: a.sha256 },
  ]
  const ids = [[a, b], swapped, [a], [a, { ...b, name: 'v' }]].map(manifestIdOf)
  expect(new Set(ids).size).toBe(4)
})

test('globs', () => {
  const table: readonly [string, string, boolean][] = [
    ['*', 'anything', true],
    ['a', 'a', true],
    ['a', 'ab', false],
    ['a*', 'a', true],
    ['*a', 'ba', true],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['a*b*c', 'a-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['a*b*bc', 'abc', false],
    ['', '', true],
    ['.*', 'a', false],
  ]
  for (const [glob, name, expected] of table) expect([glob, name, matches(glob, name)]).toEqual([glob, name, expected])
  const start = performance.now()
  expect(matches('*a'.repeat(50), 'a'.repeat(10_000).concat('b'))).toBe(false)
  expect(performance.now() - start).toBeLessThan(1000)
})
