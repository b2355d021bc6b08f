/** A model serves before it is proved that its requests may share runs: alone until then, and at once where an earlier proof was kept. */

import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ModelServer, ModelServerOptions, PredictResult, ServerEvent } from 'modelmount'
import { afterAll, describe, expect, test } from 'vitest'
import { mlpModel } from '../../tools/models.mjs'
import { hold, nextWorker, workerPids } from '../support/children.ts'
import { watch } from '../support/events.ts'
import { LINUX } from '../support/needs.ts'
import { proofOf, serverFor } from '../support/server.ts'
import { sharedCost } from '../support/small-models.ts'

const dir = mkdtempSync(join(tmpdir(), 'proof-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))
const freshDir = (): string => mkdtempSync(join(dir, 'd-'))
const entriesIn = (cacheDirectory: string): string[] =>
  readdirSync(join(cacheDirectory, 'proofs')).map((name) => join(cacheDirectory, 'proofs', name))

const WIDTH = 32
const model = mlpModel({ layers: [WIDTH, 16, 2] })
const input = (seed: number) => ({ features: [Array.from({ length: WIDTH }, (_, i) => Math.sin(seed + i))] })
const ask = (server: ModelServer, count: number): Promise<PredictResult[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => server.predict('m', input(i))))
const numbers = ({ outputs }: PredictResult): number[] => Array.from(outputs.scores?.data as Float32Array)

const batchingEvents = ({ seen }: { readonly seen: readonly ServerEvent[] }) =>
  seen.flatMap((event) => (event.type === 'batching' ? [event] : []))

const proving = (options: Partial<ModelServerOptions> = {}): Promise<ModelServer> =>
  serverFor({ proofCache: false, strict: true, ...options, models: options.models ?? [{ name: 'm', source: model }] })

/** A server whose model serves, with the child that tries it held where it is. */
async function held(options: Partial<ModelServerOptions> = {}) {
  const server = await proving({ ...options, models: [] })
  const events = watch(server)
  await server.load({ name: 'm', source: model })
  const child = await nextWorker([])
  return { server, events, child, release: hold([child]) }
}

describe('while it is being proved', LINUX, () => {
  test('a model answers right, each request alone; afterwards they share runs', async () => {
    const { server, events, release } = await held()
    expect(server.health().ready).toBe(true)
    expect(server.model('m')).toMatchObject({ state: 'ready', batching: { state: 'proving', enabled: false, maxSize: 1 } })
    const before = await ask(server, 50)
    expect(new Set(before.map(({ batchSize }) => batchSize))).toEqual(new Set([1]))
    expect(server.model('m').batching.state).toBe('proving')
    release()
    expect(await proofOf(server, 'm')).toMatchObject({ state: 'proved', enabled: true })
    const after = await ask(server, 50)
    expect(Math.max(...after.map(({ batchSize }) => batchSize))).toBeGreaterThan(1)
    for (const [i, result] of after.entries())
      for (const [at, number] of numbers(result).entries())
        expect(number).toBeCloseTo(numbers(before[i] as PredictResult)[at] ?? 0, 4)
    expect(batchingEvents(events)).toMatchObject([
      { model: 'm', version: '1', state: 'proving', enabled: false, source: 'proof' },
      { model: 'm', version: '1', state: 'proved', enabled: true, source: 'proof' },
    ])
  })

  test.each(['close', 'unload', 'replace'] as const)('%s ends the child, and waits for nothing of it', async (how) => {
    const { server, child } = await held()
    if (how === 'close') await server.close()
    else if (how === 'unload') await server.unload('m')
    else await server.load({ name: 'm', source: sharedCost() })
    // The replacement is proved in another one.
    await expect.poll(() => workerPids().includes(child)).toBe(false)
    if (how === 'replace') expect(await proofOf(server, 'm')).toMatchObject({ state: 'proved' })
    await expect.poll(workerPids).toEqual([])
  })

  test('a child that dies leaves the model served, says so, and is not started again', async () => {
    const { server, events, child, release } = await held()
    const untried = events.next(({ type }) => type === 'untried')
    process.kill(child, 'SIGKILL')
    release()
    expect(await untried).toMatchObject({ model: 'm', reason: expect.stringContaining('SIGKILL') })
    expect(await proofOf(server, 'm')).toMatchObject({
      state: 'untried',
      enabled: false,
      reason: expect.stringMatching(/SIGKILL/),
    })
    expect((await ask(server, 5)).map(({ batchSize }) => batchSize)).toEqual([1, 1, 1, 1, 1])
    expect(workerPids()).toEqual([])
    expect(batchingEvents(events).map(({ state }) => state)).toEqual(['proving', 'untried'])
  })

  test('a proof that waits behind another model’s is given up at once', async () => {
    const { server, child } = await held()
    await server.load({ name: 'behind', source: sharedCost() })
    await server.unload('behind')
    expect(workerPids()).toEqual([child])
    expect(server.model('m').batching.state).toBe('proving')
  })
})

test('requests that go on all the time are answered, and do not keep the proof from its end', async () => {
  const server = await proving()
  let over = false
  const callers = Array.from({ length: 8 }, async (_, i) => {
    const sizes: number[] = []
    while (!over) sizes.push((await server.predict('m', input(i))).batchSize)
    return sizes
  })
  expect(await proofOf(server, 'm')).toMatchObject({ state: 'proved' })
  over = true
  for (const sizes of await Promise.all(callers)) expect(Math.min(...sizes)).toBeGreaterThan(0)
})

describe('a model that waits for its proof', () => {
  test('is ready with it', async () => {
    const server = await proving({ proof: 'before-ready' })
    expect(server.model('m').batching).toMatchObject({ state: 'proved', enabled: true })
  })

  test('or has none, and says why', async () => {
    const server = await proving({ models: [{ name: 'm', source: model, batching: false }] })
    expect(server.model('m').batching).toEqual({ state: 'off', enabled: false, reason: 'switched off', maxSize: 1 })
  })
})

describe('a proof that was kept', () => {
  const kept = async (cacheDirectory: string, options: Partial<ModelServerOptions> = {}) => {
    const warnings: string[] = []
    const logger = { info() {}, warn: (line: string) => void warnings.push(line), error() {} }
    const server = await proving({ proofCache: true, cacheDirectory, logger, ...options })
    return { server, warnings, batching: server.model('m').batching }
  }
  /** The first server of a folder. */
  async function first(cacheDirectory: string, options: Partial<ModelServerOptions> = {}) {
    const { server } = await kept(cacheDirectory, options)
    const batching = await proofOf(server, 'm')
    await expect.poll(() => entriesIn(cacheDirectory).filter((name) => name.endsWith('.json')).length).toBe(1)
    return { server, batching }
  }

  test('is there at once in the next server, and requests share runs by it', LINUX, async () => {
    const cacheDirectory = freshDir()
    const { batching } = await first(cacheDirectory)
    const next = await kept(cacheDirectory)
    expect(next.batching).toMatchObject({ state: 'proved', enabled: true, reason: batching.reason })
    const answers = await ask(next.server, 50)
    expect(Math.max(...answers.map(({ batchSize }) => batchSize))).toBeGreaterThan(1)
    expect([workerPids(), next.warnings]).toEqual([[], []])
    // The document shows a request that the model takes, as it did.
    expect(JSON.stringify(next.server.openapi())).toContain('"example"')
  })

  test('serves a replacement and another version with the same bytes, but not one with others', LINUX, async () => {
    const { server } = await first(freshDir())
    expect((await server.load({ name: 'm', source: model })).batching.state).toBe('proved')
    expect((await server.load({ name: 'm', version: '2', source: model })).batching.state).toBe('proved')
    const other = mlpModel({ layers: [WIDTH, 16, 2], seed: 9 })
    expect((await server.load({ name: 'm', version: '3', source: other })).batching.state).toBe('proving')
  })

  test.each([
    ['batching', { batching: { maxSize: 4 } }],
    ['the session', { session: { graphOptimizationLevel: 'basic' } }],
    ['the samples', { warmup: [input(1)] }],
  ] as const)('is not used where %s differs', async (_, spec) => {
    const cacheDirectory = freshDir()
    await first(cacheDirectory)
    const { batching, warnings } = await kept(cacheDirectory, { models: [{ name: 'm', source: model, ...spec }] })
    expect([batching.state, warnings]).toEqual(['proving', []])
  })

  test.each([
    ['damaged', (path: string) => writeFileSync(path, readFileSync(path, 'utf8').slice(0, 100))],
    ['edited', (path: string) => writeFileSync(path, readFileSync(path, 'utf8').replaceAll(/ms\\":[\d.]+/g, 'ms\\":0.001'))],
  ])('and was %s is not used: one line of the log says so, and the next proof takes its place', async (_, spoil) => {
    const cacheDirectory = freshDir()
    await first(cacheDirectory)
    const [path] = entriesIn(cacheDirectory) as [string]
    spoil(path)
    const spoilt = readFileSync(path, 'utf8')
    const { server, batching, warnings } = await kept(cacheDirectory)
    expect(batching.state).toBe('proving')
    expect(warnings).toEqual([expect.stringMatching(/^m@1: the kept proof .* is damaged/)])
    expect(await proofOf(server, 'm')).toMatchObject({ state: 'proved' })
    await expect.poll(() => readFileSync(path, 'utf8')).not.toBe(spoilt)
    expect((await kept(cacheDirectory)).batching.state).toBe('proved')
  })

  test('of another model, under this one’s name, is not used', async () => {
    const [mine, others] = [freshDir(), freshDir()]
    await first(mine)
    await first(others, { models: [{ name: 'm', source: sharedCost() }] })
    renameSync(entriesIn(others)[0] as string, entriesIn(mine)[0] as string)
    const { batching, warnings } = await kept(mine)
    expect([batching.state, warnings]).toEqual(['proving', [expect.stringMatching(/is of another model/)]])
  })

  test('by several servers at once is whole', async () => {
    const cacheDirectory = freshDir()
    const servers = await Promise.all(Array.from({ length: 3 }, () => kept(cacheDirectory)))
    for (const { server } of servers) expect(await proofOf(server, 'm')).toMatchObject({ state: 'proved' })
    await expect.poll(() => entriesIn(cacheDirectory).length).toBe(1)
    const { batching, warnings } = await kept(cacheDirectory)
    expect([batching.state, warnings]).toEqual(['proved', []])
  })

  test('nowhere is no fault', async () => {
    const file = join(freshDir(), 'file')
    writeFileSync(file, '')
    const { server, warnings } = await kept(file)
    expect(await proofOf(server, 'm')).toMatchObject({ state: 'proved' })
    expect(warnings).toEqual([])
  })
})
