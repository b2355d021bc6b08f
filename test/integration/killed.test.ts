/** A process that is killed in the middle leaves nothing that is believed later, and no plain text of what is encrypted. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { decryptModel, encryptModel } from 'modelmount'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { externalDataModel, matmulChainModel } from '../../tools/models.mjs'
import { serverFor } from '../support/server.ts'

const CHILD = fileURLToPath(new URL('../support/killed.mjs', import.meta.url))
const key = { id: 'k', key: new Uint8Array(32).fill(7) }
const keys = { current: () => key, byId: () => key }

let dir: string
beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), 'modelmount-killed-'))
  onTestFinished(() => fs.rmSync(dir, { recursive: true, force: true }))
  fs.mkdirSync(join(dir, 'tmp'))
  externalDataModel(join(dir, 'plain'))
})

async function killedWhile(what: string): Promise<void> {
  const child = spawn(process.execPath, [CHILD, what, dir], {
    env: { ...process.env, TMPDIR: join(dir, 'tmp') },
    stdio: 'inherit',
  })
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL'])
}
const filesIn = (folder: string): string[] =>
  (fs.existsSync(join(dir, folder)) ? fs.readdirSync(join(dir, folder), { recursive: true }) : [])
    .map((name) => join(folder, String(name)))
    .filter((name) => fs.statSync(join(dir, name)).isFile())
/** Files that hold what stands in a plain one. */
function plainIn(...folders: string[]): string[] {
  const secrets = ['model.onnx', 'weights.bin'].map((name) => fs.readFileSync(join(dir, 'plain', name)))
  return folders.flatMap(filesIn).filter((name) => secrets.some((secret) => fs.readFileSync(join(dir, name)).includes(secret)))
}

test('that copies a model into the store', async () => {
  fs.mkdirSync(join(dir, 'large'))
  const source = join(dir, 'large', 'model.onnx')
  fs.writeFileSync(source, matmulChainModel({ size: 1024, count: 3 }))
  await killedWhile('store')
  const [left] = fs.readdirSync(join(dir, 'store/staging'))
  expect(left).toBeDefined()
  expect(fs.readdirSync(join(dir, 'store/models'))).toEqual([])
  // A day later.
  const then = new Date(Date.now() - 25 * 3600 * 1000)
  fs.utimesSync(join(dir, 'store/staging', String(left)), then, then)
  const server = await serverFor({ models: [{ name: 'm', source }], store: { dir: join(dir, 'store') } })
  const id = String(server.model('m').manifestId).slice('sha256:'.length)
  expect(fs.readFileSync(join(dir, 'store/models', id, 'files/model.onnx')).equals(fs.readFileSync(source))).toBe(true)
  await expect.poll(() => fs.readdirSync(join(dir, 'store/staging'))).toEqual([])
})

test('that encrypts', async () => {
  await killedWhile('encrypt')
  const left = filesIn('out')
  expect(left.length).toBeGreaterThan(0)
  expect(left.filter((name) => !name.endsWith('.part'))).toEqual([])
  expect(plainIn('out', 'tmp')).toEqual([])
  await encryptModel(join(dir, 'plain'), { keys, model: 'm', out: join(dir, 'out') })
  expect(filesIn('out').sort()).toEqual(['out/model.onnx.enc', 'out/weights.bin.enc'])
})

test('that decrypts: what is left goes when it is done again, and not while somebody else is at work', async () => {
  await encryptModel(join(dir, 'plain'), { keys, model: 'm', out: join(dir, 'out') })
  await killedWhile('decrypt')
  expect(filesIn('back').filter((name) => !name.endsWith('.part'))).toEqual([])
  expect(plainIn('back')).toHaveLength(1)
  const [left = ''] = plainIn('back')
  const elsewhere = [left.replace(/-\d+-/, `-${process.ppid}-`), left.replace(/\.\w+-(\d+)-/, '.elsewhere-$1-'), `${left}.txt`]
  for (const name of elsewhere) fs.writeFileSync(join(dir, name), 'of others')
  await decryptModel(join(dir, 'out'), { keys, out: join(dir, 'back') })
  expect(filesIn('back').sort()).toEqual([...elsewhere, 'back/model.onnx', 'back/weights.bin'].sort())
})

test('that loads an encrypted model', async () => {
  await encryptModel(join(dir, 'plain'), { keys, model: 'm', out: join(dir, 'out') })
  await killedWhile('load')
  expect(plainIn('plain')).toHaveLength(2)
  expect(plainIn('out', 'store', 'cache', 'tmp')).toEqual([])
})
