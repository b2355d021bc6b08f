/** Hosts that are not a plain script with all rights: impossible features are errors with a code and a remedy, the rest works. */

import { execFile, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { addModel } from '../../tools/models.mjs'
import { isAlive, workerPids } from '../support/children.ts'
import { LINUX } from '../support/needs.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const dir = mkdtempSync(join(tmpdir(), 'host-test-'))
const model = join(dir, 'add.onnx')
writeFileSync(model, addModel())
afterAll(() => rmSync(dir, { recursive: true, force: true }))

interface Outcome {
  /** Of the model's run. */
  readonly sum?: readonly number[]
  readonly tier?: string
  readonly code?: string
  readonly problem?: string
  readonly message?: string
}

/** Serves the model once, with these options, and says what came of it. */
const servesOnce = (options: object, dist = join(root, 'dist')): string => `
  import(${JSON.stringify(pathToFileURL(join(dist, 'index.js')).href)}).then(async ({ createModelServer }) => {
    const server = await createModelServer({ models: [{ name: 'm', source: ${JSON.stringify(model)} }], strict: true, logger: false, ...${JSON.stringify(options)} })
    const { outputs } = await server.predict('m', { a: [[1, 2, 3, 4]], b: [[1, 1, 1, 1]] })
    console.log(JSON.stringify({ sum: [...outputs.sum.data], tier: server.model('m').isolation }))
    await server.close()
  }).catch(({ code, message, details }) => console.log(JSON.stringify({ code, message, problem: details?.problem })))`

interface Run {
  readonly flags?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** In a worker thread of the script. */
  readonly inThread?: boolean
  readonly dist?: string
}

async function outcomeOf(options: object, { flags = [], env = {}, inThread = false, dist }: Run = {}): Promise<Outcome> {
  const plain = servesOnce(options, dist)
  const code = inThread ? `new (require('node:worker_threads').Worker)(${JSON.stringify(plain)}, { eval: true })` : plain
  const script = join(dir, `${Math.random().toString(36).slice(2)}.cjs`)
  writeFileSync(script, code)
  const stdout = await new Promise<string>((resolve) => {
    execFile(process.execPath, [...flags, script], { env: { ...process.env, ...env }, cwd: dir }, (_, out) => resolve(out))
  })
  return JSON.parse(stdout || '{}') as Outcome
}

const SUM = [2, 3, 4, 5]

describe('inside a worker thread of the app', () => {
  test('models run in processes where nothing is said, because the thread may be ended at any time', async () => {
    expect(await outcomeOf({}, { inThread: true })).toEqual({ sum: SUM, tier: 'process' })
    expect(await outcomeOf({ isolation: 'process', maxMemoryBytes: 2 ** 30 }, { inThread: true })).toMatchObject({ sum: SUM })
    expect(await outcomeOf({})).toEqual({ sum: SUM, tier: 'thread' })
  })

  test('the thread tier is refused, with the reason', async () => {
    const message = expect.stringMatching(/^isolation is 'thread' inside a worker thread, .* set 'process'$/)
    expect(await outcomeOf({ isolation: 'thread' }, { inThread: true })).toMatchObject({ code: 'OPTIONS_INVALID', message })
  })
})

describe('folders of children', LINUX, () => {
  const empty = (name: string): string => {
    const path = join(dir, name)
    mkdirSync(path)
    return path
  }

  test.each([
    ['process.exit()', 'process.exit(0)'],
    ['SIGKILL', "process.kill(process.pid, 'SIGKILL')"],
    ['an uncaught error', "throw new Error('x')"],
  ])('are gone when the host ends without close(), by %s', async (name, end) => {
    const TMPDIR = empty(`tmp-${name.replace(/\W/g, '')}`)
    const script = `
      import { createModelServer } from ${JSON.stringify(pathToFileURL(join(root, 'dist/index.js')).href)}
      await createModelServer({ models: [{ name: 'm', source: ${JSON.stringify(model)} }], strict: true, isolation: 'process', instances: 2, logger: false })
      console.log('ready')
      process.stdin.once('data', () => { ${end} })`
    const host = spawn(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...process.env, TMPDIR },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    await new Promise((resolve) => host.stdout.once('data', resolve))
    const children = workerPids(host.pid)
    expect(children.length).toBeGreaterThan(0)
    const ended = new Promise((resolve) => host.once('exit', resolve))
    host.stdin.end('now')
    await ended
    for (const pid of children) await expect.poll(() => isAlive(pid)).toBe(false)
    // One that was only starting is not among them.
    await expect.poll(() => readdirSync(TMPDIR)).toEqual([])
  })

  test('are made in shared memory where the folder for temporary files cannot be written to', async () => {
    const env = { TMPDIR: '/proc/nowhere' }
    expect(await outcomeOf({ isolation: 'process' }, { env })).toEqual({ sum: SUM, tier: 'process' })
  })
})

describe("Node's permission model", () => {
  const [major = 0] = process.versions.node.split('.').map(Number)
  const permission = major >= 22 ? '--permission' : '--experimental-permission'
  const all = ['--allow-fs-read=*', '--allow-fs-write=*', '--allow-worker', '--allow-addons', '--allow-child-process']
  const without = (...names: readonly string[]): Run => ({
    flags: [permission, ...all.filter((flag) => !names.some((name) => flag.startsWith(`--allow-${name}`)))],
  })
  const denied = { code: 'HOST_UNSUPPORTED', problem: 'permission', message: expect.stringContaining('--allow-addons') }

  test.each(['thread', 'process'])('with the rights that it needs, a model answers (%s tier)', async (isolation) => {
    expect(await outcomeOf({ isolation }, without())).toEqual({ sum: SUM, tier: isolation })
  })

  test.each([
    ['thread', 'worker'],
    ['thread', 'addons'],
    ['process', 'child-process'],
    ['process', 'fs-write'],
  ])('the %s tier without %s names the flags', async (isolation, right) => {
    expect(await outcomeOf({ isolation }, without(right))).toMatchObject(denied)
  })
})

describe('a bundle', () => {
  /** The library alone, as a bundler leaves it. */
  function bundled(name: string, ...files: readonly string[]): string {
    const dist = join(dir, name, 'dist')
    mkdirSync(dist, { recursive: true })
    writeFileSync(join(dir, name, 'package.json'), '{"type":"module"}')
    const code = readdirSync(join(root, 'dist')).filter((file) => /^(index|chunk-.*)\.js$/.test(file))
    for (const file of [...code, ...files]) cpSync(join(root, 'dist', file), join(dist, file), { recursive: true })
    mkdirSync(join(dir, name, 'node_modules'))
    symlinkSync(join(root, 'node_modules/lru-cache'), join(dir, name, 'node_modules/lru-cache'))
    return dist
  }

  test('without the scripts says so, and what to do', async () => {
    const outcome = await outcomeOf({}, { dist: bundled('alone') })
    expect(outcome).toMatchObject({
      code: 'HOST_UNSUPPORTED',
      problem: 'bundled',
      message: expect.stringMatching(/^modelmount was bundled, .*worker\.cjs is not at .*dist.workers.*copy the folder/),
    })
  })

  test('without the engine beside it says so', async () => {
    const outcome = await outcomeOf({}, { dist: bundled('no-engine', 'workers') })
    expect(outcome).toMatchObject({
      code: 'HOST_UNSUPPORTED',
      problem: 'onnxruntime-missing',
      message: expect.stringContaining('npm install onnxruntime-node'),
    })
  })

  test.each(['thread', 'process'])('with both answers (%s tier)', async (isolation) => {
    const dist = bundled(`whole-${isolation}`, 'workers')
    for (const name of ['onnxruntime-node', 'onnxruntime-common'])
      symlinkSync(join(root, 'node_modules', name), join(dist, '../node_modules', name))
    expect(await outcomeOf({ isolation }, { dist })).toEqual({ sum: SUM, tier: isolation })
    expect(existsSync(join(dist, 'types'))).toBe(false)
  })
})
