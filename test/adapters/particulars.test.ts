/** Features of single adapters. */

import { createServer, type IncomingMessage } from 'node:http'
import { connect } from 'node:http2'
import { type AddressInfo, createConnection } from 'node:net'
import { Readable } from 'node:stream'
import Fastify, { type FastifyServerOptions } from 'fastify'
import { Hono } from 'hono'
import { createModelServer, type HttpHandler, type ModelServer } from 'modelmount'
import { type ModelPluginOptions, modelPlugin } from 'modelmount/fastify'
import { fetchHandler } from 'modelmount/fetch'
import { attach, nodeHandler } from 'modelmount/node'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { addModel } from '../../tools/models.mjs'
import { connectTo, httpFor } from '../support/http.ts'
import { turns } from '../support/server.ts'
import { chunk, openSocket } from '../support/socket.ts'
import { ADD } from './requests.ts'

let server: ModelServer
beforeAll(async () => {
  server = await createModelServer({ logger: false, strict: true, models: [{ name: 'add', source: addModel() }] })
})
afterAll(() => server.close())

const INFER = '/ml/v2/models/add/infer'
const json = { 'content-type': 'application/json' }

describe('Fastify', () => {
  function appWith(options: Partial<ModelPluginOptions> = {}, of: FastifyServerOptions = {}) {
    const app = Fastify(of)
    onTestFinished(() => app.close())
    return { app, ready: app.register(modelPlugin, { server, prefix: '/ml', closeServer: false, ...options }) }
  }
  const ask = (url = INFER, payload: string | Buffer = JSON.stringify(ADD), headers = {}) =>
    ({ method: 'POST', url, payload, headers: { ...json, ...headers } }) as const

  test('decorates the app, by a name of its own where there are several, or not at all', async () => {
    const { app, ready } = appWith()
    await ready
    expect(app.models).toBe(server)
    await app.register(modelPlugin, { server, prefix: '/two', closeServer: false, decorator: 'others' })
    await app.register(modelPlugin, { server, prefix: '/three', closeServer: false, decorator: false })
    expect(app.hasDecorator('others')).toBe(true)
    for (const prefix of ['/ml', '/two', '/three']) expect((await app.inject(`${prefix}/v2`)).statusCode).toBe(200)
  })

  test('closes the server with the app, after the last answer', async () => {
    const own = await createModelServer({ logger: false, models: [{ name: 'add', source: addModel() }] })
    let arrived = (): void => {}
    const inside = new Promise<void>((resolve) => {
      arrived = resolve
    })
    let answer = (): void => {}
    const handle: HttpHandler['handle'] = () => {
      arrived()
      return new Promise((resolve) => {
        answer = () => resolve({ status: 200, headers: { live: String(own.health().live) }, body: new Uint8Array(1) })
      })
    }
    const slow: ModelServer = { ...own, http: { ...own.http, mount: (options) => ({ ...own.http.mount(options), handle }) } }
    const { app, ready } = appWith({ server: slow, closeServer: true })
    await ready
    await app.listen({ port: 0, host: '127.0.0.1' })
    const connection = connectTo((app.server.address() as AddressInfo).port)
    const answered = connection.post(INFER, ADD, { connection: 'close' })
    await inside
    const closed = app.close()
    // Time enough for a hook that does not wait.
    await turns()
    answer()
    expect(await answered).toMatchObject({ status: 200, headers: { live: 'true' } })
    await closed
    expect(own.health().live).toBe(false)
  })

  test('inject() works as a socket does', async () => {
    const { app, ready } = appWith()
    await ready
    expect((await app.inject(ask())).json()).toMatchObject({ model_name: 'add' })
    expect((await app.inject(ask(INFER, '{'))).statusCode).toBe(400)
    expect((await app.inject({ method: 'OPTIONS', url: INFER })).headers.allow).toBe('POST, OPTIONS')
  })

  test('a prefix with parameters', async () => {
    const { app, ready } = appWith({ prefix: '/t/:tenant/ml' })
    await ready
    expect((await app.inject(ask('/t/a%2Fb/ml/v2/models/add/infer'))).statusCode).toBe(200)
  })

  test('bodyLimit: the plugin’s, else the app’s where it has set one, else the server’s', async () => {
    const large = JSON.stringify(ADD).padEnd(1_500_000)
    const statusOf = async (options: Partial<ModelPluginOptions>, of: FastifyServerOptions) => {
      const { app, ready } = appWith(options, of)
      await ready
      return (await app.inject(ask(INFER, large))).statusCode
    }
    expect(await statusOf({}, {})).toBe(200)
    expect(await statusOf({ bodyLimit: 1_000_000 }, {})).toBe(413)
    expect(await statusOf({}, { bodyLimit: 1_400_000 })).toBe(413)
    expect(await statusOf({ bodyLimit: 2_000_000 }, { bodyLimit: 1_400_000 })).toBe(200)
  })

  test('parsers stay in their own scope', async () => {
    const { app, ready } = appWith()
    app.post('/echo', async ({ body }) => body)
    await ready
    expect((await app.inject(ask('/echo', '{"a":1}'))).json()).toEqual({ a: 1 })
    const other = { 'content-type': 'application/octet-stream' }
    expect((await app.inject(ask('/echo', 'x', other))).statusCode).toBe(415)
  })

  test('a body that a hook of the app has replaced is the one that counts', async () => {
    const { app, ready } = appWith()
    app.addHook('preParsing', async () => Readable.from([Buffer.from(JSON.stringify(ADD))]))
    await ready
    expect((await app.inject(ask(INFER, 'sealed'))).json()).toMatchObject({ model_name: 'add' })
  })

  test('HTTP/2', async () => {
    const app = Fastify({ http2: true })
    await app.register(modelPlugin, { server, prefix: '/ml', closeServer: false })
    const session = connect(await app.listen({ port: 0, host: '127.0.0.1' }))
    onTestFinished(async () => {
      session.destroy()
      await app.close()
    })
    const stream = session.request({ ':method': 'POST', ':path': INFER, ...json })
    stream.end(JSON.stringify(ADD))
    let status: unknown
    stream.on('response', (headers) => {
      status = headers[':status']
    })
    let text = ''
    for await (const chunk of stream) text += chunk
    expect([status, JSON.parse(text)]).toEqual([200, expect.objectContaining({ model_name: 'add' })])
  })
})

describe('nodeHandler()', () => {
  const post = (body: string, headers = '') =>
    `POST /v2/models/add/infer HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n${headers}\r\n${body}`

  async function listening(before: (req: IncomingMessage) => void = () => {}): Promise<number> {
    const handle = nodeHandler(server)
    const http = createServer((req, res) => {
      before(req)
      handle(req, res)
    })
    onTestFinished(() => void http.close())
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    return (http.address() as AddressInfo).port
  }

  /** Writes pieces to one connection, the next when the one before has arrived, and reads so many status lines. */
  async function exchange(port: number, pieces: readonly string[], answers: number): Promise<string[]> {
    const socket = createConnection(port, '127.0.0.1').setNoDelay()
    onTestFinished(() => void socket.destroy())
    const found: string[] = []
    let text = ''
    const done = new Promise<string[]>((resolve, reject) => {
      socket.on('error', reject)
      socket.on('data', (data) => {
        text += data.toString('latin1')
        found.splice(0, found.length, ...(text.match(/HTTP\/1\.1 \d+/g) ?? []))
        if (found.length >= answers) resolve(found)
      })
    })
    for (const piece of pieces) {
      await new Promise<void>((resolve) => socket.write(piece, () => resolve()))
      await turns()
    }
    return done
  }

  test('answers requests that arrive in one piece, behind each other, and in many pieces', async () => {
    const port = await listening()
    const body = JSON.stringify(ADD)
    expect(await exchange(port, [post(body)], 1)).toEqual(['HTTP/1.1 200'])
    expect(await exchange(port, [post(body) + post(body) + post(body)], 3)).toEqual(Array(3).fill('HTTP/1.1 200'))
    expect(await exchange(port, [post(body), post(body)], 2)).toEqual(Array(2).fill('HTTP/1.1 200'))
    expect(await exchange(port, post(body).match(/[\s\S]{1,40}/g) ?? [], 1)).toEqual(['HTTP/1.1 200'])
    // The last byte of a body together with the next request.
    const two = post(body) + post(body)
    const cut = post(body).length - 1
    expect(await exchange(port, [two.slice(0, cut), two.slice(cut)], 2)).toEqual(Array(2).fill('HTTP/1.1 200'))
  })

  test('a body of a hundred thousand pieces', async () => {
    const raw = await openSocket(await listening())
    onTestFinished(() => void raw.socket.destroy())
    const text = JSON.stringify(ADD)
    const spaces = Buffer.from('1\r\n \r\n'.repeat(100_000))
    const head = 'POST /v2/models/add/infer HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n'
    await raw.send(Buffer.concat([Buffer.from(head), ...Array.from(text, chunk), spaces, chunk('')]))
    expect(await raw.answer()).toMatchObject({ status: 200 })
  })

  test("an app's own listeners hear of the end of a body that arrived with its head", async () => {
    const heard: string[] = []
    const ended = new Promise<void>((resolve) => {
      void listening((req) => {
        req.on('end', () => {
          heard.push('end')
          resolve()
        })
      }).then((port) => exchange(port, [post(JSON.stringify(ADD))], 1))
    })
    await ended
    expect(heard).toEqual(['end'])
  })
})

describe('attach()', () => {
  test('listeners see only what is not ours, also those that come later; and all of it once detached', async () => {
    const client = await httpFor((_req, res) => void res.end('the app'))
    const seen: (string | undefined)[] = []
    const detach = attach(client.http, server, { prefix: '/ml' })
    client.http.on('request', (req) => void seen.push(req.url))
    expect(await client.get('/ml/v2/health/live')).toMatchObject({ status: 200, json: { live: true } })
    expect(await client.get('/hello')).toMatchObject({ text: 'the app' })
    expect(await client.get('/v2')).toMatchObject({ text: 'the app' })
    detach()
    expect(await client.get('/ml/v2')).toMatchObject({ text: 'the app' })
    expect(seen).toEqual(['/hello', '/v2', '/ml/v2'])
  })
})

describe('attach() at a prefix', () => {
  test('that is taken throws, however the prefix is written; another one, or another server, does not', async () => {
    const client = await httpFor((_req, res) => void res.end('the app'))
    const detach = attach(client.http, server, { prefix: '/ml' })
    for (const [prefix, fastLane] of [
      ['/ml', false],
      ['ml/', true],
      ['//ml', false],
    ] as const)
      expect(() => attach(client.http, server, { prefix, fastLane })).toThrowError(
        expect.objectContaining({ code: 'OPTIONS_INVALID', details: { field: 'prefix' } }),
      )
    const other = await httpFor((_req, res) => void res.end('the app'))
    attach(other.http, server, { prefix: '/ml' })
    attach(client.http, server, { prefix: '/ml2' })
    detach()
    detach()
    const again = attach(client.http, server, { prefix: '/ml/' })
    expect(await client.get('/ml/v2/health/live')).toMatchObject({ status: 200 })
    // The one that has left takes nothing of its successor with it.
    detach()
    expect(await client.get('/ml/v2/health/live')).toMatchObject({ status: 200 })
    again()
    expect(await client.get('/ml/v2/health/live')).toMatchObject({ text: 'the app' })
  })

  test('may come and go ten thousand times', async () => {
    const client = await httpFor((_req, res) => void res.end('the app'))
    for (let i = 0; i < 10_000; i++) attach(client.http, server, { prefix: '/ml' })()
    expect(await client.get('/ml/v2')).toMatchObject({ text: 'the app' })
  })
})

describe('fetchHandler()', () => {
  test('without a socket: a Request in, a Response out', async () => {
    const handle = fetchHandler(server)
    const ask = (path: string, init?: RequestInit) => handle(new Request(`http://localhost${path}`, init))
    const answer = await ask('/v2/models/add/infer', { method: 'POST', body: JSON.stringify(ADD), headers: json })
    expect([answer.status, await answer.json()]).toEqual([200, expect.objectContaining({ model_name: 'add' })])
    const head = await ask('/v2', { method: 'HEAD' })
    expect([head.status, head.body, Number(head.headers.get('content-length'))]).toEqual([200, null, expect.any(Number)])
    expect((await ask('/v2', { method: 'OPTIONS' })).status).toBe(204)
    expect((await ask('/elsewhere')).status).toBe(404)
  })

  test('mounted by Hono, which takes the prefix away', async () => {
    const app = new Hono().mount('/ml', fetchHandler(server))
    expect((await app.request('/ml/v2/models')).status).toBe(200)
  })
})
