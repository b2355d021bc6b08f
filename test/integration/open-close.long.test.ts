/** Servers that come and go leave nothing behind: no child, no folder, no listener. */

import { generateKeyPairSync } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createModelServer, type ModelServerOptions, signModel } from 'modelmount'
import { expect, onTestFinished, test } from 'vitest'
import { mlpModel } from '../../tools/models.mjs'
import { LINUX } from '../support/needs.ts'

/** Of this process, those that ended and were not waited for included. Linux only. */
function children(): string[] {
  return fs.readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false
    try {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === process.pid
    } catch {
      return false
    }
  })
}
const listeners = () => process.eventNames().map((name) => `${String(name)}: ${process.listenerCount(name)}`)

test('a hundred times', LINUX, async () => {
  const dir = fs.mkdtempSync(join(tmpdir(), 'modelmount-open-close-'))
  const before = process.env.TMPDIR
  onTestFinished(() => {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
    fs.rmSync(dir, { recursive: true, force: true })
  })
  for (const folder of ['tmp', 'm']) fs.mkdirSync(join(dir, folder))
  // Temporary files are made in there.
  process.env.TMPDIR = join(dir, 'tmp')
  const source = join(dir, 'm/model.onnx')
  fs.writeFileSync(source, mlpModel({ layers: [4, 2] }))
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await signModel(source, { privateKey: String(privateKey.export({ type: 'pkcs8', format: 'pem' })), signature: `${source}.sig` })
  const trust = { signers: [{ publicKey: String(publicKey.export({ type: 'spki', format: 'pem' })) }] }
  const kinds: readonly (readonly [times: number, options: Partial<ModelServerOptions>])[] = [
    [60, { models: [] }],
    [20, { isolation: 'thread' }],
    [15, { isolation: 'thread', trust, store: { dir: join(dir, 'store') } }],
    [5, { isolation: 'process', trialRun: true }],
  ]
  const openAndClose = async (options: Partial<ModelServerOptions>): Promise<void> => {
    const server = await createModelServer({ logger: false, strict: true, models: [{ name: 'm', source }], ...options })
    if (options.models === undefined) await server.predict('m', { features: [[1, 2, 3, 4]] })
    await server.close()
  }
  for (const [, options] of kinds) await openAndClose(options)
  const left = () => ({ children: children(), listeners: listeners(), folders: fs.readdirSync(join(dir, 'tmp')) })
  const atFirst = left()
  for (const [times, options] of kinds) for (let i = 0; i < times; i++) await openAndClose(options)
  expect(left()).toEqual(atFirst)
  expect(atFirst).toMatchObject({ children: [], folders: [] })
  expect(fs.readdirSync(join(dir, 'store/staging'))).toEqual([])
})
