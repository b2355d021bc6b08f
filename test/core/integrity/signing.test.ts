/** Signing and verifying models with keys: valid signatures and refusals. */

import { execFileSync } from 'node:child_process'
import { createHash, createPrivateKey, generateKeyPairSync } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signModel, verifyModel } from 'modelmount'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { POSIX } from '../../support/needs.ts'
import { ecPair } from '../../support/openssl.ts'

const pair = ecPair()
let dir: string
let model: string
const inModel = (name: string): string => join(model, name)
const signature = (): string => inModel('model.sig')

beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), 'signing-'))
  onTestFinished(() => fs.rmSync(dir, { recursive: true, force: true }))
  model = join(dir, 'model')
  fs.mkdirSync(inModel('a'), { recursive: true })
  fs.mkdirSync(inModel('empty-folder'))
  const files = { 'model.onnx': 'x', 'model.onnx.data': 'y', 'a/b': '1', 'a.b': '2', 'é.txt': '3', '.hidden': '4', empty: '' }
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(inModel(name), text)
})

const sign = () => signModel(model, { privateKey: pair.privateKey, signature: signature() })
const verify = (more: object = {}) => verifyModel(model, { signature: signature(), publicKey: pair.publicKey, ...more })
const refused = (why: string | RegExp) => ({ code: 'MODEL_UNTRUSTED', message: expect.stringMatching(why) })
const swap = (a: string, b: string): void => {
  fs.renameSync(inModel(a), inModel('t'))
  fs.renameSync(inModel(b), inModel(a))
  fs.renameSync(inModel('t'), inModel(b))
}
const moveOutAndLink = (name: string): void => {
  fs.renameSync(inModel(name), join(dir, 'moved'))
  fs.symlinkSync(join(dir, 'moved'), inModel(name))
}

describe('a signed folder', () => {
  test('verifies, and lists what was signed in the order of the format', async () => {
    const signed = await sign()
    // Pinned: the reference implementation's result for the same tree.
    expect(signed.digest).toBe('sha256:02c3924208b91c97f35f46ea2fb0893a0f1bdd4fe76a9db5f4d71743e6a141a7')
    expect(signed.files).toEqual(['.hidden', 'a/b', 'a.b', 'empty', 'model.onnx', 'model.onnx.data', 'é.txt'])
    const verified = await verify()
    expect(verified).toMatchObject({ digest: signed.digest, signer: signed.signer, name: 'model' })
    expect([...verified.files.keys()]).toEqual(signed.files)
    expect(verified.files.get('empty')).toEqual({ sha256: createHash('sha256').digest('hex'), size: 0 })
    expect(verified.signatureDigest).toBe(`sha256:${createHash('sha256').update(fs.readFileSync(signature())).digest('hex')}`)
  })

  test.each(['prime256v1', 'secp384r1', 'secp521r1'])('by a key on %s, one of several that are trusted', async (curve) => {
    const { privateKey, publicKey } = ecPair(curve)
    await signModel(model, { privateKey, signature: signature() })
    await verify({ publicKey: [pair.publicKey, publicKey] })
    await expect(verify()).rejects.toMatchObject(refused('another key'))
  })

  test('may be signed again, also with an encrypted key', async () => {
    await sign()
    const sealed = createPrivateKey(pair.privateKey).export({
      type: 'pkcs8',
      format: 'pem',
      cipher: 'aes-256-cbc',
      passphrase: 'pw',
    })
    await signModel(model, { privateKey: String(sealed), passphrase: 'pw', signature: signature() })
    await verify()
    for (const passphrase of [undefined, 'wrong'])
      await expect(signModel(model, { privateKey: String(sealed), ...(passphrase && { passphrase }) })).rejects.toMatchObject({
        code: 'OPTIONS_INVALID',
        details: { field: 'privateKey' },
      })
    expect(fs.readdirSync(model).filter((name) => name.includes('.tmp'))).toEqual([])
  })

  const changes: Readonly<Record<string, readonly [() => void, string | RegExp]>> = {
    'a changed byte': [() => fs.writeFileSync(inModel('a/b'), '2'), "changed: 'a/b'"],
    'a byte more': [() => fs.appendFileSync(inModel('model.onnx'), 'x'), "changed: 'model.onnx'"],
    'a byte less': [() => fs.truncateSync(inModel('model.onnx.data'), 0), "changed: 'model.onnx.data'"],
    'an added file': [() => fs.writeFileSync(inModel('a/c'), ''), "not signed: 'a/c'"],
    'a missing file': [() => fs.rmSync(inModel('empty')), "missing: 'empty'"],
    'a renamed file': [() => fs.renameSync(inModel('a.b'), inModel('a.c')), /not signed: 'a\.c'.*missing: 'a\.b'/],
    'two files that swap names': [() => swap('model.onnx', 'model.onnx.data'), "changed: 'model.onnx', 'model.onnx.data'"],
    'a link more': [() => fs.symlinkSync('/etc/hostname', inModel('link')), 'is a symbolic link'],
    'a dead link more': [() => fs.symlinkSync('nowhere', inModel('link')), 'is a symbolic link'],
    'a link in place of a file': [() => moveOutAndLink('a/b'), 'is a symbolic link'],
    'a link in place of a folder': [() => moveOutAndLink('a'), 'is a symbolic link'],
    'a FIFO': [() => execFileSync('mkfifo', [inModel('pipe')]), 'neither a file nor a folder'],
    'a name with a backslash': [() => fs.writeFileSync(inModel('a\\b'), ''), 'backslash'],
    'a name that is not text': [() => fs.writeFileSync(Buffer.from(`${model}/\xff`, 'latin1'), ''), 'UTF-8'],
  }
  test.each(Object.entries(changes))('is refused with %s', POSIX, async (_, [change, why]) => {
    await sign()
    change()
    await expect(verify()).rejects.toMatchObject(refused(why))
  })

  test('leaves out what git keeps, the signature, and what it is told to', async () => {
    fs.mkdirSync(inModel('.git'))
    fs.mkdirSync(inModel('logs/old'), { recursive: true })
    for (const name of ['.git/HEAD', 'notes.txt', 'logs/old/1']) fs.writeFileSync(inModel(name), 'n')
    const ignorePaths = ['notes.txt', './logs/', '../elsewhere']
    const { files } = await signModel(model, { privateKey: pair.privateKey, signature: signature(), ignorePaths })
    for (const name of ['.git/HEAD', 'notes.txt', 'logs/old/1', 'model.sig']) expect(files).not.toContain(name)
    // The signature lists the files left out: a verifier need not name them again, and they may change.
    fs.writeFileSync(inModel('logs/old/2'), 'n')
    expect((await verify()).files.has('notes.txt')).toBe(false)
    fs.writeFileSync(inModel('logs.txt'), 'n')
    await expect(verify()).rejects.toMatchObject(refused("'logs.txt'"))
    await verify({ ignorePaths: ['logs.txt'] })
  })

  test('signs what git keeps when asked to', async () => {
    fs.writeFileSync(inModel('.gitignore'), 'n')
    await signModel(model, { privateKey: pair.privateKey, signature: signature(), includeGitPaths: true })
    await expect(verify()).rejects.toMatchObject(refused("missing: '.gitignore'"))
    await verify({ includeGitPaths: true })
  })

  test('holds no link even where files are left out, as the reference implementation has it', async () => {
    fs.mkdirSync(inModel('.git'))
    await sign()
    fs.symlinkSync('/etc/hostname', inModel('.git/link'))
    await expect(verify()).rejects.toMatchObject(refused('symbolic link'))
  })

  test('with nothing in it cannot be signed', async () => {
    await expect(signModel(inModel('empty-folder'), { privateKey: pair.privateKey })).rejects.toMatchObject(
      refused('nothing to sign'),
    )
  })
})

describe('a signed file', () => {
  const signFile = async (file: string) => {
    await signModel(file, { privateKey: pair.privateKey, signature: `${file}.sig` })
    return () => verifyModel(file, { signature: `${file}.sig`, publicKey: pair.publicKey })
  }

  test('is called "."', async () => {
    const verifyFile = await signFile(inModel('model.onnx'))
    expect([...(await verifyFile()).files.keys()]).toEqual(['.'])
    fs.appendFileSync(inModel('model.onnx'), 'x')
    await expect(verifyFile()).rejects.toMatchObject(refused("changed: '.'"))
  })

  test('of 40 MB is hashed in a thread', async () => {
    const file = join(dir, 'large')
    const bytes = Buffer.alloc(40e6, 7)
    fs.writeFileSync(file, bytes)
    const verifyFile = await signFile(file)
    expect((await verifyFile()).files.get('.')).toEqual({ sha256: createHash('sha256').update(bytes).digest('hex'), size: 40e6 })
    moveOutAndLink('../large')
    await expect(verifyFile()).rejects.toMatchObject(refused('symbolic link'))
  })

  test('that is not there, nor its signature', async () => {
    await expect(signModel(join(dir, 'none'), { privateKey: pair.privateKey })).rejects.toMatchObject(refused('ENOENT'))
    await sign()
    await expect(verify({ signature: join(dir, 'none') })).rejects.toMatchObject(refused('does not exist'))
    await expect(verify({ signature: dir })).rejects.toMatchObject(refused('not a regular file'))
    await expect(
      signModel(model, { privateKey: pair.privateKey, signature: join(dir, 'no/such/folder.sig') }),
    ).rejects.toMatchObject({ code: 'MODEL_LOAD_FAILED' })
  })
})

describe('keys', () => {
  const generate = {
    rsa: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ed25519: () => generateKeyPairSync('ed25519'),
    secp256k1: () => generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
  }
  test.each(['rsa', 'ed25519', 'secp256k1'] as const)('of kind %s are refused', async (kind) => {
    const made = generate[kind]()
    const privateKey = String(made.privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const publicKey = String(made.publicKey.export({ type: 'spki', format: 'pem' }))
    const problem = { code: 'OPTIONS_INVALID', message: expect.stringMatching(`P-256, P-384 or P-521, got ${kind}`) }
    await expect(signModel(model, { privateKey })).rejects.toMatchObject(problem)
    await sign()
    await expect(verify({ publicKey })).rejects.toMatchObject(problem)
  })

  test('a private key, another file and none are no public key', async () => {
    await sign()
    for (const publicKey of [pair.privateKey, inModel('model.onnx'), join(dir, 'none'), undefined, []])
      await expect(verify({ publicKey })).rejects.toMatchObject({ code: 'OPTIONS_INVALID', details: { field: 'publicKey' } })
  })
})
