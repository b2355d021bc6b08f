/** Tensors that are larger than one piece of a socket, there and back through every adapter, byte for byte. */

import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import Fastify from 'fastify'
import { createModelServer, type HttpHandler, type ModelServer } from 'modelmount'
import { modelPlugin } from 'modelmount/fastify'
import { nodeHandler } from 'modelmount/node'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { identityModel } from '../../tools/models.mjs'
import { openSocket, type RawSocket } from '../support/socket.ts'
import { type App, HOSTS, type Host } from './hosts.ts'

/** Large enough for memory that is used again, and for several pieces. */
const FLOATS = 70_000

let server: ModelServer
beforeAll(async () => {
  server = await createModelServer({
    logger: false,
    strict: true,
    models: [{ name: 'm', source: identityModel('float', ['batch', FLOATS]) }],
  })
})
afterAll(() => server.close())

const tensorOf = (seed: number): Buffer => Buffer.from(Float32Array.from({ length: FLOATS }, (_, i) => i / 7 + seed).buffer)

interface Request {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** @param isRaw the tensor alone, without JSON before it */
function infer(tensor: Buffer, isRaw = false): Request {
  const json = JSON.stringify({
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1, FLOATS], parameters: { binary_data_size: tensor.length } }],
    parameters: { binary_data_output: true },
  })
  const head = isRaw ? '' : json.padEnd(json.length + 1 + ((json.length + 1) % 2))
  return {
    headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(head.length) },
    body: Buffer.concat([Buffer.from(head), tensor]),
  }
}

const PATH = '/ml/v2/models/m/infer'

function wire({ headers, body }: Request, method = 'POST'): Buffer {
  const all = { host: 'x', ...headers, 'content-length': String(body.length) }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([Buffer.from(`${method} ${PATH} HTTP/1.1\r\n${lines.join('')}\r\n`), body])
}

async function socketOn(host: Host, app: App = 'bare'): Promise<RawSocket & { readonly port: number }> {
  const { port, close } = await host.start([{ server, prefix: '/ml' }], app)
  const raw = await openSocket(port)
  onTestFinished(async () => {
    raw.socket.destroy()
    await close()
  })
  return { ...raw, port }
}

/** Compared as a whole: a difference would be printed byte by byte. */
function expectTensor(got: Uint8Array, headerLength: string | null | undefined, tensor: Buffer): void {
  const json = JSON.parse(Buffer.from(got.subarray(0, Number(headerLength))).toString())
  expect(json.outputs).toMatchObject([{ name: 'y', shape: [1, FLOATS], parameters: { binary_data_size: tensor.length } }])
  expect(Buffer.compare(got.subarray(Number(headerLength)), tensor)).toBe(0)
}

async function expectAnswer(raw: RawSocket, tensor: Buffer): Promise<void> {
  const { status, headers, bytes } = await raw.answer()
  expect([status, headers['content-length']]).toEqual([200, String(bytes.length)])
  expectTensor(bytes, headers['inference-header-content-length'], tensor)
}

describe.each(HOSTS)('$name', (host) => {
  test('one after the other on one connection, and one behind the other', async () => {
    const raw = await socketOn(host)
    const tensors = [1, 2, 3, 4].map(tensorOf)
    for (const [i, tensor] of tensors.entries()) {
      await raw.send(wire(infer(tensor, i % 2 === 1)))
      await expectAnswer(raw, tensor)
    }
    const empty = { headers: {}, body: Buffer.alloc(0) }
    const behind = tensors.map((tensor) => wire(infer(tensor)))
    const sent = raw.send(Buffer.concat([...behind, wire(empty, 'PUT'), wire(infer(tensorOf(5)))]))
    for (const tensor of tensors) await expectAnswer(raw, tensor)
    expect((await raw.answer()).status).toBe(405)
    await expectAnswer(raw, tensorOf(5))
    await sent
  })

  test('in pieces of all sizes, with the JSON cut in two', async () => {
    const raw = await socketOn(host)
    const bytes = wire(infer(tensorOf(6)))
    const body = bytes.indexOf('{')
    let at = 0
    for (const end of [body, body + 9, body + 50, body + 1000, body + 70_001, body + 70_002, body + 200_001, bytes.length]) {
      await raw.send(bytes.subarray(at, end))
      // The other end has it before more comes.
      await new Promise((resolve) => setImmediate(resolve))
      at = end
    }
    await expectAnswer(raw, tensorOf(6))
  })

  test.each([
    ['by us', 'bare', 'gzip'],
    ['by the app, where it does that', 'full', 'br'],
  ] as const)('packed %s', async (_what, app, coding) => {
    const { port } = await socketOn(host, app)
    const tensor = tensorOf(7)
    const { headers, body } = infer(tensor)
    const init = { method: 'POST', body: new Uint8Array(body), headers: { ...headers, 'accept-encoding': coding } }
    const answer = await fetch(`http://127.0.0.1:${port}${PATH}`, init)
    if (coding === 'gzip') expect(answer.headers.get('content-encoding')).toBe('gzip')
    expectTensor(new Uint8Array(await answer.arrayBuffer()), answer.headers.get('inference-header-content-length'), tensor)
  })

  test('HEAD is told that it is no method of the route, in no bytes', async () => {
    const raw = await socketOn(host)
    await raw.send(wire({ headers: { connection: 'close' }, body: Buffer.alloc(0) }, 'HEAD'))
    let text = ''
    raw.socket.on('data', (piece) => {
      text += piece
    })
    await raw.closed
    expect(text).toMatch(/^HTTP\/1\.1 405 [\s\S]*\r\n\r\n$/)
  })

  test('a client that goes away within its answer costs nothing', async () => {
    const raw = await socketOn(host)
    const tensor = tensorOf(8)
    for (let i = 0; i < 3; i++) {
      const leaver = await openSocket(raw.port)
      await leaver.send(Buffer.concat([wire(infer(tensor)), wire(infer(tensor))]))
      await once(leaver.socket, 'data')
      leaver.socket.destroy()
      await leaver.closed
    }
    await raw.send(wire(infer(tensor)))
    await expectAnswer(raw, tensor)
  })
})

test('the memory of an answer is freed once it has left: listeners of the app still see it, what comes later does not', async () => {
  const handler = nodeHandler(server, { prefix: '/ml' })
  const written: Uint8Array[] = []
  const seen: number[] = []
  const app = createServer((req, res) => {
    handler(req, res)
    const end = res.end.bind(res) as (chunk: Uint8Array) => typeof res
    res.end = ((chunk: Uint8Array) => {
      written.push(chunk)
      return end(chunk)
    }) as typeof res.end
    res.on('finish', () => seen.push(written.at(-1)?.byteLength ?? 0))
  })
  app.listen(0, '127.0.0.1')
  await once(app, 'listening')
  const raw = await openSocket((app.address() as { port: number }).port)
  for (const seed of [9, 10]) {
    await raw.send(wire(infer(tensorOf(seed))))
    await expectAnswer(raw, tensorOf(seed))
  }
  await expect.poll(() => written.map(({ byteLength }) => byteLength)).toEqual([0, 0])
  expect(seen).toEqual([4 * FLOATS, 4 * FLOATS])
  raw.socket.destroy()
  await new Promise((resolve) => app.close(resolve))
})

test.each([
  ['nobody else has it', 0],
  ['somebody reads the connection', 4 * FLOATS],
] as const)('the memory of a body is freed once its tensors are copied, where %s', async (_what, least) => {
  const mount = server.http.mount()
  const bodies: Uint8Array[] = []
  const handler: HttpHandler = {
    ...mount,
    handle(request) {
      bodies.push(request.body as Uint8Array, ...(request.moreChunks ?? []))
      return mount.handle(request)
    },
  }
  const models = nodeHandler({ ...server, http: { ...handler, mount: () => handler } }, { prefix: '/ml' })
  const app = createServer((req, res) => models(req, res))
  const seen: Uint8Array[] = []
  if (least > 0) app.on('connection', (socket) => void socket.on('data', (bytes) => void seen.push(bytes)))
  app.listen(0, '127.0.0.1')
  await once(app, 'listening')
  const raw = await openSocket((app.address() as { port: number }).port)
  await raw.send(wire(infer(tensorOf(11))))
  await expectAnswer(raw, tensorOf(11))
  expect(bodies.length).toBeGreaterThan(1)
  if (least === 0) expect(bodies.map(({ byteLength }) => byteLength).filter((bytes) => bytes >= 4096)).toEqual([])
  else expect(Buffer.compare(Buffer.concat(seen), wire(infer(tensorOf(11))))).toBe(0)
  raw.socket.destroy()
  await new Promise((resolve) => app.close(resolve))
})

test('a stream that an app has put in place of the body may be somebody else’s, too', async () => {
  const app = Fastify()
  const seen: Uint8Array[] = []
  app.addHook('preParsing', async (_request, _reply, payload) => {
    const through = new PassThrough()
    payload.on('data', (piece: Uint8Array) => {
      seen.push(piece)
      through.write(piece)
    })
    payload.on('end', () => through.end())
    return through
  })
  await app.register(modelPlugin, { server, prefix: '/ml', closeServer: false, bodyLimit: 10_000_000 })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const raw = await openSocket((app.server.address() as { port: number }).port)
  const request = infer(tensorOf(13))
  await raw.send(wire(request))
  await expectAnswer(raw, tensorOf(13))
  expect(Buffer.compare(Buffer.concat(seen), request.body)).toBe(0)
  raw.socket.destroy()
  await app.close()
})

type See = (piece: Uint8Array) => void

const TAPS: readonly (readonly [what: string, tap: (req: IncomingMessage, see: See) => void])[] = [
  ['listens too', (req, see) => void req.on('data', see)],
  [
    'has put itself in between',
    (req, see) => {
      const emit = req.emit.bind(req)
      req.emit = (event: string, ...args: unknown[]) => {
        if (event === 'data') see(args[0] as Uint8Array)
        return emit(event, ...args)
      }
    },
  ],
]

describe.each(TAPS)('an app that %s', (_what, tap) => {
  test.each([
    ['before', 280_000],
    ['after', 280_000],
    ['before', 8],
    ['after', 8],
  ] as const)('%s us sees a body of %i bytes, keeps what it saw, and so do we', async (when, bytes) => {
    const handler = nodeHandler(server, { prefix: '/ml' })
    const seen: Uint8Array[] = []
    const app = createServer((req, res) => {
      if (when === 'before') tap(req, (piece) => void seen.push(piece))
      handler(req, res)
      if (when === 'after') tap(req, (piece) => void seen.push(piece))
    })
    app.listen(0, '127.0.0.1')
    await once(app, 'listening')
    const raw = await openSocket((app.address() as { port: number }).port)
    const request = infer(tensorOf(12).subarray(0, bytes))
    await raw.send(wire(request))
    const { status } = await raw.answer()
    // Eight bytes are no tensor of this model.
    expect(status).toBe(bytes === 8 ? 400 : 200)
    expect(Buffer.compare(Buffer.concat(seen), request.body)).toBe(0)
    raw.socket.destroy()
    await new Promise((resolve) => app.close(resolve))
  })
})

test('answers out of the cache are kept', async () => {
  const cached = await createModelServer({
    logger: false,
    strict: true,
    models: [{ name: 'm', source: identityModel('float', ['batch', FLOATS]), cache: { maxBytes: 2 ** 24 } }],
  })
  onTestFinished(() => cached.close())
  const app = createServer(nodeHandler(cached, { prefix: '/ml' }))
  app.listen(0, '127.0.0.1')
  await once(app, 'listening')
  const raw = await openSocket((app.address() as { port: number }).port)
  for (let i = 0; i < 3; i++) {
    await raw.send(wire(infer(tensorOf(11))))
    await expectAnswer(raw, tensorOf(11))
  }
  expect(cached.model('m').cache).toMatchObject({ hits: 2 })
  raw.socket.destroy()
  await new Promise((resolve) => app.close(resolve))
})
