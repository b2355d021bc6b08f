/** The client against servers of all manners: deadlines, retries, fall-back to JSON, answers that are wrong. */

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import fc from 'fast-check'
import { createModelServer, type DType, isModelmountError, type Tensor } from 'modelmount'
import { type ClientOptions, createClient } from 'modelmount/client'
import { nodeHandler } from 'modelmount/node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Client, httpFor, serveHttp } from '../support/http.ts'
import { mirror } from '../support/small-models.ts'

const TYPES = {
  float32: 'float',
  float64: 'double',
  float16: 'float16',
  int8: 'int8',
  int16: 'int16',
  int32: 'int32',
  int64: 'int64',
  uint8: 'uint8',
  uint16: 'uint16',
  uint32: 'uint32',
  uint64: 'uint64',
  bool: 'bool',
  string: 'string',
} as const satisfies Record<DType, string>

const arrays = {
  float32: fc.float32Array({ maxLength: 9 }),
  float64: fc.float64Array({ maxLength: 9 }),
  float16: fc.uint16Array({ maxLength: 9, max: 0x7c00 }),
  int8: fc.int8Array({ maxLength: 9 }),
  int16: fc.int16Array({ maxLength: 9 }),
  int32: fc.int32Array({ maxLength: 9 }),
  int64: fc.bigInt64Array({ maxLength: 9 }),
  uint8: fc.uint8Array({ maxLength: 9 }),
  uint16: fc.uint16Array({ maxLength: 9 }),
  uint32: fc.uint32Array({ maxLength: 9 }),
  uint64: fc.bigUint64Array({ maxLength: 9 }),
  bool: fc.uint8Array({ maxLength: 9, max: 1 }),
  string: fc.array(
    fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')),
    { maxLength: 5 },
  ),
}

describe('every element type', () => {
  let server: Awaited<ReturnType<typeof createModelServer>>
  let http: Client
  beforeAll(async () => {
    server = await createModelServer({ logger: false, strict: true, models: [{ name: 'all', source: mirror(TYPES) }] })
    http = await serveHttp(nodeHandler(server))
  })
  afterAll(async () => {
    await http.close()
    await server.close()
  })

  test.each([true, false])('comes back as it went, with bytes: %s', async (binary) => {
    const client = createClient({ url: `http://127.0.0.1:${http.port}`, binary })
    const tensors = fc.record(arrays)
    await fc.assert(
      fc.asyncProperty(tensors, async (data) => {
        const isPlain = [...data.float32, ...data.float64].every(Number.isFinite) && data.float16.every((half) => half < 0x7c00)
        fc.pre(binary || isPlain)
        const inputs: Record<string, Tensor> = {}
        for (const [type, values] of Object.entries(data))
          inputs[`in_${type}`] = { type, dims: [values.length], data: values } as unknown as Tensor
        const { outputs } = await client.predict('all', inputs)
        for (const [type, values] of Object.entries(data))
          expect([type, outputs[`out_${type}`]]).toEqual([type, { type, dims: [values.length], data: values }])
      }),
      { numRuns: 30 },
    )
  })

  test('a model of unknown rank takes any shape', async () => {
    const client = createClient({ url: `http://127.0.0.1:${http.port}` })
    const empty = Object.fromEntries(Object.keys(TYPES).map((type) => [`in_${type}`, []]))
    for (const [value, dims] of [
      [[1, 2], [2]],
      [
        [[1], [2]],
        [2, 1],
      ],
      [[[[3, 4]]], [1, 1, 2]],
      [5, []],
    ] as const) {
      const { outputs } = await client.predict('all', { ...empty, in_float32: value as never, in_string: ['a'] })
      expect(outputs.out_float32?.dims).toEqual(dims)
    }
  })

  test('not-a-number goes as null where there are no bytes, infinities need them', async () => {
    const url = `http://127.0.0.1:${http.port}`
    const input = { in_float32: [Number.NaN] }
    const rest = Object.fromEntries(
      Object.keys(TYPES)
        .filter((type) => type !== 'float32')
        .map((type) => [`in_${type}`, []]),
    )
    const { outputs } = await createClient({ url }).predict('all', { ...rest, ...input })
    expect(outputs.out_float32?.data[0]).toBeNaN()
    const plain = createClient({ url, binary: false })
    const read = await plain.predict('all', { ...rest, ...input, in_float16: Uint16Array.of(0x7e00) })
    expect(read.outputs.out_float32?.data[0]).toBeNaN()
    expect(read.outputs.out_float16?.data).toEqual(Uint16Array.of(0x7e00))
    await expect(plain.predict('all', { ...rest, in_float32: [Number.POSITIVE_INFINITY] })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      details: { input: 'in_float32' },
    })
  })
})

const METADATA = {
  name: 'm',
  platform: 'x',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
}
const ANSWER = { model_name: 'm', outputs: [{ name: 'y', datatype: 'FP32', shape: [1], data: [7] }] }

interface Scripted {
  readonly client: ReturnType<typeof createClient>
  readonly asked: IncomingMessage[]
}

/** A server that describes one model, and answers predictions by the script: one step per attempt. */
async function scripted(
  steps: readonly ((res: ServerResponse, req: IncomingMessage) => void)[],
  options: Partial<ClientOptions> = {},
  extensions: readonly string[] | null = ['binary_tensor_data'],
): Promise<Scripted> {
  const asked: IncomingMessage[] = []
  const listener: RequestListener = (req, res) => {
    req.resume()
    if (req.method === 'GET' && req.url === '/v2') {
      if (extensions) return void res.end(JSON.stringify({ name: 's', version: '1', extensions }))
      return void res.writeHead(404).end()
    }
    if (req.method === 'GET') return void res.end(JSON.stringify(METADATA))
    asked.push(req)
    req.on('end', () => steps[asked.length - 1]?.(res, req))
  }
  const { port } = await httpFor(listener)
  return { asked, client: createClient({ url: `http://127.0.0.1:${port}/`, ...options }) }
}

const ok = (res: ServerResponse): void => void res.end(JSON.stringify(ANSWER))
const status =
  (code: number, headers: Record<string, string> = {}, body: object | string = { error: 'no' }) =>
  (res: ServerResponse): void => {
    res.writeHead(code, headers)
    res.end(typeof body === 'string' ? body : JSON.stringify(body))
  }
const reset = (res: ServerResponse): void => void res.socket?.destroy()
const never = (): void => {}
const binary =
  (json: object, ...blobs: Uint8Array[]) =>
  (res: ServerResponse): void => {
    const head = Buffer.from(JSON.stringify(json))
    res.writeHead(200, { 'inference-header-content-length': head.length })
    res.end(Buffer.concat([head, ...blobs]))
  }
const x = { x: [1] }

describe('retries', () => {
  test('503 and 429 with Retry-After are asked again, as often as allowed', async () => {
    const steps = [status(503, { 'retry-after': '0' }), status(429, { 'retry-after': '0' }), ok]
    const { client, asked } = await scripted(steps)
    expect((await client.predict('m', x)).outputs.y?.data).toEqual(Float32Array.of(7))
    expect(asked).toHaveLength(3)
    const less = await scripted(steps, { retries: 1 })
    await expect(less.client.predict('m', x)).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED', retryAfterS: 0 })
    expect(less.asked).toHaveLength(2)
  })

  test('what may have been done is not asked again, unless the call says that it may', async () => {
    for (const step of [status(503), status(502), reset]) {
      const once = await scripted([step, ok])
      await expect(once.client.predict('m', x)).rejects.toSatisfy(isModelmountError)
      expect(once.asked).toHaveLength(1)
      const twice = await scripted([step, ok])
      expect((await twice.client.predict('m', x, { idempotent: true })).model).toBe('m')
      expect(twice.asked).toHaveLength(2)
    }
    for (const code of [400, 404, 500, 504]) {
      const { client, asked } = await scripted([status(code, { 'retry-after': '0' }), ok])
      await expect(client.predict('m', x, { idempotent: true })).rejects.toMatchObject({ details: { status: code } })
      expect(asked).toHaveLength(1)
    }
  })

  test('a server that is not there yet was never asked, so it is asked again', async () => {
    const tcp = createTcpServer()
    await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve))
    const { port } = tcp.address() as { port: number }
    await new Promise((resolve) => tcp.close(resolve))
    const calls: unknown[] = []
    const counting: typeof fetch = (...args) => {
      calls.push(args[0])
      return fetch(...args)
    }
    const client = createClient({ url: `http://127.0.0.1:${port}`, fetch: counting, binary: true })
    await expect(client.predict('m', x)).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE', retryable: true })
    expect(calls).toHaveLength(3)
    expect(await client.isReady()).toBe(false)
  })

  test('no retry that could not be heard before the deadline', async () => {
    const { client, asked } = await scripted([status(503, { 'retry-after': '3600' }), ok])
    await expect(client.predict('m', x, { timeoutMs: 60_000 })).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE' })
    expect(asked).toHaveLength(1)
  })
})

describe('deadlines', () => {
  test('are told to the server, and kept', async () => {
    const { client, asked } = await scripted([ok, never])
    await client.predict('m', x, { timeoutMs: 60_000 })
    const told = Number(asked[0]?.headers['x-request-timeout-ms'])
    expect(told).toBeGreaterThan(0)
    expect(told).toBeLessThanOrEqual(60_000)
    await expect(client.predict('m', x, { timeoutMs: 100 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  })

  test('a signal ends the call, and the request', async () => {
    const { client, asked } = await scripted([(_res, req) => void gone(req)])
    let left = (): void => {}
    const hangUp = new Promise<void>((resolve) => {
      left = resolve
    })
    const abort = new AbortController()
    const gone = (req: IncomingMessage): void => {
      req.socket.once('close', left)
      abort.abort()
    }
    await expect(client.predict('m', x, { signal: abort.signal })).rejects.toMatchObject({ code: 'ABORTED' })
    await hangUp
    expect(asked).toHaveLength(1)
    await expect(client.predict('m', x, { signal: abort.signal })).rejects.toMatchObject({ code: 'ABORTED' })
    expect(asked).toHaveLength(1)
  })
})

describe('what is sent', () => {
  test('bytes where the server lists them, JSON where it does not, or says nothing of itself', async () => {
    for (const [extensions, type] of [
      [['classification', 'binary_tensor_data'], 'application/octet-stream'],
      [['classification'], 'application/json'],
      [null, 'application/json'],
    ] as const) {
      const { client, asked } = await scripted([ok], {}, extensions)
      await client.predict('m', x)
      expect(asked[0]?.headers['content-type']).toBe(type)
    }
  })

  test('headers of the app, also by function; names and versions encoded', async () => {
    const { client, asked } = await scripted([ok], { headers: async () => ({ authorization: 'Bearer t' }) })
    await client.predict('a/b ü', x, { version: '1/2' })
    expect(asked[0]?.headers.authorization).toBe('Bearer t')
    expect(asked[0]?.url).toBe('/v2/models/a%2Fb%20%C3%BC/versions/1%2F2/infer')
  })

  test('connections are kept', async () => {
    const sockets = new Set<unknown>()
    const { client, asked } = await scripted(
      Array<typeof ok>(6)
        .fill(ok)
        .map((step) => (res, req) => {
          sockets.add(req.socket)
          step(res)
        }),
    )
    for (let i = 0; i < 6; i++) await client.predict('m', x)
    expect(asked).toHaveLength(6)
    // Two, because the model and the server are asked for at the same time.
    expect(sockets.size).toBeLessThanOrEqual(2)
  })
})

describe('answers', () => {
  test.each([
    ['no JSON', status(200, {}, '<html>')],
    ['no outputs', status(200, {}, { model_name: 'm' })],
    [
      'an unknown datatype',
      status(200, {}, { model_name: 'm', outputs: [{ name: 'y', datatype: 'FP8', shape: [1], data: [1] }] }),
    ],
    ['too little data', status(200, {}, { model_name: 'm', outputs: [{ name: 'y', datatype: 'FP32', shape: [2], data: [1] }] })],
    [
      'a shape beyond reason',
      binary(
        { model_name: 'm', outputs: [{ name: 'y', datatype: 'FP32', shape: [2 ** 40], parameters: { binary_data_size: 4 } }] },
        new Uint8Array(4),
      ),
    ],
    [
      'a size beyond the body',
      binary(
        { model_name: 'm', outputs: [{ name: 'y', datatype: 'FP32', shape: [1], parameters: { binary_data_size: 8 } }] },
        new Uint8Array(4),
      ),
    ],
    [
      'bytes left over',
      binary(
        { model_name: 'm', outputs: [{ name: 'y', datatype: 'FP32', shape: [1], parameters: { binary_data_size: 4 } }] },
        new Uint8Array(5),
      ),
    ],
    [
      'strings that lie',
      binary(
        { model_name: 'm', outputs: [{ name: 'y', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: 5 } }] },
        Uint8Array.of(255, 255, 255, 255, 0),
      ),
    ],
    ['a length that is none', status(200, { 'inference-header-content-length': 'many' }, {})],
    ['a redirect', status(307, { location: '/elsewhere' })],
  ] as const)('%s: refused', async (_what, step) => {
    const { client } = await scripted([step])
    await expect(client.predict('m', x)).rejects.toMatchObject({ code: expect.stringMatching(/^REMOTE_(FAILED|UNREACHABLE)$/) })
  })

  test('errors with our code keep it; a proxy’s page gets one by its status', async () => {
    const full = { error: 'the queue is full', code: 'QUEUE_FULL' }
    const ours = await scripted([status(503, {}, full)])
    await expect(ours.client.predict('m', x)).rejects.toMatchObject({ code: 'QUEUE_FULL', message: 'the queue is full' })
    const page = await scripted([status(504, {}, '<html>')])
    await expect(page.client.predict('m', x)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', details: { status: 504 } })
    const odd = await scripted([status(418, {}, { error: 'no', code: '__proto__' })])
    await expect(odd.client.predict('m', x)).rejects.toMatchObject({ code: 'REMOTE_FAILED', message: 'no' })
  })
})

test('options that are wrong', () => {
  for (const url of ['', 'localhost:8080', 'ftp://x', '/ml'])
    expect(() => createClient({ url })).toThrowError(expect.objectContaining({ code: 'OPTIONS_INVALID' }))
})
