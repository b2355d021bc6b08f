/** One table of requests, the same answers through every adapter, over real sockets. */

import {
  type AbortSignalLike,
  createModelServer,
  type HttpHandler,
  type HttpRequest,
  type ModelServer,
  type MountOptions,
} from 'modelmount'
import { createClient } from 'modelmount/client'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { addModel, identityModel, totalModel } from '../../tools/models.mjs'
import { type Answer, type Connection, connectTo } from '../support/http.ts'
import { serverFor } from '../support/server.ts'
import { constantOf } from '../support/small-models.ts'
import { chunk, openSocket, type RawSocket } from '../support/socket.ts'
import { type App, HOSTS, type Host, type Mount } from './hosts.ts'
import { ADD, BAD, DIALECTS, type Exchange, REQUESTS } from './requests.ts'

const MAX_BODY_BYTES = 100_000

let server: ModelServer
let mount: HttpHandler
beforeAll(async () => {
  server = await createModelServer({
    logger: false,
    maxBodyBytes: MAX_BODY_BYTES,
    bodyTimeoutMs: 10_000,
    strict: true,
    telemetry: { metricsText: async () => ({ contentType: 'text/plain; version=0.0.4', text: 'up 1\n' }) },
    models: [
      { name: 'add', source: addModel() },
      { name: 'add', version: '2', source: addModel(), versionLabels: { stable: '1', canary: '2' } },
      { name: 'total', source: totalModel(), sequences: { state: { s: 'next' } } },
      { name: 'long', source: identityModel('int64', ['N']) },
      { name: 'string', source: identityModel('string', ['N']) },
    ],
  })
  mount = server.http.mount()
})
afterAll(() => server.close())

/** The mount's answer to a request, without any adapter. */
async function expected(
  { method, path, headers = {}, body }: Omit<Exchange, 'status'>,
  by = mount,
): Promise<Pick<Answer, 'status' | 'headers' | 'text'>> {
  const [target = ''] = path.split('?')
  const bytes = body === undefined ? undefined : new Uint8Array(Buffer.from(body as string))
  const answer = await by.handle({ method, path: target, headers: headers as HttpRequest['headers'], body: bytes })
  return { status: answer.status, headers: { ...answer.headers }, text: Buffer.from(answer.body).toString('utf8') }
}

const reference = new Map<Exchange, ReturnType<typeof expected>>()
const ask = (connection: Connection, { method, path, headers, body }: Omit<Exchange, 'status'>, prefix = ''): Promise<Answer> =>
  connection.send(method, prefix + path, body, headers)

async function expectSame(connection: Connection, host: Host, exchange: Exchange, prefix: string): Promise<void> {
  const answer = await ask(connection, exchange, prefix)
  const ownStatus = exchange.except?.[host.name]
  if (ownStatus !== undefined) return expect([exchange.what, answer.status]).toEqual([exchange.what, ownStatus])
  const wanted = reference.get(exchange) ?? expected(exchange)
  reference.set(exchange, wanted)
  const { status, headers, text } = await wanted
  expect([exchange.what, status]).toEqual([exchange.what, exchange.status])
  expect({ what: exchange.what, status: answer.status, text: answer.text }).toEqual({ what: exchange.what, status, text })
  expect([exchange.what, answer.headers]).toEqual([exchange.what, expect.objectContaining(headers)])
  if (headers['content-length'] === undefined) expect(answer.headers['content-length']).toBeUndefined()
}

/** One server at `/ml` in an app that has nothing else, unless told otherwise. */
async function run(host: Host, { model = server, prefix = '/ml', options, app = 'bare', more = [] }: RunOptions = {}) {
  const running = await host.start([{ server: model, prefix, options }, ...more], app)
  const connection = connectTo(running.port)
  onTestFinished(async () => {
    connection.end()
    await running.close()
  })
  return { ...running, connection }
}

interface RunOptions {
  readonly model?: ModelServer
  readonly prefix?: string
  readonly options?: MountOptions
  readonly app?: App
  readonly more?: readonly Mount[]
}

/** The server, with `handle` in the place of what would answer. */
const answeredBy = (handle: HttpHandler['handle'], model: ModelServer = server): ModelServer => ({
  ...model,
  http: { ...model.http, mount: (options) => ({ ...model.http.mount(options), handle }) },
})

const HEAD = 'POST /ml/v2/models/add/infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
const LIVE = 'GET /ml/v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n'

async function socketTo(port: number): Promise<RawSocket> {
  const raw = await openSocket(port)
  onTestFinished(() => void raw.socket.destroy())
  return raw
}

describe.each(HOSTS)('$name', (host) => {
  test.each(['', '/a/b'])('the table, at the prefix "%s"', async (prefix) => {
    const { connection } = await run(host, { prefix })
    for (const exchange of REQUESTS) await expectSame(connection, host, exchange, prefix)
  })

  test('the table, behind CORS, compression and an app that parses JSON', async () => {
    const { connection, port } = await run(host, { app: 'full' })
    // Preflights and answers to a client that takes gzip belong to the app's middleware.
    const own = REQUESTS.filter(({ method, headers }) => method !== 'OPTIONS' && !headers?.['accept-encoding'])
    for (const exchange of own) {
      await expectSame(connection, host, exchange, '/ml')
      if (exchange.except?.[host.name]) continue
      const { headers } = await ask(connection, exchange, '/ml')
      expect([exchange.what, headers['access-control-allow-origin']]).toEqual([exchange.what, host.bypasses ? undefined : '*'])
    }
    const zipped = await connection.send('GET', '/ml/v2/models/add', undefined, { 'accept-encoding': 'gzip' })
    expect(zipped.status).toBe(200)
    if (host.compresses) expect(zipped.headers['content-encoding']).toBe('gzip')
    // The app's own authentication answers before anything of the body is there.
    if (!host.bypasses) {
      const raw = await socketTo(port)
      await raw.send(`${HEAD}X-Deny: yes\r\nContent-Length: 100\r\n\r\n`)
      expect(await raw.answer()).toMatchObject({ status: 401 })
    }
    // Its own routes parse as ever.
    expect((await connection.post('/echo', { a: [1] })).json).toEqual({ a: [1] })
  })

  test('every path that a mount owns, whatever it is asked to answer', async () => {
    const options = { dialects: ['open-inference', 'tf-serving', 'mlflow'], management: true, metrics: true } as const
    const all = server.http.mount({ ...options, mlflow: { model: 'add' } })
    const { connection } = await run(host, { options: { ...options, mlflow: { model: 'add' } } })
    const paths = ['/v2', '/v1/models/add', '/v1/models/add:predict', '/v1/models/add/versions/1/metadata', '/v1/models']
    const others = ['/invocations', '/ping', '/health', '/version', '/metrics', '/openapi.json', '/v2/repository/index']
    for (const path of [...paths, ...others].filter((path) => all.owns(path)))
      for (const method of ['GET', 'POST', 'PUT']) {
        const exchange = { what: `${method} ${path}`, method, path, headers: {}, ...(method === 'GET' ? {} : { body: '{}' }) }
        const [answer, wanted] = [await ask(connection, exchange, '/ml'), await expected(exchange, all)]
        expect([exchange.what, answer.status]).toEqual([exchange.what, wanted.status])
        expect([exchange.what, answer.headers]).toEqual([
          exchange.what,
          expect.objectContaining({ 'content-type': wanted.headers['content-type'] }),
        ])
      }
  })

  test('the other dialects, as their clients send them, and what no honest client sends', async () => {
    const options = {
      dialects: ['open-inference', 'tf-serving', 'mlflow'],
      management: true,
      mlflow: { model: 'add' },
    } as const
    const all = server.http.mount(options)
    const { connection } = await run(host, { options })
    for (const exchange of [...DIALECTS, ...BAD]) {
      const [answer, wanted] = [await ask(connection, exchange, '/ml'), await expected(exchange, all)]
      expect([exchange.what, wanted.status]).toEqual([exchange.what, exchange.status])
      expect([exchange.what, answer.status, answer.text]).toEqual([exchange.what, wanted.status, wanted.text])
      expect([exchange.what, answer.headers]).toEqual([exchange.what, expect.objectContaining(wanted.headers)])
    }
  })

  test('headers beyond what Node takes', async () => {
    const { connection } = await run(host)
    const answer = await connection.send('GET', '/ml/v2', undefined, { 'x-large': 'x'.repeat(20_000) })
    expect(answer.status).toBe(431)
  })

  test('the rest of the app is the app’s', async () => {
    const { connection } = await run(host)
    expect(await connection.get('/hello')).toMatchObject({ status: 200, text: 'hello' })
    for (const path of ['/v2', '/ml', '/ml/', '/ml/v2x', '/ml/V2', '/ml/v1/models', '/mlv2', '/ml2/v2', '/ml/ping'])
      expect([path, (await connection.get(path)).status]).toEqual([path, 404])
  })

  test('two servers, and another mount of one, in one app', async () => {
    const one = await serverFor({ models: [{ name: 'm', source: constantOf(1) }], name: 'one' })
    const two = await serverFor({ models: [{ name: 'm', source: constantOf(2) }], name: 'two' })
    const more: Mount[] = [
      { server: two, prefix: '/two' },
      { server: two, prefix: '/three', options: { dialects: ['tf-serving'] } },
    ]
    const { connection } = await run(host, { model: one, prefix: '/one', more })
    const answer = async (at: string) => (await connection.post(`${at}/v2/models/m/infer`, {})).json
    expect(await answer('/one')).toMatchObject({ outputs: [{ data: [1] }] })
    expect(await answer('/two')).toMatchObject({ outputs: [{ data: [2] }] })
    expect((await connection.get('/three/v2')).status).toBe(404)
  })

  test('the client, which has the same predict() as the server', async () => {
    const { port } = await run(host)
    const client = createClient({ url: `http://127.0.0.1:${port}/ml` })
    const inputs = { a: [[1, 2, 3, 4]], b: Float32Array.of(1, 1, 1, 1) }
    const remote = await client.predict('add', inputs, { version: '1', id: 'ü' })
    const local = await server.predict('add', inputs, { version: '1', id: 'ü' })
    expect(remote).toMatchObject({ id: local.id, model: local.model, version: local.version, outputs: local.outputs })
    const longs = BigInt64Array.of(2n ** 62n, -1n)
    expect((await client.predict('long', { x: longs })).outputs.y?.data).toEqual(longs)
    expect((await client.predict('string', { x: ['', '日本語'] })).outputs.y?.data).toEqual(['', '日本語'])
    await expect(client.predict('add', { ...inputs, c: 1 })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    await expect(client.predict('nope', {})).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND', details: { status: 404 } })
    expect(await client.isReady()).toBe(true)
  })

  describe('bodies', () => {
    test('up to maxBodyBytes, and one byte more', async () => {
      const { connection } = await run(host)
      const exact = JSON.stringify(ADD).padEnd(MAX_BODY_BYTES)
      expect(await connection.post('/ml/v2/models/add/infer', exact)).toMatchObject({ status: 200 })
      const refused = await connection.post('/ml/v2/models/add/infer', `${exact} `)
      expect(refused).toMatchObject({ status: 413, json: { code: 'BODY_TOO_LARGE' } })
      expect(refused.headers).toMatchObject({ 'content-type': 'application/json' })
    })

    test.each(['content-length', 'chunked'])('too large by %s: refused while the client still sends', async (framing) => {
      const { port, connection } = await run(host)
      const raw = await socketTo(port)
      const total = 64 * 1024 * 1024
      await raw.send(`${HEAD}${framing === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${total}`}\r\n\r\n`)
      const piece = Buffer.alloc(MAX_BODY_BYTES + 1, ' ')
      if (framing === 'chunked') await raw.send(chunk(piece))
      expect(await raw.answer()).toMatchObject({ status: 413, headers: { 'content-type': 'application/json' } })
      // No adapter reads on for ever; if a `Request` stands between, its carrier is responsible.
      if (host.isWeb) return
      for (let sent = piece.length; sent < total && !raw.socket.destroyed; sent += piece.length)
        await Promise.race([raw.send(framing === 'chunked' ? chunk(piece) : piece), raw.closed])
      await raw.closed
      expect(await connection.get('/ml/v2/health/live')).toMatchObject({ status: 200 })
    })

    test('a client that stops after the refusal keeps its connection', async () => {
      const { port } = await run(host)
      const raw = await socketTo(port)
      await raw.send(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`)
      await raw.send(chunk(Buffer.alloc(MAX_BODY_BYTES + 1, ' ')))
      expect(await raw.answer()).toMatchObject({ status: 413 })
      await raw.send(`0\r\n\r\n${LIVE}`)
      expect(await raw.answer()).toMatchObject({ status: 200 })
    })

    test('in many tiny pieces', async () => {
      const { port } = await run(host)
      const raw = await socketTo(port)
      const text = JSON.stringify(ADD).padEnd(5_000)
      await raw.send(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`)
      await raw.send(Buffer.concat([...Array.from(text, chunk), chunk('')]))
      expect(await raw.answer()).toMatchObject({ status: 200 })
    })

    test('that trickle: the time is for all of it', async () => {
      const model = await serverFor({ models: [{ name: 'add', source: addModel() }], bodyTimeoutMs: 50 })
      const { port } = await run(host, { model })
      const raw = await socketTo(port)
      await raw.send(`${HEAD}Content-Length: 90000\r\n\r\n{`)
      let status = 0
      const answered = raw.answer().then((answer) => {
        status = answer.status
      })
      // A byte a turn, until it is told to stop.
      while (status === 0 && !raw.socket.destroyed) {
        await raw.send(' ').catch(() => {})
        await new Promise((resolve) => setImmediate(resolve))
      }
      await answered
      expect(status).toBe(408)
    })

    test('that never end: 408, and the connection closes', async () => {
      const model = await serverFor({ models: [{ name: 'add', source: addModel() }], bodyTimeoutMs: 50 })
      const { port } = await run(host, { model })
      const raw = await socketTo(port)
      await raw.send(`${HEAD}Content-Length: 100\r\n\r\n{`)
      const answer = await raw.answer()
      expect(answer).toMatchObject({ status: 408, headers: { 'content-type': 'application/json' } })
      expect(JSON.parse(answer.text)).toMatchObject({ code: 'BODY_TIMEOUT' })
      await raw.closed
    })
  })

  describe('connections', () => {
    test('requests one behind the other on one connection are answered in their order', async () => {
      const { port } = await run(host)
      const raw = await socketTo(port)
      const body = JSON.stringify(ADD)
      await raw.send([`${HEAD}Content-Length: ${body.length}\r\n\r\n${body}`, LIVE, LIVE.replace('live', 'nope'), LIVE].join(''))
      const statuses = []
      for (let i = 0; i < 4; i++) statuses.push((await raw.answer()).status)
      expect(statuses).toEqual([200, 200, 404, 200])
    })

    test('a target with an origin in front', async () => {
      const { port } = await run(host)
      const raw = await socketTo(port)
      await raw.send('GET http://example.test/ml/v2/health/live?x HTTP/1.1\r\nHost: x\r\n\r\n')
      expect(await raw.answer()).toMatchObject({ status: 200 })
    })

    test('a client that goes away aborts its request', async () => {
      let arrived = (_signal: AbortSignalLike): void => {}
      const signal = new Promise<AbortSignalLike>((resolve) => {
        arrived = resolve
      })
      const never = answeredBy((request) => {
        if (request.signal) arrived(request.signal)
        return new Promise(() => {})
      })
      const { port } = await run(host, { model: never })
      const raw = await socketTo(port)
      await raw.send(`${HEAD}Content-Length: 2\r\n\r\n{}`)
      const got = await signal
      expect(got.aborted).toBe(false)
      const aborted = new Promise<void>((resolve) => got.addEventListener('abort', () => resolve()))
      raw.socket.destroy()
      await aborted
    })

    test('requests of one connection are told from those of another', async () => {
      const seen: (symbol | undefined)[] = []
      const listening = answeredBy((request) => {
        seen.push(request.connection)
        return mount.handle(request)
      })
      const { port } = await run(host, { model: listening })
      for (let i = 0; i < 2; i++) {
        const raw = await socketTo(port)
        for (let j = 0; j < 2; j++) {
          await raw.send(LIVE)
          expect(await raw.answer()).toMatchObject({ status: 200 })
        }
        raw.socket.destroy()
      }
      // A `Request` does not say on which connection it came.
      if (host.isWeb) expect(seen).toEqual([undefined, undefined, undefined, undefined])
      else {
        const [a, again, b] = seen
        expect(typeof a).toBe('symbol')
        expect(typeof b).toBe('symbol')
        expect(a).not.toBe(b)
        expect(seen).toEqual([a, a, b, b])
        expect(again).toBe(a)
      }
    })

    test('a client that goes away within its body costs nothing', async () => {
      const asked: string[] = []
      const listening = answeredBy((request) => {
        asked.push(request.path)
        return mount.handle(request)
      })
      const { port, connection } = await run(host, { model: listening })
      const raw = await socketTo(port)
      await raw.send(`${HEAD}Content-Length: 100\r\n\r\n{`)
      raw.socket.destroy()
      await raw.closed
      expect(await connection.get('/ml/v2/health/live')).toMatchObject({ status: 200 })
      expect(asked).toEqual(['/v2/health/live'])
    })
  })
})
