/** The engine's input from an encrypted model: the model and its weights, of this name and of one release, or nothing. */

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cp, rename } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decryptModel, encryptModel } from 'modelmount'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createDecrypt } from '../../../src/core/crypto/server.ts'
import { externalDataModel } from '../../../tools/models.mjs'
import { key, messageFor, ring } from './messages.ts'

const ours = key('2026-11')
const keys = ring(ours)

let dir = ''
let plain = ''
let out = ''
let source = ''

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'modelmount-open-'))
  plain = join(dir, 'plain')
  out = join(dir, 'out')
  source = join(out, 'model.onnx.enc')
  externalDataModel(plain)
})
afterEach(() => rmSync(dir, { recursive: true }))

const encrypt = (binding: { version?: string; app?: string } = {}, to = out) =>
  encryptModel(plain, { keys, model: 'm', out: to, ...binding })

const open = (names: { name?: string; version?: string; app?: string } = {}) => {
  const { app, name = 'm', version = '1' } = names
  return createDecrypt({ keys, ...(app === undefined ? {} : { app }) })({ name, version, source })
}

describe('a whole model', () => {
  test('with its weights, and what they are', async () => {
    const { manifestId } = await encrypt()
    const opened = await open()
    const [model, weights] = [readFileSync(join(plain, 'model.onnx')), readFileSync(join(plain, 'weights.bin'))]
    expect(opened).toMatchObject({ manifestId, plainPath: join(out, 'model.onnx') })
    expect(Buffer.from(opened?.bytes ?? []).equals(model)).toBe(true)
    expect([...(opened?.data ?? [])].map(([name, bytes]) => [name, Buffer.from(bytes)])).toEqual([['weights.bin', weights]])
    expect(opened?.files).toEqual([
      { name: '.', sha256: expect.stringMatching(/^[0-9a-f]{64}$/), size: model.length },
      { name: 'weights.bin', sha256: expect.stringMatching(/^[0-9a-f]{64}$/), size: weights.length },
    ])
  })

  test('of an application with a name of its own', async () => {
    await encrypt({ app: 'ours' })
    expect((await open({ app: 'ours' }))?.context).toMatchObject({ app: 'ours', model: 'm', version: '1', path: '.' })
    await expect(open()).rejects.toMatchObject({ code: 'MODEL_UNTRUSTED' })
  })

  test('nothing is to be done for a plain model, by its name or its bytes', () => {
    for (const plainSource of ['model.onnx', new Uint8Array(4)])
      expect(createDecrypt({ keys })({ name: 'm', version: '1', source: plainSource })).toBeUndefined()
  })
})

describe('refused', () => {
  test.each([
    ['under another name', { name: 'other' }],
    ['in another version', { version: '2' }],
    ['by another application', { app: 'theirs' }],
  ])('%s', async (_, names) => {
    await encrypt()
    await expect(open(names)).rejects.toMatchObject({ code: 'MODEL_UNTRUSTED', details: { file: 'model.onnx.enc' } })
  })

  test('where no keys are given', async () => {
    await encrypt()
    await expect(createDecrypt(undefined)({ name: 'm', version: '1', source })).rejects.toMatchObject({
      code: 'MODEL_LOAD_FAILED',
      message: expect.stringContaining('encryption.keys'),
    })
  })

  test('with weights of another release', async () => {
    await encrypt()
    writeFileSync(join(plain, 'weights.bin'), Buffer.from(readFileSync(join(plain, 'weights.bin'))).fill(7, 0, 4))
    await encrypt({}, join(dir, 'other'))
    await cp(join(dir, 'other', 'weights.bin.enc'), join(out, 'weights.bin.enc'))
    await expect(open()).rejects.toMatchObject({ code: 'MODEL_UNTRUSTED', details: { file: 'weights.bin.enc' } })
  })

  test('with a file in the place of its weights that was encrypted under another name', async () => {
    await cp(join(plain, 'weights.bin'), join(plain, 'twin.bin'))
    await encrypt()
    await rename(join(out, 'twin.bin.enc'), join(out, 'weights.bin.enc'))
    await expect(open()).rejects.toMatchObject({ code: 'MODEL_UNTRUSTED', details: { file: 'weights.bin.enc' } })
  })

  test('a file of weights in the place of the model', async () => {
    await encrypt()
    await rename(join(out, 'weights.bin.enc'), source)
    await expect(open()).rejects.toMatchObject({ code: 'MODEL_UNTRUSTED', message: expect.stringContaining('for path') })
  })

  test('without its weights, or without itself', async () => {
    await encrypt()
    rmSync(join(out, 'weights.bin.enc'))
    await expect(open()).rejects.toMatchObject({ code: 'MODEL_LOAD_FAILED', details: { file: 'weights.bin.enc' } })
    rmSync(source)
    await expect(open()).rejects.toMatchObject({ code: 'MODEL_LOAD_FAILED', details: { file: 'model.onnx.enc' } })
  })

  describe('a good message', () => {
    const context = (manifest: string, more: Record<string, string> = {}): Record<string, string> => ({
      app: 'modelmount',
      kind: 'model-file',
      model: 'm',
      version: '1',
      path: '.',
      manifest,
      ...more,
    })

    test('of a model whose weights lie outside its folder', async () => {
      const { manifestId } = await encrypt()
      const model = Buffer.from(
        readFileSync(join(plain, 'model.onnx')).toString('latin1').replace('weights', '../ghts'),
        'latin1',
      )
      writeFileSync(source, await messageFor([ours], model, context(manifestId)))
      writeFileSync(join(dir, 'ghts.bin.enc'), readFileSync(join(out, 'weights.bin.enc')))
      const leadsOut = { code: 'MODEL_UNTRUSTED', details: { file: expect.stringMatching(/model\.onnx\.enc$/) } }
      await expect(open()).rejects.toMatchObject({ ...leadsOut, message: expect.stringContaining("'..'") })
      await expect(decryptModel(source, { keys, out: join(dir, 'back', 'x') })).rejects.toMatchObject(leadsOut)
      expect(existsSync(join(dir, 'back', 'ghts.bin'))).toBe(false)
    })

    test('that says it belongs to files which are not there', async () => {
      await encrypt()
      const other = context('0'.repeat(64))
      writeFileSync(source, await messageFor([ours], readFileSync(join(plain, 'model.onnx')), other))
      const weights = await messageFor([ours], readFileSync(join(plain, 'weights.bin')), { ...other, path: 'weights.bin' })
      writeFileSync(join(out, 'weights.bin.enc'), weights)
      const notTogether = { code: 'MODEL_UNTRUSTED', message: expect.stringContaining('together') }
      await expect(open()).rejects.toMatchObject(notTogether)
      for (const path of [out, source])
        await expect(decryptModel(path, { keys, out: join(dir, 'back') })).rejects.toMatchObject(notTogether)
    })

    test('of another kind', async () => {
      const { manifestId } = await encrypt()
      const bytes = readFileSync(join(plain, 'model.onnx'))
      writeFileSync(source, await messageFor([ours], bytes, context(manifestId, { kind: 'cached-result' })))
      await expect(open()).rejects.toMatchObject({ code: 'MODEL_UNTRUSTED', message: expect.stringContaining('for kind') })
    })

    test('opens with whichever of its keys is ours, and tells those that are wanted', async () => {
      const { manifestId } = await encrypt()
      const bytes = readFileSync(join(plain, 'model.onnx'))
      writeFileSync(source, await messageFor([key('theirs'), ours], bytes, context(manifestId)))
      expect(await open()).toMatchObject({ manifestId })
      writeFileSync(source, await messageFor([key('theirs'), key('old')], bytes, context(manifestId)))
      await expect(open()).rejects.toMatchObject({
        code: 'MODEL_UNTRUSTED',
        message: expect.stringContaining("'theirs', 'old'"),
        details: { keyIds: ['theirs', 'old'] },
      })
    })

    test('with keys that are not of our kind, whatever they are called', async () => {
      const { manifestId } = await encrypt()
      const bytes = readFileSync(join(plain, 'model.onnx'))
      writeFileSync(source, await messageFor([ours], bytes, context(manifestId), 'elsewhere'))
      await expect(open()).rejects.toMatchObject({ code: 'MODEL_UNTRUSTED', details: { keyIds: [] } })
    })
  })
})
