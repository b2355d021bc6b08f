/** Where models come from, what becomes of bad ones, versions, replacement under traffic, execution providers. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ModelServer, ServerEvent } from 'modelmount'
import { createModelServer } from 'modelmount'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  bf16Model,
  customOpModel,
  externalDataModel,
  futureOpsetModel,
  int4OutputModel,
  sequenceInputModel,
  slowLoopModel,
} from '../../tools/models.mjs'
import { workerPids } from '../support/children.ts'
import { watch } from '../support/events.ts'
import { LINUX } from '../support/needs.ts'
import { observe, posted, serverFor } from '../support/server.ts'
import { constantOf } from '../support/small-models.ts'

function tempDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'registry-test-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** Writes a tree of files and returns its root. */
function tree(files: Readonly<Record<string, Uint8Array | string>>): string {
  const root = tempDir()
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true })
    writeFileSync(join(root, path), content)
  }
  return root
}

/** Which model file answers: each has its own constant. */
async function answerOf(server: ModelServer, name: string, version?: string): Promise<number | undefined> {
  const { outputs } = await server.predict(name, {}, { version })
  return outputs.y?.data[0] as number | undefined
}

const versionsOf = (server: ModelServer, name: string): string[] =>
  server
    .models()
    .filter((model) => model.name === name)
    .map(({ version }) => version)

describe('sources', () => {
  test('a path, a file: URL and bytes', async () => {
    // Spaces and percent signs are what goes wrong when a URL is taken for a path.
    const dir = tree({ 'a model 100%.onnx': constantOf(1), 'b.onnx': constantOf(2) })
    const server = await serverFor({
      strict: true,
      models: [
        { name: 'path', source: join(dir, 'b.onnx') },
        { name: 'url', source: pathToFileURL(join(dir, 'a model 100%.onnx')) },
        { name: 'bytes', source: constantOf(3) },
      ],
    })
    expect(await Promise.all(['path', 'url', 'bytes'].map((name) => answerOf(server, name)))).toEqual([2, 1, 3])
    expect(server.health()).toMatchObject({ live: true, ready: true })
  })

  test('external data is found beside the model, and cannot be behind bytes', async () => {
    const dir = tempDir()
    const path = externalDataModel(dir)
    const server = await serverFor({
      models: [
        { name: 'path', source: path },
        { name: 'bytes', source: readFileSync(path) },
      ],
    })
    expect((await server.predict('path', { x: [[1, 2, 3, 4]] })).outputs.y?.data).toEqual(Float32Array.of(2, 4, 6, 8))
    expect(server.model('bytes')).toMatchObject({ state: 'failed', reason: { code: 'MODEL_UNSUPPORTED' } })
  })
})

describe('a repository', () => {
  test('the three layouts side by side, hidden entries and other files passed over', async () => {
    const repository = tree({
      'triton/1/model.onnx': constantOf(11),
      'triton/2/model.onnx': constantOf(12),
      'triton/config.pbtxt': 'name: "triton" version_policy { all { } }',
      'flat/model.onnx': constantOf(21),
      'lone.onnx': constantOf(31),
      '.hidden/1/model.onnx': constantOf(0),
      '.hidden.onnx': constantOf(0),
      'triton/.3/model.onnx': constantOf(0),
      'triton/labels/readme.txt': 'not a version',
      'README.md': '# models',
    })
    const server = await serverFor({ repository, strict: true })
    expect(server.models().map(({ name, version, state }) => `${name}@${version} ${state}`)).toEqual([
      'flat@1 ready',
      'lone@1 ready',
      'triton@1 ready',
      'triton@2 ready',
    ])
    expect(await answerOf(server, 'triton')).toBe(12)
    expect(await answerOf(server, 'triton', '1')).toBe(11)
    expect(await answerOf(server, 'flat')).toBe(21)
    expect(await answerOf(server, 'lone')).toBe(31)
  })

  test('symbolic links are followed, as mounted volumes are made of them', async () => {
    const elsewhere = tree({ 'v1/model.onnx': constantOf(1), 'blob-abc': constantOf(2), 'm/1/model.onnx': constantOf(3) })
    const repository = tempDir()
    mkdirSync(join(repository, 'a'))
    symlinkSync(join(elsewhere, 'v1'), join(repository, 'a/1'))
    mkdirSync(join(repository, 'b'))
    symlinkSync(join(elsewhere, 'blob-abc'), join(repository, 'b/model.onnx'))
    symlinkSync(join(elsewhere, 'm'), join(repository, 'c'))
    const server = await serverFor({ repository, strict: true })
    expect(await Promise.all(['a', 'b', 'c'].map((name) => answerOf(server, name)))).toEqual([1, 2, 3])
  })

  test('a loop of symbolic links is a failed model', async () => {
    const repository = tree({ 'good.onnx': constantOf(1) })
    symlinkSync('loop.onnx', join(repository, 'loop.onnx'))
    mkdirSync(join(repository, 'inner'))
    symlinkSync('model.onnx', join(repository, 'inner/model.onnx'))
    const server = await serverFor({ repository })
    expect(server.model('loop')).toMatchObject({ state: 'failed', reason: { code: 'MODEL_INVALID' } })
    expect(server.model('inner')).toMatchObject({ state: 'failed', reason: { code: 'MODEL_INVALID' } })
    expect(await answerOf(server, 'good')).toBe(1)
  })

  test('a model directory or a version behind a dead link does not vanish without a word', async () => {
    const repository = tree({ 'good.onnx': constantOf(1), 'versions/1/model.onnx': constantOf(2) })
    symlinkSync('gone', join(repository, 'gone'))
    symlinkSync(join(repository, 'missing'), join(repository, 'unmounted'))
    symlinkSync(join(repository, 'missing'), join(repository, 'versions/2'))
    const warnings: string[] = []
    const logger = { info() {}, warn: (text: string) => warnings.push(text), error: (text: string) => warnings.push(text) }
    const server = await serverFor({ repository, logger })
    expect(await answerOf(server, 'good')).toBe(1)
    const told = [...warnings, ...server.models().map(({ name, version }) => `${name}@${version} ${name}/${version}`)].join('\n')
    for (const name of ['gone', 'unmounted', 'versions/2']) expect(told).toContain(name)
  })

  test('what cannot be served is said in a warning', async () => {
    const repository = tree({
      'both/1/model.onnx': constantOf(1),
      'both.onnx': constantOf(2),
      'empty/readme.txt': '',
      'bad name/model.onnx': constantOf(3),
      'twice/1/model.onnx': constantOf(4),
      'twice/model.onnx': constantOf(5),
    })
    const warnings: string[] = []
    const logger = { info() {}, warn: (text: string) => warnings.push(text), error() {} }
    const server = await serverFor({ repository, logger, models: [{ name: 'both', source: constantOf(9) }] })
    for (const path of ['both.onnx', 'empty', 'bad name', 'twice/model.onnx', 'both/1/model.onnx'])
      expect(warnings.filter((text) => text.includes(join(repository, path)))).toHaveLength(1)
    // Models named in code win over those on disk.
    expect(await answerOf(server, 'both')).toBe(9)
    expect(await answerOf(server, 'twice')).toBe(4)
  })

  test('versionPolicy latest', async () => {
    const repository = tree({
      'm/1/model.onnx': constantOf(1),
      'm/9/model.onnx': constantOf(9),
      'm/10/model.onnx': constantOf(10),
      'm/2/model.onnx': constantOf(2),
      'other/7/model.onnx': constantOf(7),
    })
    const server = await serverFor({ repository, versionPolicy: { latest: 2 } })
    expect(versionsOf(server, 'm')).toEqual(['9', '10'])
    expect(versionsOf(server, 'other')).toEqual(['7'])
    expect(await answerOf(server, 'm')).toBe(10)
  })
})

describe('bad models', () => {
  const good = constantOf(1)
  const random = Uint8Array.from({ length: 5000 }, (_, i) => (Math.imul(i + 1, 2654435761) >>> 24) & 0xff)
  const files: Readonly<Record<string, readonly [Uint8Array | string, string]>> = {
    empty: ['', 'MODEL_INVALID'],
    truncated: [good.subarray(0, good.length - 10), 'MODEL_INVALID'],
    random: [random, 'MODEL_INVALID'],
    text: ['# this is a readme\n', 'MODEL_INVALID'],
    html: ['<!doctype html><title>404</title>', 'MODEL_INVALID'],
    lfs: ['version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n', 'MODEL_INVALID'],
    zeros: [new Uint8Array(4096), 'MODEL_INVALID'],
    future: [futureOpsetModel(), 'MODEL_UNSUPPORTED'],
    custom: [customOpModel(), 'MODEL_UNSUPPORTED'],
    int4: [int4OutputModel(), 'MODEL_UNSUPPORTED'],
    bf16: [bf16Model(), 'MODEL_UNSUPPORTED'],
    sequence: [sequenceInputModel(), 'MODEL_UNSUPPORTED'],
  }

  function badRepository(): string {
    const repository = tree({
      'good/1/model.onnx': good,
      ...Object.fromEntries(Object.entries(files).map(([name, [content]]) => [`${name}/1/model.onnx`, content])),
    })
    mkdirSync(join(repository, 'directory/1/model.onnx'), { recursive: true })
    mkdirSync(join(repository, 'missing/1'), { recursive: true })
    return repository
  }
  const codes: Readonly<Record<string, string>> = {
    ...Object.fromEntries(Object.entries(files).map(([name, [, code]]) => [name, code])),
    directory: 'MODEL_INVALID',
    missing: 'MODEL_LOAD_FAILED',
  }

  test.each(['thread', 'process'] as const)(
    'each fails with its reason while the good one serves (%s tier)',
    async (isolation) => {
      const server = await serverFor({ repository: badRepository(), isolation })
      const found = Object.fromEntries(
        server
          .models()
          .filter(({ state }) => state === 'failed')
          .map(({ name, reason }) => [name, reason?.code]),
      )
      expect(found).toEqual(codes)
      expect(await answerOf(server, 'good')).toBe(1)
      const health = server.health()
      expect(health).toMatchObject({ live: true, ready: false })
      for (const name of Object.keys(codes)) {
        const model = health.models.find((model) => model.name === name)
        expect(model).toMatchObject({ state: 'failed', reason: expect.stringMatching(/\S/) })
        await expect(server.predict(name, {})).rejects.toMatchObject({ code: 'MODEL_NOT_READY', status: 503 })
        // Failed for good: no file of theirs, and no sentence of theirs, may write to a terminal.
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are the point
        expect(model?.reason).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/)
      }
    },
  )

  test('strict: true rejects with the reason of one that failed', async () => {
    await expect(createModelServer({ repository: badRepository(), strict: true, logger: false })).rejects.toMatchObject({
      code: expect.stringMatching(/^MODEL_(INVALID|UNSUPPORTED|LOAD_FAILED)$/),
    })
    await expect(
      createModelServer({ models: [{ name: 'm', source: futureOpsetModel() }], strict: true, logger: false }),
    ).rejects.toMatchObject({ code: 'MODEL_UNSUPPORTED', message: expect.stringContaining('99') })
  })

  test('a failed model is mended by load()', async () => {
    const server = await serverFor({ models: [{ name: 'm', source: futureOpsetModel() }] })
    expect(server.health().ready).toBe(false)
    expect(await server.load({ name: 'm', source: constantOf(5) })).toMatchObject({ state: 'ready', isDefault: true })
    expect(await answerOf(server, 'm')).toBe(5)
    expect(server.health()).toMatchObject({ ready: true, models: [{ name: 'm', state: 'ready' }] })
    expect(server.model('m').reason).toBeUndefined()
  })

  test('load() refuses bad specs and bad models without a trace in what serves', async () => {
    const server = await serverFor({ models: [{ name: 'm', source: constantOf(1) }] })
    await expect(server.load({ name: '../m', source: constantOf(2) })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
    await expect(server.load({ name: 'm', version: '2', source: customOpModel() })).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
    })
    await expect(server.load({ name: 'm', version: '3', source: '/nonexistent.onnx' })).rejects.toMatchObject({
      code: 'MODEL_LOAD_FAILED',
    })
    expect(await answerOf(server, 'm')).toBe(1)
    // The highest version failed, the highest ready one serves.
    expect(server.model('m')).toMatchObject({ version: '1', isDefault: true })
    expect(server.health().ready).toBe(true)
    await expect(server.predict('m', {}, { version: '2' })).rejects.toMatchObject({ code: 'MODEL_NOT_READY' })
  })
})

describe('versions', () => {
  test('side by side; digits sort as numbers; the highest ready one is the default', async () => {
    const server = await serverFor({
      models: ['9', '10', '2'].map((version) => ({ name: 'm', version, source: constantOf(Number(version)) })),
    })
    expect(versionsOf(server, 'm')).toEqual(['2', '9', '10'])
    expect(server.models().map(({ isDefault }) => isDefault)).toEqual([false, false, true])
    expect(await answerOf(server, 'm')).toBe(10)
    expect(await answerOf(server, 'm', '9')).toBe(9)
    expect(await server.load({ name: 'm', version: '11', source: constantOf(11) })).toMatchObject({
      version: '11',
      isDefault: true,
    })
    expect(await answerOf(server, 'm')).toBe(11)
    await server.unload('m', '11')
    expect(await answerOf(server, 'm')).toBe(10)
  })

  test.each(['thread', 'process'] as const)('replacing a version under traffic fails no request (%s tier)', async (isolation) => {
    const server = await serverFor({ models: [{ name: 'm', source: constantOf(0) }], isolation })
    let swapping = true
    const seen = new Set<number | undefined>()
    const callers = Array.from({ length: 20 }, async () => {
      let last = -1
      let calls = 0
      let more = true
      while (more) {
        // One more call after the last swap: it gets the last file.
        more = swapping
        const answer = (await answerOf(server, 'm')) ?? Number.NaN
        // Never back to an older file.
        expect(answer).toBeGreaterThanOrEqual(last)
        last = answer
        seen.add(answer)
        calls++
      }
      expect(last).toBe(5)
      return calls
    })
    const swaps = (async () => {
      for (let answer = 1; answer <= 5; answer++) {
        await server.load({ name: 'm', source: constantOf(answer) })
        expect(await answerOf(server, 'm')).toBe(answer)
      }
    })().finally(() => {
      swapping = false
    })
    const [calls] = await Promise.all([Promise.all(callers), swaps])
    expect(Math.min(...calls)).toBeGreaterThan(0)
    // The swaps did happen under traffic.
    expect(seen.size).toBeGreaterThan(2)
    expect(server.models()).toHaveLength(1)
  })

  test('a replacement that fails keeps the old one serving', async () => {
    const server = await serverFor({ models: [{ name: 'm', source: constantOf(1) }] })
    await expect(server.load({ name: 'm', source: new Uint8Array([1, 2, 3]) })).rejects.toMatchObject({ code: 'MODEL_INVALID' })
    expect(await answerOf(server, 'm')).toBe(1)
    expect(server.models()).toMatchObject([{ name: 'm', version: '1', state: 'ready' }])
    expect(server.health().ready).toBe(true)
  })

  test('the last of several loads of one version wins', async () => {
    const server = await serverFor({ models: [] })
    await Promise.all([1, 2, 3, 4].map((answer) => server.load({ name: 'm', source: constantOf(answer) })))
    expect(await answerOf(server, 'm')).toBe(4)
    expect(server.models()).toHaveLength(1)
  })

  test('unload answers what was accepted, refuses the rest, then forgets', async () => {
    const server = await serverFor({ models: [{ name: 'slow', source: slowLoopModel() }] })
    const accepted = [300_000n, 1n, 1n].map((trips) => server.predict('slow', { trips }))
    await posted()
    const unloading = observe(server.unload('slow'))
    await expect(server.predict('slow', { trips: 1n })).rejects.toMatchObject({ code: 'MODEL_NOT_READY', status: 503 })
    expect(server.model('slow').state).toBe('draining')
    await Promise.all(accepted)
    await unloading.promise
    await expect(server.predict('slow', { trips: 1n })).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
    expect(server.models()).toEqual([])
    // The place is free again.
    await server.load({ name: 'slow', source: slowLoopModel() })
    await server.predict('slow', { trips: 1n })
  })

  test('unload of what is not there', async () => {
    const server = await serverFor({ models: [{ name: 'm', source: constantOf(1) }] })
    await expect(server.unload('nope')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
    await expect(server.unload('nope', '1')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
    await expect(server.unload('m', '7')).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' })
    expect(() => server.model('nope')).toThrowError(expect.objectContaining({ code: 'MODEL_NOT_FOUND' }))
    expect(() => server.model('m', '7')).toThrowError(expect.objectContaining({ code: 'VERSION_NOT_FOUND' }))
  })

  test('a version unloaded while it loads stays away, and leaves no worker behind', async () => {
    const server = await serverFor({ models: [], isolation: 'process' })
    const events = watch(server)
    const begun = events.next((event) => event.type === 'model' && event.state === 'loading')
    const loading = Promise.allSettled([server.load({ name: 'm', source: constantOf(1) })])
    await begun
    await server.unload('m')
    await loading
    expect(server.models()).toEqual([])
    await server.close()
    await expect.poll(workerPids).toEqual([])
  })

  test('states are told in order', async () => {
    const server = await serverFor({ models: [] })
    const told: string[] = []
    server.subscribe((event: ServerEvent) => {
      if (event.type === 'model') told.push(event.state)
    })
    // A listener's fault is not the model's.
    server.subscribe(() => {
      throw new Error('observer')
    })
    await server.load({ name: 'm', source: constantOf(1) })
    await server.unload('m')
    expect(told).toEqual(['loading', 'ready', 'draining', 'unloaded'])
  })
})

describe('execution providers', () => {
  test('one that cannot start falls back loudly', async () => {
    const warnings: string[] = []
    const logger = { info() {}, warn: (text: string) => warnings.push(text), error() {} }
    const server = await serverFor({ models: [], executionProviders: ['cuda', 'cpu'], logger })
    const events = watch(server)
    const info = await server.load({ name: 'm', source: constantOf(1) })
    expect(info).toMatchObject({
      state: 'ready',
      executionProvider: 'cpu',
      providerFallbacks: [{ provider: 'cuda', reason: expect.stringMatching(/\S/) }],
    })
    expect(events.seen).toContainEqual(
      expect.objectContaining({ type: 'provider-fallback', model: 'm', version: '1', wanted: 'cuda', using: 'cpu' }),
    )
    expect(warnings.join('\n')).toMatch(/'cuda' could not start, using 'cpu'/)
    expect(await answerOf(server, 'm')).toBe(1)
  })

  test('strictProviders fails the load instead', async () => {
    const server = await serverFor({
      models: [
        {
          name: 'strict',
          source: constantOf(1),
          executionProviders: [{ name: 'cuda', deviceId: 0 }, 'cpu'],
          strictProviders: true,
        },
        { name: 'only', source: constantOf(1), executionProviders: ['cuda'] },
        { name: 'plain', source: constantOf(3) },
      ],
    })
    for (const name of ['strict', 'only'])
      expect(server.model(name)).toMatchObject({ state: 'failed', reason: { code: 'MODEL_LOAD_FAILED' } })
    expect(server.model('plain')).toMatchObject({ executionProvider: 'cpu', providerFallbacks: [] })
    expect(await answerOf(server, 'plain')).toBe(3)
  })
})

describe('a restarted worker', LINUX, () => {
  test('runs the file that was loaded, or none', async () => {
    const dir = tree({ 'm.onnx': constantOf(1) })
    const server = await serverFor({ models: [{ name: 'm', source: join(dir, 'm.onnx') }], isolation: 'process', strict: true })
    expect(await answerOf(server, 'm')).toBe(1)
    const events = watch(server)
    const refused = events.next((event) => event.type === 'start-refused' && /changed on disk/.test(event.reason))
    writeFileSync(join(dir, 'm.onnx'), constantOf(2))
    for (const pid of workerPids()) process.kill(pid, 'SIGKILL')
    expect(await refused).toMatchObject({ model: 'm', version: '1', reason: expect.stringContaining('load()') })
    await expect(server.predict('m', {}, { timeoutMs: 200 })).rejects.toMatchObject({
      code: expect.stringMatching(/^(DEADLINE_EXCEEDED|MODEL_UNAVAILABLE)$/),
    })
    // The way out that the event names.
    await server.load({ name: 'm', version: '2', source: join(dir, 'm.onnx') })
    expect(await answerOf(server, 'm')).toBe(2)
  })

  test('runs the bytes that were loaded, whatever became of the caller’s array', async () => {
    const bytes = Buffer.from(constantOf(1))
    const server = await serverFor({ models: [{ name: 'm', source: bytes }], isolation: 'process', strict: true })
    expect(await answerOf(server, 'm')).toBe(1)
    bytes.set(constantOf(2))
    const events = watch(server)
    const back = events.next((event) => event.type === 'worker-ready')
    for (const pid of workerPids()) process.kill(pid, 'SIGKILL')
    await back
    expect(await answerOf(server, 'm')).toBe(1)
  })
})
