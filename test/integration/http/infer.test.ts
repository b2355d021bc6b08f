/** Inference through a mount, as Triton's clients ask for it: binary tensors, compression both ways, classes, deadlines and priorities. */

import { brotliCompressSync, deflateRawSync, deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib'
import { createModelServer, type HttpHandler, type ModelServer } from 'modelmount'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { addModel, identityModel, slowLoopModel } from '../../../tools/models.mjs'
import { callerOf, type Headers, type Reply } from '../../support/mount.ts'
import { serverFor } from '../../support/server.ts'

const MAX_BODY = 100_000

let server: ModelServer
let mount: HttpHandler
beforeAll(async () => {
  server = await createModelServer({
    logger: false,
    maxBodyBytes: MAX_BODY,
    strict: true,
    models: [
      { name: 'add', source: addModel() },
      { name: 'half', source: identityModel('float16', ['N']) },
      { name: 'text', source: identityModel('string', ['N']) },
      { name: 'scores', source: identityModel('float', ['N', 3]), labels: { y: ['cat', 'dog', 'emu'] } },
      { name: 'floats', source: identityModel('float', ['N']) },
    ],
  })
  mount = server.http.mount()
})
afterAll(() => server.close())

const post = (path: string, body?: unknown, headers?: Headers): Promise<Reply> => callerOf(mount).post(path, body, headers)
const floats = (...values: number[]): Buffer => Buffer.from(Float32Array.from(values).buffer)

/** As tritonclient sends it for binary inputs and no outputs. */
function binary(inputs: readonly { name: string; datatype: string; shape: number[]; blob: Buffer }[], more: object = {}) {
  const json = Buffer.from(
    JSON.stringify({
      inputs: inputs.map(({ blob, ...input }) => ({ ...input, parameters: { binary_data_size: blob.length } })),
      parameters: { binary_data_output: true },
      ...more,
    }),
  )
  return {
    body: Buffer.concat([json, ...inputs.map(({ blob }) => blob)]),
    headers: { 'inference-header-content-length': String(json.length) },
  }
}
const inferBinary = (model: string, request: { body: Uint8Array; headers: Headers }, headers: Headers = {}): Promise<Reply> =>
  post(`/v2/models/${model}/infer`, request.body, { ...request.headers, ...headers })

const ADD = binary([
  { name: 'a', datatype: 'FP32', shape: [1, 4], blob: floats(1, 2, 3, 4) },
  { name: 'b', datatype: 'FP32', shape: [1, 4], blob: floats(1, 1, 1, 1) },
])

/** The JSON part and the bytes behind it. */
function parts({ body, headers }: { body: Uint8Array; headers: Headers }) {
  const length = Number(headers['inference-header-content-length'])
  return { json: JSON.parse(Buffer.from(body.subarray(0, length)).toString()), blobs: Buffer.from(body.subarray(length)) }
}

const LISTED = { name: 'sum', datatype: 'FP32', shape: [1, 4], parameters: { binary_data_size: 16 } }

describe('binary tensors', () => {
  test('in and out', async () => {
    const reply = await inferBinary('add', ADD)
    expect(reply).toMatchObject({ status: 200, headers: { 'content-type': 'application/octet-stream' } })
    expect(parts(reply)).toEqual({
      json: { model_name: 'add', model_version: '1', outputs: [LISTED] },
      blobs: floats(2, 3, 4, 5),
    })
  })

  test('strings and halves', async () => {
    const text = Buffer.from('\x02\0\0\0hi\0\0\0\0')
    const strings = await inferBinary('text', binary([{ name: 'x', datatype: 'BYTES', shape: [2], blob: text }]))
    expect(parts(strings).blobs).toEqual(text)
    const half = Buffer.from([0x00, 0x3c, 0x00, 0xfc])
    expect(parts(await inferBinary('half', binary([{ name: 'x', datatype: 'FP16', shape: [2], blob: half }]))).blobs).toEqual(
      half,
    )
  })

  test('a body that is one tensor', async () => {
    const reply = await post('/v2/models/scores/infer', floats(1, 2, 3, 4, 5, 6), { 'inference-header-content-length': '0' })
    expect(reply.status).toBe(200)
    const { json, blobs } = parts(reply)
    expect(json).toEqual({
      model_name: 'scores',
      model_version: '1',
      outputs: [{ name: 'y', datatype: 'FP32', shape: [2, 3], parameters: { binary_data_size: 24 } }],
    })
    expect(blobs).toEqual(floats(1, 2, 3, 4, 5, 6))
    expect(await post('/v2/models/add/infer', floats(1), { 'inference-header-content-length': '0' })).toMatchObject({
      status: 400,
    })
  })

  test('headers that are no numbers, errors in plain JSON', async () => {
    for (const value of ['', '-1', '1.5', 'abc', '0x10', '1, 1', '99999', '9'.repeat(30), ' 5'])
      expect(await inferBinary('add', ADD, { 'inference-header-content-length': value })).toMatchObject({
        status: 400,
        headers: { 'content-type': 'application/json' },
        json: { code: 'REQUEST_INVALID', details: { field: 'inference-header-content-length' } },
      })
    // The content type says nothing.
    expect(await inferBinary('add', ADD, { 'content-type': 'text/plain' })).toMatchObject({ status: 200 })
  })
})

describe('compression', () => {
  test('of requests', async () => {
    for (const [coding, pack] of [
      ['gzip', gzipSync],
      ['X-GZIP', gzipSync],
      ['deflate', deflateSync],
      ['br', brotliCompressSync],
      ['identity', (body: Uint8Array) => body],
    ] as const) {
      const reply = await inferBinary('add', { ...ADD, body: pack(ADD.body) }, { 'content-encoding': coding })
      expect([coding, reply.status]).toEqual([coding, 200])
      expect(parts(reply).blobs).toEqual(floats(2, 3, 4, 5))
    }
  })

  test('of requests, broken, cut short, unknown', async () => {
    const send = (coding: string, body: Uint8Array) => inferBinary('add', { ...ADD, body }, { 'content-encoding': coding })
    for (const [coding, body] of [
      ['gzip', ADD.body],
      ['gzip', deflateSync(ADD.body)],
      ['gzip', gzipSync(ADD.body).subarray(0, -9)],
      ['gzip', Buffer.alloc(0)],
      ['deflate', deflateRawSync(ADD.body)],
      ['deflate', gzipSync(ADD.body)],
      ['br', ADD.body],
      ['br', gzipSync(ADD.body)],
      ['br', brotliCompressSync(ADD.body).subarray(0, -4)],
      ['br', Buffer.alloc(0)],
    ] as const)
      expect(await send(coding, body)).toMatchObject({ status: 400, json: { details: { field: 'content-encoding' } } })
    for (const coding of ['zstd', 'brotli', 'gzip, gzip', 'constructor'])
      expect(await send(coding, brotliCompressSync(ADD.body))).toMatchObject({
        status: 415,
        headers: { 'accept-encoding': 'gzip, deflate, br' },
        json: { code: 'MEDIA_TYPE_UNSUPPORTED' },
      })
  })

  test('a bomb stops at maxBodyBytes', async () => {
    const exact = Buffer.alloc(MAX_BODY, ' ')
    exact.write(JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }] }))
    const send = (body: Uint8Array) => post('/v2/models/floats/infer', gzipSync(body), { 'content-encoding': 'gzip' })
    expect(await send(exact)).toMatchObject({ status: 200 })
    expect(await send(Buffer.concat([exact, Buffer.from(' ')]))).toMatchObject({ status: 413, json: { code: 'BODY_TOO_LARGE' } })
    expect(await send(Buffer.alloc(50_000_000))).toMatchObject({ status: 413 })
  })

  test('of answers, by Accept-Encoding, when large enough', async () => {
    const large = { inputs: [{ name: 'x', datatype: 'FP32', shape: [2000], data: new Array(2000).fill(0.5) }] }
    const ask = (accept: string | undefined, request: object = large) =>
      post('/v2/models/floats/infer', request, accept === undefined ? {} : { 'accept-encoding': accept })
    const plain = await ask(undefined)
    expect(plain.headers).toMatchObject({ vary: 'accept-encoding' })
    for (const [accept, coding, unpack] of [
      ['gzip', 'gzip', gunzipSync],
      ['deflate', 'deflate', inflateSync],
      ['gzip, deflate, br', 'gzip', gunzipSync],
      ['br, deflate;q=0.5, gzip;q=0.4', 'deflate', inflateSync],
      ['identity;q=0.1, GZIP;q=0.2', 'gzip', gunzipSync],
    ] as const) {
      const reply = await ask(accept)
      expect([accept, reply.headers['content-encoding']]).toEqual([accept, coding])
      expect(reply.headers['content-length']).toBe(String(reply.body.byteLength))
      expect(unpack(reply.body).toString()).toBe(plain.text)
    }
    for (const accept of ['', 'identity', 'br', '*', 'gzip;q=0', 'gzip;q=nonsense', 'identity, gzip', 'gzip;q=0.5, identity'])
      expect([accept, (await ask(accept)).headers['content-encoding']]).toEqual([accept, undefined])
    expect((await ask('gzip', { inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }] })).headers).not.toHaveProperty(
      'content-encoding',
    )
    // The frame is packed as a whole; the header counts plain bytes.
    const packed = await inferBinary(
      'floats',
      binary([{ name: 'x', datatype: 'FP32', shape: [500], blob: Buffer.alloc(2000) }]),
      {
        'accept-encoding': 'gzip',
      },
    )
    expect(parts({ ...packed, body: gunzipSync(packed.body) }).blobs).toEqual(Buffer.alloc(2000))
    // Only answers to inference are packed: some clients unpack no others.
    expect((await callerOf(mount).get('/v2/models/add', { 'accept-encoding': 'gzip' })).headers).not.toHaveProperty(
      'content-encoding',
    )
  })
})

describe('parameters', () => {
  const x = { name: 'x', datatype: 'FP32', shape: [1, 3], data: [0.5, 2, 1] }

  test('classification names the labels of the model', async () => {
    const outputs = [{ name: 'y', parameters: { classification: 2 } }]
    expect((await post('/v2/models/scores/infer', { inputs: [x], outputs })).json).toMatchObject({
      outputs: [{ name: 'y', datatype: 'BYTES', shape: [1, 2], data: ['2.000000:1:dog', '1.000000:2:emu'] }],
    })
  })

  test('priority and timeout; unknown ones are passed over', async () => {
    for (const parameters of [
      { priority: 0, timeout: 0 },
      { priority: 7, timeout: 60_000_000 },
      { anything: 'x', other: 1.5 },
    ])
      expect(await post('/v2/models/scores/infer', { inputs: [x], parameters })).toMatchObject({ status: 200 })
    for (const [parameters, field] of [
      [{ priority: -1 }, 'parameters.priority'],
      [{ priority: 'high' }, 'parameters.priority'],
      [{ timeout: 1.5 }, 'parameters.timeout'],
      [{ timeout: '5' }, 'parameters.timeout'],
      [{ sequence_id: 5 }, 'parameters.sequence_id'],
      [{ sequence_id: 'a', sequence_start: true }, 'parameters.sequence_id'],
      [{ sequence_end: true }, 'parameters.sequence_end'],
    ] as const)
      expect(await post('/v2/models/scores/infer', { inputs: [x], parameters })).toMatchObject({
        status: 400,
        json: { code: 'REQUEST_INVALID', details: { field } },
      })
    const none = { sequence_id: 0, sequence_start: false, sequence_end: false }
    expect(await post('/v2/models/scores/infer', { inputs: [x], parameters: none })).toMatchObject({ status: 200 })
  })

  test('timeout is a deadline', async () => {
    const slow = await serverFor({ isolation: 'process', models: [{ name: 'loop', source: slowLoopModel() }] })
    const body = {
      inputs: [{ name: 'trips', datatype: 'INT64', shape: [], data: [2 ** 40] }],
      parameters: { timeout: 50_000 },
    }
    expect(await callerOf(slow.http).post('/v2/models/loop/infer', body)).toMatchObject({
      status: 504,
      json: { code: 'DEADLINE_EXCEEDED' },
    })
  })
})
