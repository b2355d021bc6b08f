/** Loads that fail while a version serves: over the forms of a repository and what may be wrong with it, in both tiers. */

import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { ModelServer } from 'modelmount'
import { describe, expect, onTestFinished, test } from 'vitest'
import { customOpModel, slowLoopModel } from '../../tools/models.mjs'
import { watch } from '../support/events.ts'
import { callerOf } from '../support/mount.ts'
import { needs } from '../support/needs.ts'
import { posted, serverFor } from '../support/server.ts'
import { constantOf } from '../support/small-models.ts'
import { plant } from '../support/tree.ts'

/** Files of a model `m` beside its version 1, which answers 1. */
const FORMS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'no configuration': {},
  'a config.pbtxt': { 'm/config.pbtxt': 'backend: "onnxruntime"' },
  'latest: 1': { 'm/model.json': '{"versionPolicy":{"latest":1}}' },
  'latest: 2': { 'm/config.pbtxt': 'version_policy { latest { num_versions: 2 } }' },
  'specific versions': { 'm/model.json': '{"versionPolicy":{"specific":["1","2"]}}' },
}

/** Spoils the next load; the function that comes back mends it, so that version 2 answers 2. */
type Fault = (root: string) => () => void

const put = (root: string, path: string, bytes: Uint8Array | string): void => {
  mkdirSync(join(root, dirname(path)), { recursive: true })
  writeFileSync(join(root, path), bytes)
}

const version2 =
  (bytes: Uint8Array | string): Fault =>
  (root) => {
    put(root, 'm/2/model.onnx', bytes)
    return () => put(root, 'm/2/model.onnx', constantOf(2))
  }

const moved =
  (path: string): Fault =>
  (root) => {
    put(root, 'm/2/model.onnx', constantOf(2))
    renameSync(join(root, path), join(root, `../away-${path.length}`))
    return () => renameSync(join(root, `../away-${path.length}`), join(root, path))
  }

const configuration =
  (text: string): Fault =>
  (root) => {
    const path = join(root, 'm/config.pbtxt')
    let before: string | undefined
    try {
      before = readFileSync(path, 'utf8')
    } catch {
      before = undefined
    }
    put(root, 'm/config.pbtxt', text)
    put(root, 'm/2/model.onnx', constantOf(2))
    return () => (before === undefined ? rmSync(path) : writeFileSync(path, before))
  }

const FAULTS: Readonly<Record<string, Fault>> = {
  'garbage in the new version': version2('garbage'),
  'an operator that there is not in the new version': version2(customOpModel()),
  'an empty new version': (root) => {
    mkdirSync(join(root, 'm/2'))
    return () => put(root, 'm/2/model.onnx', constantOf(2))
  },
  'a new version behind a dead link': (root) => {
    symlinkSync('nowhere', join(root, 'm/2'))
    return () => {
      rmSync(join(root, 'm/2'))
      put(root, 'm/2/model.onnx', constantOf(2))
    }
  },
  'garbage in the version that serves': (root) => {
    put(root, 'm/2/model.onnx', constantOf(2))
    renameSync(join(root, 'm/1/model.onnx'), join(root, 'm/1/good'))
    put(root, 'm/1/model.onnx', 'garbage')
    // Of no weight where only the latest version is loaded; then the new one is spoiled too.
    put(root, 'm/2/model.onnx', 'garbage')
    return () => {
      renameSync(join(root, 'm/1/good'), join(root, 'm/1/model.onnx'))
      put(root, 'm/2/model.onnx', constantOf(2))
    }
  },
  'a configuration that cannot be read': configuration('max_batch_size: {'),
  'a configuration against the graph': configuration('input { name: "no" data_type: TYPE_FP32 dims: [ 1 ] }'),
  'the folder of the model away': moved('m'),
  'the folder of the model empty': (root) => {
    renameSync(join(root, 'm'), join(root, '../m-away'))
    mkdirSync(join(root, 'm'))
    return () => {
      rmSync(join(root, 'm'), { recursive: true })
      renameSync(join(root, '../m-away'), join(root, 'm'))
      put(root, 'm/2/model.onnx', constantOf(2))
    }
  },
  'the repository away': (root) => {
    put(root, 'm/2/model.onnx', constantOf(2))
    renameSync(root, `${root}-away`)
    return () => renameSync(`${root}-away`, root)
  },
}

function repositoryWith(files: Readonly<Record<string, Uint8Array | string>>): string {
  const parent = mkdtempSync(join(tmpdir(), 'modelmount-reload-'))
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }))
  const root = join(parent, 'models')
  plant(root, files)
  return root
}

const answerOf = async (server: ModelServer): Promise<unknown> => (await server.predict('m', {})).outputs.y?.data[0]

/** Asks without a break until it is stopped; any refusal is thrown there. */
function asking(server: ModelServer) {
  let going = true
  const seen = new Set<unknown>()
  const done = (async () => {
    while (going) {
      seen.add(await answerOf(server))
      // A turn, so that the loads get on too.
      await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  // Heard of when it is stopped.
  done.catch(() => {})
  return {
    async stop(): Promise<Set<unknown>> {
      going = false
      await done
      return seen
    },
  }
}

/** Every fault in the two usual forms; the other forms, and children, which take their time to start, with those that matter most there. */
const CASES = [
  ...Object.keys(FAULTS).flatMap((fault) => [
    { isolation: 'thread', form: 'no configuration', fault } as const,
    { isolation: 'thread', form: 'a config.pbtxt', fault } as const,
  ]),
  ...['garbage in the new version', 'the folder of the model away'].flatMap((fault) => [
    ...['latest: 1', 'latest: 2', 'specific versions'].map((form) => ({ isolation: 'thread', form, fault }) as const),
    { isolation: 'process', form: 'a config.pbtxt', fault } as const,
  ]),
]

test.each(CASES)('a load that fails changes nothing: $fault, $form ($isolation tier)', async ({ isolation, form, fault }) => {
  const repository = repositoryWith({ ...FORMS[form], 'm/1/model.onnx': constantOf(1) })
  const server = await serverFor({ repository, isolation, trialRun: false })
  const admin = callerOf(server.http.mount({ management: true }))
  const before = server.models().map(({ version, state }) => [version, state])
  const mend = (FAULTS[fault] as Fault)(repository)
  const caller = asking(server)

  const reply = await admin.post('/v2/repository/models/m/load')
  expect(reply.status).toBeGreaterThanOrEqual(400)
  expect(reply.json).toMatchObject({ error: expect.stringMatching(/\S/), code: expect.stringMatching(/^[A-Z_]+$/) })
  expect(reply.text).not.toContain(repository)
  expect(await caller.stop()).toEqual(new Set([1]))
  expect(server.models().map(({ version, state }) => [version, state])).toEqual(before)
  expect(server.health()).toMatchObject({
    ready: true,
    models: [{ version: '1', reloadFailed: expect.stringMatching(/\S/) }],
  })

  mend()
  expect(await admin.post('/v2/repository/models/m/load')).toMatchObject({ status: 200 })
  expect(await answerOf(server)).toBe(2)
  for (const model of server.health().models) expect(model).not.toHaveProperty('reloadFailed')
})

describe('a load by name', () => {
  test('takes all versions or none', async () => {
    const repository = repositoryWith({
      'm/1/model.onnx': constantOf(1),
      'm/2/model.onnx': constantOf(2),
    })
    const server = await serverFor({ repository })
    const admin = callerOf(server.http.mount({ management: true }))
    put(repository, 'm/1/model.onnx', constantOf(10))
    put(repository, 'm/2/model.onnx', 'garbage')
    put(repository, 'm/3/model.onnx', constantOf(3))
    expect(await admin.post('/v2/repository/models/m/load')).toMatchObject({ status: 500 })
    expect(await answerOf(server)).toBe(2)
    expect((await server.predict('m', {}, { version: '1' })).outputs.y?.data[0]).toBe(1)
    expect(server.models().map(({ version }) => version)).toEqual(['1', '2'])
  })

  test('unloads nothing of the repository for a version of the same name that code has given', async () => {
    const repository = repositoryWith({ 'm/1/model.onnx': constantOf(1) })
    const server = await serverFor({ repository, models: [{ name: 'm', version: '9', source: constantOf(9) }] })
    const admin = callerOf(server.http.mount({ management: true }))
    renameSync(join(repository, 'm'), join(repository, '../m'))
    expect(await admin.post('/v2/repository/models/m/load')).toMatchObject({ status: 404, json: { code: 'MODEL_NOT_FOUND' } })
    expect(server.models().map(({ version }) => version)).toEqual(['1', '9'])
  })

  test('warns of what it passes over', async () => {
    const repository = repositoryWith({ 'm/1/model.onnx': constantOf(1), 'other/01/model.onnx': constantOf(1) })
    const server = await serverFor({ repository })
    const admin = callerOf(server.http.mount({ management: true }))
    const events = watch(server)
    put(repository, 'm/2.tmp/model.onnx', constantOf(2))
    expect(await admin.post('/v2/repository/models/m/load')).toMatchObject({ status: 200 })
    const warnings = events.seen.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
    expect(warnings).toEqual([expect.stringContaining('2.tmp is not served')])
  })

  test('the index stays readable while the repository is away', async () => {
    const repository = repositoryWith({ 'm/1/model.onnx': constantOf(1) })
    const server = await serverFor({ repository })
    const admin = callerOf(server.http.mount({ management: true }))
    renameSync(repository, `${repository}-away`)
    expect(await admin.post('/v2/repository/index')).toMatchObject({ status: 200, json: [{ name: 'm', state: 'READY' }] })
  })

  test('asked for a thousand times at once, loads twice', async () => {
    const repository = repositoryWith({ 'm/1/model.onnx': constantOf(1) })
    const server = await serverFor({ repository })
    const admin = callerOf(server.http.mount({ management: true }))
    const events = watch(server)
    const replies = await Promise.all(Array.from({ length: 1000 }, () => admin.post('/v2/repository/models/m/load')))
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]))
    const begun = events.seen.filter((event) => event.type === 'model' && event.state === 'loading')
    expect(begun).toHaveLength(2)
  })

  test('asked for after the files changed, is not answered by a load that began before', async () => {
    const repository = repositoryWith({ 'm/1/model.onnx': constantOf(1) })
    const server = await serverFor({ repository })
    const admin = callerOf(server.http.mount({ management: true }))
    const first = admin.post('/v2/repository/models/m/load')
    const begun = watch(server).next((event) => event.type === 'model' && event.state === 'ready')
    await begun
    put(repository, 'm/1/model.onnx', constantOf(7))
    expect(await admin.post('/v2/repository/models/m/load')).toMatchObject({ status: 200 })
    await first
    expect(await answerOf(server)).toBe(7)
  })

  test('that is overtaken by an unload stays unloaded', async () => {
    const repository = repositoryWith({ 'm/1/model.onnx': constantOf(1) })
    const server = await serverFor({ repository })
    const admin = callerOf(server.http.mount({ management: true }))
    const begun = watch(server).next((event) => event.type === 'model' && event.state === 'loading')
    const load = admin.post('/v2/repository/models/m/load')
    await begun
    await server.unload('m')
    expect((await load).status).toBeGreaterThanOrEqual(400)
    expect(server.models()).toEqual([])
  })
})

test('an unload by name waits for what was accepted, and for nothing else', async () => {
  const repository = repositoryWith({ 'm/1/model.onnx': slowLoopModel(), 'other/1/model.onnx': slowLoopModel() })
  const server = await serverFor({ repository, session: { intraOpNumThreads: 1 } })
  const admin = callerOf(server.http.mount({ management: true }))
  const order: string[] = []
  const told = <T>(what: string, work: Promise<T>): Promise<T> => work.finally(() => order.push(what))
  const accepted = [200_000n, 1n].map((trips) => told('answered', server.predict('m', { trips }, { timeoutMs: 60_000 })))
  const elsewhere = told('elsewhere', server.predict('other', { trips: 3_000_000n }, { timeoutMs: 60_000 }))
  await posted()
  const unloaded = told('unloaded', admin.post('/v2/repository/models/m/unload'))
  await expect(server.predict('m', { trips: 1n })).rejects.toMatchObject({ code: 'MODEL_NOT_READY' })
  expect(await unloaded).toMatchObject({ status: 200 })
  await Promise.all(accepted)
  await elsewhere
  expect(order).toEqual(['answered', 'answered', 'unloaded', 'elsewhere'])
})

describe('load() in code', () => {
  test.each([false, true])(
    'that fails leaves the version, its labels and its place as they were (replace: %s)',
    async (replace) => {
      const server = await serverFor({ models: [{ name: 'm', source: constantOf(1), versionLabels: { stable: '1' } }] })
      const caller = asking(server)
      const spec = { name: 'm', source: Buffer.from('garbage'), versionLabels: { stable: '1', fresh: '1' } }
      await expect(server.load(spec, { replace })).rejects.toMatchObject({ code: 'MODEL_INVALID' })
      expect(await caller.stop()).toEqual(new Set([1]))
      expect(server.health()).toMatchObject({
        ready: true,
        models: [{ version: '1', reloadFailed: expect.stringMatching(/\S/) }],
      })
      expect(server.model('m').versionLabels).toEqual(['stable'])
      await server.load({ name: 'm', source: constantOf(2) }, { replace })
      expect(await answerOf(server)).toBe(2)
      expect(server.health().models[0]).not.toHaveProperty('reloadFailed')
    },
  )

  test('one version’s line has an end: more loads are refused with a time to come back', async () => {
    const server = await serverFor({ models: [] })
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => server.load({ name: 'm', source: constantOf(i) })),
    )
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
    expect(refused).toHaveLength(11)
    for (const error of refused) expect(error).toMatchObject({ code: 'QUEUE_FULL', status: 503, retryAfterS: 1 })
    // In the order in which they came.
    expect(await answerOf(server)).toBe(8)
    await server.load({ name: 'm', source: constantOf(99) })
    expect(await answerOf(server)).toBe(99)
  })
})

const UNPRIVILEGED = needs('user whose rights are checked: this is root', process.getuid?.() !== 0)
test('a folder that may not be read for a moment is an error too', UNPRIVILEGED, async () => {
  const repository = repositoryWith({ 'm/1/model.onnx': constantOf(1) })
  const server = await serverFor({ repository })
  const admin = callerOf(server.http.mount({ management: true }))
  chmodSync(join(repository, 'm'), 0)
  const { status } = await admin.post('/v2/repository/models/m/load')
  chmodSync(join(repository, 'm'), 0o755)
  expect(status).toBe(404)
  expect(await answerOf(server)).toBe(1)
})
