/** Which files are taken, and what becomes of the places that they are read from and written to. */

import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { decryptModel, encryptModel, rekeyModel } from 'modelmount'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { piecesOf } from '../../../src/core/crypto/pieces.ts'
import { externalDataModel } from '../../../tools/models.mjs'
import { key, ring } from './messages.ts'

const [old, now] = [key('2026-05'), key('2026-11')]
const keys = ring(now)

let dir = ''
let plain = ''
let out = ''
let back = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'modelmount-plan-'))
  plain = join(dir, 'plain')
  out = join(dir, 'out')
  back = join(dir, 'back')
  externalDataModel(plain)
})
afterEach(() => rmSync(dir, { recursive: true }))

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(folder, name)).isFile())

describe('a folder', () => {
  test('with files and signatures in folders below, named by URLs', async () => {
    mkdirSync(join(plain, 'below'))
    // Another model below is a file like any other.
    for (const name of ['below/other.onnx', 'below/a.txt', 'below/a.sig']) writeFileSync(join(plain, name), name)
    const { files } = await encryptModel(pathToFileURL(plain), { keys, model: 'm', out: pathToFileURL(out) })
    expect([...files].sort()).toEqual(['below/a.txt.enc', 'below/other.onnx.enc', 'model.onnx.enc', 'weights.bin.enc'])
    expect(filesIn(out).sort()).toEqual([...files, 'below/a.sig'].sort())
    expect(readFileSync(join(out, 'below/a.sig'), 'utf8')).toBe('below/a.sig')
    const decrypted = await decryptModel(pathToFileURL(out), { keys, out: pathToFileURL(back) })
    expect([...decrypted.files].sort()).toEqual(['below/a.txt', 'below/other.onnx', 'model.onnx', 'weights.bin'])
    for (const name of decrypted.files) expect(readFileSync(join(back, name))).toEqual(readFileSync(join(plain, name)))
  })

  test('with no model, and with two', async () => {
    const encrypting = (folder: string) => encryptModel(folder, { keys, model: 'm', out })
    writeFileSync(join(plain, 'second.onnx'), '')
    await expect(encrypting(plain)).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringContaining('2 .onnx files'),
    })
    const empty = join(dir, 'empty')
    mkdirSync(empty)
    await expect(encrypting(empty)).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringContaining('no .onnx file'),
    })
    expect(existsSync(out)).toBe(false)
  })

  test('that is not there', async () => {
    const path = join(dir, 'none')
    await expect(encryptModel(path, { keys, model: 'm', out })).rejects.toMatchObject({
      code: 'MODEL_LOAD_FAILED',
      details: { file: path },
      cause: expect.objectContaining({ code: 'ENOENT' }),
    })
    await expect(decryptModel(path, { keys, out })).rejects.toMatchObject({ code: 'MODEL_LOAD_FAILED' })
    await expect(rekeyModel(path, { keys })).rejects.toMatchObject({ code: 'MODEL_LOAD_FAILED' })
  })

  test('with nothing that is encrypted, and with weights alone', async () => {
    await expect(rekeyModel(plain, { keys })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
    const noModel = { code: 'MODEL_UNTRUSTED', message: expect.stringContaining('no model') }
    await expect(decryptModel(plain, { keys, out: back })).rejects.toMatchObject(noModel)
    await encryptModel(plain, { keys, model: 'm', out })
    rmSync(join(out, 'model.onnx.enc'))
    await expect(decryptModel(out, { keys, out: back })).rejects.toMatchObject(noModel)
    expect(readdirSync(back)).toEqual([])
  })
})

test('what is bound to is told, and the defaults of it', async () => {
  await encryptModel(plain, { keys, model: 'm', version: '7', app: 'ours', out })
  expect(await decryptModel(out, { keys, out: back })).toMatchObject({ model: 'm', version: '7' })
  await encryptModel(plain, { keys, model: 'm', out: join(dir, 'defaults') })
  const opts = { keys, out: join(dir, 'again'), app: 'modelmount', version: '1' }
  expect(await decryptModel(join(dir, 'defaults'), opts)).toMatchObject({ model: 'm', version: '1' })
})

test('what is written is for its owner alone', async () => {
  await encryptModel(plain, { keys, model: 'm', out })
  await decryptModel(out, { keys, out: back })
  for (const name of ['model.onnx', 'weights.bin']) expect(statSync(join(back, name)).mode & 0o777).toBe(0o600)
  expect(statSync(back).mode & 0o777).toBe(0o700)
})

test('decrypting overwrites no file, and leaves nothing that was not there', async () => {
  await encryptModel(plain, { keys, model: 'm', out })
  mkdirSync(back)
  writeFileSync(join(back, 'model.onnx'), 'mine')
  await expect(decryptModel(out, { keys, out: back })).rejects.toMatchObject({ code: 'MODEL_LOAD_FAILED' })
  expect(readFileSync(join(back, 'model.onnx'), 'utf8')).toBe('mine')
  expect(readdirSync(back).filter((name) => name.endsWith('.part'))).toEqual([])
})

test('a signature that cannot be copied is named', async () => {
  writeFileSync(join(plain, 'model.sig'), '{}')
  mkdirSync(join(out, 'model.sig'), { recursive: true })
  await expect(encryptModel(plain, { keys, model: 'm', out })).rejects.toMatchObject({
    code: 'MODEL_LOAD_FAILED',
    details: { file: 'model.sig' },
  })
})

test('rekey takes one file by its URL, and fails before it writes when the current key is none', async () => {
  await encryptModel(plain, { keys: ring(old), model: 'm', out })
  const before = readFileSync(join(out, 'model.onnx.enc'))
  const broken = { current: () => ({ id: 'x', key: new Uint8Array(1) }), byId: () => old }
  await expect(rekeyModel(out, { keys: broken })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
  expect(readFileSync(join(out, 'model.onnx.enc'))).toEqual(before)
  const rekeyed = await rekeyModel(pathToFileURL(join(out, 'weights.bin.enc')), { keys: ring(now, old) })
  expect(rekeyed).toEqual({ rekeyed: ['weights.bin.enc'], skipped: [], keyId: '2026-11' })
  expect(filesIn(out).sort()).toEqual(['model.onnx.enc', 'weights.bin.enc'])
})

describe('a file in pieces', () => {
  async function read(bytes: number, pieceBytes: number, isDone: boolean) {
    const path = join(dir, 'pieces')
    const content = Buffer.from(Array.from({ length: bytes }, (_, i) => i % 251))
    writeFileSync(path, content)
    let seen = 0
    const memories = new Set<ArrayBufferLike>()
    const pieces: Buffer[] = []
    for await (const piece of piecesOf(path, pieceBytes, () => (isDone ? seen : 0))) {
      seen += piece.length
      memories.add(piece.buffer)
      pieces.push(Buffer.from(piece))
    }
    expect(Buffer.concat(pieces).equals(content)).toBe(true)
    return { pieces: pieces.map(({ length }) => length), memories: memories.size }
  }

  test('has all its bytes, in memory that is used again once its bytes are done with', async () => {
    expect(await read(10, 4, true)).toEqual({ pieces: [4, 4, 2], memories: 1 })
    expect(await read(10, 4, false)).toEqual({ pieces: [4, 4, 2], memories: 3 })
    expect(await read(8, 4, true)).toEqual({ pieces: [4, 4], memories: 1 })
    expect(await read(0, 4, true)).toEqual({ pieces: [], memories: 0 })
  })
})
