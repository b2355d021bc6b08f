/** Bodies in pieces at the mount: callers that do not ask for pieces get one body, and cuts in a body fool no route. */

import { gzipSync } from 'node:zlib'
import { createModelServer, type HttpRequest, type HttpResponse, type ModelServer } from 'modelmount'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { identityModel } from '../../../tools/models.mjs'

const FLOATS = 20_000
const SMALL = '/v2/models/small/infer'

let server: ModelServer
beforeAll(async () => {
  const models = [
    { name: 'm', source: identityModel('float', ['batch', FLOATS]) },
    { name: 'small', source: identityModel('float', ['N']) },
  ]
  server = await createModelServer({ logger: false, strict: true, models })
})
afterAll(() => server.close())

const tensor = Buffer.from(Float32Array.from({ length: FLOATS }, (_, i) => i / 7).buffer)
const json = Buffer.from(
  JSON.stringify({
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1, FLOATS], parameters: { binary_data_size: tensor.length } }],
    parameters: { binary_data_output: true },
  }),
)
const body = Buffer.concat([json, tensor])
const binary = { 'inference-header-content-length': String(json.length) }

const ask = (more: Partial<HttpRequest>): Promise<HttpResponse> =>
  server.http.mount({ dialects: ['open-inference', 'tf-serving'] }).handle({
    method: 'POST',
    path: '/v2/models/m/infer',
    headers: binary,
    body,
    ...more,
  })
const tail = ({ headers, body, moreChunks = [] }: HttpResponse): Buffer =>
  Buffer.concat([body, ...moreChunks]).subarray(Number(headers['inference-header-content-length']))
const cut = (bytes: Uint8Array, ...at: number[]): Pick<HttpRequest, 'body' | 'moreChunks'> => {
  const [first, ...moreChunks] = [...at, bytes.length].map((end, i) => bytes.subarray(at[i - 1] ?? 0, end))
  return { body: first, moreChunks }
}

test('an answer is one body, unless pieces are asked for', async () => {
  const whole = await ask({})
  expect(whole).not.toHaveProperty('moreChunks')
  const pieces = await ask({ acceptsChunks: true })
  expect(pieces.moreChunks).toHaveLength(1)
  expect(pieces.headers).toEqual(whole.headers)
  expect(whole.headers['content-length']).toBe(String(whole.body.byteLength))
  for (const answer of [whole, pieces]) expect(Buffer.compare(tail(answer), tensor)).toBe(0)
})

test('small tensors, short JSON and refusals have one body for everybody', async () => {
  const small = { inputs: [{ name: 'x', datatype: 'FP32', shape: [2], data: [1, 2] }], parameters: { binary_data_output: true } }
  const of = (request: object): Partial<HttpRequest> => ({ path: SMALL, headers: {}, body: Buffer.from(JSON.stringify(request)) })
  expect(tail(await ask({ ...of(small), acceptsChunks: true }))).toHaveLength(8)
  const asked = [of(small), of({ ...small, parameters: {} }), of({})]
  for (const request of asked) expect(await ask({ ...request, acceptsChunks: true })).not.toHaveProperty('moreChunks')
})

test('a request in pieces, wherever it was cut', async () => {
  for (const at of [[0], [10], [json.length], [json.length + 1], [40_000, 40_001], [10, 20, 60_000]])
    expect([at, Buffer.compare(tail(await ask(cut(body, ...at))), tensor)]).toEqual([at, 0])
  const packed = gzipSync(body)
  const answer = await ask({ headers: { ...binary, 'content-encoding': 'gzip' }, ...cut(packed, 5000) })
  expect(Buffer.compare(tail(answer), tensor)).toBe(0)
  const raw = await ask({ headers: { 'inference-header-content-length': '0' }, ...cut(tensor, 30_001) })
  expect(Buffer.compare(tail(raw), tensor)).toBe(0)
})

test('routes that know nothing of pieces get all of them', async () => {
  const text = (request: object): Buffer => Buffer.from(JSON.stringify(request))
  const v2 = text({ inputs: [{ name: 'x', datatype: 'FP32', shape: [2], data: [1, 2] }] })
  expect(await ask({ path: SMALL, headers: {}, ...cut(v2, 20) })).toMatchObject({ status: 200 })
  const v1 = cut(text({ inputs: [1, 2] }), 4)
  expect(await ask({ path: '/v1/models/small:predict', ...v1 })).toMatchObject({ status: 200 })
})
