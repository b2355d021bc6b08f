/** The cost of loading only signed models, and encrypted ones. */

import { createCipheriv, createDecipheriv, generateKeyPairSync, randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { createModelServer, encryptModel, type ModelServer, signModel, type Telemetry } from 'modelmount'
import { matmulChainModel } from '../tools/models.mjs'
import { SESSION } from './lib/direct.ts'
import { measurePairs } from './lib/pairs.ts'
import { type Bench, milliseconds, pairedRow, type Row } from './lib/row.ts'
import { PROMISES } from './promises.ts'

/** 8 layers of 16.8 MB. */
const MODEL = { size: 2048, count: 8 }
/** A file that was written less than two seconds ago is hashed again, because its times may not show another change. */
const SETTLE_MS = 2500
/** In which both sides decrypt. */
const PIECE_BYTES = 1024 * 1024

export const integrity: Bench = {
  name: 'integrity',
  limitS: 120,
  async run() {
    const dir = mkdtempSync(join(tmpdir(), 'modelmount-bench-'))
    try {
      return [...(await measureVerified(dir)), ...(await measureEncrypted(dir))]
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  },
}

async function measureVerified(dir: string): Promise<Row[]> {
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
    pairedRow({ ...row, what: `${what}, first time`, pairs: coldPairs, target: PROMISES.loadSigned }),
    pairedRow({ ...row, what: `${what}, known to the store`, pairs: warmPairs, target: PROMISES.loadKnown }),
  ]
}

async function measureEncrypted(dir: string): Promise<Row[]> {
  const source = join(dir, 'plain.onnx')
  const plain = matmulChainModel(MODEL)
  writeFileSync(source, plain)
  const key = { id: 'k', key: new Uint8Array(randomBytes(32)) }
  const keys = { current: () => key, byId: () => key }
  await encryptModel(source, { keys, model: 'm', out: join(dir, 'encrypted') })
  const rival = gcmFile(join(dir, 'gcm'), plain)

  let openMs = 0
  const telemetry: Telemetry = {
    load({ steps }) {
      for (const { name, startedAt, endedAt } of steps) if (name === 'verify') openMs = endedAt - startedAt
    },
  }
  const server = await createModelServer({ models: [], encryption: { keys }, telemetry })
  const bytesPerMs = async (): Promise<number> => {
    // In a child, whose start does not fall into this step.
    const where = { isolation: 'process', trialRun: false } as const
    const source = join(dir, 'encrypted', 'plain.onnx.enc')
    await server.load({ name: 'm', source, session: SESSION, batching: false, ...where })
    await server.unload('m')
    return plain.length / openMs
  }
  const pairs = await measurePairs({ ours: bytesPerMs, rival: async () => plain.length / rival() })
  await server.close()
  return [
    pairedRow({
      bench: 'integrity',
      what: 'load() of an encrypted 134 MB model: until it is decrypted, authenticated and hashed',
      rival: 'node:crypto AES-256-GCM of the same bytes',
      pairs,
      format: (perMs) => `${(perMs / 1000).toFixed(0)} MB/s`,
      target: PROMISES.loadEncrypted,
    }),
  ]
}

/** Encrypts into a file. @returns what reads and decrypts it into one piece of memory, and says how many milliseconds that took */
function gcmFile(path: string, plain: Uint8Array): () => number {
  const [key, iv] = [randomBytes(32), randomBytes(12)]
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  writeFileSync(path, Buffer.concat([cipher.update(plain), cipher.final()]))
  const tag = cipher.getAuthTag()
  return () => {
    const start = performance.now()
    const decipher = createDecipheriv('aes-256-gcm', key, iv).setAuthTag(tag)
    const bytes = new Uint8Array(plain.length)
    const piece = new Uint8Array(PIECE_BYTES)
    const file = openSync(path, 'r')
    let length = 0
    for (let read = readSync(file, piece); read > 0; read = readSync(file, piece)) {
      bytes.set(decipher.update(piece.subarray(0, read)), length)
      length += read
    }
    decipher.final()
    closeSync(file)
    return performance.now() - start
  }
}
