/** What it costs to load only what somebody trusted has signed. */

import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { createModelServer, type ModelServer, signModel } from 'modelmount'
import { matmulChainModel } from '../tools/models.mjs'
import { SESSION } from './lib/direct.ts'
import { measurePairs } from './lib/pairs.ts'
import { type Bench, milliseconds, pairedRow } from './lib/row.ts'

/** 8 layers of 16.8 MB. */
const MODEL = { size: 2048, count: 8 }
/** A file that was written less than two seconds ago is hashed again, because its times may not show another change. */
const SETTLE_MS = 2500

export const integrity: Bench = {
  name: 'integrity',
  limitS: 120,
  async run() {
    const dir = mkdtempSync(join(tmpdir(), 'modelmount-bench-'))
    try {
      return await measure(dir)
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  },
}

async function measure(dir: string) {
  const folder = join(dir, 'model')
  const source = join(folder, 'model.onnx')
  mkdirSync(folder)
  writeFileSync(source, matmulChainModel(MODEL))
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const pem = String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
  await signModel(folder, { privateKey: pem, signature: join(folder, 'model.sig') })
  const trust = { signers: [{ publicKey: String(publicKey.export({ type: 'spki', format: 'pem' })) }] }
  await setTimeout(SETTLE_MS)

  const loadMs = async (server: ModelServer): Promise<number> => {
    const start = performance.now()
    await server.load({ name: 'm', source, session: SESSION, batching: false })
    const ms = performance.now() - start
    await server.unload('m')
    return ms
  }
  const plain = await createModelServer({ models: [] })
  const warm = await createModelServer({ models: [], trust, store: { dir: join(dir, 'warm') } })
  let stores = 0
  const cold = async (): Promise<number> => {
    const store = join(dir, `cold-${stores++}`)
    const server = await createModelServer({ models: [], trust, store: { dir: store } })
    const ms = await loadMs(server)
    await server.close()
    rmSync(store, { recursive: true })
    return ms
  }
  const rival = (): Promise<number> => loadMs(plain)
  const what = 'load() of a signed 134 MB model'
  const row = { bench: 'integrity', rival: 'not verified', format: milliseconds }
  const coldPairs = await measurePairs({ ours: cold, rival })
  const warmPairs = await measurePairs({ ours: () => loadMs(warm), rival })
  await Promise.all([plain.close(), warm.close()])
  return [
    pairedRow({ ...row, what: `${what}, first time`, pairs: coldPairs, target: { op: '<=', value: 1.5 } }),
    pairedRow({ ...row, what: `${what}, known to the store`, pairs: warmPairs, target: { op: '<=', value: 1.1 } }),
  ]
}
