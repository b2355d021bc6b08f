/** `modelmount lock` and `modelmount serve --locked`: two environments prove that they run the same bytes. */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { externalDataModel } from '../../tools/models.mjs'
import { ecPair } from '../support/openssl.ts'
import { constantOf } from '../support/small-models.ts'

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'lock-test-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const { privateKey, publicKey } = ecPair()
  writeFileSync(join(dir, 'key.pem'), privateKey)
  writeFileSync(join(dir, 'key.pub'), publicKey)
  mkdirSync(join(dir, 'models/m/1'), { recursive: true })
  writeFileSync(join(dir, 'models/m/1/model.onnx'), constantOf(1))
  externalDataModel(join(dir, 'models/external/7'))
})

const env = (): NodeJS.ProcessEnv => ({ ...process.env, XDG_CACHE_HOME: join(dir, 'cache') })
function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], { cwd: dir, encoding: 'utf8', env: env() })
  return { code: status, stdout, stderr }
}
const lockFile = () => JSON.parse(readFileSync(join(dir, 'models/models.lock.json'), 'utf8'))

test('pins what is there, and tells what differs', () => {
  expect(run('lock', 'models')).toMatchObject({ code: 0, stdout: 'locked: 2 model versions in models/models.lock.json\n' })
  expect(run('lock', 'models').stdout).toMatch(/^unchanged/)
  expect(lockFile()).toMatchObject({
    lockVersion: 1,
    onnxruntime: expect.stringMatching(/^1\.\d+\.\d+/),
    models: [
      {
        name: 'external',
        version: '7',
        manifestId: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
        signature: null,
        signer: null,
      },
      { name: 'm', version: '1', opset: { 'ai.onnx': expect.any(Number) } },
    ],
  })
  expect(run('lock', 'models', '--check')).toMatchObject({ code: 0, stderr: '' })

  writeFileSync(join(dir, 'models/external/7/weights.bin'), new Uint8Array(64))
  rmSync(join(dir, 'models/m'), { recursive: true })
  writeFileSync(join(dir, 'models/new.onnx'), constantOf(2))
  const checked = run('lock', 'models', '--check')
  expect(checked).toMatchObject({ code: 1, stdout: '' })
  expect(checked.stderr).toMatch(/external@7 is sha256:\w+, locked is sha256:\w+\n/)
  expect(checked.stderr).toContain('new@1 is not in the lock file')
  expect(checked.stderr).toContain('m@1 is in the lock file, and not in the repository')
  expect(run('lock', 'models', '--check', '-o', 'none')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('OPTIONS_INVALID'),
  })
  expect(run('lock')).toMatchObject({ code: 2 })
})

test('with keys, every model must be signed, and the signer is pinned too', () => {
  const sign = (path: string, ...more: string[]) => run('sign', path, '--private-key', 'key.pem', '--signature', ...more)
  expect(run('lock', 'models', '--public-key', 'key.pub')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('external@7: the model has no signature'),
  })
  sign('models/external/7', 'models/external/7/model.sig')
  sign('models/m/1/model.onnx', 'models/m/1/model.onnx.sig')
  expect(run('lock', 'models', '--public-key', 'key.pub', '-o', 'signed.json')).toMatchObject({ code: 0 })
  const { models } = JSON.parse(readFileSync(join(dir, 'signed.json'), 'utf8'))
  for (const { signer, signature } of models) {
    expect(signer).toMatch(/^key [0-9a-f]{64}$/)
    expect(signature).toMatch(/^sha256:/)
  }
  // Without a key the same bytes are the same model.
  expect(run('lock', 'models', '-o', 'signed.json', '--check')).toMatchObject({ code: 0 })
})

test('served locked, only what is pinned runs', async () => {
  run('lock', 'models')
  writeFileSync(join(dir, 'models/m/1/model.onnx'), constantOf(2))
  const child = spawn(process.execPath, [CLI, 'serve', '--models', 'models', '--port', '0', '--locked'], { cwd: dir, env: env() })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stderr = ''
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
  const { url } = JSON.parse(value)
  expect((await fetch(`${url}/v2/models/external/ready`)).status).toBe(200)
  expect((await fetch(`${url}/v2/models/m/ready`)).status).not.toBe(200)
  expect((await fetch(`${url}/v2/health/ready`)).status).toBe(503)
  child.kill('SIGTERM')
  await once(child, 'exit')
  expect(stderr).toContain('m@1: refused')
  expect(stderr).toContain('is not what the lock file says')
})
