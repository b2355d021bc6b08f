/** The fast lane: whatever comes over a connection, the answers are those of node:http. */

import { channel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer, type RequestListener, type Server, ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import fc from 'fast-check'
import { createModelServer, type HttpHandler, type HttpRequest, type HttpResponse, type ModelServer } from 'modelmount'
import { attach, nodeHandler } from 'modelmount/node'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { LONGEST_HEAD, readHead } from '../../src/adapters/lane/head.ts'
import { headOf } from '../../src/adapters/lane/written.ts'
import { addModel, identityModel } from '../../tools/models.mjs'
import { observe, turns } from '../support/server.ts'
import { openSocket, type RawSocket } from '../support/socket.ts'
import { ADD, REQUESTS } from './requests.ts'

const MAX_BODY_BYTES = 100_000
const BODY = JSON.stringify(ADD)
const PATH = '/ml/v2/models/add/infer'

let server: ModelServer
/** With the usual limits. */
let large: ModelServer
beforeAll(async () => {
  const models = [
    { name: 'add', source: addModel() },
    { name: 'image', source: identityModel('float', ['N']) },
  ]
  server = await createModelServer({ logger: false, strict: true, maxBodyBytes: MAX_BODY_BYTES, models })
  large = await createModelServer({ logger: false, strict: true, models })
})
afterAll(async () => {
  await Promise.all([server.close(), large.close()])
})

const post = (body = BODY, path = PATH, fields = ''): string =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${fields}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`

/** A tensor of the identity model `image`, there and back as bytes. */
function imageRequest(floats: Float32Array): Buffer {
  const json = JSON.stringify({
    inputs: [{ name: 'x', datatype: 'FP32', shape: [floats.length], parameters: { binary_data_size: floats.byteLength } }],
    outputs: [{ name: 'y', parameters: { binary_data: true } }],
  })
  const lengths = `inference-header-content-length: ${json.length}\r\ncontent-length: ${json.length + floats.byteLength}`
  const head = `POST /ml/v2/models/image/infer HTTP/1.1\r\nhost: a\r\n${lengths}\r\n\r\n`
  return Buffer.concat([Buffer.from(head + json), Buffer.from(floats.buffer)])
}

interface Listening {
  readonly http: Server
  readonly port: number
  /** How many requests went through `node:http`. */
  readonly usual: () => number
}

async function listening(listener: RequestListener, prepare = (_http: Server): void => {}): Promise<Listening> {
  let usual = 0
  class Counted extends ServerResponse {
    constructor(...args: ConstructorParameters<typeof ServerResponse>) {
      super(...args)
      usual++
    }
  }
  const http = createServer({ ServerResponse: Counted as typeof ServerResponse }, listener)
  prepare(http)
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  onTestFinished(() => {
    http.closeAllConnections()
    http.close()
  })
  return { http, port: (http.address() as AddressInfo).port, usual: () => usual }
}

const app: RequestListener = (_req, res) => void res.end('the app')

/** An app with the models at `/ml`. */
const attached = (of: ModelServer = server, fastLane = true): Promise<Listening> =>
  listening(app, (http) => void attach(http, of, { prefix: '/ml', fastLane }))

async function connected(port: number): Promise<RawSocket> {
  const raw = await openSocket(port)
  onTestFinished(() => void raw.socket.destroy())
  return raw
}

/** A server's answer to these bytes until it closes the connection or falls silent; without the time of day. */
async function said(port: number, pieces: readonly (string | Uint8Array)[]): Promise<string> {
  const raw = await connected(port)
  let text = ''
  raw.socket.on('data', (bytes) => {
    text += bytes.toString('latin1')
  })
  for (const piece of pieces) {
    await raw.send(piece)
    await turns()
  }
  // The last request of each connection asks for its end.
  await raw.send('GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  await raw.closed
  return text.replace(/Date: [^\r]*/g, 'Date')
}

/** A server whose requests wait until they are let go. */
function held() {
  const asked: HttpRequest[] = []
  let release = (): void => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const mount = server.http.mount()
  const handler: HttpHandler = {
    ...mount,
    async handle(request) {
      asked.push(request)
      await gate
      return mount.handle(request)
    },
  }
  const of: ModelServer = { ...server, http: { ...handler, mount: () => handler } }
  return { of, asked, release: () => release() }
}

const until = (what: () => boolean) => expect.poll(what, { timeout: 5000, interval: 5 }).toBe(true)

const NO_REQUEST = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'

describe('the same answers', () => {
  let lane: Listening
  let plain: Listening
  /** Servers that met bytes that are no request. */
  const refused = { lane: false, plain: false }
  const start = async () => {
    lane = await attached()
    plain = await attached(server, false)
    for (const [name, { http }] of Object.entries({ lane, plain }))
      http.on('clientError', (error: NodeJS.ErrnoException, socket) => {
        if (error.code?.startsWith('HPE_')) refused[name as keyof typeof refused] = true
        if (socket.writable) socket.end(NO_REQUEST)
        else socket.destroy()
      })
  }
  const same = async (...pieces: (string | Uint8Array)[]): Promise<string> => {
    Object.assign(refused, { lane: false, plain: false })
    const [here, there] = await Promise.all([said(lane.port, pieces), said(plain.port, pieces)])
    expect(refused.lane).toBe(refused.plain)
    if (!refused.lane) expect(here).toBe(there)
    else {
      // Garbage makes Node drop the answer before it, if that is not written yet.
      const answers = [here, there].map((text) => text.replace(NO_REQUEST, '')).sort((a, b) => a.length - b.length)
      expect(answers[1]?.startsWith(answers[0] as string)).toBe(true)
    }
    return here
  }

  test('byte for byte, for every request of the conformance table', async () => {
    await start()
    for (const { method, path, headers = {}, body } of REQUESTS) {
      const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
      const bytes = Buffer.from((body ?? '') as string)
      const length = body === undefined || headers['transfer-encoding'] ? '' : `content-length: ${bytes.length}\r\n`
      await same(
        Buffer.concat([Buffer.from(`${method} /ml${path} HTTP/1.1\r\nhost: a\r\n${fields.join('')}${length}\r\n`), bytes]),
      )
    }
    // Each connection ends with a request that is the app's; the others are not all of the kind that node:http has to take.
    expect(plain.usual() - lane.usual()).toBeGreaterThan(REQUESTS.length / 2)
  })

  test('requests behind each other, in the middle of one another, and an app in between', async () => {
    await start()
    const answers = await same(post(), post(), get('/ml/v2'), get('/hello'), post(), post('{}'), post())
    expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(
      [200, 200, 200, 200, 200, 400, 200, 200].map((status) => `HTTP/1.1 ${status}`),
    )
    await same(post() + post() + get('/hello') + post())
    const two = post() + post()
    for (const cut of [1, 20, 110, 150, post().length - 1, post().length + 1, two.length - 1])
      await same(two.slice(0, cut), two.slice(cut))
  })

  test('whatever is wrong with a request', async () => {
    await start()
    const bad = [
      post().replace('Host', 'Host '),
      post().replace('HTTP/1.1', 'HTTP/1.0'),
      post().replace('HTTP/1.1', 'HTTP/2.0'),
      post().replace('POST', 'post'),
      post().replace('\r\nHost: a', ''),
      post().replace('Content-Length', 'Content-Length: 5\r\nContent-Length'),
      post().replace('Content-Length', 'Transfer-Encoding: chunked\r\nContent-Length'),
      post().replace(/Content-Length: \d+/, 'Content-Length: -1'),
      post().replace(/Content-Length: \d+/, 'Content-Length: 1e2'),
      post().replace(/Content-Length: \d+/, 'Content-Length: 12, 12'),
      post().replace(/Content-Length: \d+/, 'Content-Length: 99999999999999999999'),
      post().replace(/Content-Length: (\d+)/, 'Content-Length: +$1'),
      post().replace(/Content-Length: (\d+)/, 'Content_Length: $1'),
      post().replace('application/json', 'application/json\r\n folded'),
      post().replace('application/json', 'application\0/json'),
      post().replace('Host: a', 'Host: a\nX: b'),
      post().replace('Host: a', 'Host: a\rX: b'),
      post().replace('Host: a', 'Host: é'),
      post().replace(PATH, `http://a${PATH}`),
      post().replace(PATH, '/ml/v2/models/%/infer'),
      post().replace(PATH, `${PATH}?x=1`),
      post().replace(PATH, `${PATH}#x`),
      post().replace(PATH, '/ml/../ml/v2'),
      post().replace('Host: a', 'Host: a\r\nExpect: 100-continue'),
      post().replace('Host: a', 'Host: a\r\nConnection: close'),
      post().replace('Host: a', `Host: a\r\nX: ${'x'.repeat(LONGEST_HEAD)}`),
      post().replace('Host: a', `Host: a\r\nX: ${'x'.repeat(20_000)}`),
      post().replace('Host: a', 'Host: a\r\n__proto__: x\r\nconstructor: y'),
      post().replace('Host: a', 'Host: a\r\nx-request-id: my-id\r\nX-Request-Timeout-Ms: soon'),
      post(`${BODY}${' '.repeat(MAX_BODY_BYTES)}`),
      post(BODY, '/ml/nothing'),
      get('/ml/v2').replace('Host: a', 'Host: a\r\nContent-Length: 2'),
      '\r\n\r\n',
      'garbage',
    ]
    for (const request of bad) await same(request)
  })

  test('bytes changed, taken away and put in, anywhere', async () => {
    await start()
    const valid = [post(), get('/ml/v2'), get('/hello')]
    const change = fc.record({
      at: fc.nat(400),
      take: fc.nat(3),
      put: fc.constantFrom('', ' ', '\r\n', '\n', '\0', ':', '\t', 'x', '\r\n\r\n', '0', 'é', 'POST '),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...valid), { minLength: 1, maxLength: 3 }),
        fc.array(change, { maxLength: 2 }),
        async (requests, changes) => {
          let text = requests.join('')
          for (const { at, take, put } of changes) text = text.slice(0, at) + put + text.slice(at + take)
          // A body that never comes would be waited for.
          if (/Content-Length: \d{5,}/.test(text)) return
          await same(text + get('/hello').repeat(50))
        },
      ),
      { numRuns: 60 },
    )
  })
})

describe('heads', () => {
  test('what is read is what node:http reads', async () => {
    const { port } = await listening((req, res) => {
      req.resume().on('end', () => void res.end(JSON.stringify({ method: req.method, target: req.url, headers: req.headers })))
    })
    const name = fc.constantFrom(
      'x-a',
      'X-B',
      'accept',
      'Content-Type',
      'connection',
      'te',
      'x_c',
      'constructor',
      'a b',
      'Cookie',
    )
    const value = fc.oneof(
      fc.constantFrom(
        'keep-alive',
        'Keep-Alive',
        'application/json',
        '',
        ' two  words ',
        '\ttab\t',
        'a, b',
        'close',
        'x\x7f',
        'é',
      ),
      fc.string({ maxLength: 12 }),
    )
    let read = 0
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(
          ['GET', ''],
          ['POST', 'content-length: 3\r\n'],
          ['POST', 'Content-Length:  003\r\n'],
          ['POST', 'content-length: 0x3\r\n'],
          ['POST', ''],
          ['PUT', 'content-length: 3\r\n'],
        ),
        fc.constantFrom('/', '/v2?x=1', '/%zz', '/#a', '/a b', '/é'),
        fc.array(fc.tuple(name, value), { maxLength: 4 }),
        async ([method, length], target, fields) => {
          const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')
          const text = `${method} ${target} HTTP/1.1\r\nHost: a\r\n${lines}${length}`
          const head = readHead(text)
          if (!head) return
          read++
          const raw = await openSocket(port)
          await raw.send(Buffer.from(`${text}\r\n${'x'.repeat(head.length)}`, 'latin1'))
          const answer = await raw.answer()
          raw.socket.destroy()
          const { length: _, ...rest } = head
          expect([answer.status, JSON.parse(answer.text)]).toEqual([200, rest])
        },
      ),
      { numRuns: 400 },
    )
    expect(read).toBeGreaterThan(30)
  })

  test('what wants more than an answer, or means different things to different readers, is not read', () => {
    const start = 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n'
    expect(readHead(start)).toEqual({ method: 'POST', target: '/', headers: { host: 'a', 'content-length': '3' }, length: 3 })
    const fields = [
      'Upgrade: h2c',
      'Expect: 100-continue',
      'Transfer-Encoding: identity',
      'Trailer: x',
      'TE: trailers',
      'Connection: close',
    ]
    for (const blank of [' ', '\t'])
      expect(readHead(start.replace('length: 3', `length: 3${blank}`)), JSON.stringify(blank)).toBeUndefined()
    for (const field of [...fields, 'Content-Length: 3', 'HOST: a', 'x_y: 1', 'x : 1', ' folded', 'x: é', 'x'])
      expect(readHead(`${start}${field}\r\n`), field).toBeUndefined()
  })

  test('an answer has no field that its headers do not have', () => {
    expect(headOf(200, { 'x-a': 'é' }, 5000)).toMatch(
      /^HTTP\/1\.1 200 OK\r\nx-a: é\r\nDate: .* GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n$/,
    )
    for (const value of ['a\r\nb: c', 'a\nb', 'a\0', 'a\x7f', 'Ω'])
      expect(() => headOf(200, { 'x-a': value }, 5000)).toThrow('x-a')
  })
})

describe('a connection', () => {
  test('a body in many pieces, also one of tensors, takes the lane', async () => {
    const { port, usual } = await attached()
    const raw = await connected(port)
    const request = post()
    const head = request.indexOf('\r\n\r\n') + 4
    await raw.send(request.slice(0, head))
    for (const character of request.slice(head)) {
      await raw.send(character)
      await turns()
    }
    expect(await raw.answer()).toMatchObject({ status: 200 })

    const floats = Float32Array.from({ length: 20_000 }, (_, i) => i / 7)
    const bytes = imageRequest(floats)
    for (let at = 0; at < bytes.length; at += 30_000) {
      await raw.send(bytes.subarray(at, at + 30_000))
      await turns()
    }
    const answer = await raw.answer()
    expect(answer.status).toBe(200)
    expect(new Float32Array(Uint8Array.from(answer.bytes.subarray(-floats.byteLength)).buffer)).toEqual(floats)
    expect(usual()).toBe(0)
  })

  test('requests with the same head are requests of their own', async () => {
    const { port, usual } = await listening(
      app,
      (http) => void attach(http, server, { prefix: '/ml', serverTiming: true, fastLane: true }),
    )
    const raw = await connected(port)
    await raw.send(post())
    expect((await raw.answer()).headers).toHaveProperty('server-timing')
    await raw.send(post(BODY.replace('FP32', 'FP33')))
    const refused = await raw.answer()
    expect(refused.status).toBe(400)
    expect(refused.headers).not.toHaveProperty('server-timing')
    expect(usual()).toBe(0)
  })

  test('memory of a body is freed once it is copied, unless somebody else has seen it', async () => {
    const sockets: Socket[] = []
    const { http, port, usual } = await attached(large)
    http.on('connection', (socket) => void sockets.push(socket))
    const raw = await connected(port)
    await raw.send(post())
    await raw.answer()
    const seen: Buffer[] = []
    sockets[0]?.on('data', (bytes: Buffer) => void seen.push(bytes))
    await raw.send(imageRequest(new Float32Array(300_000)))
    expect(await raw.answer()).toMatchObject({ status: 200 })
    expect(seen.some(({ length }) => length === 0)).toBe(false)
    expect(usual()).toBe(0)
    // The next request comes with the end of the body.
    const other = await connected(port)
    await other.send(Buffer.concat([imageRequest(new Float32Array(300_000)), Buffer.from(post())]))
    expect((await other.answer()).bytes.length).toBeGreaterThan(1_200_000)
    expect(await other.answer()).toMatchObject({ status: 200 })
  })

  test('a body that does not come gets 408 and the end of its connection', async () => {
    const slow = await createModelServer({ logger: false, bodyTimeoutMs: 50, models: [{ name: 'add', source: addModel() }] })
    onTestFinished(() => slow.close())
    const raw = await connected((await attached(slow)).port)
    await raw.send(post().slice(0, -5))
    expect(await raw.answer()).toMatchObject({
      status: 408,
      headers: { connection: 'close' },
      text: expect.stringMatching(/within 50 ms.*BODY_TIMEOUT|BODY_TIMEOUT.*within 50 ms/),
    })
    await raw.closed
  })

  test('a client that goes away cancels its request; one that goes away while it sends has none', async () => {
    const { of, asked, release } = held()
    const { port } = await attached(of)
    for (const leave of [(raw: RawSocket) => raw.socket.destroy(), (raw: RawSocket) => raw.socket.end()]) {
      const raw = await connected(port)
      await raw.send(post())
      await until(() => asked.length === 1)
      const { signal } = asked.pop() as HttpRequest
      const told = new Promise<void>((resolve) => signal?.addEventListener('abort', resolve))
      leave(raw)
      await told
      expect(signal).toMatchObject({ aborted: true, reason: { name: 'AbortError' } })
    }
    const started = vi.spyOn(globalThis, 'setTimeout')
    const ended = vi.spyOn(globalThis, 'clearTimeout')
    onTestFinished(() => void vi.restoreAllMocks())
    const half = await connected(port)
    await half.send(post().slice(0, -1))
    const limit = () => started.mock.results[started.mock.calls.findIndex(([, ms]) => ms === of.http.bodyTimeoutMs)]?.value
    await until(() => limit() !== undefined)
    half.socket.destroy()
    await until(() => ended.mock.calls.some(([timer]) => timer === limit()))
    release()
    expect(asked).toEqual([])
  })

  test('one that does not read its answers is not answered any more', async () => {
    const LENGTH = 4_000_000
    const mount = server.http.mount()
    let answered = 0
    const handle = async (): Promise<HttpResponse> => {
      answered++
      return { status: 200, headers: { 'content-length': String(LENGTH) }, body: new Uint8Array(LENGTH) }
    }
    const handler: HttpHandler = { ...mount, handle }
    const { port } = await attached({ ...server, http: { ...handler, mount: () => handler } })
    const raw = await connected(port)
    raw.socket.pause()
    // The kernel holds some of them.
    for (let i = 0; i < 10; i++) {
      await raw.send(post())
      const end = performance.now() + 50
      while (answered <= i && performance.now() < end) await turns()
    }
    expect(answered).toBeLessThan(8)
    raw.socket.resume()
    await until(() => answered === 10)
  })

  test('an answer with a header that is none costs its connection, nothing else', async () => {
    const mount = server.http.mount()
    const handle = async (): Promise<HttpResponse> => ({ status: 200, headers: { 'x-a': 'b\r\nc: d' }, body: new Uint8Array() })
    const handler: HttpHandler = { ...mount, handle }
    const { port } = await attached({ ...server, http: { ...handler, mount: () => handler } })
    const raw = await connected(port)
    await raw.send(post())
    await raw.closed
    await expect(raw.answer()).rejects.toThrow('without an answer')
  })

  test('what reads along, or wants limits of node:http, has node:http', async () => {
    const count = async (prepare: (http: Server) => void): Promise<number> => {
      const { port, usual } = await listening(app, (http) => {
        attach(http, server, { prefix: '/ml', fastLane: true })
        prepare(http)
      })
      const raw = await connected(port)
      await raw.send(post())
      expect(await raw.answer()).toMatchObject({ status: 200 })
      return usual()
    }
    const heard: Buffer[] = []
    const listen = (socket: Socket) => void socket.on('data', (bytes: Buffer) => void heard.push(bytes))
    expect(await count((http) => void http.on('connection', listen))).toBe(1)
    expect(Buffer.concat(heard).toString()).toBe(post())
    const read = (socket: Socket) => void socket.on('readable', () => void heard.push(...[socket.read()].filter(Boolean)))
    heard.length = 0
    expect(await count((http) => void http.on('connection', read))).toBe(1)
    expect(Buffer.concat(heard).toString()).toBe(post())
    for (const limit of [{ timeout: 60_000 }, { maxRequestsPerSocket: 10 }, { maxHeadersCount: 50 }])
      expect(await count((http) => void Object.assign(http, limit))).toBe(1)
    expect(await count(() => {})).toBe(0)
  })
})

describe('the end of a server', () => {
  test('close() waits for what runs, and ends what is idle', async () => {
    const { of, asked, release } = held()
    const { http, port } = await attached(of)
    http.keepAliveTimeout = 60_000
    const [idle, busy, fresh] = await Promise.all([connected(port), connected(port), connected(port)])
    await idle.send(get('/ml/v2/health/live').replace('/ml', '/ml'))
    await until(() => asked.length === 1)
    release()
    expect(await idle.answer()).toMatchObject({ status: 200 })

    const second = held()
    const other = await attached(second.of)
    const running = await connected(other.port)
    await running.send(post())
    await until(() => second.asked.length === 1)
    const closed = observe(new Promise((resolve) => other.http.close(resolve)))
    await turns()
    expect(closed.settled).toBe(false)
    second.release()
    expect(await running.answer()).toMatchObject({ status: 200, headers: { connection: 'close' } })
    await closed.promise

    http.closeIdleConnections()
    await idle.closed
    // Connected, and about to ask.
    await fresh.send(post())
    expect(await fresh.answer()).toMatchObject({ status: 200 })
    http.closeAllConnections()
    await Promise.all([busy.closed, fresh.closed])
  })

  test('what comes while a connection closes is not answered, however long its last answer takes', async () => {
    const mount = server.http.mount()
    const body = new Uint8Array(20_000_000)
    let answered = 0
    const handler: HttpHandler = {
      ...mount,
      async handle() {
        answered++
        http.close()
        return { status: 200, headers: { 'content-length': String(body.length) }, body }
      },
    }
    const { http, port, usual } = await attached({ ...server, http: { ...handler, mount: () => handler } })
    const raw = await connected(port)
    raw.socket.pause()
    await raw.send(post())
    await until(() => answered === 1)
    await raw.send(post() + get('/hello'))
    for (let i = 0; i < 20; i++) await turns()
    raw.socket.resume()
    const answer = await raw.answer()
    expect([answer.headers.connection, answer.bytes.length]).toEqual(['close', body.length])
    await raw.closed
    expect([answered, usual()]).toEqual([1, 0])
  })

  test('helpers that end the sockets without an answer under way find it, and may ask for the end after it', async () => {
    const { of, asked, release } = held()
    const sockets = new Set<
      Socket & { _httpMessage?: { headersSent: boolean; setHeader(name: string, value: string): void } | null }
    >()
    const { http, port } = await attached(of)
    http.on('connection', (socket) => void sockets.add(socket))
    const [idle, busy] = [await connected(port), await connected(port)]
    await busy.send(post())
    await until(() => asked.length === 1)
    for (const socket of sockets)
      if (socket._httpMessage && !socket._httpMessage.headersSent) socket._httpMessage.setHeader('connection', 'close')
      else socket.destroy()
    await idle.closed
    release()
    expect(await busy.answer()).toMatchObject({ status: 200, headers: { connection: 'close' } })
    await busy.closed
  })

  test('idle connections, and those that never ask, end in the times that the server has set', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    const { http, port } = await attached()
    http.keepAliveTimeout = 5000
    http.headersTimeout = 20_000
    const [used, silent] = [await connected(port), await connected(port)]
    await used.send(post())
    expect(await used.answer()).toMatchObject({ status: 200, headers: { 'keep-alive': 'timeout=5' } })
    for (let i = 0; i < 2; i++) {
      await vi.advanceTimersByTimeAsync(5000)
      await turns()
      expect(used.socket.destroyed).toBe(false)
      await used.send(post())
      expect(await used.answer()).toMatchObject({ status: 200 })
    }
    await vi.advanceTimersByTimeAsync(5000)
    await turns()
    expect(used.socket.destroyed).toBe(false)
    await vi.advanceTimersByTimeAsync(1000)
    await used.closed
    expect(silent.socket.destroyed).toBe(false)
    await vi.advanceTimersByTimeAsync(5000)
    await silent.closed
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('who enters', () => {
  const usualOf = async ({ port, usual }: Listening): Promise<number> => {
    // The first request shows the handler which server it is in.
    for (let i = 0; i < 3; i++) {
      const raw = await connected(port)
      await raw.send(post())
      expect(await raw.answer()).toMatchObject({ status: 200 })
    }
    return usual()
  }
  const handler = (fastLane = true) => nodeHandler(server, { prefix: '/ml', fastLane })

  test('only those that have asked for it', async () => {
    expect(await usualOf(await listening(nodeHandler(server, { prefix: '/ml' })))).toBe(3)
    expect(await usualOf(await listening(app, (http) => void attach(http, server, { prefix: '/ml' })))).toBe(3)
    expect(await usualOf(await attached())).toBe(0)
  })

  test('a handler that is all there is', async () => {
    expect(await usualOf(await listening(handler()))).toBe(1)
    const { port, usual } = await listening(handler())
    const raw = await connected(port)
    await raw.send(get('/elsewhere'))
    expect(await raw.answer()).toMatchObject({ status: 404, text: expect.stringContaining('ROUTE_NOT_FOUND') })
    expect(usual()).toBe(1)
  })

  test('not one behind another function, beside another listener, or whose server is watched', async () => {
    const inner = handler()
    expect(await usualOf(await listening((req, res) => inner(req, res)))).toBe(3)
    expect(await usualOf(await listening(handler(false)))).toBe(3)
    expect(await usualOf(await listening(handler(), (http) => void http.on('request', () => {})))).toBe(3)
    const emit = (http: Server) => {
      const { emit } = http
      http.emit = function (this: Server, ...args: Parameters<Server['emit']>) {
        return emit.apply(this, args)
      } as Server['emit']
    }
    expect(await usualOf(await listening(handler(), emit))).toBe(3)
    const requests = channel('http.server.request.start')
    const listener = (): void => {}
    requests.subscribe(listener)
    expect(await usualOf(await listening(handler()))).toBe(3)
    requests.unsubscribe(listener)
  })

  test('a listener that comes later gets the next request of every connection', async () => {
    const { http, port } = await listening(handler())
    await usualOf({ http, port, usual: () => 0 })
    const raw = await connected(port)
    await raw.send(post())
    await raw.answer()
    const seen: unknown[] = []
    http.on('request', (req) => void seen.push(req.url))
    await raw.send(post())
    expect(await raw.answer()).toMatchObject({ status: 200 })
    expect(seen).toEqual([PATH])
  })

  test('not one whose connections are not first those of node:http, and nothing else changes there', async () => {
    const { port, usual } = await listening(app, (http) => {
      http.prependListener('connection', () => {})
      attach(http, server, { prefix: '/ml', fastLane: true })()
      attach(http, server, { prefix: '/ml', fastLane: true })
    })
    const raw = await connected(port)
    await raw.send(post())
    expect(await raw.answer()).toMatchObject({ status: 200 })
    expect(usual()).toBe(1)
    attach(createSecureServer() as unknown as Server, server, { prefix: '/ml', fastLane: true })()
  })

  test('several mounts of one server; and none when they are taken out', async () => {
    const detach: (() => void)[] = []
    const { port, usual } = await listening(app, (http) => {
      detach.push(...['/one', '/two'].map((prefix) => attach(http, server, { prefix, fastLane: true })))
    })
    const raw = await connected(port)
    for (const prefix of ['/one', '/two', '/one']) {
      await raw.send(post(BODY, PATH.replace('/ml', prefix)))
      expect(await raw.answer()).toMatchObject({ status: 200 })
    }
    expect(usual()).toBe(0)
    detach[0]?.()
    await raw.send(get('/one/v2'))
    expect(await raw.answer()).toMatchObject({ text: 'the app' })
    await raw.send(get('/two/v2'))
    expect(await raw.answer()).toMatchObject({ status: 200, text: expect.stringContaining('modelmount') })
    detach[1]?.()
    await raw.send(get('/two/v2'))
    expect(await raw.answer()).toMatchObject({ text: 'the app' })
    const late = await connected(port)
    await late.send(get('/two/v2'))
    expect(await late.answer()).toMatchObject({ text: 'the app' })
    expect(usual()).toBe(4)
  })
})
