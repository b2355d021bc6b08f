/** Deadlines and priorities of callers over HTTP, in every dialect. */

import type { ModelServer, ModelSettings, MountOptions } from 'modelmount'
import { describe, expect, test } from 'vitest'
import { identityModel, slowLoopModel } from '../../../tools/models.mjs'
import { callerOf, type Headers } from '../../support/mount.ts'
import { observe, posted, serverFor } from '../../support/server.ts'

const DIALECTS = { dialects: ['open-inference', 'tf-serving', 'mlflow'], mlflow: { model: 'echo' } } as const
const INPUTS = [{ name: 'x', shape: [2], datatype: 'FP32', data: [1, 2] }]
const HOUR = 3_600_000

/** Each way to ask for a deadline, in milliseconds. */
const FORMS: Readonly<Record<string, (ms: number) => readonly [path: string, body: object, headers?: Headers]>> = {
  'infer, header': (ms) => ['/v2/models/echo/infer', { inputs: INPUTS }, { 'x-request-timeout-ms': String(ms) }],
  'infer, parameter': (ms) => ['/v2/models/echo/infer', { inputs: INPUTS, parameters: { timeout: ms * 1000 } }],
  'infer, the earlier of both': (ms) => [
    '/v2/models/echo/infer',
    { inputs: INPUTS, parameters: { timeout: ms * 1000 } },
    { 'x-request-timeout-ms': String(HOUR) },
  ],
  'generate, header': (ms) => ['/v2/models/echo/generate', { x: [1, 2] }, { 'x-request-timeout-ms': String(ms) }],
  'generate, parameter': (ms) => ['/v2/models/echo/generate', { x: [1, 2], timeout: ms * 1000 }],
  'generate_stream, parameter': (ms) => ['/v2/models/echo/generate_stream', { x: [1, 2], parameters: { timeout: ms * 1000 } }],
  'TensorFlow Serving, header': (ms) => [
    '/v1/models/echo:predict',
    { instances: [1, 2] },
    { 'x-request-timeout-ms': String(ms) },
  ],
  'MLflow, header': (ms) => [
    '/invocations',
    { inputs: [1, 2] },
    { 'x-request-timeout-ms': String(ms), 'content-type': 'application/json' },
  ],
}

const serverWith = (settings: ModelSettings): Promise<ModelServer> =>
  serverFor({ strict: true, models: [{ name: 'echo', source: identityModel('float', ['N']) }], ...settings })

describe.each(Object.entries(FORMS))('a deadline: %s', (_, form) => {
  test('is cut to the model’s own, and the answer says so', async () => {
    const { post } = callerOf((await serverWith({ timeoutMs: 5000 })).http.mount(DIALECTS))
    const late = await post(...form(5001))
    expect(late).toMatchObject({ status: 200, headers: { 'x-request-timeout-ms': '5000' } })
    for (const ms of [5000, 4000]) {
      const fair = await post(...form(ms))
      expect(fair.status).toBe(200)
      expect(fair.headers['x-request-timeout-ms']).toBeUndefined()
    }
  })

  test('is cut to maxTimeoutMs, be it longer than the model’s own or shorter', async () => {
    const longer = callerOf((await serverWith({ timeoutMs: 1000, maxTimeoutMs: 60_000 })).http.mount(DIALECTS))
    expect((await longer.post(...form(60_000))).headers['x-request-timeout-ms']).toBeUndefined()
    expect((await longer.post(...form(60_001))).headers['x-request-timeout-ms']).toBe('60000')
    const shorter = callerOf((await serverWith({ timeoutMs: 60_000, maxTimeoutMs: 2000 })).http.mount(DIALECTS))
    expect((await shorter.post(...form(60_000))).headers['x-request-timeout-ms']).toBe('2000')
  })
})

test('what is cut holds, for requests that ask for a deadline and for those that ask for none; predict() is free', async () => {
  const trips = { name: 'trips', datatype: 'INT64', shape: [], data: [2 ** 40] }
  const model = { name: 'loop', source: slowLoopModel() }
  const server = await serverFor({ isolation: 'process', timeoutMs: HOUR, maxTimeoutMs: 50, models: [model] })
  const { post } = callerOf(server.http)
  const asking = await post('/v2/models/loop/infer', { inputs: [trips], parameters: { timeout: HOUR * 1000 } })
  expect(asking).toMatchObject({ status: 504, json: { code: 'DEADLINE_EXCEEDED' }, headers: { 'x-request-timeout-ms': '50' } })
  await expect.poll(() => server.health().ready).toBe(true)
  const silent = await post('/v2/models/loop/infer', { inputs: [trips] })
  expect(silent.status).toBe(504)
  expect(silent.headers['x-request-timeout-ms']).toBeUndefined()
})

describe('priority', () => {
  const short = { inputs: [{ name: 'trips', datatype: 'INT64', shape: [], data: [1] }] }

  /** A model that is busy, with one request that waits and no room for another. */
  async function full(mount: MountOptions) {
    const model = { name: 'loop', source: slowLoopModel() }
    const server = await serverFor({ isolation: 'process', maxQueue: 1, batching: false, models: [model] })
    const { post } = callerOf(server.http.mount(mount))
    const stop = new AbortController()
    const running = server.predict('loop', { trips: 2n ** 40n }, { signal: stop.signal, timeoutMs: 2000 }).catch((error) => error)
    await posted()
    const waiting = observe(post('/v2/models/loop/infer', short))
    await posted()
    return { post, running, waiting }
  }
  const urgent = { ...short, parameters: { priority: 1 } }

  test('takes nobody’s place unless the mount allows it', async () => {
    const { post, running, waiting } = await full({})
    expect(await post('/v2/models/loop/infer', urgent)).toMatchObject({ status: 503, json: { code: 'QUEUE_FULL' } })
    expect(await post('/v2/models/loop/generate', { trips: 1, priority: 1 })).toMatchObject({
      status: 503,
      json: { code: 'QUEUE_FULL' },
    })
    expect(waiting.settled).toBe(false)
    await running
    expect(await waiting.promise).toMatchObject({ status: 200 })
  })

  test('takes a place where it is allowed', async () => {
    const { post, running, waiting } = await full({ allowPriority: true })
    const first = post('/v2/models/loop/infer', urgent)
    expect(await waiting.promise).toMatchObject({ status: 503, json: { code: 'QUEUE_FULL' } })
    await running
    expect(await first).toMatchObject({ status: 200 })
  })

  test('that is none is refused all the same', async () => {
    const { post } = callerOf((await serverWith({})).http)
    const bad = await post('/v2/models/echo/infer', { inputs: INPUTS, parameters: { priority: 'high' } })
    expect(bad).toMatchObject({ status: 400, json: { details: { field: 'parameters.priority' } } })
  })
})
