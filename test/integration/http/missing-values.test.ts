/** Missing values from the wire to the model and back: in each dialect, behind Express's own parser, from the decoding thread, for our client. */

import express from 'express'
import { createModelServer, isModelmountError, type ModelServer } from 'modelmount'
import { createClient } from 'modelmount/client'
import { modelRouter } from 'modelmount/express'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { identityModel } from '../../../tools/models.mjs'
import { type Client, serveHttp } from '../../support/http.ts'
import { plus } from '../../support/small-models.ts'

const dialects = ['open-inference', 'tf-serving', 'mlflow'] as const
let server: ModelServer
let http: Client
beforeAll(async () => {
  server = await createModelServer({
    logger: false,
    strict: true,
    models: [
      { name: 'plus', source: plus(1) },
      { name: 'strict', source: plus(1), inputs: { x: { nonFinite: 'reject' } } },
      { name: 'long', source: identityModel('int64', ['N']) },
    ],
  })
  const app = express()
  app.use('/raw', modelRouter(server, { dialects, mlflow: { model: 'plus' } }))
  app.use('/strict', modelRouter(server, { dialects, mlflow: { model: 'strict' } }))
  app.use('/parsed', express.json(), modelRouter(server, { dialects, mlflow: { model: 'plus' } }))
  http = await serveHttp(app)
})
afterAll(async () => {
  await http.close()
  await server.close()
})

const v2 = (data: string, count: number): string =>
  `{"id":null,"inputs":[{"name":"x","shape":[${count}],"datatype":"FP32","data":[${data}],"parameters":null}]}`

/** For each dialect: where, what is sent for four values, and how the answer writes 2, not-a-number and the infinities. */
const DIALECTS = [
  [
    'v2',
    (model: string) => `/v2/models/${model}/infer`,
    (data: string) => v2(data, 4),
    '"data":[2,"NaN","Infinity","-Infinity"]',
  ],
  [
    'generate',
    (model: string) => `/v2/models/${model}/generate`,
    (data: string) => `{"x":[${data}]}`,
    '"y":[2,"NaN","Infinity","-Infinity"]',
  ],
  [
    'TensorFlow rows',
    (model: string) => `/v1/models/${model}:predict`,
    (data: string) => `{"instances":[${data}]}`,
    '[2.0,NaN,Infinity,-Infinity]',
  ],
  [
    'TensorFlow columns',
    (model: string) => `/v1/models/${model}:predict`,
    (data: string) => `{"inputs":{"x":[${data}]}}`,
    '[2.0,NaN,Infinity,-Infinity]',
  ],
  ['MLflow', () => '/invocations', (data: string) => `{"inputs":{"x":[${data}]},"params":null}`, '[2.0,NaN,Infinity,-Infinity]'],
] as const

describe.each(DIALECTS)('%s', (_, path, body, answered) => {
  test.each(['1,NaN,Infinity,-Infinity', '1,null,Infinity,"-Infinity"', '1,"NaN","Infinity",-Infinity'])('%s', async (data) => {
    for (const pad of ['', ' '.repeat(300_000)]) {
      const answer = await http.post(`/raw${path('plus')}`, body(data) + pad)
      expect([answer.status, answer.text]).toEqual([200, expect.stringContaining(answered)])
    }
  })

  test('behind express.json() null is taken, and the tokens are a 400 of Express', async () => {
    const taken = await http.post(`/parsed${path('plus')}`, body('1,null,"Infinity","-Infinity"'))
    expect([taken.status, taken.text]).toEqual([200, expect.stringContaining(answered)])
    const refused = await http.post(`/parsed${path('plus')}`, body('1,NaN,Infinity,-Infinity'))
    expect([refused.status, refused.text]).toEqual([400, expect.stringContaining('SyntaxError')])
  })

  test.each(['1,2,3,null', '1,2,3,NaN', '1,2,3,"Infinity"', '-Infinity,2,3,4'])('%s where the model refuses it', async (data) => {
    for (const pad of ['', ' '.repeat(300_000)]) {
      const { status, json } = await http.post(`/strict${path('strict')}`, body(data) + pad)
      expect([status, json]).toEqual([400, expect.objectContaining({ code: 'INPUT_INVALID' })])
    }
    expect((await http.post(`/strict${path('strict')}`, body('1,2,3,4'))).status).toBe(200)
  })
})

test('a table of CSV with empty fields', async () => {
  const { text, status } = await http.post('/raw/invocations', 'x\n1\n""\ninf\n-inf\n', { 'content-type': 'text/csv' })
  expect([status, text]).toEqual([200, '{"predictions":[{"y":2.0},{"y":NaN},{"y":Infinity},{"y":-Infinity}]}'])
})

test('integers: a 400 that names the place', async () => {
  for (const word of ['null', 'NaN', 'Infinity']) {
    const body = `{"inputs":[{"name":"x","shape":[2],"datatype":"INT64","data":[1,${word}]}]}`
    const { status, json } = await http.post('/raw/v2/models/long/infer', body)
    expect([status, json]).toMatchObject([400, { code: 'INPUT_INVALID', details: { field: 'inputs[0].data[1]', got: word } }])
  }
})

test('large bodies, in the decoding thread and beside it', async () => {
  const count = 200_000
  const data = Array.from({ length: count }, (_, i) => (i % 7 === 0 ? 'NaN' : i % 7 === 1 ? 'null' : `${i}.25`)).join()
  const { status, json } = await http.post('/raw/v2/models/plus/infer', v2(data, count))
  expect(status).toBe(200)
  const { data: read } = (json as { outputs: [{ data: unknown[] }] }).outputs[0]
  expect(read.slice(0, 9)).toEqual(['NaN', 'NaN', 3.25, 4.25, 5.25, 6.25, 7.25, 'NaN', 'NaN'])
})

test('bytes and predict(): allowed, or refused by the settings, also where they are many', async () => {
  const client = createClient({ url: `http://127.0.0.1:${http.port}/raw` })
  for (const length of [3, 100_000]) {
    const x = new Float32Array(length).fill(1)
    x[length - 1] = Number.NaN
    for (const run of [server.predict.bind(server), client.predict]) {
      const { outputs } = await run('plus', { x })
      expect((outputs.y as { data: Float32Array }).data.at(-1)).toBeNaN()
      const error: unknown = await run('strict', { x }).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      if (!isModelmountError(error)) throw error
      expect(error).toMatchObject({ code: 'INPUT_INVALID', details: { input: 'x', expected: 'finite numbers' } })
      expect(error.details?.got).toBe(`a missing or infinite one as element ${length - 1}`)
    }
  }
})

test('our client reads what each server writes', async () => {
  const client = createClient({ url: `http://127.0.0.1:${http.port}/raw`, binary: false })
  expect((await client.predict('plus', { x: [1, Number.NaN] })).outputs.y?.data).toEqual(Float32Array.of(2, Number.NaN))
})

test('the description of a model allows what it takes', () => {
  const { inputs } = server.model('strict')
  expect(inputs[0]).toMatchObject({ name: 'x', nonFinite: 'reject' })
  expect(server.model('plus').inputs[0]).not.toHaveProperty('nonFinite')
  const { paths } = server.openapi({ dialects }) as unknown as { paths: Record<string, object> }
  expect(JSON.stringify(paths['/v2/models/plus/infer'])).toContain('{"enum":[null,"NaN","Infinity","-Infinity"]}')
  expect(JSON.stringify(paths['/v1/models/plus:predict'])).toContain('{"enum":[null,"NaN","Infinity","-Infinity"]}')
  expect(JSON.stringify(paths['/v2/models/strict/infer'])).not.toContain('null')
})

test('a setting that is none', async () => {
  const inputs = { x: { nonFinite: 'no' as never } }
  const made = createModelServer({ logger: false, models: [{ name: 'a', source: plus(1), inputs }] })
  await expect(made).rejects.toMatchObject({ code: 'OPTIONS_INVALID', message: expect.stringContaining('nonFinite') })
})
