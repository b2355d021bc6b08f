/** Models at rest: encrypted files come back unchanged, and nothing else comes back at all. */

import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { cp, readFile, rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import {
  decryptModel,
  encryptModel,
  isModelmountError,
  type KeyProvider,
  keysFromJson,
  type ModelmountError,
  rekeyModel,
} from 'modelmount'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import * as models from '../../../tools/models.mjs'
import { key, messageFor, ring } from './messages.ts'

const FRAME = 1024 * 1024
const MARKER = 'planted-marker-5f1e9c0b'

let dir = ''
let plain = ''
let out = ''
let back = ''
const old = key('2026-05')
const now = key('2026-11')

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'modelmount-crypto-'))
  plain = join(dir, 'plain')
  out = join(dir, 'out')
  back = join(dir, 'back')
  models.externalDataModel(plain)
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const encrypt = (keys: KeyProvider, binding: { model?: string; version?: string; app?: string } = {}, to = out) =>
  encryptModel(plain, { keys, out: to, model: 'm', ...binding })

async function failure(promise: Promise<unknown>): Promise<ModelmountError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!isModelmountError(error)) throw new Error(`expected a ModelmountError, got ${String(error)}`)
  return error
}

/** Nothing plain, finished or not, may be left behind. */
function expectNothingIn(folder: string): void {
  expect(existsSync(folder) ? readdirSync(folder, { recursive: true }) : []).toEqual([])
}

describe('round trip', () => {
  test('a model with its weights in another file, a signature and a file beside it', async () => {
    writeFileSync(join(plain, 'vocabulary.txt'), MARKER)
    writeFileSync(join(plain, 'model.sig'), '{}')
    const { files, manifestId, keyId } = await encrypt(ring(now))
    expect([...files].sort()).toEqual(
      readdirSync(plain)
        .filter((name) => name !== 'model.sig')
        .map((name) => `${name}.enc`)
        .sort(),
    )
    expect(keyId).toBe('2026-11')
    for (const name of readdirSync(out)) expect(readFileSync(join(out, name)).includes(MARKER)).toBe(false)
    expect(readFileSync(join(out, 'model.sig'), 'utf8')).toBe('{}')

    const decrypted = await decryptModel(out, { keys: ring(now), out: back, model: 'm', version: '1', app: 'modelmount' })
    expect(decrypted).toMatchObject({ manifestId, model: 'm', version: '1' })
    for (const name of readdirSync(back)) expect(readFileSync(join(back, name))).toEqual(readFileSync(join(plain, name)))
    expect(readdirSync(back)).toHaveLength(files.length)
  })

  test('from the model’s own file, only what it loads is taken', async () => {
    writeFileSync(join(plain, 'vocabulary.txt'), MARKER)
    const { files } = await encryptModel(join(plain, 'model.onnx'), { keys: ring(now), out, model: 'm' })
    expect(files).toEqual(['model.onnx.enc', 'weights.bin.enc'])
    await decryptModel(join(out, 'model.onnx.enc'), { keys: ring(now), out: back })
    expect(readdirSync(back).sort()).toEqual(['model.onnx', 'weights.bin'])
  })

  test.each([0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME + 17])('a file of %i bytes', async (size) => {
    writeFileSync(join(plain, 'extra.bin'), randomBytes(size))
    await encrypt(ring(now))
    await decryptModel(out, { keys: ring(now), out: back })
    expect(readFileSync(join(back, 'extra.bin')).equals(readFileSync(join(plain, 'extra.bin')))).toBe(true)
  })

  test('does not overwrite, and leaves nothing half done', async () => {
    await encrypt(ring(now))
    const before = readdirSync(out).sort()
    expect(await failure(encrypt(ring(now)))).toMatchObject({ code: 'MODEL_LOAD_FAILED' })
    expect(readdirSync(out).sort()).toEqual(before)
  })
})

describe('what goes wrong on the way', () => {
  test('a key service that is down, a key of the wrong length, a place that cannot be written to', async () => {
    const down: KeyProvider = {
      current: async () => {
        throw new Error('the key service is down')
      },
      byId: () => undefined,
    }
    expect(await failure(encrypt(down))).toMatchObject({
      code: 'MODEL_LOAD_FAILED',
      cause: expect.objectContaining({ message: 'the key service is down' }),
    })
    expect(await failure(encrypt(ring({ id: 'k', key: new Uint8Array(16) })))).toMatchObject({ code: 'OPTIONS_INVALID' })
    expectNothingIn(out)
    expect(await failure(encrypt(ring(now), {}, join(plain, 'model.onnx', 'below')))).toMatchObject({ code: 'MODEL_LOAD_FAILED' })
  })

  test('a file that changes while it is encrypted, and one that goes away', async () => {
    writeFileSync(join(plain, 'extra.bin'), 'before')
    const changing = (change: () => void): KeyProvider => ({
      current() {
        change()
        return now
      },
      byId: () => undefined,
    })
    const changed = await failure(encrypt(changing(() => writeFileSync(join(plain, 'weights.bin'), 'after'))))
    expect(changed).toMatchObject({ code: 'MODEL_LOAD_FAILED', message: expect.stringContaining('changed') })
    expectNothingIn(out)
    const gone = await failure(encrypt(changing(() => rmSync(join(plain, 'extra.bin'), { force: true }))))
    expect(gone).toMatchObject({ code: 'MODEL_LOAD_FAILED' })
    expectNothingIn(out)
  })
})

/** For our key and others. */
const withDataKeys = (count: number, bytes: Uint8Array, context: Record<string, string>): Promise<Uint8Array> =>
  messageFor([now, ...Array.from({ length: count - 1 }, (_, i) => key(`other-${i}`))], bytes, context)

describe('what was tampered with', () => {
  test('any flipped byte, and a message cut anywhere', async () => {
    await encrypt(ring(now))
    const file = join(out, 'weights.bin.enc')
    const intact = await readFile(file)
    await fc.assert(
      fc.asyncProperty(fc.nat(intact.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), async (at, flip, cut) => {
        const bytes = Buffer.from(cut ? intact.subarray(0, at) : intact)
        if (!cut) bytes[at] = (bytes[at] as number) ^ flip
        await writeFile(file, bytes)
        expect(await failure(decryptModel(out, { keys: ring(now), out: back }))).toMatchObject({
          code: expect.stringMatching(/MODEL_UNTRUSTED/),
        })
        expectNothingIn(back)
      }),
      { numRuns: 60 },
    )
  })

  test('frames cut off at their borders, and frames that changed places', async () => {
    writeFileSync(join(plain, 'extra.bin'), randomBytes(3 * FRAME))
    await encrypt(ring(now))
    const file = join(out, 'extra.bin.enc')
    const intact = await readFile(file)
    const frame = 4 + 12 + FRAME + 16
    const header = intact.length - 3 * frame - (4 + 4 + 12 + 4 + 16)
    for (const frames of [0, 1, 2, 3]) {
      await writeFile(file, intact.subarray(0, header + frames * frame))
      expect(await failure(decryptModel(out, { keys: ring(now), out: back }))).toMatchObject({ code: 'MODEL_UNTRUSTED' })
    }
    const swapped = Buffer.from(intact)
    intact.copy(swapped, header, header + frame, header + 2 * frame)
    intact.copy(swapped, header + frame, header, header + frame)
    await writeFile(file, swapped)
    expect(await failure(decryptModel(out, { keys: ring(now), out: back }))).toMatchObject({ code: 'MODEL_UNTRUSTED' })
    expectNothingIn(back)
  })

  test('two files of one model under each other’s name', async () => {
    writeFileSync(join(plain, 'a.bin'), 'a')
    writeFileSync(join(plain, 'b.bin'), 'b')
    await encrypt(ring(now))
    await rename(join(out, 'model.onnx.enc'), join(out, 'x'))
    await rename(join(out, 'weights.bin.enc'), join(out, 'model.onnx.enc'))
    await rename(join(out, 'x'), join(out, 'weights.bin.enc'))
    expect(await failure(decryptModel(join(out, 'model.onnx.enc'), { keys: ring(now), out: back }))).toMatchObject({
      code: 'MODEL_UNTRUSTED',
    })
    expectNothingIn(back)
  })

  test('two files beside the model under each other’s name, and the model under the name of one', async () => {
    writeFileSync(join(plain, 'a.bin'), 'a')
    writeFileSync(join(plain, 'b.bin'), 'b')
    await encrypt(ring(now))
    const [a, b] = [join(out, 'a.bin.enc'), join(out, 'b.bin.enc')]
    await rename(a, join(out, 'x'))
    await rename(b, a)
    await rename(join(out, 'x'), b)
    expect(await failure(decryptModel(out, { keys: ring(now), out: back }))).toMatchObject({ code: 'MODEL_UNTRUSTED' })
    await rename(a, b)
    await cp(join(out, 'model.onnx.enc'), a)
    expect(await failure(decryptModel(out, { keys: ring(now), out: back }))).toMatchObject({ code: 'MODEL_UNTRUSTED' })
    expectNothingIn(back)
  })

  test('weights that were a file of another name with the same content', async () => {
    await cp(join(plain, 'weights.bin'), join(plain, 'twin.bin'))
    await encrypt(ring(now))
    await rename(join(out, 'twin.bin.enc'), join(out, 'weights.bin.enc'))
    for (const path of [out, join(out, 'model.onnx.enc')])
      expect(await failure(decryptModel(path, { keys: ring(now), out: back }))).toMatchObject({ code: 'MODEL_UNTRUSTED' })
    expectNothingIn(back)
  })

  test('weights of another release of the same model', async () => {
    await encrypt(ring(now))
    const weights = await readFile(join(plain, 'weights.bin'))
    weights[0] = (weights[0] as number) ^ 1
    await writeFile(join(plain, 'weights.bin'), weights)
    await encrypt(ring(now), {}, join(dir, 'other'))
    await cp(join(dir, 'other', 'weights.bin.enc'), join(out, 'weights.bin.enc'))
    expect(await failure(decryptModel(out, { keys: ring(now), out: back }))).toMatchObject({ code: 'MODEL_UNTRUSTED' })
    expectNothingIn(back)
  })

  test.each([
    ['model', { model: 'other' }],
    ['version', { version: '2' }],
    ['app', { app: 'other' }],
  ])('encrypted for another %s', async (field, binding) => {
    await encrypt(ring(now))
    const error = await failure(decryptModel(out, { keys: ring(now), out: back, model: 'm', ...binding }))
    expect(error).toMatchObject({ code: 'MODEL_UNTRUSTED', message: expect.stringContaining(`for ${field} '`) })
    expectNothingIn(back)
  })

  test('a file beside the model that belongs to another release, or to another model', async () => {
    writeFileSync(join(plain, 'extra.bin'), 'extra')
    await encrypt(ring(now))
    await writeFile(join(plain, 'weights.bin'), Buffer.from(await readFile(join(plain, 'weights.bin'))).fill(7, 0, 4))
    await encrypt(ring(now), {}, join(dir, 'other'))
    await cp(join(dir, 'other', 'extra.bin.enc'), join(out, 'extra.bin.enc'))
    expect(await failure(decryptModel(out, { keys: ring(now), out: back }))).toMatchObject({
      code: 'MODEL_UNTRUSTED',
      message: expect.stringMatching(/'extra\.bin\.enc' belongs to another model/),
    })
    expectNothingIn(back)
  })

  test('a good message of ours that is bound to more, to less, or to something else', async () => {
    const { manifestId } = await encrypt(ring(now))
    const ours: Record<string, string> = {
      app: 'modelmount',
      kind: 'model-file',
      model: 'm',
      version: '1',
      path: '.',
      manifest: manifestId,
    }
    const strange: Readonly<Record<string, readonly [Record<string, string | undefined>, string]>> = {
      more: [{ ...ours, user: 'x' }, "bound to 'user'"],
      'a name that every object has': [{ ...ours, constructor: 'x' } as Record<string, string>, "bound to 'constructor'"],
      'another kind': [{ ...ours, kind: 'cached-result' }, 'for kind'],
      ...Object.fromEntries(
        Object.keys(ours).map((field) => [`no ${field}`, [{ ...ours, [field]: undefined }, `not bound to a ${field}`]]),
      ),
    }
    const bytes = await readFile(join(plain, 'model.onnx'))
    for (const [what, [context, why]] of Object.entries(strange)) {
      const given = Object.fromEntries(Object.entries(context).filter(([, value]) => value !== undefined)) as Record<
        string,
        string
      >
      await writeFile(join(out, 'model.onnx.enc'), await withDataKeys(1, bytes, given))
      const error = await failure(decryptModel(join(out, 'model.onnx.enc'), { keys: ring(now), out: back }))
      expect([what, error.code, error.message]).toEqual([what, 'MODEL_UNTRUSTED', expect.stringContaining(why)])
    }
    expectNothingIn(back)
  })

  test('a hundred data keys, ours among them', async () => {
    const { manifestId } = await encrypt(ring(now))
    const ours = { app: 'modelmount', kind: 'model-file', model: 'm', version: '1', path: '.', manifest: manifestId }
    for (const [count, refusal] of [
      [3, undefined],
      [100, 'more than 3 keys'],
    ] as const) {
      await writeFile(join(out, 'model.onnx.enc'), await withDataKeys(count, await readFile(join(plain, 'model.onnx')), ours))
      const opening = decryptModel(out, { keys: ring(now), out: join(dir, `of-${count}`) })
      if (refusal === undefined) await opening
      else expect(await failure(opening)).toMatchObject({ code: 'MODEL_UNTRUSTED', message: expect.stringContaining(refusal) })
    }
    expectNothingIn(join(dir, 'of-100'))
  })

  test('nothing, garbage, and a plain model', async () => {
    await encrypt(ring(now))
    for (const bytes of [Buffer.alloc(0), randomBytes(1000), await readFile(join(plain, 'model.onnx'))]) {
      await writeFile(join(out, 'model.onnx.enc'), bytes)
      expect(await failure(decryptModel(out, { keys: ring(now), out: back }))).toMatchObject({ code: 'MODEL_UNTRUSTED' })
    }
  })
})

describe('keys', () => {
  test('a wrong key with the right id, a retired one, a provider that mixes them up', async () => {
    await encrypt(ring(now))
    const open = (keys: KeyProvider) => failure(decryptModel(out, { keys, out: back }))
    expect(await open(ring(key('2026-11')))).toMatchObject({ code: 'MODEL_UNTRUSTED' })
    expect(await open(ring(old))).toMatchObject({ code: 'MODEL_UNTRUSTED', message: expect.stringContaining("'2026-11'") })
    expect(await open({ current: () => old, byId: () => old })).toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringContaining("'2026-11'"),
    })
    expect(await open({ current: () => old, byId: () => ({ id: '2026-11', key: new Uint8Array(1) }) })).toMatchObject({
      code: 'OPTIONS_INVALID',
      details: { field: 'keys.byId().key' },
    })
    const throws: KeyProvider = {
      current: () => old,
      byId: async () => {
        throw new Error('the key service is down')
      },
    }
    expect((await open(throws)).message).not.toContain(Buffer.from(old.key).toString('base64'))
    expectNothingIn(back)
  })

  test('one key is not the other’s prefix', async () => {
    const short = key('2026')
    await encrypt(ring(now))
    expect(await failure(decryptModel(out, { keys: ring(short), out: back }))).toMatchObject({ code: 'MODEL_UNTRUSTED' })
  })

  test('rotation: both keys open, rekey goes on where it stopped, then the old key is not needed', async () => {
    await encrypt(ring(old))
    const both = ring(now, old)
    await decryptModel(out, { keys: both, out: back })
    // Interrupted after the first file.
    expect(await rekeyModel(join(out, 'model.onnx.enc'), { keys: both })).toMatchObject({ rekeyed: ['model.onnx.enc'] })
    // By then the new file is in the place of the old one.
    expect(readdirSync(out).filter((name) => name.endsWith('.part'))).toEqual([])
    expect(await rekeyModel(out, { keys: both })).toEqual({
      rekeyed: ['weights.bin.enc'],
      skipped: ['model.onnx.enc'],
      keyId: '2026-11',
    })
    await decryptModel(out, { keys: ring(now), out: join(dir, 'again') })
    expect(readFileSync(join(dir, 'again', 'weights.bin'))).toEqual(readFileSync(join(plain, 'weights.bin')))
    expect(readdirSync(out).filter((name) => name.endsWith('.part'))).toEqual([])
  })

  test('rekey of a file that was cut short keeps it as it is', async () => {
    writeFileSync(join(plain, 'extra.bin'), randomBytes(2 * FRAME))
    await encrypt(ring(old))
    const file = join(out, 'extra.bin.enc')
    truncateSync(file, readFileSync(file).length - 1)
    const before = readFileSync(file)
    expect(await failure(rekeyModel(file, { keys: ring(now, old) }))).toMatchObject({ code: 'MODEL_UNTRUSTED' })
    expect(readFileSync(file).equals(before)).toBe(true)
    expect(readdirSync(out).filter((name) => name.endsWith('.part'))).toEqual([])
  })

  test.each([
    ['no JSON', 'secret{'],
    ['no keys', '{"current":"a"}'],
    ['a short key', '{"current":"a","keys":{"a":"c2VjcmV0"}}'],
    ['an unknown current', `{"current":"b","keys":{"a":"${randomBytes(32).toString('base64')}"}}`],
    ['keys that are a list', '{"current":"a","keys":["secret"]}'],
  ])('a key file with %s', (_, text) => {
    let error: unknown
    try {
      keysFromJson(text, 'key file')
    } catch (thrown) {
      error = thrown
    }
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID' })
    expect(String((error as Error).message)).not.toMatch(/secret|c2VjcmV0/)
  })
})
