/** The Express adapter over real sockets: Express 4 and 5, any mount path, with and without a body parser of the app before it. */

import { once } from 'node:events'
import { type Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import express5, { type ErrorRequestHandler, type Express } from 'express'
import express4 from 'express4'
import { createModelServer, type HttpHandler, type ModelServer } from 'modelmount'
import { modelRouter } from 'modelmount/express'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { addModel, customOpModel, identityModel, slowLoopModel } from '../../tools/models.mjs'
import { hold } from '../support/children.ts'
import { type Answer, type Client, httpFor, serveHttp } from '../support/http.ts'
import { LINUX } from '../support/needs.ts'
import { observe, posted, serverFor } from '../support/server.ts'
import { constantOf, plusLong } from '../support/small-models.ts'

const KINDS = [
  { name: 'Express 5', express: express5 },
  { name: 'Express 4', express: express4 },
]
const MOUNTS = ['/', '/ml', '/a/b']

const floats = (name: string, shape: readonly number[], data: readonly unknown[]) => ({ name, shape, datatype: 'FP32', data })
const ADD = { inputs: [floats('a', [1, 4], [1, 2, 3, 4]), floats('b', [1, 4], [1, 1, 1, 1])] }
const x = (datatype: string, data: readonly unknown[]) => ({ inputs: [{ name: 'x', shape: [data.length], datatype, data }] })

let server: ModelServer
beforeAll(async () => {
  server = await createModelServer({
    logger: false,
    maxBodyBytes: 1000,
    strict: true,
    models: [
      { name: 'add', source: addModel() },
      { name: 'add', version: '2', source: addModel() },
      { name: 'float', source: identityModel('float', ['N']) },
      { name: 'long', source: identityModel('int64', ['N']) },
      { name: 'plus-long', source: plusLong() },
      { name: 'string', source: identityModel('string', ['N']) },
      { name: 'bool', source: identityModel('bool', ['N']) },
    ],
  })
})
afterAll(() => server.close())

/** An app with routes and an error handler of its own, which must never hear of a model request. */
function appWith(express: typeof express5, mount: string, json: boolean, model = server): { app: Express; errors: unknown[] } {
  const errors: unknown[] = []
  const app = express()
  if (json) app.use(express.json())
  app.use(mount, modelRouter(model))
  app.get('/hello', (_req, res) => void res.send('hello'))
  app.get(/./, (_req, res) => void res.status(404).send('the app itself'))
  const onError: ErrorRequestHandler = (error, _req, res, _next) => {
    errors.push(error)
    res.status(599).send('the app failed')
  }
  app.use(onError)
  return { app, errors }
}

/** The server, with something to hear of each request that reaches it. */
const spied = (model: ModelServer, handle: HttpHandler['handle']): ModelServer => ({
  ...model,
  http: { ...model.http, mount: (options) => ({ ...model.http.mount(options), handle }) },
})

const expectError = (answer: Answer, status: number, code: string): void => {
  expect({ status: answer.status, json: answer.json }).toMatchObject({
    status,
    json: { code, error: expect.stringMatching(/\S/) },
  })
  expect(answer.headers['content-type']).toBe('application/json')
}

const combinations = KINDS.flatMap((kind) => MOUNTS.flatMap((mount) => [false, true].map((json) => ({ ...kind, mount, json }))))

describe.each(combinations)('$name at $mount, express.json() before it: $json', ({ express, mount, json }) => {
  let client: Client
  let errors: unknown[]
  const at = (path: string): string => `${mount === '/' ? '' : mount}${path}`
  const get = (path: string): Promise<Answer> => client.get(at(path))
  const infer = (model: string, body: unknown, headers?: Record<string, string>): Promise<Answer> =>
    client.post(at(`/v2/models/${model}/infer`), body, headers)

  beforeAll(async () => {
    const made = appWith(express, mount, json)
    errors = made.errors
    client = await serveHttp(made.app)
  })
  afterAll(() => client.close())
  afterEach(() => expect(errors.splice(0)).toEqual([]))

  test('health and metadata', async () => {
    expect(await get('/v2/health/live')).toMatchObject({ status: 200, json: { live: true } })
    expect(await get('/v2/health/ready')).toMatchObject({ status: 200, json: { ready: true } })
    for (const path of ['/v2', '/v2/', '/v2?verbose=1'])
      expect(await get(path)).toMatchObject({
        status: 200,
        json: { name: 'modelmount', version: expect.stringMatching(/^\d+\.\d+\.\d+/), extensions: expect.any(Array) },
      })
    expect((await get('/v2/models')).json).toEqual({ models: ['add', 'bool', 'float', 'long', 'plus-long', 'string'] })
    const inputs = ['a', 'b'].map((name) => ({ name, datatype: 'FP32', shape: [-1, 4] }))
    const add = {
      name: 'add',
      platform: 'onnxruntime_onnx',
      inputs,
      outputs: [{ name: 'sum', datatype: 'FP32', shape: [-1, 4] }],
    }
    expect((await get('/v2/models/add')).json).toEqual({ ...add, versions: ['1', '2'] })
    expect((await get('/v2/models/add/versions/1')).json).toEqual({ ...add, versions: ['1'] })
    expect(await get('/v2/models/add/ready')).toMatchObject({ status: 200, json: { name: 'add', ready: true } })
    expect(await get('/v2/models/add/versions/2/ready')).toMatchObject({ status: 200, json: { ready: true } })
  })

  test('infer, with and without version, with an id', async () => {
    const outputs = [{ name: 'sum', datatype: 'FP32', shape: [1, 4], data: [2, 3, 4, 5] }]
    const answer = await infer('add', ADD)
    expect(answer.headers['content-type']).toBe('application/json')
    expect(answer.headers['content-length']).toBe(String(Buffer.byteLength(answer.text)))
    expect(answer).toMatchObject({ status: 200 })
    expect(answer.json).toEqual({ model_name: 'add', model_version: '2', outputs })
    expect((await infer('add/versions/1', { ...ADD, id: 'ü-42"' })).json).toEqual({
      model_name: 'add',
      model_version: '1',
      id: 'ü-42"',
      outputs,
    })
    const nested = {
      inputs: [floats('a', [1, 4], [[1, 2, 3, 4]]), floats('b', [1, 4], [[1, 1, 1, 1]])],
      outputs: [{ name: 'sum' }],
    }
    expect((await infer('add', nested)).json).toMatchObject({ outputs })
  })

  test('long integers, not-a-number, strings and booleans', async () => {
    const answer = await infer('plus-long', x('INT64', [5]))
    expect(answer.text).toContain('"data":[4611686018427387910]')
    const token = '[9007199254740993,-9223372036854775808,9223372036854775807]'
    const long = await infer('long', `{"inputs":[{"name":"x","shape":[3],"datatype":"INT64","data":${token}}]}`)
    if (json) {
      // express.json() has rounded them already: refused, never served wrong.
      expectError(long, 400, 'INPUT_INVALID')
      expect(long.text).toContain('express.json()')
    } else {
      expect(long.status).toBe(200)
      expect(long.text).toContain(`"data":${token}`)
    }
    const special = '["NaN","Infinity","-Infinity",-0,0.1]'
    const float = await infer('float', `{"inputs":[{"name":"x","shape":[5],"datatype":"FP32","data":${special}}]}`)
    expect(float.text).toContain(`"data":["NaN","Infinity","-Infinity",-0,0.1]`)
    const strings = ['', 'Grüße', '日本語 👩‍👩‍👧', '"\n\\']
    expect((await infer('string', x('BYTES', strings))).json).toMatchObject({ outputs: [{ datatype: 'BYTES', data: strings }] })
    expect((await infer('bool', x('BOOL', [true, false]))).json).toMatchObject({ outputs: [{ data: [true, false] }] })
  })

  test('HEAD, OPTIONS, wrong methods', async () => {
    const head = await client.send('HEAD', at('/v2/models/add'))
    const same = await get('/v2/models/add')
    expect(head).toMatchObject({ status: 200, text: '' })
    expect(head.headers['content-length']).toBe(same.headers['content-length'])
    const options = await client.send('OPTIONS', at('/v2/models/add/infer'))
    expect(options).toMatchObject({ status: 204, text: '', headers: { allow: 'POST, OPTIONS' } })
    // RFC 9110, 8.6: never with 204.
    expect(options.headers['content-length']).toBeUndefined()
    expect((await client.send('OPTIONS', at('/v2'))).headers.allow).toBe('GET, HEAD, OPTIONS')
    for (const [method, path, allow] of [
      ['GET', '/v2/models/add/infer', 'POST, OPTIONS'],
      ['HEAD', '/v2/models/add/infer', 'POST, OPTIONS'],
      ['POST', '/v2/models/add', 'GET, HEAD, OPTIONS'],
      ['DELETE', '/v2/models', 'GET, HEAD, OPTIONS'],
      ['PUT', '/v2/health/live', 'GET, HEAD, OPTIONS'],
      ['PATCH', '/v2', 'GET, HEAD, OPTIONS'],
    ] as const) {
      const answer = await client.send(method, at(path), method === 'POST' ? '{}' : undefined, {
        'content-type': 'application/json',
      })
      expect([method, path, answer.status, answer.headers.allow]).toEqual([method, path, 405, allow])
      if (method !== 'HEAD') expectError(answer, 405, 'METHOD_NOT_ALLOWED')
    }
  })

  test('unknown routes, models and versions; odd paths', async () => {
    for (const path of [
      '/v2/nope',
      '/v2/models/',
      '/v2/models/add/',
      '/v2/models/add/versions',
      '/v2/models//infer',
      '/v2//health/live',
      '/v2/../v2/models',
    ])
      expectError(await get(path), 404, 'ROUTE_NOT_FOUND')
    for (const name of ['nope', '__proto__', 'constructor', 'a%2Fb', '%00', '..', 'add%20', 'ADD']) {
      expectError(await get(`/v2/models/${name}`), 404, 'MODEL_NOT_FOUND')
      expectError(await infer(name, ADD), 404, 'MODEL_NOT_FOUND')
    }
    for (const version of ['3', '__proto__', '01', '1%2F'])
      expectError(await infer(`add/versions/${version}`, ADD), 404, 'VERSION_NOT_FOUND')
    expect((await get('/v2/models/%61dd/versions/%31')).json).toMatchObject({ name: 'add', versions: ['1'] })
    for (const path of ['/v2/models/%', '/v2/models/%E0%A4%A', '/v2/models/add/versions/%zz/infer'])
      expectError(
        await client.send(path.endsWith('infer') ? 'POST' : 'GET', at(path), path.endsWith('infer') ? '{}' : undefined),
        400,
        'REQUEST_INVALID',
      )
  })

  test('the rest of the app is the app’s', async () => {
    expect(await client.get('/hello')).toMatchObject({ status: 200, text: 'hello' })
    for (const path of ['/v2x', '/v1/models', '/', '/v', '/V2/models'])
      expect(await get(path)).toMatchObject({ status: 404, text: 'the app itself' })
  })

  test('bad bodies', async () => {
    expectError(await infer('add', ''), 400, 'REQUEST_INVALID')
    expectError(await infer('add', []), 400, 'REQUEST_INVALID')
    expectError(await infer('add', {}), 400, 'REQUEST_INVALID')
    expectError(await infer('add', { inputs: [] }), 400, 'REQUEST_INVALID')
    expectError(await infer('add', { inputs: [ADD.inputs[0]] }), 400, 'INPUT_INVALID')
    expectError(await infer('add', { inputs: [...ADD.inputs, ADD.inputs[0]] }), 400, 'INPUT_INVALID')
    expectError(await infer('add', { ...ADD, outputs: [{ name: 'nope' }] }), 400, 'OUTPUT_NOT_FOUND')
    expectError(await infer('add', { ...ADD, id: 7 }), 400, 'REQUEST_INVALID')
    expectError(await infer('float', x('FP64', [1])), 400, 'INPUT_INVALID')
    expectError(await infer('float', x('INT4', [1])), 400, 'REQUEST_INVALID')
    expectError(
      await infer('float', `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1e309]}]}`),
      400,
      'INPUT_INVALID',
    )
    expectError(
      await infer('float', '{"inputs":[{"name":"x","shape":[-1],"datatype":"FP32","data":[1]}]}'),
      400,
      'REQUEST_INVALID',
    )
    expectError(
      await infer(
        'float',
        '{"__proto__":{"inputs":[]},"inputs":[{"name":"__proto__","shape":[1],"datatype":"FP32","data":[1]}]}',
      ),
      400,
      'INPUT_INVALID',
    )
    expectError(
      await infer(
        'float',
        `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":${'['.repeat(100)}1${']'.repeat(100)}}]}`,
      ),
      400,
      json ? 'REQUEST_INVALID' : 'INPUT_INVALID',
    )
    // Still there.
    expect(await infer('add', ADD)).toMatchObject({ status: 200 })
  })

  test('content types that are not JSON', async () => {
    const send = (headers: Record<string, string>, body: string | Uint8Array = JSON.stringify(ADD)) =>
      client.send('POST', at('/v2/models/add/infer'), body, headers)
    expect(await send({})).toMatchObject({ status: 200 })
    for (const type of [
      'application/json',
      'application/json; charset=utf-8',
      'application/json;charset=UTF-8',
      'application/vnd.api+json',
      // The type that HTTP libraries give any bytes, and curl on request.
      'application/octet-stream',
      'application/x-www-form-urlencoded',
    ])
      expect([type, (await send({ 'content-type': type })).status]).toEqual([type, 200])
    for (const type of ['text/plain', 'multipart/form-data; boundary=x', 'json', 'application/jsonp'])
      expectError(await send({ 'content-type': type }), 415, 'MEDIA_TYPE_UNSUPPORTED')
    expectError(await send({ 'inference-header-content-length': '20' }), 400, 'REQUEST_INVALID')
    const zipped = gzipSync(JSON.stringify(ADD))
    const answer = await send({ 'content-type': 'application/json', 'content-encoding': 'gzip' }, zipped)
    // Unpacked by the router, or by express.json() under its own limit.
    expect(answer).toMatchObject({ status: 200 })
    if (json) return
    expectError(await send({ 'content-type': 'application/json; charset=latin1' }), 415, 'MEDIA_TYPE_UNSUPPORTED')
    for (const body of ['{"inputs":[', 'null', '"x"', 'NaN', '{"inputs":[NaN]}', '\ufeff{}', '{}{}'])
      expectError(await infer('add', body), 400, 'REQUEST_INVALID')
    // Well-formed but for one byte that no UTF-8 text has.
    const torn = Buffer.from(JSON.stringify(x('BYTES', ['?'])))
    torn[torn.indexOf('?')] = 0xff
    expectError(await infer('string', torn), 400, 'REQUEST_INVALID')
  })
})

/** A socket that has sent the head of a request, and what comes back on it. */
async function open(port: number, head: string): Promise<{ socket: Socket; answer(): Promise<string> }> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  let text = ''
  let wake: (() => void) | undefined
  socket.on('close', () => wake?.())
  socket.on('data', (chunk) => {
    text += chunk
    wake?.()
  })
  socket.write(`${head}\r\n\r\n`)
  return {
    socket,
    /** Resolves with everything received once a whole answer is there, and forgets it. */
    async answer() {
      for (;;) {
        const [, length] = /content-length: (\d+)\r\n/i.exec(text) ?? []
        const end = text.indexOf('\r\n\r\n')
        if (length !== undefined && end >= 0 && text.length >= end + 4 + Number(length)) {
          const whole = text
          text = ''
          return whole
        }
        if (socket.destroyed) throw new Error('the connection ended without an answer')
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
  }
}

const CHUNK = Buffer.alloc(64 * 1024, ' ')
const chunked = (bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])

describe.each(KINDS)('$name and bodies over maxBodyBytes', ({ express }) => {
  test('one byte too many', async () => {
    const client = await httpFor(appWith(express, '/', false).app)
    const exact = JSON.stringify(ADD).padEnd(1000)
    expect(await client.post('/v2/models/add/infer', exact)).toMatchObject({ status: 200 })
    expectError(await client.post('/v2/models/add/infer', `${exact} `), 413, 'BODY_TOO_LARGE')
  })

  test.each(['content-length', 'chunked'])(
    '%s: answered while the client still sends, and never read to the end',
    async (framing) => {
      const { app } = appWith(express, '/', false)
      const client = await httpFor(app)
      const connected = once(client.http, 'connection') as Promise<[Socket]>
      const total = 200 * 1024 * 1024
      const how = framing === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${total}`
      const { socket, answer } = await open(
        client.port,
        `POST /v2/models/add/infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${how}`,
      )
      const [inside] = await connected
      // An announced excess is refused unseen, an unannounced one as soon as it occurs. Nothing more is sent until the answer is here.
      if (framing === 'chunked') socket.write(chunked(CHUNK))
      expect(await answer()).toMatch(/^HTTP\/1\.1 413 [\s\S]*"code":"BODY_TOO_LARGE"/)
      const closed = new Promise((resolve) => socket.once('close', resolve))
      for (let sent = CHUNK.length; sent < total && !socket.destroyed; sent += CHUNK.length) {
        if (!socket.write(framing === 'chunked' ? chunked(CHUNK) : CHUNK))
          await Promise.race([once(socket, 'drain').catch(() => {}), closed])
      }
      await closed
      expect(inside.bytesRead).toBeLessThan(40 * 1024 * 1024)
      expect(await client.post('/v2/models/add/infer', ADD)).toMatchObject({ status: 200 })
    },
  )

  test('a client that stops after the refusal keeps its connection', async () => {
    const client = await httpFor(appWith(express, '/', false).app)
    const head = 'POST /v2/models/add/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked'
    const { socket, answer } = await open(client.port, head)
    socket.write(chunked(CHUNK))
    expect(await answer()).toMatch(/^HTTP\/1\.1 413 /)
    socket.write('0\r\n\r\nGET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n')
    expect(await answer()).toMatch(/^HTTP\/1\.1 200 /)
    socket.destroy()
  })
})

describe.each(KINDS)('$name under load', LINUX, ({ express }) => {
  const slow = (trips: number) => ({ inputs: [{ name: 'trips', shape: [], datatype: 'INT64', data: [trips] }] })
  const path = '/v2/models/slow/infer'

  const slowServer = (): Promise<ModelServer> =>
    serverFor({ models: [{ name: 'slow', source: slowLoopModel() }], isolation: 'process', maxQueue: 1, strict: true })

  const busy = async () => {
    const model = await slowServer()
    let told = (): void => {}
    const arrived = new Promise<void>((resolve) => {
      told = resolve
    })
    const handle: HttpHandler['handle'] = (request) => {
      const response = model.http.handle(request)
      told()
      return response
    }
    const made = appWith(express, '/', false, spied(model, handle))
    /** `arrived` resolves when the first HTTP request has reached the queue. */
    return { model, client: await httpFor(made.app), errors: made.errors, arrived }
  }

  /** True when the queue has a free place now; takes none. */
  async function hasRoom(model: ModelServer): Promise<boolean> {
    const probe = new AbortController()
    const attempt = observe(model.predict('slow', { trips: 1n }, { signal: probe.signal }))
    await posted()
    const accepted = !attempt.settled
    probe.abort()
    await attempt.promise.catch(() => {})
    return accepted
  }

  /** Posts a request and leaves: resolves when the socket is gone. */
  function impatient(client: Client, leave: Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const agent: Agent | false = false
      const req = request({
        port: client.port,
        host: '127.0.0.1',
        method: 'POST',
        path,
        agent,
        headers: { 'content-type': 'application/json' },
      })
      req.on('error', () => {})
      req.on('close', resolve)
      req.end(JSON.stringify(slow(1)))
      void leave.then(() => req.destroy())
    })
  }

  test('503 with Retry-After when the queue is full', async () => {
    const { model, client } = await busy()
    const release = hold()
    const running = model.predict('slow', { trips: 1n })
    await posted()
    const waiting = model.predict('slow', { trips: 1n })
    const refused = await client.post(path, slow(1))
    expectError(refused, 503, 'QUEUE_FULL')
    expect(refused.headers['retry-after']).toMatch(/^[1-9]\d*$/)
    release()
    await Promise.all([running, waiting])
    expect(await client.post(path, slow(1))).toMatchObject({ status: 200 })
  })

  test('a client that goes away leaves the queue', async () => {
    const { model, client, errors, arrived } = await busy()
    const release = hold()
    const running = model.predict('slow', { trips: 1n })
    await posted()
    let leave = (): void => {}
    const leaving = new Promise<void>((resolve) => {
      leave = resolve
    })
    const gone = impatient(client, leaving)
    await arrived
    expect(await hasRoom(model)).toBe(false)
    leave()
    await gone
    // The work before it is held, so it did not leave by being run.
    await expect.poll(() => hasRoom(model)).toBe(true)
    release()
    await running
    expect(await client.post(path, slow(1))).toMatchObject({ status: 200 })
    expect(errors).toEqual([])
  })

  test('a closed server answers 503 and is not live', async () => {
    const { model, client } = await busy()
    await model.close()
    expect(await client.get('/v2/health/live')).toMatchObject({ status: 503, json: { live: false } })
    expect(await client.get('/v2/health/ready')).toMatchObject({ status: 503, json: { ready: false } })
    for (const answer of [await client.post(path, slow(1)), await client.get('/v2/models/slow')]) {
      expectError(answer, 503, 'SERVER_CLOSED')
      expect(answer.headers['retry-after']).toMatch(/^[1-9]\d*$/)
    }
    expect(await client.get('/v2/models/slow/ready')).toMatchObject({ status: 503 })
  })

  test('x-request-timeout-ms is a deadline', async () => {
    const { client } = await busy()
    const ask = (timeout: string) =>
      client.send('POST', path, JSON.stringify(slow(1)), {
        'content-type': 'application/json',
        'x-request-timeout-ms': timeout,
      })
    const release = hold()
    expectError(await ask('50'), 504, 'DEADLINE_EXCEEDED')
    release()
    expect((await ask('60000')).status).toBe(200)
    for (const wrong of ['0', '-1', '1.5', 'soon', '3600001', '1e3'])
      expect([wrong, (await ask(wrong)).status]).toEqual([wrong, 400])
  })

  test('a client that was gone before the router ran costs no run', async () => {
    const model = await slowServer()
    let passed = (): void => {}
    const seen = new Promise<void>((resolve) => {
      passed = resolve
    })
    const app = express()
    app.use(express.json())
    // Any slow middleware before the router, an authentication for example.
    app.use((_req, res, next) => {
      res.once('close', () => {
        next()
        setImmediate(passed)
      })
    })
    const aborted: (boolean | undefined)[] = []
    const handle: HttpHandler['handle'] = (request) => {
      aborted.push(request.signal?.aborted)
      return model.http.handle(request)
    }
    app.use(modelRouter(spied(model, handle)))
    const client = await httpFor(app)
    await impatient(client, once(client.http, 'request'))
    await seen
    // Not handled at all, or with a signal that has fired.
    expect(aborted.filter((value) => value !== true)).toEqual([])
  })
})

describe.each(KINDS)('$name', ({ express }) => {
  test('two servers in one app', async () => {
    const one = await serverFor({ models: [{ name: 'm', source: constantOf(1) }], name: 'one' })
    const two = await serverFor({ models: [{ name: 'm', source: constantOf(2) }], name: 'two' })
    const app = express()
    app.use('/one', modelRouter(one))
    app.use('/two', modelRouter(two))
    const client = await httpFor(app)
    for (const [name, answer] of [
      ['one', 1],
      ['two', 2],
    ] as const) {
      expect((await client.get(`/${name}/v2`)).json).toMatchObject({ name })
      expect((await client.post(`/${name}/v2/models/m/infer`, {})).json).toMatchObject({ outputs: [{ data: [answer] }] })
    }
  })

  test('a failed model makes the server unready and says nothing of the file', async () => {
    const model = await serverFor({
      models: [
        { name: 'bad', source: customOpModel() },
        { name: 'good', source: constantOf(1) },
      ],
    })
    const client = await httpFor(appWith(express, '/', false, model).app)
    expect(await client.get('/v2/health/live')).toMatchObject({ status: 200 })
    expect(await client.get('/v2/health/ready')).toMatchObject({ status: 503, json: { ready: false } })
    expect(await client.get('/v2/models/bad/ready')).toMatchObject({ status: 503, json: { ready: false } })
    expectError(await client.post('/v2/models/bad/infer', ADD), 503, 'MODEL_NOT_READY')
    expect(await client.post('/v2/models/good/infer', {})).toMatchObject({ status: 200 })
  })
})

describe.each(KINDS)('$name and what the app does before', ({ express }) => {
  test('its Vary stays, and a body that express.raw() has unpacked is not unpacked again', async () => {
    const app = express()
    app.use((_req, res, next) => {
      res.setHeader('vary', 'Origin')
      next()
    })
    app.use(express.raw({ type: () => true }))
    app.use(modelRouter(server))
    const client = await httpFor(app)
    const headers = { 'content-encoding': 'gzip', 'content-type': 'application/json' }
    const small = await client.send('POST', '/v2/models/add/infer', gzipSync(JSON.stringify(ADD)), headers)
    expect(small).toMatchObject({ status: 200, headers: { vary: 'Origin' } })
    const many = gzipSync(JSON.stringify(x('BYTES', ['x'.repeat(900), 'y'.repeat(300)])))
    const large = await client.send('POST', '/v2/models/string/infer', many, headers)
    expect(large).toMatchObject({ status: 200, headers: { vary: 'Origin, accept-encoding' } })
  })

  test('a body over the 100 kB of its express.json() is Express’s own 413, and one below them is answered', async () => {
    const app = express()
    app.use(express.json())
    app.use(modelRouter(server))
    // Express prints the error that nothing of the app has taken.
    app.set('env', 'test')
    const client = await httpFor(app)
    const padded = (length: number) => JSON.stringify(ADD).padEnd(length)
    const headers = { 'content-type': 'application/json' }
    expect((await client.send('POST', '/v2/models/add/infer', padded(90_000), headers)).status).toBe(200)
    const { status, text } = await client.send('POST', '/v2/models/add/infer', padded(150_000), headers)
    expect([status, text]).toEqual([413, expect.stringContaining('PayloadTooLargeError')])
  })
})
