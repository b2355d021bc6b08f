/** `modelmount sign` and `modelmount verify` as a shell sees them. */

import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { ecPair } from '../support/openssl.ts'

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sign-test-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const { privateKey, publicKey } = ecPair()
  writeFileSync(join(dir, 'key.pem'), privateKey)
  writeFileSync(join(dir, 'key.pub'), publicKey)
  mkdirSync(join(dir, 'fraud'))
  for (const name of ['model.onnx', 'notes', 'log']) writeFileSync(join(dir, 'fraud', name), name)
})

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], { cwd: dir, encoding: 'utf8' })
  return { code: status, stdout, stderr }
}
const sign = (...more: string[]) => run('sign', 'fraud', '--signature', 'fraud/model.sig', '--private-key', 'key.pem', ...more)
const verify = (...more: string[]) => run('verify', 'fraud', '--signature', 'fraud/model.sig', '--public-key', 'key.pub', ...more)

test('a folder: signed, verified, tampered with', () => {
  expect(sign()).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^signed: 3 files by key [0-9a-f]{64}\ndigest: sha256:/),
  })
  const verified = verify()
  expect(verified).toMatchObject({ code: 0, stderr: '' })
  expect(verified.stdout).toMatch(/^verified: 3 files signed by key [0-9a-f]{64}\ndigest: sha256:[0-9a-f]{64}\n$/)
  expect(JSON.parse(verify('--json').stdout)).toMatchObject({ verified: true, files: ['log', 'model.onnx', 'notes'] })

  appendFileSync(join(dir, 'fraud/model.onnx'), 'x')
  const refused = verify()
  expect(refused).toMatchObject({ code: 1, stdout: '' })
  expect(refused.stderr).toContain("refused: the model is not what was signed: files have changed: 'model.onnx'")
  expect(verify('--json')).toMatchObject({ code: 1, stdout: expect.stringContaining('"verified": false') })
})

test('a file', () => {
  const args = ['fraud/model.onnx', '--signature', 'model.sig']
  expect(run('sign', ...args, '--private-key', 'key.pem')).toMatchObject({ code: 0 })
  expect(run('verify', ...args, '--public-key', 'key.pub').stdout).toMatch(/^verified: the file signed by key/)
})

test('paths to ignore: several after one flag, one after each, from here or from inside the model', () => {
  expect(sign('--ignore-paths', 'fraud/notes', 'log').stdout).toMatch(/^signed: 1 file by/)
  expect(verify()).toMatchObject({ code: 0 })
  for (const name of ['more', 'still more']) writeFileSync(join(dir, 'fraud', name), '')
  expect(verify()).toMatchObject({ code: 1, stderr: expect.stringContaining("'more', 'still more'") })
  expect(verify('--ignore-paths', 'more', 'fraud/still more')).toMatchObject({ code: 0 })
  expect(verify('--ignore-paths', 'fraud/more', '--ignore-paths=still more')).toMatchObject({ code: 0 })
  // The model last, as other tools have it.
  const last = ['verify', '--signature', 'fraud/model.sig', '--public-key', 'key.pub', '--ignore-paths', 'more', 'still more']
  expect(run(...last, 'fraud')).toMatchObject({ code: 0 })
  expect(verify('--ignore-paths', join(dir, 'key.pem'))).toMatchObject({ code: 2 })
})

test('what cannot be used is refused, and wrong use is told apart', () => {
  sign()
  expect(verify('--certificate-roots', 'key.pub')).toMatchObject({ code: 1, stderr: expect.stringContaining('OPTIONS_INVALID') })
  expect(run('verify', 'none', '--signature', 'fraud/model.sig', '--public-key', 'key.pub')).toMatchObject({ code: 1 })
  expect(run('verify', 'fraud', '--signature', 'none', '--public-key', 'key.pub')).toMatchObject({ code: 1 })
  for (const args of [
    ['verify'],
    ['verify', 'fraud'],
    ['verify', 'fraud', '--signature', 'fraud/model.sig'],
    ['verify', 'fraud', 'other', '--signature', 'fraud/model.sig', '--public-key', 'key.pub'],
    ['verify', 'fraud', '--signature', 'fraud/model.sig', '--identity', 'a@b.c'],
    ['verify', 'fraud', '--signature', 'fraud/model.sig', '--public-key', 'key.pub', '--certificate-validity', 'never'],
    ['verify', 'fraud', '--signature', 'fraud/model.sig', '--public-key', 'key.pub', '--what'],
    ['sign', 'fraud'],
    ['sign', 'fraud', '--signature', 's', '--private-key', 'key.pem', '--certificate-chain', 'key.pub'],
  ])
    expect([args, run(...args)]).toMatchObject([args, { code: 2, stderr: expect.stringContaining('Usage:') }])
})

test('what a command takes is told by itself, and only that', () => {
  const help = run('verify', '--help')
  expect(help).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('Options of verify:') })
  const wrong = run('decrypt', 'fraud')
  expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('Options of encrypt and decrypt:') })
  for (const text of [help.stdout, wrong.stderr]) expect(text).not.toMatch(/Options of (lock|serve)/)
})
