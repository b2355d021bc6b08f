/** Weights once: the derived models, their use, and that no failure of them costs a load or a request. */

import { spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createModelServer, type ModelServer, type ModelSpec, type ServerEvent } from 'modelmount'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { matmulChainModel } from '../../tools/models.mjs'
import { node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { nextWorker, workerPids } from '../support/children.ts'
import { watch } from '../support/events.ts'
import { LINUX, POSIX, TWO_CPUS } from '../support/needs.ts'

/** No child that proves, and no file of its own, beside those that are counted here. */
const PROVED = { proof: 'before-ready', proofCache: false } as const

const SIZE = 512
const INPUT = { x: new Float32Array(SIZE).map((_, i) => (i % 7) / 7) }
/** 2 MB of weights. */
const model = matmulChainModel({ size: SIZE, count: 2 })
const otherModel = matmulChainModel({ size: SIZE, count: 2, seed: 9 })

/** A cache folder in which `model` was derived already, to copy: making it takes a second each time. */
let derived = ''
beforeAll(async () => {
  derived = mkdtempSync(join(tmpdir(), 'weights-derived-'))
  const source = join(derived, 'model.onnx')
  writeFileSync(source, model)
  const server = await createModelServer({ models: [], cacheDirectory: join(derived, 'cache'), logger: false, ...PROVED })
  const made = watch(server).next(({ type }) => type === 'weights')
  await server.load({ name: 'm', source, shareWeights: true })
  expect(await made).toMatchObject({ form: 'shared' })
  await server.close()
})
afterAll(() => rmSync(derived, { recursive: true, force: true }))
const deriveBefore = (): void => cpSync(join(derived, 'cache'), cache, { recursive: true })

let dir = ''
let cache = ''
let source = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'weights-test-'))
  cache = join(dir, 'cache')
  source = join(dir, 'model.onnx')
  writeFileSync(source, model)
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

interface Served {
  readonly server: ModelServer
  readonly events: ServerEvent[]
  /** The decision about the weights, once every instance is there. */
  settled(): Promise<{ form: string; reason: string; failed: boolean | undefined }>
  answer(): Promise<ArrayLike<number>>
}

async function serve(spec: Partial<ModelSpec> = {}, cacheDirectory = cache): Promise<Served> {
  const events: ServerEvent[] = []
  const models: ModelSpec[] = []
  const server = await createModelServer({ models, cacheDirectory, logger: false, ...PROVED })
  onTestFinished(() => server.close({ timeoutMs: 5000 }))
  server.subscribe((event) => events.push(event))
  const { instances = 2 } = spec
  const least = typeof instances === 'number' ? instances : Math.max(1, instances.min)
  await server.load({ name: 'm', source, instances, shareWeights: true, ...spec })
  return {
    server,
    events,
    async settled() {
      await expect
        .poll(() => server.model('m').weights.reason !== 'being prepared' && server.model('m').instances.ready >= least, {
          timeout: 20_000,
          interval: 5,
        })
        .toBe(true)
      const told = events.findLast((event) => event.type === 'weights')
      return { ...server.model('m').weights, failed: told?.type === 'weights' ? told.failed : undefined }
    },
    answer: async () => (await server.predict('m', INPUT)).outputs.y?.data as Float32Array,
  }
}

const entries = (): string[] => (existsSync(cache) ? readdirSync(cache) : [])
const drafts = (): string[] => entries().filter((name) => name.startsWith('draft-'))
const only = (): string => {
  expect(entries()).toHaveLength(1)
  return join(cache, entries()[0] as string)
}
const maps = (pid: number | 'self'): boolean => readFileSync(`/proc/${pid}/maps`, 'latin1').includes(`${cache}/`)

describe.each(['thread', 'process'] as const)('instances in tier %s', (isolation) => {
  test('share what the first start derives and a later one finds; answers stay the same', async () => {
    const plain = await serve({ isolation, shareWeights: false })
    const expected = await plain.answer()
    expect(plain.server.model('m').weights).toEqual({ form: 'plain', reason: 'switched off with shareWeights: false' })
    await plain.server.close()

    const first = await serve({ isolation })
    expect(first.server.model('m').instances).toMatchObject({ ready: 1, target: 2 })
    expect(await first.settled()).toMatchObject({ form: 'shared', reason: expect.stringMatching(/^made anew/), failed: false })
    expect(await first.answer()).toEqual(expected)
    await first.server.close()
    const modified = statSync(join(only(), 'weights.bin')).mtimeMs

    const second = await serve({ isolation })
    // No instance ever held a copy of its own.
    expect(second.server.model('m')).toMatchObject({
      instances: { ready: 2, target: 2 },
      weights: { form: 'shared', reason: expect.stringMatching(/^mapped from the cache/) },
    })
    expect(await second.answer()).toEqual(expected)
    expect(statSync(join(only(), 'weights.bin')).mtimeMs).toBe(modified)
    expect(statSync(cache).mode & 0o777).toBe(0o700)
    expect(statSync(only()).mode & 0o777).toBe(0o700)
  })

  test('are exchanged under load without a failed request', async () => {
    const served = await serve({ isolation })
    const expected = await served.answer()
    let answered = 0
    let going = true
    const callers = Array.from({ length: 8 }, async () => {
      while (going) {
        const answer = await served.answer()
        // Rows that run together may be summed in another order.
        for (const i of [0, 17, 511]) expect(answer[i]).toBeCloseTo(expected[i] as number, 3)
        answered++
      }
    })
    expect(await served.settled()).toMatchObject({ form: 'shared' })
    const before = answered
    await expect.poll(() => answered, { interval: 1 }).toBeGreaterThan(before + 20)
    going = false
    await Promise.all(callers)
    await expect.poll(() => served.server.model('m').instances.ready).toBe(2)
    expect(served.events.filter(({ type }) => type === 'worker-lost')).toEqual([])
  })
})

describe('what is mapped', LINUX, () => {
  test('a child that is started anew maps it too; without the files it loads the model itself', async () => {
    deriveBefore()
    const served = await serve({ isolation: 'process' })
    await served.settled()
    await expect.poll(() => workerPids().length === 2 && workerPids().every(maps)).toBe(true)
    const [first, second] = workerPids() as [number, number]
    process.kill(first, 'SIGKILL')
    await expect.poll(() => workerPids().length === 2 && !workerPids().includes(first) && workerPids().every(maps)).toBe(true)

    await served.answer()
    rmSync(cache, { recursive: true })
    process.kill(second, 'SIGKILL')
    await expect.poll(() => served.server.model('m').weights.form).toBe('plain')
    expect(await served.settled()).toMatchObject({ failed: true, reason: expect.stringContaining('changed or gone') })
    await served.answer()
  })

  test('weights in a file of their own are shared as well, and belong to the key', async () => {
    const weights = new Float32Array(SIZE * SIZE).map((_, i) => (i % 13) / 1000)
    const external = { location: 'w.bin', offset: 0, length: weights.byteLength }
    const bytes = writeModel({
      graph: {
        inputs: [value('x', 'float', ['N', SIZE])],
        outputs: [value('y', 'float', ['N', SIZE])],
        nodes: [node('MatMul', ['x', 'w'], ['y'])],
        initializers: [tensor('w', 'float', [SIZE, SIZE], undefined, { external })],
      },
    })
    writeFileSync(source, bytes)
    writeFileSync(join(dir, 'w.bin'), new Uint8Array(weights.buffer))
    const first = await serve()
    expect(await first.settled()).toMatchObject({ form: 'shared' })
    expect(maps('self')).toBe(true)
    const before = (await first.answer())[3] as number
    await first.server.close()

    writeFileSync(join(dir, 'w.bin'), new Uint8Array(weights.map((weight) => 2 * weight).buffer))
    const second = await serve()
    expect(await second.settled()).toMatchObject({ form: 'shared', reason: expect.stringMatching(/^made anew/) })
    expect((await second.answer())[3]).toBeCloseTo(2 * before, 3)
    expect(entries()).toHaveLength(2)
  })
})

describe('instances that come later map it too', LINUX, () => {
  test('when the load grows', TWO_CPUS, async () => {
    deriveBefore()
    const served = await serve({ isolation: 'process', instances: { min: 1, max: 2 }, scaling: { targetDelayMs: 0.5 } })
    expect(await served.settled()).toMatchObject({ form: 'shared' })
    const rows = 256
    const x = { type: 'float32', dims: [rows, SIZE], data: new Float32Array(rows * SIZE) } as const
    const { server } = served
    let more = true
    const callers = Array.from({ length: 24 }, async () => {
      while (more) await server.predict('m', { x }, { batch: false })
    })
    await expect.poll(() => server.model('m').instances.ready).toBe(2)
    more = false
    await Promise.all(callers)
    expect(workerPids().map(maps)).toEqual([true, true])
  })

  test('when the model was out of memory, which is reckoned without what all of them share', async () => {
    const plain = await serve({ isolation: 'process', instances: 1, shareWeights: false })
    const copied = plain.server.model('m').memory
    expect(copied).toMatchObject({ basis: 'measured', sharedBytes: 0 })
    await plain.server.close()

    deriveBefore()
    const served = await serve({ isolation: 'process', instances: { min: 0, max: 2 }, scaling: { idleMs: 1000 } })
    expect(await served.settled()).toMatchObject({ form: 'shared' })
    await expect.poll(() => served.server.model('m').resident).toBe(false)
    await expect.poll(workerPids).toEqual([])
    await served.answer()
    expect(workerPids().map(maps)).toEqual([true])
    const { memory } = served.server.model('m')
    expect(memory).toMatchObject({ basis: 'measured', sharedBytes: 2 * SIZE * SIZE * 4 })
    expect(memory?.perInstanceBytes).toBeLessThan(copied?.perInstanceBytes as number)
  })
})

describe('what was derived before', () => {
  test.each([
    ['a flipped bit in the weights', 'weights.bin', (bytes: Buffer) => bytes.fill((bytes[5000] as number) ^ 1, 5000, 5001)],
    ['a manifest that is none', 'manifest.json', () => Buffer.from('{"format":1')],
  ])('is made anew after damage: %s', async (_, file, damage) => {
    deriveBefore()
    const path = join(only(), file)
    writeFileSync(path, damage(readFileSync(path)))

    const second = await serve()
    expect(await second.settled()).toMatchObject({ form: 'shared', reason: expect.stringMatching(/^made anew/), failed: false })
    await second.answer()
    expect(drafts()).toEqual([])
  })

  test('is not used for another model in the same place, nor with other session options', async () => {
    deriveBefore()
    writeFileSync(source, otherModel)
    const second = await serve()
    expect(await second.settled()).toMatchObject({ reason: expect.stringMatching(/^made anew/) })
    await second.server.close()
    const third = await serve({ session: { graphOptimizationLevel: 'basic' } })
    expect(await third.settled()).toMatchObject({ reason: expect.stringMatching(/^made anew/) })
    expect(entries()).toHaveLength(3)
  })

  test('goes when nobody has used it for a month, and what crashed builds left goes too', async () => {
    deriveBefore()
    const old = new Date(Date.now() - 31 * 24 * 3_600_000)
    utimesSync(join(only(), 'manifest.json'), old, old)
    const host = hostname().replace(/[^A-Za-z0-9]/g, '_')
    // No process has so high a number; the second one belongs to a machine that we know nothing of.
    const dead = join(cache, `draft-${host}-99999999-aa`)
    const foreign = join(cache, 'draft-elsewhere-1-bb')
    const abandoned = join(cache, 'draft-elsewhere-1-cc')
    for (const path of [dead, foreign, abandoned]) mkdirSync(path)
    utimesSync(abandoned, old, old)
    writeFileSync(join(cache, 'notes.txt'), 'not ours')

    writeFileSync(source, otherModel)
    const second = await serve()
    await second.settled()
    await second.server.close()
    expect(entries().filter((name) => /^[0-9a-f]{16}-/.test(name))).toHaveLength(1)
    expect([dead, foreign, abandoned].map(existsSync)).toEqual([false, true, false])
    expect(existsSync(join(cache, 'notes.txt'))).toBe(true)
  })
})

describe('a cache directory that is not safe or not there', () => {
  const cases: [string, () => string, RegExp][] = [
    [
      'a symbolic link',
      () => {
        mkdirSync(join(dir, 'real'), { mode: 0o700 })
        symlinkSync(join(dir, 'real'), cache)
        return `${cache}/`
      },
      /is a symbolic link/,
    ],
    [
      'writable for others',
      () => {
        mkdirSync(cache)
        chmodSync(cache, 0o777)
        return cache
      },
      /can be written by others/,
    ],
    ['a file', () => source, /is not a directory/],
    ['in a place where nothing can be made', () => '/proc/modelmount', /cannot be used/],
  ]
  if (process.getuid?.() === 0)
    cases.push([
      "somebody else's",
      () => {
        mkdirSync(cache, { mode: 0o700 })
        chownSync(cache, 65534, 65534)
        return cache
      },
      /belongs to another user/,
    ])
  else
    cases.push([
      'read-only',
      () => {
        mkdirSync(cache, { mode: 0o500 })
        return cache
      },
      /cannot be used \(EACCES\)/,
    ])

  test.each(cases)('is refused, and the model is served plainly: %s', POSIX, async (_, make, why) => {
    const served = await serve({}, make())
    expect(await served.settled()).toEqual({ form: 'plain', reason: expect.stringMatching(why), failed: true })
    expect(served.server.model('m').instances).toMatchObject({ ready: 2, target: 2 })
    expect((await served.answer()).length).toBe(SIZE)
    if (existsSync(join(dir, 'real'))) expect(readdirSync(join(dir, 'real'))).toEqual([])
  })
})

describe('a build', () => {
  test('that several processes begin at once leaves one result, which all use', async () => {
    const script = fileURLToPath(new URL('weights-host.mjs', import.meta.url))
    const said = await Promise.all(
      Array.from({ length: 3 }, async () => {
        const host = spawn(process.execPath, [script, source, cache], { stdio: ['ignore', 'pipe', 'inherit'] })
        let text = ''
        for await (const chunk of host.stdout) text += chunk
        return JSON.parse(text) as { form: string; first: number }
      }),
    )
    expect(said.map(({ form }) => form)).toEqual(['shared', 'shared', 'shared'])
    expect(new Set(said.map(({ first }) => first)).size).toBe(1)
    expect(drafts()).toEqual([])
    only()
  })

  test('that is killed costs sharing, nothing else', LINUX, async () => {
    const builder = nextWorker()
    // Nothing is tried, so that the builder is the only child.
    const served = await serve({ batching: false, warmup: [INPUT] })
    process.kill(await builder, 'SIGKILL')
    expect(await served.settled()).toEqual({ form: 'plain', reason: expect.stringContaining('SIGKILL'), failed: true })
    expect(served.server.model('m').instances).toMatchObject({ ready: 2, target: 2 })
    await served.answer()
    expect(entries()).toEqual([])
  })

  test('that the server does not wait for leaves nothing behind', async () => {
    const served = await serve()
    await served.server.close()
    expect(entries()).toEqual([])
    if (process.platform === 'linux') await expect.poll(workerPids).toEqual([])
  })

  test('is judged once: answers must be the same, and unless asked for, runs as fast', async () => {
    deriveBefore()
    const path = join(only(), 'manifest.json')
    const judge = (verdict: { same: boolean; speed: number }): void =>
      writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), verdict }))

    judge({ same: false, speed: 1 })
    const differs = await serve()
    expect(differs.server.model('m').instances.ready).toBe(2)
    expect(await differs.settled()).toEqual({ form: 'plain', reason: expect.stringContaining('other answers'), failed: false })

    judge({ same: true, speed: 0.5 })
    const slow = await serve()
    expect(await slow.settled()).toMatchObject({ form: 'shared', reason: expect.stringMatching(/mapped .* at 0\.50/) })
  })
})

describe('by default', () => {
  test.each<[string, Partial<ModelSpec>, RegExp]>([
    ['small weights', {}, /sharing starts at 16777216/],
    ['one instance', { instances: 1 }, /none to share with/],
    ['bytes', { source: model }, /only files can be mapped/],
    ['another provider', { executionProviders: ['cuda', 'cpu'] }, /only the cpu execution provider/],
  ])('nothing is derived for %s', async (_, spec, reason) => {
    const served = await serve({ shareWeights: 'auto', ...spec })
    expect(served.server.model('m').weights).toEqual({ form: 'plain', reason: expect.stringMatching(reason) })
    expect(served.events.filter(({ type }) => type === 'weights')).toEqual([])
    expect(entries()).toEqual([])
  })

  test('large weights of several instances are shared, unless that was measured to be slower', async () => {
    writeFileSync(source, matmulChainModel({ size: SIZE, count: 17 }))
    const first = await serve()
    expect(await first.settled()).toMatchObject({ form: 'shared' })
    const answer = await first.answer()
    await first.server.close()
    const path = join(only(), 'manifest.json')
    const manifest = JSON.parse(readFileSync(path, 'utf8'))
    for (const [speed, form] of [
      [0.94, 'plain'],
      [0.95, 'shared'],
    ]) {
      writeFileSync(path, JSON.stringify({ ...manifest, verdict: { same: true, speed } }))
      const served = await serve({ shareWeights: 'auto' })
      expect(await served.settled()).toMatchObject({ form, failed: false })
      expect(await served.answer()).toEqual(answer)
    }
  })

  test('senseless options are refused', async () => {
    const options = { models: [], shareWeights: 'yes', cacheDirectory: 7 } as never
    await expect(createModelServer(options)).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      details: {
        problems: [
          'shareWeights must be true, false or \'auto\', got "yes"',
          'cacheDirectory must be the path of a directory, got 7',
        ],
      },
    })
  })
})
