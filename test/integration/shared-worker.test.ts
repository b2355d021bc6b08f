/** Small models in one worker thread: the ones that share it, the ones that leave it, and the effect on the others. */

import type { ModelServer, ModelSpec } from 'modelmount'
import { describe, expect, test } from 'vitest'
import { matmulChainModel, mlpModel, slowLoopModel } from '../../tools/models.mjs'
import { attr, node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { watch } from '../support/events.ts'
import { posted, serverFor } from '../support/server.ts'
import { plus } from '../support/small-models.ts'
import { endThread, holdThreads, workerThreads } from '../support/threads.ts'

const X = { x: [1] }
const small = (term: number, settings: Partial<ModelSpec> = {}): ModelSpec => ({
  name: `m${term}`,
  source: plus(term),
  batching: false,
  ...settings,
})
const answer = async (server: ModelServer, term: number): Promise<unknown> =>
  (await server.predict(`m${term}`, X)).outputs.y?.data[0]

describe('who shares', () => {
  test('small models, and they say so', async () => {
    const server = await serverFor({ models: [small(1), small(2), small(3)], strict: true })
    expect(workerThreads()).toHaveLength(1)
    for (const { tier, instances, memory } of server.models()) {
      expect(tier).toEqual({ name: 'shared', reason: expect.stringContaining('shares a worker thread') })
      expect(instances).toMatchObject({ ready: 1, threads: 1 })
      // A third of the thread, and a session.
      expect(memory?.perInstanceBytes).toBeLessThan(7 * 2 ** 20)
    }
    expect(await Promise.all([1, 2, 3].map((term) => answer(server, term)))).toEqual([2, 3, 4])
  })

  test.each<[string, ModelSpec, string]>([
    ['switched off', small(1, { sharedWorker: false }), 'switched off with sharedWorker: false'],
    ['with several instances', small(1, { instances: { min: 1, max: 2 } }), 'several instances'],
    ['with session options', small(1, { session: { graphOptimizationLevel: 'basic' } }), 'session options of its own'],
    ['that is nice', small(1, { niceness: 1 }), 'niceness'],
    ['with control flow', { name: 'm1', source: slowLoopModel() }, 'operator Loop runs for as long as a request wants'],
    ['of more than 1 MiB', { name: 'm1', source: matmulChainModel({ size: 512, count: 2 }) }, 'models of up to 1048576'],
  ])('not one %s', async (_, model, reason) => {
    const server = await serverFor({ models: [model, small(2)], strict: true })
    expect(server.model('m1').tier).toEqual({ name: 'worker', reason: expect.stringContaining(reason) })
    expect(server.model('m2').tier.name).toBe('shared')
    expect(workerThreads()).toHaveLength(2)
  })

  test('one with a session for runs of one thread does', async () => {
    const server = await serverFor({ models: [small(1, { session: { intraOpNumThreads: 1 } })], strict: true })
    expect(server.model('m1').tier.name).toBe('shared')
  })
})

describe('a lost thread', () => {
  test('costs the runs in it: all models come back, in one new thread', async () => {
    const server = await serverFor({ models: [small(1), small(2), small(3)], strict: true })
    const { seen } = watch(server)
    const before = workerThreads()
    expect(before).toHaveLength(1)
    holdThreads()
    const lost = server.predict('m1', X)
    await posted()
    for (const thread of before) void endThread.whenIdle(thread)
    await expect(lost).rejects.toMatchObject({ code: 'WORKER_LOST' })
    expect(await Promise.all([1, 2, 3].map((term) => answer(server, term)))).toEqual([2, 3, 4])
    const losses = seen.flatMap((event) => (event.type === 'worker-lost' ? [event] : []))
    expect(losses.map(({ model }) => model).sort()).toEqual(['m1', 'm2', 'm3'])
    for (const { restartInMs } of losses) expect(restartInMs).toBe(0)
    expect(server.models().map(({ tier }) => tier.name)).toEqual(['shared', 'shared', 'shared'])
    await expect.poll(workerThreads).toHaveLength(1)
    expect(workerThreads()).not.toEqual(before)
  })

  test('in the middle of a run gives that model a thread of its own; the others have nothing to answer for', async () => {
    const server = await serverFor({
      models: [small(1), small(2), small(3), small(4), small(5), small(6), small(7)],
      strict: true,
    })
    const { seen } = watch(server)
    // The models on the first seats end it, one after the other; the last one never did it any harm.
    for (let round = 1; round <= 6; round++) {
      const [shared] = workerThreads().filter((thread) => endThread.has(thread))
      const lastWas = server.models().filter(({ tier }) => tier.name === 'worker').length
      endThread.inTheMiddleOf(shared, 0)
      await expect.poll(() => server.models().filter(({ tier }) => tier.name === 'worker').length).toBe(lastWas + 1)
      for (let term = 1; term <= 7; term++) expect(await answer(server, term)).toBe(1 + term)
    }
    expect(seen.filter(({ type }) => type === 'breaker')).toEqual([])
    const reason = expect.stringContaining('a shared thread ended in the middle of one of its runs')
    const moved = seen.flatMap((event) => (event.type === 'tier' ? [event] : []))
    expect(moved).toHaveLength(6)
    for (const event of moved) expect(event).toMatchObject({ tier: 'worker', reason })
    for (const event of seen) if (event.type === 'worker-lost') expect(event.restartInMs).toBe(0)
    expect(server.models().filter(({ tier }) => tier.name === 'shared')).toHaveLength(1)
  })
})

describe('a busy model', () => {
  test('does not starve its mates: one request is answered before a thousand that came first', async () => {
    const server = await serverFor({ models: [small(1, { maxQueue: 2000, maxQueuePerTenant: 2000 }), small(2)], strict: true })
    let answered = 0
    const many = Array.from({ length: 1000 }, () => server.predict('m1', X).then(() => answered++))
    expect(await answer(server, 2)).toBe(3)
    expect(answered).toBeLessThan(1000)
    await Promise.all(many)
  })

  test('whose runs are long moves to a thread of its own, and no request is lost', async () => {
    const big = matmulChainModel({ size: 256, count: 3 })
    const server = await serverFor({ models: [{ name: 'big', source: big, batching: false }, small(1)], strict: true })
    const { seen } = watch(server)
    const x = { type: 'float32', dims: [1024, 256], data: new Float32Array(1024 * 256) } as const
    while (server.model('big').tier.name === 'shared')
      await Promise.all([server.predict('big', { x }), server.predict('big', { x }), answer(server, 1)])
    const reason = 'its runs take longer than those of a small model'
    expect(seen.filter(({ type }) => type === 'tier')).toEqual([
      { type: 'tier', model: 'big', version: '1', tier: 'worker', from: 'shared', reason },
    ])
    expect(server.model('big').tier).toEqual({ name: 'worker', reason: expect.stringContaining(reason) })
    // The new one serves before the old one goes.
    while (workerThreads().length < 2 || server.model('big').instances.ready !== 1)
      await Promise.all([server.predict('big', { x }), answer(server, 1)])
    await server.predict('big', { x })
    expect(server.model('m1').tier.name).toBe('shared')
    expect(seen.filter(({ type }) => type === 'worker-lost')).toEqual([])
  })

  test('does not hinder the unload of a mate, and the last one takes the thread with it', async () => {
    const server = await serverFor({ models: [small(1), small(2)], strict: true })
    let goOn = true
    const callers = Array.from({ length: 8 }, async () => {
      while (goOn) expect(await answer(server, 1)).toBe(2)
    })
    await server.unload('m2')
    await server.load(small(3))
    expect(await answer(server, 3)).toBe(4)
    await server.unload('m3')
    goOn = false
    await Promise.all(callers)
    await expect.poll(workerThreads).toHaveLength(1)
    await server.unload('m1')
    await expect.poll(workerThreads).toEqual([])
    await server.load(small(4))
    expect(await answer(server, 4)).toBe(5)
  })
})

/** x float32 [N] -> y = x + 0: ONNX Runtime multiplies large matrices while it loads the model, because all of them are constants. */
const slowToLoad = writeModel({
  graph: {
    inputs: [value('x', 'float', ['N'])],
    outputs: [value('y', 'float', ['N'])],
    nodes: [
      node('ConstantOfShape', ['shape'], ['c0']),
      ...Array.from({ length: 8 }, (_, i) => node('MatMul', [`c${i}`, 'c0'], [`c${i + 1}`])),
      node('ReduceSum', ['c8'], ['sum'], { keepdims: attr.int(0) }),
      node('Add', ['x', 'sum'], ['y']),
    ],
    initializers: [tensor('shape', 'int64', [2], BigInt64Array.of(1500n, 1500n))],
  },
})

describe('a long load', () => {
  test('of a server with requests is made apart, and its model stays there', async () => {
    const server = await serverFor({ models: [small(1)], strict: true })
    let answers = 0
    let loading = true
    const load = server.load({ name: 'slow', source: slowToLoad, batching: false }).finally(() => {
      loading = false
    })
    while (loading) {
      await answer(server, 1)
      answers++
    }
    const { tier } = await load
    expect(tier).toEqual({ name: 'worker', reason: expect.stringMatching(/its load took \d+ ms/) })
    expect(answers).toBeGreaterThan(5)
    expect((await server.predict('slow', X)).outputs.y?.data[0]).toBe(1)
  })

  test('at the start leaves all models ready', async () => {
    const server = await serverFor({
      models: [{ name: 'slow', source: slowToLoad, batching: false }, small(1), small(2)],
      strict: true,
    })
    expect(await Promise.all([1, 2].map((term) => answer(server, term)))).toEqual([2, 3])
    expect((await server.predict('slow', X)).outputs.y?.data[0]).toBe(1)
    expect(server.health().ready).toBe(true)
  })
})

test('models of any kind beside each other: every one answers as it would alone', async () => {
  const sources = [mlpModel({ seed: 1 }), mlpModel({ seed: 2, layers: [32, 64, 64, 2] }), mlpModel({ seed: 3 })]
  const models = sources.map((source, i) => ({ name: `m${i}`, source }))
  const [shared, alone] = [await serverFor({ models }), await serverFor({ models, sharedWorker: false })]
  const requests = Array.from({ length: 150 }, (_, i) => ({
    model: `m${i % 3}`,
    inputs: { features: Float32Array.from({ length: 32 }, (_, k) => Math.sin(i * 32 + k)) },
  }))
  const [ours, theirs] = await Promise.all(
    [shared, alone].map((server) => Promise.all(requests.map(({ model, inputs }) => server.predict(model, inputs)))),
  )
  const scoresOf = (answers: typeof ours): unknown[] => answers?.map(({ outputs }) => [...(outputs.scores?.data ?? [])]) ?? []
  for (const [i, scores] of scoresOf(ours).entries())
    for (const [k, score] of (scores as number[]).entries())
      expect(score).toBeCloseTo((scoresOf(theirs)[i] as number[])[k] as number, 4)
})
