/** Bodies and answers that are in pieces stay so: whatever the route, no more than a slice is joined in one step. */

import { randomBytes } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { createModelServer, type HttpHandler, type HttpRequest, type HttpResponse, type ModelServer } from 'modelmount'
import { fetchHandler } from 'modelmount/fetch'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { MODELS, MOUNT, PATHS } from '../../support/hostile-bodies.ts'

const PIECE = 64 * 1024
const BYTES = 4 * 1024 * 1024
const MOST_JOINED = 512 * 1024
const MOST_STRINGS = 65_536

let server: ModelServer
let mount: HttpHandler
beforeAll(async () => {
  const models = [
    { name: 'fp32', source: MODELS.FP32, batching: false as const },
    { name: 'bytes', source: MODELS.BYTES, batching: false as const },
  ]
  server = await createModelServer({ logger: false, strict: true, models })
  mount = server.http.mount(MOUNT)
})
afterAll(() => server.close())

/** The longest result of `Buffer.concat` so far, in bytes. */
function watchJoins(): () => number {
  const { concat } = Buffer
  let most = 0
  Buffer.concat = (...args: Parameters<typeof concat>) => {
    const whole = concat(...args)
    most = Math.max(most, whole.byteLength)
    return whole
  }
  onTestFinished(() => {
    Buffer.concat = concat
  })
  return () => most
}

function inPieces(bytes: Uint8Array, first = PIECE): Pick<HttpRequest, 'body' | 'moreChunks'> {
  const moreChunks: Uint8Array[] = []
  for (let at = first; at < bytes.byteLength; at += PIECE) moreChunks.push(new Uint8Array(bytes.subarray(at, at + PIECE)))
  return { body: new Uint8Array(bytes.subarray(0, first)), moreChunks }
}

const post = (path: string, request: Partial<HttpRequest>): Promise<HttpResponse> =>
  mount.handle({ method: 'POST', path, headers: {}, acceptsChunks: true, ...request })

const wholeOf = ({ body, moreChunks = [] }: HttpResponse): Uint8Array => {
  const all = new Uint8Array(moreChunks.reduce((sum, { byteLength }) => sum + byteLength, body.byteLength))
  let at = 0
  for (const piece of [body, ...moreChunks]) {
    all.set(piece, at)
    at += piece.byteLength
  }
  return all
}

/** One tensor as raw bytes behind its JSON. */
function binary(answer: 'binary' | 'json'): { readonly head: string; readonly tensor: Uint8Array } {
  const shape = [BYTES / 16, 4]
  const inputs = [{ name: 'x', datatype: 'FP32', shape, parameters: { binary_data_size: BYTES } }]
  const head = JSON.stringify({ inputs, parameters: { binary_data_output: answer === 'binary' } })
  return { head, tensor: new Uint8Array(Float32Array.from({ length: BYTES / 4 }, (_, i) => i / 8).buffer) }
}
const lengthOf = (head: string): Record<string, string> => ({ 'inference-header-content-length': String(head.length) })

describe('a long body in pieces', () => {
  const paths = [...PATHS].map((path) => path.replace('{model}', 'fp32'))
  test.each([...paths, '/v1/models/fp32:classify', '/v1/models/fp32/versions/1/labels/a:predict'])('to %s', async (path) => {
    const joined = watchJoins()
    const { status } = await post(path, inPieces(Buffer.alloc(BYTES, ' ')))
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(500)
    expect(joined()).toBeLessThan(MOST_JOINED)
  })

  test('whose JSON ends in a later piece', async () => {
    const { head, tensor } = binary('binary')
    const body = Buffer.concat([Buffer.from(head), tensor])
    const joined = watchJoins()
    const response = await post('/v2/models/fp32/infer', { ...inPieces(body, 7), headers: lengthOf(head) })
    expect(response.status).toBe(200)
    expect(joined()).toBeLessThan(MOST_JOINED)
    expect(Buffer.compare(wholeOf(response).subarray(-BYTES), tensor)).toBe(0)
  })

  test('that is packed, and its answer, which is packed too', async () => {
    const { head } = binary('binary')
    const tensor = randomBytes(BYTES)
    const packed = gzipSync(Buffer.concat([Buffer.from(head), tensor]), { level: 0 })
    const joined = watchJoins()
    const headers = { ...lengthOf(head), 'content-encoding': 'gzip', 'accept-encoding': 'gzip' }
    const response = await post('/v2/models/fp32/infer', { ...inPieces(packed), headers })
    expect(response).toMatchObject({ status: 200, headers: { 'content-encoding': 'gzip' } })
    expect(joined()).toBeLessThan(MOST_JOINED)
    expect(Buffer.compare(gunzipSync(wholeOf(response)).subarray(-BYTES), tensor)).toBe(0)
  })

  test('through the fetch adapter, there and back', async () => {
    const { head, tensor } = binary('json')
    const { body = new Uint8Array(), moreChunks = [] } = inPieces(Buffer.concat([Buffer.from(head), tensor]))
    const joined = watchJoins()
    const pieces = [body as Uint8Array<ArrayBuffer>, ...moreChunks]
    const stream = new ReadableStream({
      pull(controller) {
        const next = pieces.shift()
        if (next) controller.enqueue(next)
        else controller.close()
      },
    })
    const handler = fetchHandler(server, MOUNT)
    const init = { method: 'POST', headers: lengthOf(head), body: stream, duplex: 'half' }
    const response = await handler(new Request('http://x/v2/models/fp32/infer', init as RequestInit))
    expect(response.status).toBe(200)
    expect(joined()).toBeLessThan(MOST_JOINED)
    const { outputs } = (await response.json()) as { outputs: readonly { data: readonly number[] }[] }
    expect(outputs[0]?.data).toHaveLength(BYTES / 4)
    expect(outputs[0]?.data.at(-1)).toBe((BYTES / 4 - 1) / 8)
  })
})

describe('more strings than a request may have', () => {
  const count = MOST_STRINGS + 1

  test('as binary data', async () => {
    const inputs = [{ name: 'x', datatype: 'BYTES', shape: [count], parameters: { binary_data_size: 4 * count } }]
    const head = JSON.stringify({ inputs })
    const response = await post('/v2/models/bytes/infer', {
      ...inPieces(Buffer.concat([Buffer.from(head), Buffer.alloc(4 * count)])),
      headers: lengthOf(head),
    })
    expect(response.status).toBe(400)
    expect(JSON.parse(Buffer.from(response.body).toString())).toMatchObject({
      code: 'REQUEST_INVALID',
      details: { field: 'inputs' },
    })
  })

  test('as a table of text', async () => {
    const handler = server.http.mount({ dialects: ['mlflow'], mlflow: { model: 'bytes' } })
    const headers = { 'content-type': 'text/csv' }
    const ask = (rows: number): Promise<HttpResponse> =>
      handler.handle({
        method: 'POST',
        path: '/invocations',
        headers,
        body: Buffer.from(`x\n${'a\n'.repeat(rows)}`),
        acceptsChunks: true,
      })
    expect(await ask(count)).toMatchObject({ status: 400 })
    expect(await ask(MOST_STRINGS)).toMatchObject({ status: 200 })
  })
})
