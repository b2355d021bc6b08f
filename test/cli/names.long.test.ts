/** Names on disk that forge lines: in no log, no event and no output of a command do they break, colour or reorder a line. */

import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { createModelServer, isModelmountError, type ServerEvent } from 'modelmount'
import { describe, expect, onTestFinished, test } from 'vitest'
import { POSIX } from '../support/needs.ts'
import { oddFileName, unprintableIn } from '../support/odd-names.ts'
import { constantOf } from '../support/small-models.ts'
import { treeFor } from '../support/tree.ts'

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))
const WORST = 'x\n[2026-11-30] model@1: ready\n\x1b[2K\rmodelmount: signed\x9b\u2028\u202egnp'
const NAMES = [WORST, ...new Set(fc.sample(oddFileName, { seed: 5, numRuns: 25 }))]

/** A repository where folders, versions, model files and weights have such names. */
const repository = (): string =>
  treeFor({
    'good/1/model.onnx': constantOf(1),
    ...Object.fromEntries(NAMES.map((name) => [`${name}/1/model.onnx`, constantOf(1)])),
    ...Object.fromEntries(NAMES.map((name) => [`versions/2${name}/model.onnx`, constantOf(1)])),
    ...Object.fromEntries(NAMES.map((name) => [`lone ${name}.onnx`, constantOf(1)])),
    ...Object.fromEntries(
      NAMES.map((name, i) => [`settings-${i}/model.json`, JSON.stringify({ [name]: 1, file: `${name}.onnx` })]),
    ),
    ...Object.fromEntries(NAMES.map((_, i) => [`settings-${i}/1/model.onnx`, constantOf(1)])),
    ...Object.fromEntries(
      NAMES.map((name, i) => [`triton-${i}/config.pbtxt`, `name: "${name.replace(/["\\\n\r]/g, '')}" ${i % 2 ? name : ''}`]),
    ),
    ...Object.fromEntries(NAMES.map((_, i) => [`triton-${i}/1/model.onnx`, constantOf(1)])),
  })

const expectClean = (text: string): void => {
  for (const line of text.split('\n')) expect(unprintableIn(line)).toEqual([])
}

describe('names that forge lines', POSIX, () => {
  test('reach the log and the events of a server as text', async () => {
    const lines: string[] = []
    const log = (line: string): void => void lines.push(line)
    const events: ServerEvent[] = []
    const dir = repository()
    const server = await createModelServer({
      logger: { info: log, warn: log, error: log },
      repository: dir,
      telemetry: { watch: (server) => server.subscribe((event) => events.push(event)) },
    })
    onTestFinished(() => server.close())
    for (const name of NAMES) {
      const refused = [
        server.predict(name, {}),
        server.predict('good', { [name]: [1] }),
        server.predict('good', {}, { version: name }),
        server.predict('good', {}, { label: name }),
        server.predict('good', {}, { outputs: [name] }),
        server.load({ name, source: join(dir, name) }),
        server.load({ name: 'other', source: join(dir, `${name}.onnx`) }),
        server.unload(name),
      ]
      for (const outcome of await Promise.allSettled(refused)) {
        const reason: unknown = outcome.status === 'rejected' ? outcome.reason : undefined
        expect(isModelmountError(reason)).toBe(true)
        expect(unprintableIn((reason as Error).message)).toEqual([])
      }
    }
    expect(lines.length).toBeGreaterThan(2 * NAMES.length)
    for (const line of lines) expect(unprintableIn(line)).toEqual([])
    const texts = events.flatMap((event) => Object.values(event).filter((value) => typeof value === 'string'))
    expect(texts.length).toBeGreaterThan(2 * NAMES.length)
    for (const text of texts) expect(unprintableIn(text)).toEqual([])
    for (const { reason = '' } of server.health().models) expect(unprintableIn(reason)).toEqual([])
  })

  test.each([
    ['typegen', (dir: string) => [dir, '-o', join(dir, 'types.d.ts')]],
    ['lock', (dir: string) => [dir, '-o', join(dir, 'lock.json')]],
    ['lock', (dir: string, name: string) => [dir, '--check', '-o', join(dir, name)]],
    ['inspect', (dir: string, name: string) => [join(dir, `lone ${name}.onnx`)]],
    ['inspect', (dir: string, name: string) => [join(dir, `lone ${name}.onnx`), '--json']],
    ['inspect', (dir: string, name: string) => [join(dir, `lone ${name}.onnx`), '--security']],
    ['inspect', (dir: string, name: string) => [join(dir, name, 'nothing')]],
    [
      'verify',
      (dir: string, name: string) => [join(dir, name), '--signature', join(dir, name, 'sig'), '--public-key', join(dir, name)],
    ],
    ['sign', (dir: string, name: string) => [join(dir, name), '--signature', join(dir, name, 'sig'), '--private-key', name]],
    ['encrypt', (dir: string, name: string) => [join(dir, name), '--out', join(dir, name), '--model', name, '--keys', name]],
    ['rekey', (_: string, name: string) => ['a', name]],
    ['serve', (_: string, name: string) => ['--models', name, '--port', name]],
    ['serve', (_: string, name: string) => ['--models', name, '--adapter', name]],
  ] as const)('reach the output of %s as text', { timeout: 60_000 }, (command, argsFor) => {
    const dir = repository()
    const { stdout, stderr } = spawnSync(process.execPath, [cli, command, ...argsFor(dir, WORST)], { encoding: 'utf8' })
    expect(stdout + stderr).not.toBe('')
    expectClean(stdout)
    expectClean(stderr)
  })

  test('reach the log of serve as text', async () => {
    const child = spawn(process.execPath, [cli, 'serve', '--models', repository(), '--port', '0'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let text = ''
    child.stderr.on('data', (chunk) => {
      text += chunk
    })
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
    await new Promise<void>((resolve) => child.stdout.once('data', () => resolve()))
    child.kill('SIGTERM')
    await closed
    expect(text.split('\n').length).toBeGreaterThan(2 * NAMES.length)
    expectClean(text)
  })

  test('only one file of the commands writes to the terminal; of the core the default logger does, and a forced end', () => {
    const src = fileURLToPath(new URL('../../src', import.meta.url))
    const files = (readdirSync(src, { recursive: true }) as string[]).filter((file) => file.endsWith('.ts'))
    const writing = files.filter((file) => /process\.std(?:out|err)|console\.\w+\(/.test(readFileSync(join(src, file), 'utf8')))
    expect(writing.sort()).toEqual(['cli/output.ts', 'core/engine/exit-guard.ts', 'core/host/options.ts'])
  })
})
