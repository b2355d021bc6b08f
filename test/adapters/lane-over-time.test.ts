/** The fast lane over the life of a connection: nothing of a request is left to act on the next one, and a client cannot send without end. */

import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { HttpHandler, ModelServer } from 'modelmount'
import { attach } from 'modelmount/node'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { json, type Route } from '../../src/core/dialects/index.ts'
import { createHandler } from '../../src/core/http/handler.ts'
import { createInFlight } from '../../src/core/http/inflight.ts'
import { NO_PREDICTIONS } from '../support/no-predictions.ts'
import { turns } from '../support/server.ts'
import { openSocket, type RawSocket } from '../support/socket.ts'

const BODY_TIMEOUT_MS = 5000

interface Lane {
  readonly http: Server
  readonly port: number
  /** The server's side of each connection, in the order in which they came. */
  readonly sockets: Socket[]
  /** How many requests went through `node:http`. */
  readonly usual: () => number
}

/** Answers at `/ml/v2` in the fast lane. */
async function lane(handle: Route['handle'] = () => json(200, 'ours'), inFlight = createInFlight(1_000_000)): Promise<Lane> {
  const routes = ['GET', 'POST'].map((method) => ({ method, path: '/v2', handle }) as Route)
  const deps = { ...NO_PREDICTIONS, maxBodyBytes: 100_000, bodyTimeoutMs: BODY_TIMEOUT_MS, inFlight, report() {} }
  const handler: HttpHandler = createHandler([{ owns: (path) => path.startsWith('/v2'), routes }], deps)
  let usual = 0
  const http = createServer((_req, res) => {
    usual++
    res.end('the app')
  })
  const sockets: Socket[] = []
  attach(http, { http: { ...handler, mount: () => handler } } as unknown as ModelServer, { prefix: '/ml', fastLane: true })
  http.on('connection', (socket) => void sockets.push(socket))
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  onTestFinished(() => {
    http.closeAllConnections()
    http.close()
  })
  return { http, port: (http.address() as AddressInfo).port, sockets, usual: () => usual }
}

async function connected({ port }: Lane): Promise<RawSocket> {
  const raw = await openSocket(port)
  onTestFinished(() => void raw.socket.destroy())
  return raw
}

/** @param mark the start of the body */
const post = (length: number, mark = ''): string =>
  `POST /ml/v2 HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n${mark.padEnd(length, '_')}`
const until = (what: () => boolean) => expect.poll(what, { timeout: 10_000, interval: 5 }).toBe(true)

function fakeTimers(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
}
/** Tests with clocks of their own wait in turns. */
async function untilTurned(what: () => boolean): Promise<void> {
  while (!what()) await turns()
}

describe('a body in two pieces', () => {
  test('leaves no timer that answers a kept connection', async () => {
    const served = await lane()
    fakeTimers()
    const raw = await connected(served)
    for (let i = 0; i < 3; i++) {
      const request = post(1000)
      await raw.send(request.slice(0, -10))
      await untilTurned(() => vi.getTimerCount() === 1)
      // It may take as long as it may take, and no longer.
      await vi.advanceTimersByTimeAsync(BODY_TIMEOUT_MS - 1)
      await raw.send(request.slice(-10))
      expect(await raw.answer()).toMatchObject({ status: 200, text: '"ours"' })
      expect(vi.getTimerCount()).toBe(0)
      await vi.advanceTimersByTimeAsync(10 * BODY_TIMEOUT_MS)
    }
    await raw.send(post(0))
    expect(await raw.answer()).toMatchObject({ status: 200 })
    expect(served.usual()).toBe(0)
  })

  test('that does not come in time is answered once, and the server’s own limit counts where it is shorter', async () => {
    const served = await lane()
    served.http.requestTimeout = 2000
    fakeTimers()
    const raw = await connected(served)
    await raw.send(post(1000).slice(0, -10))
    await untilTurned(() => vi.getTimerCount() === 1)
    await vi.advanceTimersByTimeAsync(1999)
    expect(raw.socket.destroyed).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(await raw.answer()).toMatchObject({ status: 408, headers: { connection: 'close' } })
    await raw.closed
    expect(vi.getTimerCount()).toBe(0)
  })

  test('leaves no timer where its client goes away', async () => {
    const served = await lane()
    fakeTimers()
    for (const leave of [(raw: RawSocket) => raw.socket.destroy(), (raw: RawSocket) => raw.socket.end()]) {
      const raw = await connected(served)
      await raw.send(post(1000).slice(0, -10))
      await untilTurned(() => vi.getTimerCount() === 1)
      leave(raw)
      await untilTurned(() => vi.getTimerCount() === 0)
    }
  })
})

describe('bytes of bodies', () => {
  test('are counted as they come, and no more once they are answered, refused, or their client has left', async () => {
    const inFlight = createInFlight(1_000_000)
    const during: number[] = []
    const served = await lane(() => {
      during.push(inFlight.bytes)
      return json(200, 'ours')
    }, inFlight)
    const raw = await connected(served)
    await raw.send(post(1000))
    await raw.answer()
    await until(() => inFlight.bytes === 0)
    await raw.send(post(1000).slice(0, -10))
    await until(() => inFlight.bytes === 990)
    // The next request begins with the same bytes; it is the app's from here on, and counted there.
    await raw.send(post(1000).slice(-10) + post(0))
    await raw.answer()
    await raw.answer()
    await until(() => inFlight.bytes === 0)
    expect(during).toEqual([1000, 1000, 0])

    for (const leave of [(raw: RawSocket) => raw.socket.destroy(), (raw: RawSocket) => raw.socket.end()]) {
      const raw = await connected(served)
      await raw.send(post(1000).slice(0, -10))
      await until(() => inFlight.bytes === 990)
      leave(raw)
      await until(() => inFlight.bytes === 0)
    }
    fakeTimers()
    const slow = await connected(served)
    await slow.send(post(1000).slice(0, -10))
    await untilTurned(() => inFlight.bytes === 990)
    await vi.advanceTimersByTimeAsync(BODY_TIMEOUT_MS)
    expect(await slow.answer()).toMatchObject({ status: 408 })
    expect(inFlight.bytes).toBe(0)
  })

  test('of several together are bounded: the one that is too much is refused, the others go on', async () => {
    const inFlight = createInFlight(150_000)
    const served = await lane(undefined, inFlight)
    const [first, second] = [await connected(served), await connected(served)]
    // Either would fit by itself.
    for (const raw of [first, second]) await raw.send(post(100_000).slice(0, -99_999))
    await until(() => inFlight.bytes === 2)
    await first.send('_'.repeat(90_000))
    await until(() => inFlight.bytes === 90_002)
    await second.send('_'.repeat(90_000))
    expect(await second.answer()).toMatchObject({ status: 503, headers: { connection: 'close' } })
    await second.closed
    await first.send('_'.repeat(9_999))
    expect(await first.answer()).toMatchObject({ status: 200 })
    expect(served.usual()).toBe(0)
    await until(() => inFlight.bytes === 0)
  })
})

describe('a client that sends on while its request runs', () => {
  test('is held back, and answered in order once the run is over', async () => {
    let release = (): void => {}
    let asked = 0
    const served = await lane(async ({ request }) => {
      asked++
      if (asked === 1)
        await new Promise<void>((resolve) => {
          release = resolve
        })
      return json(200, Number.parseInt(Buffer.from(request.body as Uint8Array).toString('latin1', 0, 4), 10))
    })
    const raw = await connected(served)
    await raw.send(post(4, '0'))
    await until(() => asked === 1)
    const [socket] = served.sockets as [Socket]
    const before = socket.bytesRead
    const ahead = 400
    const flood = Buffer.from(Array.from({ length: ahead }, (_, i) => post(50_000, String(i + 1))).join(''))
    raw.socket.write(flood)
    await until(() => socket.isPaused())
    const held = socket.bytesRead
    for (let i = 0; i < 50; i++) await turns()
    // A piece or two of the stream, of twenty megabytes.
    expect([socket.bytesRead, held - before < 1_000_000, raw.socket.writableLength > 0]).toEqual([held, true, true])
    release()
    for (let i = 0; i <= ahead; i++) expect(await raw.answer()).toMatchObject({ status: 200, text: String(i) })
    expect(socket.isPaused()).toBe(false)
  })

  test('and goes away is not answered, and leaves nothing behind', async () => {
    let asked = 0
    let told = false
    const served = await lane(({ request }) => {
      asked++
      return new Promise((resolve) => {
        request.signal?.addEventListener('abort', () => {
          told = true
          resolve(json(200, ''))
        })
      })
    })
    const raw = await connected(served)
    await raw.send(post(0) + post(0))
    await until(() => asked === 1)
    raw.socket.destroy()
    await until(() => told)
    for (let i = 0; i < 10; i++) await turns()
    expect([asked, served.usual(), served.http.listenerCount('connection')]).toEqual([1, 0, 2])
  })
})

describe('listeners of a connection', () => {
  const names = ['data', 'end', 'close', 'error', 'drain', 'readable'] as const
  const counts = (socket: Socket) => names.map((name) => [name, socket.listenerCount(name)])

  test('are as many after a hundred requests as after one', async () => {
    const served = await lane(() => json(200, 'x'.repeat(200_000)))
    const raw = await connected(served)
    await raw.send(post(0))
    await raw.answer()
    const [socket] = served.sockets as [Socket]
    await until(() => socket.writableLength === 0)
    const before = counts(socket)
    for (let i = 0; i < 100; i++) {
      await raw.send(post(i % 3 === 0 ? 0 : 5000))
      await raw.answer()
    }
    await until(() => socket.writableLength === 0)
    expect(counts(socket)).toEqual(before)
    expect(served.usual()).toBe(0)
  })

  test('are those of node:http once it has the connection, and none of the lane’s', async () => {
    const plain = createServer()
    const sockets: Socket[] = []
    plain.on('connection', (socket) => void sockets.push(socket))
    plain.on('request', (_req, res) => void res.end('x'))
    plain.listen(0, '127.0.0.1')
    await once(plain, 'listening')
    onTestFinished(() => {
      plain.closeAllConnections()
      plain.close()
    })
    const usual = await openSocket((plain.address() as AddressInfo).port)
    onTestFinished(() => void usual.socket.destroy())
    await usual.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await usual.answer()

    const served = await lane()
    const raw = await connected(served)
    await raw.send(post(0))
    await raw.answer()
    await raw.send('GET /hello HTTP/1.1\r\nHost: a\r\n\r\n')
    expect((await raw.answer()).text).toBe('the app')
    expect(counts(served.sockets[0] as Socket)).toEqual(counts(sockets[0] as Socket))
  })
})
