/** A signed folder: every file of it is as it was signed, those that ONNX Runtime loads and those that it does not, at every load. */

import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signModel } from 'modelmount'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createGate } from '../../../src/core/integrity/index.ts'
import { needs } from '../../support/needs.ts'
import { ecPair } from '../../support/openssl.ts'

/** `model.onnx` loads `weights`; the others only lie there. */
const FILES = ['model.onnx', 'weights', 'vocabulary.txt', 'docs/card.md', 'model.json']

const WRITTEN_AT = 1_700_000_000

const pair = ecPair()
let folder: string
let now: number
beforeEach(() => {
  const dir = fs.mkdtempSync(join(tmpdir(), 'unloaded-'))
  onTestFinished(() => fs.rmSync(dir, { recursive: true, force: true }))
  folder = join(dir, 'm')
  fs.mkdirSync(join(folder, 'docs'), { recursive: true })
  for (const name of FILES) {
    fs.writeFileSync(join(folder, name), `text of ${name}`)
    // A time that can be set again to the digit.
    fs.utimesSync(join(folder, name), WRITTEN_AT, WRITTEN_AT)
  }
  // Later than all that was written, so that the store remembers digests.
  now = Date.now() + 10_000
})

/** Empty for a descriptor that is closed meanwhile. */
function linkOf(path: string): string {
  try {
    return fs.readlinkSync(path)
  } catch {
    return ''
  }
}

const sign = () => signModel(folder, { privateKey: pair.privateKey, signature: join(folder, 'model.sig') })

async function gate(warned: string[] = [], verification: 'require' | 'warn' = 'require') {
  const config = {
    verification,
    trust: { signers: [{ publicKey: pair.publicKey }] },
    store: { dir: join(folder, '../store') },
    lock: undefined,
  } as const
  const made = await createGate(config, {
    dataNamesOf: async () => ['weights'],
    wallNow: () => now,
    warn: (message) => void warned.push(message),
    decrypt: () => undefined,
    onnxruntime: '1.30.0',
  })
  onTestFinished(() => made.close())
  return () => made.admit({ name: 'm', version: '1', source: join(folder, 'model.onnx'), signature: undefined })
}

/** Possible changes of one file of the folder. */
const CHANGES: Readonly<Record<string, (path: string) => void>> = {
  'is written to': (path) => fs.appendFileSync(path, '.'),
  'has another byte, the same size and the same time': (path) => {
    const bytes = fs.readFileSync(path)
    bytes[0] = (bytes[0] as number) ^ 1
    fs.writeFileSync(path, bytes)
    fs.utimesSync(path, WRITTEN_AT, WRITTEN_AT)
  },
  'is replaced': (path) => {
    fs.writeFileSync(`${path}.new`, fs.readFileSync(path, 'utf8').toUpperCase())
    fs.renameSync(`${path}.new`, path)
  },
  'is emptied': (path) => fs.truncateSync(path),
  'goes away': (path) => fs.rmSync(path),
}
const cases = FILES.flatMap((name) => Object.keys(CHANGES).map((change) => [name, change] as const))

describe.each(cases)('%s %s', (name, change) => {
  const refused = { code: expect.stringMatching(/^MODEL_(UNTRUSTED|LOAD_FAILED)$/) }
  const apply = () => CHANGES[change]?.(join(folder, name))

  test('before the first load: refused', async () => {
    await sign()
    apply()
    await expect((await gate())()).rejects.toMatchObject(refused)
  })

  test('between two loads of one process, or of two: refused', async () => {
    await sign()
    const admit = await gate()
    await admit()
    // Observations of the first load are remembered.
    expect(await admit()).toMatchObject({ integrity: { signer: { method: 'key' } } })
    apply()
    await expect(admit()).rejects.toMatchObject(refused)
    await expect((await gate())()).rejects.toMatchObject(refused)
    fs.mkdirSync(join(folder, 'docs'), { recursive: true })
    fs.writeFileSync(join(folder, name), `text of ${name}`)
    expect(await admit()).toMatchObject({ integrity: { signer: { method: 'key' } } })
  })
})

test('no file stays open', needs('/proc', process.platform === 'linux'), async () => {
  await sign()
  const admit = await gate()
  const open = () =>
    fs
      .readdirSync('/proc/self/fd')
      .map((fd) => linkOf(`/proc/self/fd/${fd}`))
      .filter((path) => path.includes('unloaded-'))
  await admit()
  fs.appendFileSync(join(folder, 'model.onnx'), '.')
  await expect(admit()).rejects.toMatchObject({ code: 'MODEL_UNTRUSTED' })
  expect(open()).toEqual([])
})

test('a file that was not signed is refused at the second load, too', async () => {
  await sign()
  const admit = await gate()
  await admit()
  fs.writeFileSync(join(folder, 'docs/more.md'), '')
  await expect(admit()).rejects.toMatchObject({
    code: 'MODEL_UNTRUSTED',
    message: expect.stringContaining("not signed: 'docs/more.md'"),
  })
})

test('with a warning only, the model says what it is not', async () => {
  await sign()
  const admit = await gate([], 'warn')
  expect(await admit()).toMatchObject({ doubt: undefined })
  fs.appendFileSync(join(folder, 'vocabulary.txt'), '.')
  const doubted = await admit()
  expect(doubted.doubt).toContain("'vocabulary.txt' is not what was signed")
  expect(doubted.integrity).not.toHaveProperty('signer')
})
