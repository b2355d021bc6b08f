/** Triton's sequence extension over HTTP, and what the other dialects say to a model with state. */

import { createClient } from 'modelmount/client'
import { nodeHandler } from 'modelmount/node'
import { expect, test } from 'vitest'
import { recurrentModel, totalModel } from '../../../tools/models.mjs'
import { httpFor } from '../../support/http.ts'
import { callerOf } from '../../support/mount.ts'
import { provedServerFor } from '../../support/server.ts'

const MODEL = { name: 'total', source: totalModel(), sequences: { state: { s: 'next' }, idleTimeoutMs: 5000 } }
const INPUT = { name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] }

/** JSON by hand, so that numbers have all their digits. */
const body = (id: string, start = false, end = false, input: object = INPUT): string =>
  `{"inputs":[${JSON.stringify(input)}],"parameters":{"sequence_id":${id},"sequence_start":${start},"sequence_end":${end}}}`

test('requests say which sequence they are of', async () => {
  const server = await provedServerFor({ models: [MODEL] })
  const { post } = callerOf(server.http)
  const infer = async (...args: Parameters<typeof body>) => (await post('/v2/models/total/infer', body(...args))).json
  expect(await infer('7', true)).toMatchObject({ outputs: [{ name: 'y', data: [1, 2] }] })
  expect(await infer('7')).toMatchObject({ outputs: [{ name: 'y', data: [2, 4] }] })
  expect(await infer('"7"', true)).toMatchObject({ outputs: [{ data: [1, 2] }] })
  expect(await infer('7', false, true)).toMatchObject({ outputs: [{ data: [3, 6] }] })
  expect(await post('/v2/models/total/infer', body('7'))).toMatchObject({
    status: 404,
    json: { code: 'SEQUENCE_NOT_FOUND', details: { field: 'sequence_id' } },
  })
})

test('ids have all their digits, in small bodies and large ones', async () => {
  const server = await provedServerFor({ models: [MODEL] })
  const { post } = callerOf(server.http)
  const large = { ...INPUT, shape: [4000, 2], data: new Array(8000).fill(0.5) }
  for (const input of [INPUT, large]) {
    const infer = (...args: [string, boolean?, boolean?]) =>
      post('/v2/models/total/infer', body(...args, ...([false, false].slice(args.length - 1) as []), input))
    expect(await infer('18446744073709551615', true, false)).toMatchObject({ status: 200 })
    expect(await infer('18446744073709551614', false, false)).toMatchObject({ status: 404 })
    expect(await infer('18446744073709551615', false, true)).toMatchObject({ status: 200 })
    for (const id of ['18446744073709551616', '-1', '1.5', 'true', JSON.stringify('x'.repeat(257))])
      expect(await infer(id, true, false)).toMatchObject({
        status: 400,
        json: { code: 'REQUEST_INVALID', details: { field: 'parameters.sequence_id' } },
      })
  }
  // Another parser has rounded it already.
  const parsed = await server.http.handle({
    method: 'POST',
    path: '/v2/models/total/infer',
    headers: {},
    body: JSON.parse(body('18446744073709551615', true)),
  })
  expect(parsed.status).toBe(400)
  expect(Buffer.from(parsed.body).toString()).toContain('send the id as a string')
})

test('a request of no sequence, and one that is not whole', async () => {
  const server = await provedServerFor({ models: [MODEL] })
  const { post } = callerOf(server.http)
  for (const json of [
    { inputs: [INPUT] },
    { inputs: [INPUT], parameters: { sequence_id: 0 } },
    { inputs: [INPUT], parameters: { sequence_id: '' } },
  ])
    expect(await post('/v2/models/total/infer', json)).toMatchObject({ status: 400, json: { code: 'SEQUENCE_REQUIRED' } })
  for (const parameters of [{ sequence_start: true }, { sequence_end: true }, { sequence_id: 0, sequence_start: true }])
    expect(await post('/v2/models/total/infer', { inputs: [INPUT], parameters })).toMatchObject({
      status: 400,
      json: { code: 'REQUEST_INVALID', details: { field: 'parameters.sequence_id' } },
    })
  expect(
    await post('/v2/models/total/infer', { inputs: [INPUT], parameters: { sequence_id: 1, sequence_start: 1 } }),
  ).toMatchObject({
    json: { details: { field: 'parameters.sequence_start' } },
  })
})

test('full means 503, and when to come back', async () => {
  const server = await provedServerFor({ models: [{ ...MODEL, sequences: { ...MODEL.sequences, maxSequences: 1 } }] })
  const { post } = callerOf(server.http)
  expect(await post('/v2/models/total/infer', body('1', true))).toMatchObject({ status: 200 })
  expect(await post('/v2/models/total/infer', body('2', true))).toMatchObject({
    status: 503,
    headers: { 'retry-after': '5' },
    json: { code: 'SEQUENCE_LIMIT' },
  })
})

test('what the server says of itself and of the model', async () => {
  const server = await provedServerFor({ models: [MODEL, { name: 'plain', source: recurrentModel() }] })
  const { get, post } = callerOf(server.http)
  expect((await get('/v2')).json).toMatchObject({ extensions: expect.arrayContaining(['classification', 'sequence']) })
  expect((await get('/v2/models/total')).json).toMatchObject({ inputs: [{ name: 'x' }], outputs: [{ name: 'y' }] })
  const config = (await get('/v2/models/total/config')).json
  expect(config).toMatchObject({ sequence_batching: { max_sequence_idle_microseconds: 5_000_000 }, input: [{ name: 'x' }] })
  expect(config).not.toHaveProperty('dynamic_batching')
  const document = server.openapi({ dialects: ['open-inference', 'tf-serving'] })
  const operation = document.paths['/v2/models/total/infer']?.post as unknown as {
    requestBody: { content: { 'application/json': { example: object } } }
  }
  // As it stands there it can be sent again and again.
  const { example } = operation.requestBody.content['application/json']
  for (let i = 0; i < 2; i++) expect(await post('/v2/models/total/infer', example)).toMatchObject({ status: 200 })
  expect(Object.keys(document.paths)).toContain('/v1/models/plain:predict')
  expect(Object.keys(document.paths)).not.toContain('/v1/models/total:predict')
  await server.unload('total')
  expect((await get('/v2')).json).not.toMatchObject({ extensions: expect.arrayContaining(['sequence']) })
})

test('generate takes the same parameters; TensorFlow Serving and MLflow have no word for a sequence', async () => {
  const server = await provedServerFor({ models: [MODEL] })
  const { post } = callerOf(server.http.mount({ dialects: ['open-inference', 'tf-serving', 'mlflow'] }))
  const generate = { x: [1, 2], sequence_id: 'a', sequence_start: true }
  expect((await post('/v2/models/total/generate', generate)).json).toMatchObject({ y: [1, 2] })
  expect((await post('/v2/models/total/generate', { x: [1, 2], parameters: { sequence_id: 'a' } })).json).toMatchObject({
    y: [2, 4],
  })
  const tf = await post('/v1/models/total:predict', { instances: [[1, 2]] })
  expect(tf).toMatchObject({ status: 400, json: { error: expect.stringContaining('sequence_id') } })
  const mlflow = await post('/invocations', { inputs: [[1, 2]] }, { 'content-type': 'application/json' })
  expect(mlflow).toMatchObject({ status: 400, json: { message: expect.stringContaining('sequence_id') } })
})

test('the client names the sequence as predict() does, and never sends one of its requests twice', async () => {
  const server = await provedServerFor({ models: [MODEL] })
  let sent = 0
  const handler = nodeHandler(server)
  const { port } = await httpFor((request, response) => {
    if (request.url?.endsWith('/infer')) sent++
    if (sent === 6) request.socket.destroy()
    else handler(request, response)
  })
  for (const binary of [true, false]) {
    const client = createClient({ url: `http://127.0.0.1:${port}`, binary })
    const id = 2n ** 63n + (binary ? 1n : 0n)
    const send = async (sequence: object, opts = {}) => {
      const { outputs } = await client.predict('total', { x: [[1, 2]] }, { sequence: { id, ...sequence }, ...opts })
      return Array.from(outputs.y?.data as Float32Array)
    }
    expect(await send({ start: true })).toEqual([1, 2])
    expect(await send({})).toEqual([2, 4])
    if (binary) continue
    await expect(send({ id: 2n ** 63n - 1n })).rejects.toMatchObject({ code: 'SEQUENCE_NOT_FOUND' })
    await expect(send({}, { idempotent: true })).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE' })
    expect(sent).toBe(6)
  }
})
