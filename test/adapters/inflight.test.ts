/** Bodies in flight, through every adapter: the server holds as much as it may and no more, and gives all of it back. */

import { gzipSync } from 'node:zlib'
import { createModelServer, type HeldBytes, type HttpHandler, type ModelServer } from 'modelmount'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { addModel } from '../../tools/models.mjs'
import { connectTo } from '../support/http.ts'
import { chunk, openSocket, type RawSocket } from '../support/socket.ts'
import { HOSTS } from './hosts.ts'
import { ADD } from './requests.ts'

const MAX_BODY_BYTES = 100_000
const PATH = '/ml/v2/models/add/infer'

let server: ModelServer
beforeAll(async () => {
  server = await createModelServer({
    logger: false,
    strict: true,
    maxBodyBytes: MAX_BODY_BYTES,
    maxInflightBytes: 4 * MAX_BODY_BYTES,
    bodyTimeoutMs: 60_000,
    models: [{ name: 'add', source: addModel() }],
  })
})
afterAll(() => server.close())

/** The same server, with what its requests hold at this time. */
function counted(): { readonly of: ModelServer; bytes(): number } {
  let total = 0
  const hold = (): HeldBytes => {
    const held = server.http.hold()
    let bytes = 0
    return {
      fits: (more) => held.fits(more),
      add(more) {
        const isTaken = held.add(more)
        if (isTaken) {
          bytes += more
          total += more
        }
        return isTaken
      },
      release() {
        held.release()
        total -= bytes
        bytes = 0
      },
    }
  }
  const mount = (options?: Parameters<ModelServer['http']['mount']>[0]): HttpHandler => ({ ...server.http.mount(options), hold })
  return { of: { ...server, http: { ...server.http, mount, hold } }, bytes: () => total }
}

const head = (fields: string): string => `POST ${PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${fields}\r\n\r\n`

describe.each(HOSTS)('$name', (host) => {
  async function started() {
    const { of, bytes } = counted()
    const running = await host.start([{ server: of, prefix: '/ml' }], 'bare')
    const connection = connectTo(running.port)
    const opened: RawSocket[] = []
    onTestFinished(async () => {
      for (const { socket } of opened) socket.destroy()
      connection.end()
      await running.close()
    })
    const open = async (): Promise<RawSocket> => {
      const raw = await openSocket(running.port)
      opened.push(raw)
      return raw
    }
    return { ...connection, bytes, open }
  }
  const becomes = (bytes: () => number, expected: number) => expect.poll(bytes, { timeout: 5000, interval: 5 }).toBe(expected)

  test.each(['content-length', 'chunked'] as const)(
    'beyond what may be held: 503, for bodies by %s; then all goes on',
    async (how) => {
      const { post, bytes, open } = await started()
      const part = Buffer.alloc(90_000, ' ')
      const slow = await Promise.all(Array.from({ length: 4 }, open))
      const fields = how === 'chunked' ? 'Transfer-Encoding: chunked' : 'Content-Length: 95000'
      for (const raw of slow) await raw.send(Buffer.concat([Buffer.from(head(fields)), how === 'chunked' ? chunk(part) : part]))
      await becomes(bytes, 360_000)
      const last = await open()
      await last.send(Buffer.concat([Buffer.from(head(fields)), how === 'chunked' ? chunk(part) : part]))
      const refusal = await last.answer()
      expect(refusal).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
      expect(JSON.parse(refusal.text)).toMatchObject({ code: 'OVERLOADED' })
      await becomes(bytes, 360_000)
      // Small bodies still fit.
      expect(await post(PATH, ADD)).toMatchObject({ status: 200 })
      // Two go away within their bodies, two end them (with what is no JSON).
      for (const raw of slow.slice(0, 2)) raw.socket.destroy()
      await becomes(bytes, 180_000)
      for (const raw of slow.slice(2)) {
        await raw.send(how === 'chunked' ? '0\r\n\r\n' : Buffer.alloc(5000, ' '))
        expect(await raw.answer()).toMatchObject({ status: 400 })
      }
      await becomes(bytes, 0)
    },
  )

  test('is given back by answers, refusals, bombs and what is too large', async () => {
    const { send, post, bytes } = await started()
    const json = { 'content-type': 'application/json' }
    expect(await post(PATH, ADD)).toMatchObject({ status: 200 })
    expect(await post(PATH, { inputs: [] })).toMatchObject({ status: 400 })
    expect(await post('/ml/v2/models/none/infer', ADD)).toMatchObject({ status: 404 })
    expect(await send('POST', PATH, Buffer.alloc(MAX_BODY_BYTES + 1), json)).toMatchObject({ status: 413 })
    const packed = { ...json, 'content-encoding': 'gzip' }
    expect(await send('POST', PATH, gzipSync(JSON.stringify(ADD)), packed)).toMatchObject({ status: 200 })
    expect(await send('POST', PATH, gzipSync(Buffer.alloc(50_000_000)), packed)).toMatchObject({ status: 413 })
    expect(await send('POST', PATH, Buffer.from('no gzip'), packed)).toMatchObject({ status: 400 })
    await becomes(bytes, 0)
  })
})

test('an adapter that counts nothing is counted for', async () => {
  const call = (bytes: number) =>
    server.http.handle({ method: 'POST', path: '/v2/models/add/infer', headers: {}, body: new Uint8Array(bytes) })
  expect(await call(4 * MAX_BODY_BYTES + 1)).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
  expect(await call(4 * MAX_BODY_BYTES)).toMatchObject({ status: 400 })
  // Given back.
  expect(await call(4 * MAX_BODY_BYTES)).toMatchObject({ status: 400 })
})

test('less than four bodies is refused', async () => {
  const options = { logger: false as const, models: [], maxBodyBytes: 100, maxInflightBytes: 399 }
  await expect(createModelServer(options)).rejects.toMatchObject({
    code: 'OPTIONS_INVALID',
    message: expect.stringContaining('at least 4 times'),
  })
})
