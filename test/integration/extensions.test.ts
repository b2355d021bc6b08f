/** Extensions, written against the interfaces of `modelmount/extension` and nothing else of the library. */

import { ModelmountError } from 'modelmount'
import { type Action, type Answer, type Call, type Demand, type Extension, PLACES, type Servable } from 'modelmount/extension'
import { describe, expect, onTestFinished, test } from 'vitest'
import { addModel, gatherModel } from '../../tools/models.mjs'
import { HOSTS } from '../adapters/hosts.ts'
import { ADD } from '../adapters/requests.ts'
import { watch } from '../support/events.ts'
import { callerOf } from '../support/mount.ts'
import { provedServerFor, serverFor } from '../support/server.ts'
import { sharedCost } from '../support/small-models.ts'

/** Sees every prediction from its first step on. */
function watcher(seen: string[]): Extension {
  return {
    apiVersion: 1,
    name: 'watcher',
    stages: {
      observe: (next) => async (call) => {
        try {
          const answer = await next(call)
          seen.push(`${call.model} ${answer.ageMs === undefined ? 'run' : 'kept'}`)
          return answer
        } catch (error) {
          seen.push(`${call.model} ${(error as ModelmountError).code}`)
          throw error
        }
      },
    },
  }
}

/** Answers by itself: each value twice. */
function doubling() {
  let isDrained = false
  const servable: Servable = {
    name: 'doubling',
    version: '7',
    kind: 'remote',
    state: 'ready',
    available: true,
    signature: {
      inputs: [{ name: 'x', type: 'float32', declaredType: 'float32', dims: ['rows'] }],
      outputs: [{ name: 'y', type: 'float32', declaredType: 'float32', dims: ['rows'] }],
    },
    info: () => ({ doc: 'Doubles.' }),
    async run({ inputs, at }: Call) {
      const { dims, data } = inputs.x as { dims: readonly number[]; data: Float32Array }
      const y = { type: 'float32', dims, data: data.map((value) => value * 2) } as const
      return { outputs: { y }, queueMs: 0, inferMs: 1, batchSize: dims[0] ?? 1, endedAt: at + 1 }
    },
    async drain() {
      isDrained = true
    },
  }
  return { servable, isDrained: () => isDrained }
}

const X = { x: Float32Array.of(1, 2, 3) }
const SUMMANDS = { a: [[1, 2, 3, 4]], b: [[1, 1, 1, 1]] }

describe('a stage', () => {
  test('sees every prediction, refusals and kept results included', async () => {
    const seen: string[] = []
    const server = await serverFor({
      models: { add: addModel() },
      cache: { maxBytes: 1e6 },
      extensions: [watcher(seen)],
    })
    await server.predict('add', SUMMANDS)
    await server.predict('add', SUMMANDS)
    await server.predict('nothing', SUMMANDS).catch(() => {})
    await server.predict('add', {}).catch(() => {})
    await server.predict('add', SUMMANDS, { timeoutMs: -1 }).catch(() => {})
    const { post } = callerOf(server.http.mount())
    expect((await post('/v2/models/add/infer', ADD)).status).toBe(200)
    expect((await post('/v2/models/add/infer', '{')).status).toBe(400)
    expect((await post('/v2/models/nothing/infer', '{}')).status).toBe(404)
    await server.close()
    await server.predict('add', SUMMANDS).catch(() => {})
    expect(seen).toEqual([
      'add run',
      'add kept',
      'nothing MODEL_NOT_FOUND',
      'add INPUT_INVALID',
      'add OPTIONS_INVALID',
      'add kept',
      'add REQUEST_INVALID',
      'nothing MODEL_NOT_FOUND',
      'add SERVER_CLOSED',
    ])
  })

  test('stands in its place, the first of the list outermost', async () => {
    const order: string[] = []
    const named = (name: string): Extension => ({
      apiVersion: 1,
      name,
      stages: Object.fromEntries(
        PLACES.map((place) => [
          place,
          (next: (call: Call) => ReturnType<Servable['run']>) => (call: Call) => {
            order.push(`${name} ${place}`)
            return next(call)
          },
        ]),
      ),
    })
    const server = await serverFor({ models: { add: addModel() }, extensions: [named('one'), named('two')] })
    await server.predict('add', SUMMANDS)
    expect(order).toEqual(PLACES.flatMap((place) => [`one ${place}`, `two ${place}`]))
  })

  test('that throws an error of its own answers 500, is named in the log, and ends nothing', async () => {
    const broken: Extension = {
      apiVersion: 1,
      name: 'broken',
      stages: {
        admit: (next) => (call) => {
          if (call.id === 'bad' || call.request?.headers['x-bad']) throw new TypeError('oh')
          return next(call)
        },
      },
    }
    const server = await serverFor({ models: { add: addModel() }, extensions: [broken] })
    const { seen } = watch(server)
    await expect(server.predict('add', SUMMANDS, { id: 'bad' })).rejects.toMatchObject({ code: 'INTERNAL' })
    const { post } = callerOf(server.http.mount())
    const refused = await post('/v2/models/add/infer', ADD, { 'x-bad': 'yes' })
    expect([refused.status, refused.json]).toEqual([500, { error: 'internal error', code: 'INTERNAL' }])
    expect((await post('/v2/models/add/infer', ADD)).status).toBe(200)
    expect(seen.map((event) => ('message' in event ? event.message : ''))).toContainEqual(
      expect.stringMatching(/extension 'broken' failed in the place 'admit'.*oh/),
    )
  })

  test('may change a call, and answer one by itself', async () => {
    const server = await serverFor({
      models: { add: addModel() },
      extensions: [
        {
          apiVersion: 1,
          name: 'alias',
          stages: { admit: (next) => (call) => next(call.model === 'sum' ? { ...call, model: 'add' } : call) },
        },
      ],
    })
    expect(await server.predict('sum', SUMMANDS)).toMatchObject({ model: 'add', version: '1' })
  })
})

describe('an answer', () => {
  const answersOf = (answers: Answer[]): Extension => ({
    apiVersion: 1,
    name: 'answers',
    stages: {
      observe: (next) => async (call) => {
        const answer = await next(call)
        answers.push(answer)
        return answer
      },
    },
  })

  test.each(['thread', 'process'] as const)('names its run, which all requests in it share: %s', async (isolation) => {
    const answers: Answer[] = []
    const models = { m: { source: sharedCost(), isolation, instances: 1, cache: { maxBytes: 1e6 } } }
    const server = await provedServerFor({ models, extensions: [answersOf(answers)] })
    expect(server.model('m').batching.reason).toMatch(/times the rows per second/)
    const [{ name = '', dims = [] } = {}] = server.model('m').inputs
    const width = dims.at(-1) as number
    const ask = (value: number, cache = false) =>
      server.predict('m', { [name]: { type: 'float32', dims: [1, width], data: new Float32Array(width).fill(value) } }, { cache })
    await Promise.all(Array.from({ length: 8 }, (_, i) => ask(i)))
    const runs = new Map(answers.map(({ run }) => [run?.batchId, run]))
    expect(runs.size).toBeLessThan(8)
    for (const { run, batchSize } of answers) {
      expect(run).toEqual({
        batchId: expect.any(Number),
        runMs: expect.any(Number),
        tier: isolation === 'thread' ? 'worker' : isolation,
      })
      expect(run).toBe(runs.get(run?.batchId))
      expect(answers.filter((other) => other.run === run)).toHaveLength(batchSize)
    }
    await ask(9, true)
    await ask(9, true)
    expect(answers.at(-2)?.run?.batchId).toBeGreaterThan(Math.max(...[...runs.keys()].map(Number)))
    expect(answers.at(-1)?.run).toBeUndefined()
  })
})

describe('a servable', () => {
  test('is served by predict() and every dialect, listed and described', async () => {
    const { servable, isDrained } = doubling()
    const server = await serverFor({ models: [], extensions: [{ apiVersion: 1, name: 'remote', servables: [servable] }] })
    const result = await server.predict('doubling', X)
    expect(result).toMatchObject({ model: 'doubling', version: '7', cached: false })
    expect([...(result.outputs.y?.data ?? [])]).toEqual([2, 4, 6])
    const mount = { dialects: ['open-inference', 'tf-serving', 'mlflow'], management: true } as const
    const { get, post } = callerOf(server.http.mount(mount))
    const v2 = await post('/v2/models/doubling/infer', { inputs: [{ name: 'x', datatype: 'FP32', shape: [2], data: [1, 2] }] })
    expect(v2.json).toMatchObject({ model_version: '7', outputs: [{ name: 'y', data: [2, 4] }] })
    expect((await post('/v2/models/doubling/generate', { x: [1, 2] })).json).toMatchObject({ y: [2, 4] })
    expect((await post('/v1/models/doubling:predict', { inputs: { x: [1, 2] } })).json).toEqual({ outputs: [2, 4] })
    expect((await post('/invocations', { inputs: { x: [1, 2] } })).json).toEqual({ predictions: { y: [2, 4] } })
    expect((await post('/v2/repository/index')).json).toMatchObject([{ name: 'doubling', version: '7', state: 'READY' }])
    expect((await get('/v2/models/doubling')).json).toMatchObject({ inputs: [{ name: 'x', datatype: 'FP32' }] })
    expect(JSON.stringify((await get('/openapi.json')).json)).toContain('/v2/models/doubling/infer')
    expect(server.health()).toMatchObject({ ready: true })
    await expect(server.predict('doubling', { x: 'text' })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    await server.close()
    expect(isDrained()).toBe(true)
  })
})

describe('a guard', () => {
  const guard = (asked: Demand[], refuses: (demand: Demand) => boolean): Extension['guards'] =>
    // biome-ignore format: one line
    [(demand) => { asked.push(demand); if (refuses(demand)) throw new ModelmountError('FORBIDDEN', 'not for you') }]

  test('is asked for every method of the server and every route', async () => {
    const asked: Demand[] = []
    const extensions: readonly Extension[] = [{ apiVersion: 1, name: 'guard', guards: guard(asked, () => false) ?? [] }]
    const server = await serverFor({ models: { add: addModel() }, extensions })
    await server.predict('add', SUMMANDS)
    server.models()
    server.purge()
    server.setVersionLabel('add', 'best', '1')
    const { get, post } = callerOf(server.http.mount({ management: true }))
    await post('/v2/models/add/versions/1/infer', ADD)
    await get('/v2/models/add')
    await get('/v2')
    await post('/v2/repository/models/add/unload')
    expect(asked.map(({ via, action, model, version }) => [via, action, model, version])).toEqual([
      ['server', 'infer', 'add', undefined],
      ['server', 'list', undefined, undefined],
      ['server', 'cache', undefined, undefined],
      ['server', 'promote', 'add', '1'],
      ['http', 'infer', 'add', '1'],
      ['http', 'read', 'add', undefined],
      ['http', 'list', undefined, undefined],
      ['http', 'unload', 'add', undefined],
    ])
  })

  test('that decides later is awaited by the methods that return a promise, and refuses the others', async () => {
    const asked: Action[] = []
    const guards: Extension['guards'] = [
      async ({ action }) => {
        asked.push(action)
        if (action === 'unload') throw new ModelmountError('FORBIDDEN', 'not for you')
      },
    ]
    const server = await serverFor({ models: { add: addModel() }, extensions: [{ apiVersion: 1, name: 'later', guards }] })
    await server.predict('add', SUMMANDS)
    await server.load({ name: 'add', version: '2', source: addModel() })
    await expect(server.unload('add')).rejects.toThrow('not for you')
    expect(asked).toEqual(['infer', 'load', 'unload'])
    const late = (action: string) => ({ code: 'FORBIDDEN', message: expect.stringContaining(`must decide '${action}' at once`) })
    expect(() => server.models()).toThrow(expect.objectContaining(late('list')))
    expect(() => server.model('add')).toThrow(expect.objectContaining(late('read')))
    expect(() => server.setVersionLabel('add', 'best', '1')).toThrow(expect.objectContaining(late('promote')))
    expect(() => server.purge()).toThrow(expect.objectContaining(late('cache')))
  })

  test.each(HOSTS)('refuses before the body is read: $name', async ({ start }) => {
    const asked: Demand[] = []
    const refuses = ({ via, action }: Demand): boolean => via === 'http' && action === 'infer'
    const extensions: readonly Extension[] = [{ apiVersion: 1, name: 'guard', guards: guard(asked, refuses) ?? [] }]
    const server = await serverFor({ models: { add: addModel() }, extensions })
    const { port, close } = await start([{ server, prefix: '' }], 'bare')
    onTestFinished(close)
    // Not the body that a decoder would take.
    const response = await fetch(`http://127.0.0.1:${port}/v2/models/add/infer`, { method: 'POST', body: '{' })
    expect([response.status, await response.json()]).toEqual([403, { error: 'not for you', code: 'FORBIDDEN' }])
  })
})

describe('a route', () => {
  const routed: Extension = {
    apiVersion: 1,
    name: 'routed',
    routes: [
      {
        class: 'observe',
        method: 'GET',
        path: '/things/:model',
        action: 'audit',
        handle: (_request, { model }) => ({ status: 200, headers: {}, body: new TextEncoder().encode(model) }),
      },
    ],
  }

  test('is on the mounts that show its class', async () => {
    const server = await serverFor({ models: [], extensions: [routed] })
    expect((await callerOf(server.http.mount()).get('/things/a')).status).toBe(404)
    const { get } = callerOf(server.http.mount({ show: ['observe'] }))
    expect((await get('/things/a')).text).toBe('a')
    expect((await get('/v2')).status).toBe(404)
  })
})

test('answers of an extension that several requests share stay as they are', async () => {
  const text = (body: string, headers: Record<string, string>) => ({ status: 200, headers, body: new TextEncoder().encode(body) })
  const shared = { 'content-type': 'text/plain' }
  const frozen = Object.freeze(text('kept', Object.freeze({ 'content-type': 'text/plain' })))
  const answers = ['a', 'longer'].map((body) => text(body, shared))
  const extension: Extension = {
    apiVersion: 1,
    name: 'shared',
    routes: answers.map((answer, i) => ({
      ...{ class: 'inference', method: 'GET', path: `/${i}`, action: 'data' },
      handle: () => answer,
    })),
    stages: {
      observe: (next) => async (call) => {
        const answer = await next(call).catch(() => ({ outputs: {}, queueMs: 0, inferMs: 0, batchSize: 0, endedAt: call.at }))
        return { ...answer, response: frozen }
      },
    },
  }
  const server = await serverFor({ models: [], extensions: [extension] })
  const ask = (method: string, path: string) => server.http.handle({ method, path, headers: {} })
  const lengths = await Promise.all(['/0', '/1', '/0'].map(async (path) => (await ask('GET', path)).headers['content-length']))
  expect(lengths).toEqual(['1', '6', '1'])
  expect((await ask('POST', '/v2/models/m/infer')).headers).toEqual({ 'content-type': 'text/plain', 'content-length': '4' })
  expect(shared).toEqual({ 'content-type': 'text/plain' })
})

describe.each(HOSTS)('routes of extensions: $name', ({ start }) => {
  const bytes = (value: unknown) => ({ status: 200, headers: {}, body: new TextEncoder().encode(JSON.stringify(value)) })
  const routed: Extension = {
    apiVersion: 1,
    name: 'routed',
    routes: [
      {
        class: 'observe',
        method: 'GET',
        path: '/things/:model/v2',
        action: 'audit',
        handle: (_request, params) => bytes(params),
      },
      {
        class: 'inference',
        method: 'POST',
        path: '/echo/:model',
        action: 'data',
        handle: ({ body }) => bytes(Buffer.from(body as Uint8Array).toString()),
      },
      { class: 'manage', method: 'GET', path: '/keys', action: 'keys', handle: () => bytes('secret') },
    ],
  }

  test('are answered below its prefix, where the mount shows their class', async () => {
    const server = await serverFor({ models: { add: addModel() }, extensions: [routed] })
    const { port, close } = await start([{ server, prefix: '/ml', options: { show: ['inference', 'observe'] } }], 'bare')
    onTestFinished(close)
    const ask = async (path: string, init?: RequestInit): Promise<unknown> => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, init)
      return response.status === 200 ? response.json() : response.status
    }
    expect(await ask('/ml/things/a%20b/v2')).toEqual({ model: 'a b' })
    const body = '{"long":9007199254740993}'
    expect(await ask('/ml/echo/add', { method: 'POST', headers: { 'content-type': 'application/json' }, body })).toBe(body)
    expect(await ask('/ml/echo/add')).toBe(405)
    expect(await ask('/ml/keys')).toBe(404)
    expect(await ask('/ml/v2/models/add')).toMatchObject({ name: 'add' })
  })
})

describe('an extension', () => {
  test('is started before the first prediction and closed with the server, in reverse order', async () => {
    const order: string[] = []
    const named = (name: string): Extension => ({
      apiVersion: 1,
      name,
      start: () => void order.push(`start ${name}`),
      close: () => void order.push(`close ${name}`),
    })
    const server = await serverFor({ models: [], extensions: [named('one'), named('two')] })
    await server.close()
    expect(order).toEqual(['start one', 'start two', 'close two', 'close one'])
  })

  test('of another version, without a name, or in a place that there is not, is refused', async () => {
    const of = (extension: object) => serverFor({ models: [], extensions: [extension as Extension] })
    await expect(of({ apiVersion: 2, name: 'a' })).rejects.toThrow(/apiVersion 1, got 2/)
    await expect(of({ apiVersion: 1 })).rejects.toThrow(/name of lower-case/)
    await expect(of({ apiVersion: 1, name: 'a', stages: { before: (next: unknown) => next } })).rejects.toThrow(/'before'/)
    const twice = { apiVersion: 1, name: 'a' } as const
    await expect(serverFor({ models: [], extensions: [twice, twice] })).rejects.toThrow(/second 'a'/)
  })

  test('with a servable in the place of another one, or of a model, is refused', async () => {
    const { servable } = doubling()
    const named = (name: string): Extension => ({ apiVersion: 1, name, servables: [servable] })
    await expect(serverFor({ models: [], extensions: [named('a'), named('b')] })).rejects.toThrow(
      "extensions[1].servables[0] is a second version '7' of 'doubling'",
    )
    const server = await serverFor({ models: [], extensions: [named('a')] })
    const conflict = { code: 'MODEL_CONFLICT', status: 409 }
    await expect(server.load({ name: 'doubling', version: '7', source: addModel() })).rejects.toMatchObject(conflict)
    expect((await server.predict('doubling', X)).outputs.y?.data).toEqual(Float32Array.of(2, 4, 6))
    await server.load({ name: 'doubling', version: '8', source: addModel() })
  })
})

describe('the stack of a failed run', () => {
  const INDEX = { inputs: [{ name: 'indices', datatype: 'INT64', shape: [1], data: [99] }] }
  const NAMES = [...PLACES].reverse()

  const placesIn = (stack = ''): string[] =>
    [...stack.matchAll(/at async (\w+) \(modelmount, model/g)].map(([, place]) => place ?? '')

  async function failing(): Promise<{ readonly errors: Error[]; readonly server: Awaited<ReturnType<typeof serverFor>> }> {
    const errors: Error[] = []
    const tap: Extension = {
      apiVersion: 1,
      name: 'tap',
      stages: {
        observe: (next) => async (call) => {
          try {
            return await next(call)
          } catch (error) {
            errors.push(error as Error)
            throw error
          }
        },
      },
    }
    const server = await provedServerFor({ models: { gather: gatherModel() }, isolation: 'thread', extensions: [tap] })
    return { errors, server }
  }

  test('lists the places in order: predict()', async () => {
    const { server } = await failing()
    const error: Error = await server.predict('gather', { indices: [99] }).then(
      () => new Error('it ran'),
      (reason) => reason,
    )
    expect(placesIn(error.stack)).toEqual(NAMES)
  })

  test.each(HOSTS)('lists the places in order: $name', async ({ start }) => {
    const { errors, server } = await failing()
    const { port, close } = await start([{ server, prefix: '' }], 'bare')
    onTestFinished(close)
    const response = await fetch(`http://127.0.0.1:${port}/v2/models/gather/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(INDEX),
    })
    expect(response.status).toBe(400)
    expect(placesIn(errors[0]?.stack)).toEqual(NAMES)
  })
})
