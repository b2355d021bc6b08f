/** The client against servers of all manners: deadlines, retries, fall-back to JSON, answers that are wrong. */

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { type ClientOptions, createClient, isModelmountError } from 'modelmount/client'
import { describe, expect, test } from 'vitest'
import { httpFor } from '../support/http.ts'

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
