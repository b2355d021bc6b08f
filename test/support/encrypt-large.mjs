/** Encrypts and decrypts a model in a process of its own, which answers with how much larger it became: `node encrypt-large.mjs FOLDER BYTES`. */

import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decryptModel, encryptModel } from 'modelmount'
import { externalDataModel } from '../../tools/models.mjs'

const [dir = '', bytes = ''] = process.argv.slice(2)
const key = { id: 'k', key: new Uint8Array(32).fill(7) }
const keys = { current: () => key, byId: () => key }
const peakBytes = () => process.resourceUsage().maxRSS * 1024

async function roundTrip(name, size) {
  const [plain, out, back] = ['plain', 'out', 'back'].map((folder) => join(dir, name, folder))
  externalDataModel(plain)
  writeFileSync(join(plain, 'extra.bin'), '')
  // Zeros that no disk holds; the message of them is as large as any.
  truncateSync(join(plain, 'extra.bin'), size)
  await encryptModel(plain, { keys, out, model: 'm' })
  await decryptModel(out, { keys, out: back })
}

// The memory of the libraries, once.
await roundTrip('small', 20 * 2 ** 20)
const before = peakBytes()
await roundTrip('large', Number(bytes))
process.stdout.write(String(peakBytes() - before))
