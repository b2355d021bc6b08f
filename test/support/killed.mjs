/** Ends itself in the middle of something, as a power cut would: `node killed.mjs store|encrypt|decrypt|load FOLDER`. */

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createModelServer, decryptModel, encryptModel } from 'modelmount'

const [what, dir = ''] = process.argv.slice(2)
const die = () => process.kill(process.pid, 'SIGKILL')

/** The first file is through, the second one has begun. */
let asked = 0
const key = { id: 'k', key: new Uint8Array(32).fill(7) }
const give = () => {
  if (++asked === 2) die()
  return key
}
const keys = { current: give, byId: give }

if (what === 'encrypt') await encryptModel(join(dir, 'plain'), { keys, model: 'm', out: join(dir, 'out') })
if (what === 'decrypt') await decryptModel(join(dir, 'out'), { keys, out: join(dir, 'back') })
if (what === 'load') {
  const source = join(dir, 'out', 'model.onnx.enc')
  const options = { store: { dir: join(dir, 'store') }, cacheDirectory: join(dir, 'cache') }
  await createModelServer({ models: [{ name: 'm', source }], encryption: { keys }, ...options })
}
if (what === 'store') {
  // Copied on this thread, piece by piece: in between it is seen that the copy has begun.
  const watch = () => {
    const staging = join(dir, 'store', 'staging')
    if (existsSync(staging) && readdirSync(staging, { recursive: true }).some((name) => String(name).endsWith('.onnx'))) die()
    setImmediate(watch)
  }
  const server = await createModelServer({ models: [], store: { dir: join(dir, 'store') } })
  const load = server.load({ name: 'm', source: join(dir, 'large', 'model.onnx') })
  setTimeout(watch, 0)
  await load
}
