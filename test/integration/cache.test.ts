/** Kept results with real workers: the right ones, for the right callers, for as long as they are right. */

import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import type { CacheStore, ModelServer, PredictInputs, PredictOptions, Tensor } from 'modelmount'
import { createModelServer } from 'modelmount'
import { modelRouter } from 'modelmount/express'
import { describe, expect, onTestFinished, test } from 'vitest'
import { addModel, gatherModel, identityModel, slowLoopModel } from '../../tools/models.mjs'
import { attr, node, value, writeModel } from '../../tools/onnx-writer.mjs'
import { hold } from '../support/children.ts'
import { watch } from '../support/events.ts'
import { httpFor } from '../support/http.ts'
import { LINUX } from '../support/needs.ts'
import { posted, serverFor } from '../support/server.ts'
import { constantOf, mirror, plus, slowEcho } from '../support/small-models.ts'

type FloatTensor = Extract<Tensor, { type: 'float32' }>

const CACHE = { maxBytes: 1_000_000 }
/** About a microsecond per trip here. */
const SLOW = { trips: 200_000n }

const serve = (source: Uint8Array, settings: object = {}): Promise<ModelServer> =>
  serverFor({ strict: true, models: [{ name: 'm', source, cache: CACHE, ...settings }] })

const countsOf = (server: ModelServer) => server.model('m').cache

/** a float [N], b float [M], s string [K] -> each unchanged: the output shows whose result it is. */
const JOINED = writeModel({
  graph: {
    inputs: [value('a', 'float', ['N']), value('b', 'float', ['M']), value('s', 'string', ['K'])],
    outputs: [value('ab', 'float', ['L']), value('b2', 'float', ['M']), value('s2', 'string', ['K'])],
    nodes: [
      node('Concat', ['a', 'b'], ['ab'], { axis: attr.int(0) }),
      node('Identity', ['b'], ['b2']),
      node('Identity', ['s'], ['s2']),
    ],
  },
})

describe('a kept result', () => {
  test('is the same, and says so', async () => {
    const server = await serve(plus(1))
    const first = await server.predict('m', { x: [1, 2] })
    expect(first).toMatchObject({ cached: false, batchSize: expect.any(Number) })
    expect(first).not.toHaveProperty('ageMs')
    const second = await server.predict('m', { x: Float32Array.of(1, 2) }, { id: 'mine' })
    expect(second).toMatchObject({ id: 'mine', model: 'm', version: '1', cached: true, batchSize: 0 })
    expect(second.outputs).toEqual(first.outputs)
    expect(Object.getPrototypeOf(second.outputs)).toBe(null)
    expect(second.ageMs).toBeGreaterThan(0)
    expect(second.timings).toMatchObject({ queueMs: 0, inferMs: 0 })
    expect(countsOf(server)).toMatchObject({ hits: 1, misses: 1, entries: 1, bytes: expect.any(Number) })
  })

  test('is there only where it was asked for', async () => {
    const server = await serverFor({
      strict: true,
      cache: CACHE,
      models: [
        { name: 'on', source: plus(1) },
        { name: 'off', source: plus(1), cache: false },
      ],
    })
    for (const [name, cached] of [
      ['on', true],
      ['off', false],
    ] as const) {
      await server.predict(name, { x: [1] })
      expect((await server.predict(name, { x: [1] })).cached).toBe(cached)
    }
    expect(server.model('off')).not.toHaveProperty('cache')
  })

  test('is passed by on demand, in both directions', async () => {
    const server = await serve(plus(1))
    await server.predict('m', { x: [1] }, { cache: false })
    expect((await server.predict('m', { x: [1] })).cached).toBe(false)
    expect((await server.predict('m', { x: [1] }, { cache: false })).cached).toBe(false)
    expect((await server.predict('m', { x: [1] })).cached).toBe(true)
    expect(countsOf(server)).toMatchObject({ hits: 1, misses: 1 })
  })

  test('does not excuse a wrong request', async () => {
    const server = await serve(plus(1))
    await server.predict('m', { x: [1] })
    const wrong: [PredictInputs, PredictOptions, string][] = [
      [{ x: ['1'] }, {}, 'INPUT_INVALID'],
      [{ x: Int32Array.of(1) }, {}, 'INPUT_INVALID'],
      [{ x: [[1]] }, {}, 'INPUT_INVALID'],
      [{ x: [1], z: [1] }, {}, 'INPUT_INVALID'],
      [{ x: [1] }, { outputs: ['nope'] }, 'OUTPUT_NOT_FOUND'],
      [{ x: [1] }, { version: '2' }, 'VERSION_NOT_FOUND'],
      [{ x: [1] }, { signal: AbortSignal.abort() }, 'ABORTED'],
      [{ x: [1] }, { tenant: '' }, 'OPTIONS_INVALID'],
      [{ x: [1] }, { tenant: 'x'.repeat(257) }, 'OPTIONS_INVALID'],
    ]
    for (const [inputs, opts, code] of wrong) await expect(server.predict('m', inputs, opts)).rejects.toMatchObject({ code })
    expect(countsOf(server)).toMatchObject({ hits: 0, misses: 1 })
  })

  test('cannot be spoiled by whoever has it, nor by the inputs it came from', async () => {
    const server = await serve(identityModel('float', ['N']))
    const x = Float32Array.of(1, 2, 3)
    const pending = server.predict('m', { x })
    x.fill(9)
    const results = [await pending]
    for (let i = 0; i < 3; i++) {
      const result = await server.predict('m', { x: [1, 2, 3] })
      expect(result).toMatchObject({ cached: true, outputs: { y: { dims: [3], data: Float32Array.of(1, 2, 3) } } })
      results.push(result)
      for (const { outputs } of results) {
        ;(outputs.y as FloatTensor).data.fill(-1)
        ;(outputs.y?.dims as number[] | undefined)?.push(7)
      }
    }
    expect(new Set(results.map(({ outputs }) => (outputs.y as FloatTensor).data.buffer)).size).toBe(4)
  })

  test('of an error does not exist', async () => {
    const server = await serve(gatherModel())
    for (let i = 0; i < 2; i++)
      await expect(server.predict('m', { indices: [99] })).rejects.toMatchObject({ code: 'INPUT_REJECTED' })
    expect(countsOf(server)).toMatchObject({ hits: 0, misses: 2, entries: 0, bytes: 0 })
  })

  test('is dropped by purge(), for one version, one model, all', async () => {
    const models = ['a', 'b'].flatMap((name) => ['1', '2'].map((version) => ({ name, version, source: plus(1) })))
    const server = await serverFor({ strict: true, cache: CACHE, models })
    const ask = async () => {
      const cached: string[] = []
      for (const { name, version } of models)
        if ((await server.predict(name, { x: [1] }, { version })).cached) cached.push(name + version)
      return cached
    }
    await ask()
    expect(await ask()).toEqual(['a1', 'a2', 'b1', 'b2'])
    expect(server.purge('a', '2')).toBe(1)
    expect(await ask()).toEqual(['a1', 'b1', 'b2'])
    expect(server.purge('b')).toBe(2)
    expect(await ask()).toEqual(['a1', 'a2'])
    expect(server.purge()).toBe(4)
    expect(await ask()).toEqual([])
    expect(() => server.purge('c')).toThrow(expect.objectContaining({ code: 'MODEL_NOT_FOUND' }))
    expect(() => server.purge('a', '3')).toThrow(expect.objectContaining({ code: 'VERSION_NOT_FOUND' }))
  })

  test('grows old', async () => {
    const server = await serve(plus(1), { cache: { ...CACHE, ttlMs: 1 } })
    await server.predict('m', { x: [1] })
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect((await server.predict('m', { x: [1] })).cached).toBe(false)
  })
})

describe('nobody gets the result of another request', () => {
  const asked = (a: number[], b: number[], s: string[] = ['x']): PredictInputs => ({ a, b, s })

  test('borders, shapes, strings and outputs count', async () => {
    const server = await serve(JOINED)
    const requests: [PredictInputs, PredictOptions?][] = [
      [asked([1, 2], [3])],
      [asked([1], [2, 3])],
      [asked([3], [1, 2])],
      [asked([1, 2, 3], [])],
      [asked([], [1, 2, 3])],
      [asked([0], [0])],
      [asked([-0], [0])],
      [asked([1, 2], [3], ['x', ''])],
      [asked([1, 2], [3], ['', 'x'])],
      [asked([1, 2], [3], ['x\x01'])],
      [asked([1, 2], [3], ['1'])],
      [asked([1, 2], [3]), { outputs: ['ab'] }],
      [asked([1, 2], [3]), { outputs: ['ab', 'b2'] }],
    ]
    for (const pass of [false, true]) {
      for (const [inputs, opts] of requests) {
        const { outputs, cached } = await server.predict('m', inputs, opts)
        expect(cached).toBe(pass)
        const { a, b, s } = inputs as { a: number[]; b: number[]; s: string[] }
        expect(Object.keys(outputs)).toEqual(opts?.outputs ?? ['ab', 'b2', 's2'])
        expect(outputs.ab).toEqual({ type: 'float32', dims: [a.length + b.length], data: Float32Array.from([...a, ...b]) })
        if (outputs.b2) expect(outputs.b2.data).toEqual(Float32Array.from(b))
        if (outputs.s2) expect(outputs.s2.data).toEqual(s)
      }
    }
    expect(countsOf(server)).toMatchObject({ hits: requests.length, misses: requests.length })
  })

  test('[2,3] is not [3,2], float32 is not int32, 1 is not "1"', async () => {
    const server = await serve(mirror({ float: 'float', int: 'int32', text: 'string' }))
    const bits = Int32Array.of(1, 2, 3, 4, 5, 6)
    const float = { type: 'float32' as const, data: new Float32Array(bits.buffer) }
    const int = { type: 'int32' as const, data: bits }
    const text = { type: 'string' as const, dims: [1], data: ['1'] }
    const inputs = (dims: number[], first: Tensor['data'], second: Tensor['data']): PredictInputs => ({
      in_float: { ...float, dims, data: first as Float32Array },
      in_int: { ...int, dims, data: second as Int32Array },
      in_text: text,
    })
    for (const dims of [[2, 3], [3, 2], [6], [1, 6], [6, 1]]) {
      const { outputs, cached } = await server.predict('m', inputs(dims, float.data, int.data))
      expect(cached).toBe(false)
      expect(outputs.out_float?.dims).toEqual(dims)
      expect(outputs.out_int?.dims).toEqual(dims)
    }
    // The same bits, the other way round.
    const swapped = await server.predict('m', inputs([6], Float32Array.of(1, 2, 3, 4, 5, 6), new Int32Array(6)))
    expect(swapped).toMatchObject({ cached: false, outputs: { out_int: { data: new Int32Array(6) } } })
  })

  test('the same bits as another type under the same name and version', async () => {
    const server = await serve(identityModel('float', ['N']))
    const bits = Int32Array.of(1, 2)
    await server.predict('m', { x: new Float32Array(bits.buffer) })
    await server.load({ name: 'm', source: identityModel('int32', ['N']), cache: CACHE })
    expect(await server.predict('m', { x: bits })).toMatchObject({ cached: false, outputs: { y: { type: 'int32', data: bits } } })
  })

  test('tenants have each their own, and so has everybody without one', async () => {
    const server = await serve(plus(1))
    const ask = async (tenant?: string) => (await server.predict('m', { x: [1] }, { tenant })).cached
    for (const tenant of ['a', 'b', undefined, 'undefined']) expect([tenant, await ask(tenant)]).toEqual([tenant, false])
    for (const tenant of ['a', 'b', undefined, 'undefined']) expect([tenant, await ask(tenant)]).toEqual([tenant, true])
  })

  test('models and versions have each their own', async () => {
    const server = await serverFor({
      strict: true,
      cache: CACHE,
      models: [
        { name: 'a', version: '1', source: constantOf(1) },
        { name: 'a', version: '2', source: constantOf(2) },
        { name: 'b', version: '1', source: constantOf(3) },
      ],
    })
    for (const cached of [false, true]) {
      expect(await server.predict('a', {}, { version: '1' })).toMatchObject({
        cached,
        outputs: { y: { data: Float32Array.of(1) } },
      })
      expect(await server.predict('a', {})).toMatchObject({ cached, version: '2', outputs: { y: { data: Float32Array.of(2) } } })
      expect(await server.predict('b', {})).toMatchObject({ cached, outputs: { y: { data: Float32Array.of(3) } } })
    }
  })

  test('a replaced model starts anew, also under the same version', async () => {
    const server = await serve(constantOf(1))
    await server.predict('m', {})
    await server.load({ name: 'm', source: constantOf(2), cache: CACHE })
    expect(await server.predict('m', {})).toMatchObject({ cached: false, outputs: { y: { data: Float32Array.of(2) } } })
    expect(countsOf(server)).toMatchObject({ hits: 0, misses: 1, entries: 1 })
    await server.unload('m')
    await expect(server.predict('m', {})).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
    await server.load({ name: 'm', source: constantOf(2), cache: CACHE })
    expect((await server.predict('m', {})).cached).toBe(false)
  })

  test('what was under way while the model was replaced does not come back later', async () => {
    const server = await serve(slowEcho())
    const old = server.predict('m', { ...SLOW, x: [1] })
    await posted()
    await server.load({ name: 'm', source: slowEcho(), cache: CACHE })
    expect((await server.predict('m', { ...SLOW, x: [1] })).cached).toBe(false)
    expect(await old).toMatchObject({ cached: false, outputs: { y: { data: Float32Array.of(1) } } })
    expect((await server.predict('m', { ...SLOW, x: [1] })).cached).toBe(true)
  })
})

describe('equal requests at the same time', () => {
  test('50 of them run once', async () => {
    const server = await serve(slowEcho())
    const results = await Promise.all(Array.from({ length: 50 }, () => server.predict('m', { ...SLOW, x: [1, 2] })))
    expect(results.filter(({ cached }) => !cached)).toHaveLength(1)
    expect(countsOf(server)).toMatchObject({ hits: 49, misses: 1, entries: 1 })
    for (const { outputs } of results) expect(outputs.y).toEqual({ type: 'float32', dims: [2], data: Float32Array.of(1, 2) })
    expect(new Set(results.map(({ outputs }) => (outputs.y as FloatTensor).data.buffer)).size).toBe(50)
    // One run's worth of computing is reported, not fifty.
    expect(results.filter(({ timings }) => timings.inferMs > 0)).toHaveLength(1)
  })

  test('mixed with others, each gets its own', async () => {
    const server = await serve(plus(1))
    const results = await Promise.all(Array.from({ length: 300 }, (_, i) => server.predict('m', { x: [i % 10] })))
    for (const [i, { outputs }] of results.entries()) expect(outputs.y?.data[0]).toBe((i % 10) + 1)
    expect(countsOf(server)).toMatchObject({ hits: 290, misses: 10 })
  })

  test('the first may go away', async () => {
    const server = await serve(slowLoopModel())
    const giveUp = new AbortController()
    const opts: PredictOptions[] = [{ signal: giveUp.signal }, {}, {}]
    const outcomes = Promise.allSettled(opts.map((opts) => server.predict('m', { trips: 1n }, opts)))
    await posted()
    giveUp.abort()
    const answered = { status: 'fulfilled' }
    expect(await outcomes).toMatchObject([{ reason: { code: 'ABORTED' } }, answered, answered])
    expect(countsOf(server)).toMatchObject({ misses: 1, entries: 1 })
  })

  test('the first may go away or run out of time, in a process', LINUX, async () => {
    const server = await serve(slowLoopModel(), { isolation: 'process' })
    const release = hold()
    const giveUp = new AbortController()
    const opts: PredictOptions[] = [{ signal: giveUp.signal }, {}, { timeoutMs: 5 }, {}]
    const sent = opts.map((opts) => server.predict('m', { trips: 1n }, opts))
    const outcomes = Promise.allSettled(sent)
    await posted()
    giveUp.abort()
    await Promise.allSettled([sent[0], sent[2]])
    release()
    expect(await outcomes).toMatchObject([
      { reason: { code: 'ABORTED' } },
      { status: 'fulfilled' },
      { reason: { code: 'DEADLINE_EXCEEDED' } },
      { status: 'fulfilled' },
    ])
    expect(countsOf(server)).toMatchObject({ misses: 1, entries: 1 })
    const again = hold()
    const short = [{ timeoutMs: 5 }, {}, {}].map((opts) => server.predict('m', { trips: 2n }, opts))
    await Promise.allSettled(short.slice(0, 1))
    again()
    expect(await Promise.allSettled(short)).toMatchObject([
      { reason: { code: 'DEADLINE_EXCEEDED' } },
      { status: 'fulfilled' },
      { status: 'fulfilled' },
    ])
  })

  test('that have all gone leave the queue', async () => {
    const server = await serve(slowLoopModel())
    const busy = server.predict('m', SLOW)
    await posted()
    const giveUp = new AbortController()
    const gone = Promise.allSettled(
      Array.from({ length: 5 }, () => server.predict('m', { trips: 2n ** 40n }, { signal: giveUp.signal })),
    )
    giveUp.abort()
    for (const outcome of await gone) expect(outcome).toMatchObject({ reason: { code: 'ABORTED' } })
    await busy
    // The endless run was never started: another one is answered.
    expect((await server.predict('m', { trips: 1n })).cached).toBe(false)
  })

  test('are all answered when the server closes', async () => {
    const server = await serve(slowEcho())
    const results = Promise.all(Array.from({ length: 10 }, () => server.predict('m', { ...SLOW, x: [1] })))
    await posted()
    await server.close()
    expect((await results).map(({ outputs }) => outputs.y?.data[0])).toEqual(new Array(10).fill(1))
  })
})

test('HTTP requests are served from what is kept, with the same bytes', async () => {
  const server = await serve(addModel())
  const client = await httpFor(express().use(modelRouter(server)))
  const floats = (name: string) => ({ name, shape: [1, 4], datatype: 'FP32', data: [1, 2, 3, 4] })
  const body = { inputs: [floats('a'), floats('b')] }
  const first = await client.post('/v2/models/m/infer', body)
  const second = await client.post('/v2/models/m/infer', { inputs: [...body.inputs].reverse() })
  expect(second.status).toBe(200)
  expect(second.text).toBe(first.text)
  expect(second.text).not.toMatch(/cache|age/)
  expect(countsOf(server)).toMatchObject({ hits: 1, misses: 1 })
  // In process and over HTTP alike, as long as neither names a tenant.
  expect((await server.predict('m', { a: [[1, 2, 3, 4]], b: [[1, 2, 3, 4]] })).cached).toBe(true)
})

describe('a shared store', () => {
  const secret = Uint8Array.from({ length: 32 }, (_, i) => i + 1)
  function mapStore(): CacheStore & { readonly values: Map<string, Uint8Array> } {
    const values = new Map<string, Uint8Array>()
    return { values, secret, get: async (key) => values.get(key), set: async (key, value) => values.set(key, value) }
  }

  test('serves two servers that have loaded the same bytes, and none that has not', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'cache-test-'))
    onTestFinished(() => rm(dir, { recursive: true }))
    const file = join(dir, 'model.onnx')
    writeFileSync(file, plus(1))
    const store = mapStore()
    const cache = { ...CACHE, store }
    const one = await serve(plus(1), { cache })
    const same = await serve(file as unknown as Uint8Array, { cache })
    const other = await serve(plus(2), { cache })
    expect((await one.predict('m', { x: [1] })).cached).toBe(false)
    expect(await same.predict('m', { x: [1] })).toMatchObject({ cached: true, outputs: { y: { data: Float32Array.of(2) } } })
    expect(await other.predict('m', { x: [1] })).toMatchObject({ cached: false, outputs: { y: { data: Float32Array.of(3) } } })
    expect(store.values.size).toBe(2)
    // A purge holds for the process that asked for it.
    expect(same.purge('m')).toBe(1)
    expect((await same.predict('m', { x: [1] })).cached).toBe(false)
  })

  test('that fails is told of in an event, and costs no request', async () => {
    const fail = () => Promise.reject(new Error('no'))
    const server = await serve(plus(1), { cache: { ...CACHE, store: { secret, get: fail, set: fail } } })
    const events = watch(server)
    for (let x = 0; x < 5; x++) expect((await server.predict('m', { x: [x] })).outputs.y?.data[0]).toBe(x + 1)
    expect((await server.predict('m', { x: [0] })).cached).toBe(true)
    expect(events.seen.filter(({ type }) => type === 'warning')).toHaveLength(1)
  })

  test('that hangs while a version is replaced costs no request', async () => {
    let asked = (): void => {}
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve
    })
    const get = () => {
      asked()
      return new Promise<undefined>(() => {})
    }
    const store: CacheStore = { secret, get, set: async () => {}, timeoutMs: 20_000 }
    const server = await serve(constantOf(1), { cache: { ...CACHE, store } })
    const old = server.predict('m', {})
    await isAsked
    await server.load({ name: 'm', source: constantOf(2) })
    expect(await old).toMatchObject({ cached: false, outputs: { y: { data: Float32Array.of(1) } } })
    expect((await server.predict('m', {})).outputs.y?.data[0]).toBe(2)
  })
})

test('options that make no sense are refused, all at once', async () => {
  const bad = createModelServer({
    logger: false,
    cache: true as never,
    models: [
      { name: 'a', source: plus(1), cache: {} as never },
      { name: 'b', source: plus(1), cache: { maxBytes: 100, ttlMs: 0.5, size: 1 } as never },
      { name: 'c', source: plus(1), cache: { maxBytes: 4096, store: { get() {}, secret: new Uint8Array(31) } as never } },
      { name: 'd', source: plus(1), cache: { maxBytes: 4096, store: 'redis://' as never } },
      {
        name: 'e',
        source: plus(1),
        cache: { maxBytes: 4096, store: { get() {}, set() {}, secret: new Uint8Array(32), timeoutMs: 0 } as never },
      },
    ],
  })
  await expect(bad).rejects.toMatchObject({
    code: 'OPTIONS_INVALID',
    details: {
      problems: expect.arrayContaining([
        'cache must be an object, got true',
        'models[0].cache.maxBytes is missing',
        expect.stringMatching(/^models\[1\]\.cache\.maxBytes must be an integer from 4096 to/),
        expect.stringMatching(/^models\[1\]\.cache\.ttlMs must be an integer from 1/),
        expect.stringMatching(/^models\[1\]\.cache\.size is not an option/),
        'models[2].cache.store must have the methods get and set, got an object',
        'models[2].cache.store.secret must have at least 32 bytes, got 31',
        'models[3].cache.store must have the methods get and set, got "redis://"',
        'models[4].cache.store.secret must be random bytes, got zeros',
        'models[4].cache.store.timeoutMs must be a number of milliseconds over 0, got 0',
      ]),
    },
  })
})
