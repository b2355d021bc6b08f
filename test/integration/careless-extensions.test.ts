/** Extensions that keep, change or forget what they should not: each mistake stays its own, and costs no neighbour an answer. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ModelServer } from 'modelmount'
import type { Answer, Call, Extension, ExtensionRoute, Servable } from 'modelmount/extension'
import { attach } from 'modelmount/node'
import { describe, expect, onTestFinished, test } from 'vitest'
import { addModel } from '../../tools/models.mjs'
import { serverFor } from '../support/server.ts'
import { openSocket } from '../support/socket.ts'

const SIGNATURE = {
  inputs: [{ name: 'x', type: 'float32', declaredType: 'float32', dims: ['rows'] }],
  outputs: [{ name: 'y', type: 'float32', declaredType: 'float32', dims: ['rows'] }],
} as const

const servable = (name: string, run: (call: Call) => unknown): Servable => ({
  name,
  version: '1',
  kind: 'remote',
  state: 'ready',
  available: true,
  signature: SIGNATURE,
  info: () => ({}),
  run: async (call) => run(call) as Answer,
  drain: async () => {},
})

const answerOf = (data: Float32Array, dims: readonly number[] = [data.length]): Answer => ({
  outputs: { y: { type: 'float32', dims, data } },
  queueMs: 0,
  inferMs: 0,
  batchSize: 1,
  endedAt: 0,
})

const extended = (more: Partial<Extension>, models: readonly string[] = []): Promise<ModelServer> =>
  serverFor({
    models: models.map((name) => ({ name, source: addModel() })),
    extensions: [{ apiVersion: 1, name: 'careless', ...more }],
  })

const JSON_BODY = JSON.stringify({ inputs: [{ name: 'x', shape: [2], datatype: 'FP32', data: [1, 2] }] })
const HEAD = JSON.stringify({ inputs: [{ name: 'x', shape: [2], datatype: 'FP32', parameters: { binary_data_size: 8 } }] })

async function infer(
  server: ModelServer,
  model: string,
  isBinary = false,
): Promise<{ status: number; y: unknown; shape: unknown }> {
  const { status, body } = await server.http.handle({
    method: 'POST',
    path: `/v2/models/${model}/infer`,
    headers: isBinary ? { 'inference-header-content-length': String(HEAD.length) } : { 'content-type': 'application/json' },
    body: isBinary ? Buffer.concat([Buffer.from(HEAD), Buffer.from(Float32Array.of(1, 2).buffer)]) : Buffer.from(JSON_BODY),
  })
  const [output] = (JSON.parse(Buffer.from(body).toString()) as { outputs?: { data: unknown; shape: unknown }[] }).outputs ?? []
  return { status, y: output?.data, shape: output?.shape }
}

const SUMMANDS = () => ({ a: [[1, 2, 3, 4]], b: [[1, 1, 1, 1]] })

describe('memory', () => {
  test.each([false, true])('dims that a servable changes are its own (binary: %s)', async (isBinary) => {
    const widening = servable('wide', ({ inputs }) => {
      const { dims, data } = inputs.x as unknown as { dims: number[]; data: Float32Array }
      dims.unshift(1)
      return answerOf(Float32Array.from(data), [...dims])
    })
    const server = await extended({ servables: [widening] })
    for (let i = 0; i < 40; i++) expect(await infer(server, 'wide', isBinary)).toEqual({ status: 200, y: [1, 2], shape: [1, 2] })
  })

  test('an answer that a servable gives to several requests keeps its tensors', async () => {
    const kept = answerOf(new Float32Array(100_000).fill(7))
    const server = await extended({ servables: [servable('kept', () => kept)] })
    for (let i = 0; i < 2; i++) {
      const { status, y } = await infer(server, 'kept')
      expect([status, (y as number[]).length]).toEqual([200, 100_000])
    }
    expect((await server.predict('kept', { x: [1] })).outputs.y?.data).toHaveLength(100_000)
  })

  test('lists of a call, facts of a run and descriptions of a model cannot be changed for others', async () => {
    const server = await extended(
      {
        stages: {
          run: (next) => async (call) => {
            if (call.id === 'evil') Reflect.set(call.fetches, 'length', 0)
            const answer = await next(call)
            if (call.id === 'evil') Reflect.set(answer.run ?? {}, 'batchId', -1)
            return answer
          },
        },
      },
      ['add'],
    )
    await server.predict('add', SUMMANDS(), { id: 'evil' })
    for (const { inputs, outputs } of [server.model('add'), ...server.models()])
      for (const list of [inputs, outputs]) {
        ;(list[0]?.dims as unknown[]).length = 0
        ;(list as unknown[]).length = 0
      }
    expect((await server.predict('add', SUMMANDS())).outputs.sum?.data).toEqual(Float32Array.of(2, 3, 4, 5))
  })
})

describe('answers that cannot be sent', () => {
  const BODY = new TextEncoder().encode('text')
  const route = (path: string, answer: unknown): ExtensionRoute =>
    ({ class: 'inference', method: 'GET', path, action: 'data', handle: () => answer }) as ExtensionRoute
  const routes = [
    route('/nothing', undefined),
    route('/empty', {}),
    route('/text', { status: 200, headers: {}, body: 'text' }),
    route('/status', { status: 7, headers: {}, body: BODY }),
    route('/name', { status: 200, headers: { 'x y': '1' }, body: BODY }),
    route('/break', { status: 200, headers: { x: 'a\r\nset-cookie: b' }, body: BODY }),
    route('/number', { status: 200, headers: { x: 1 }, body: BODY }),
  ]

  test.each(routes.map(({ path }) => path))('%s is a 500 for its caller', async (path) => {
    const { http } = await extended({ routes })
    expect(await http.handle({ method: 'GET', path, headers: {} })).toMatchObject({ status: 500 })
  })

  test.each([false, true])(
    'framing is that of the server, and answers without a body have none (fast lane: %s)',
    async (fastLane) => {
      const framed = [
        route('/204', { status: 204, headers: {}, body: BODY }),
        route('/304', { status: 304, headers: {}, body: BODY }),
        route('/length', { status: 200, headers: { 'Content-Length': '99', 'transfer-encoding': 'chunked' }, body: BODY }),
      ]
      const server = await extended({ routes: framed })
      const http = createServer()
      attach(http, server, { fastLane })
      await once(http.listen(0, '127.0.0.1'), 'listening')
      onTestFinished(() => void http.close())
      const { port } = http.address() as AddressInfo
      // Connections that are there before the first request stay with Node.
      await (await fetch(`http://127.0.0.1:${port}/204`)).text()
      const connection = await openSocket(port)
      onTestFinished(() => void connection.socket.destroy())
      const answers: string[] = []
      for (const path of ['/204', '/304', '/length', '/v2/health/live']) {
        await connection.send(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`)
        const { status, text } = await connection.answer()
        answers.push(`${status} ${text}`)
      }
      expect(answers).toEqual(['204 ', '304 ', '200 text', '200 {"live":true}'])
    },
  )

  const PARTIAL: [string, unknown][] = [
    ['undefined', undefined],
    ['no outputs', { queueMs: 0, inferMs: 0, endedAt: 0 }],
    ['no times', { outputs: {} }],
  ]
  test.each(PARTIAL)('a prediction with %s is INTERNAL, and counted', async (_, answer) => {
    const server = await extended({ servables: [servable('bad', () => answer)] })
    await expect(server.predict('bad', { x: [1] })).rejects.toMatchObject({ code: 'INTERNAL' })
    expect((await infer(server, 'bad')).status).toBe(500)
    const { body } = await server.http.handle({ method: 'GET', path: '/v2/models/bad/stats', headers: {} })
    expect(JSON.parse(Buffer.from(body).toString())).toMatchObject({ model_stats: [{ inference_stats: { fail: { count: 2 } } }] })
  })
})

describe('stages that ask again', () => {
  test('another model, over HTTP as by predict()', async () => {
    const busy = servable('busy', () => {
      throw new Error('down')
    })
    const double = servable('double', ({ inputs }) =>
      answerOf((inputs.x as unknown as { data: Float32Array }).data.map((value) => value * 2)),
    )
    const server = await extended({
      servables: [busy, double],
      stages: { route: (next) => async (call) => next(call).catch(() => next({ ...call, model: 'double' })) },
    })
    expect((await server.predict('busy', { x: [1, 2] })).outputs.y?.data).toEqual(Float32Array.of(2, 4))
    expect(await infer(server, 'busy')).toMatchObject({ status: 200, y: [2, 4] })
  })

  test('a stage that answers by itself is counted for the model that was named', async () => {
    const server = await extended(
      {
        stages: {
          admit:
            () =>
            async ({ at }) => ({ outputs: {}, queueMs: 0, inferMs: 0, batchSize: 0, endedAt: at }),
        },
      },
      ['add'],
    )
    await server.predict('add', SUMMANDS())
    const { body } = await server.http.handle({ method: 'GET', path: '/v2/models/add/stats', headers: {} })
    expect(JSON.parse(Buffer.from(body).toString())).toMatchObject({
      model_stats: [{ inference_stats: { success: { count: 1 } } }],
    })
  })
})

describe('a guard that never decides', () => {
  const pending = new Promise<void>(() => {})
  const never: Partial<Extension> = { guards: [({ action }) => (action === 'infer' ? pending : undefined)] }

  test('keeps no caller of predict() beyond its deadline or its signal', async () => {
    const server = await extended(never, ['add'])
    await expect(server.predict('add', SUMMANDS(), { timeoutMs: 5 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    const gone = new AbortController()
    const call = server.predict('add', SUMMANDS(), { signal: gone.signal })
    gone.abort()
    await expect(call).rejects.toMatchObject({ code: 'ABORTED' })
  })

  test('keeps no body of a client that has left', async () => {
    const server = await serverFor({
      models: [],
      ...{ maxBodyBytes: 1000, maxInflightBytes: 4000, maxJsonBytes: 1000 },
      extensions: [{ apiVersion: 1, name: 'never', ...never }],
    })
    for (let i = 0; i < 10; i++) {
      const gone = new AbortController()
      const ask = server.http.handle({
        ...{ method: 'POST', path: '/v2/models/m/infer', headers: {}, body: new Uint8Array(900) },
        signal: gone.signal,
      })
      gone.abort()
      expect((await ask).status).toBe(499)
    }
  })
})
