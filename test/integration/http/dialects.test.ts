/** TensorFlow Serving's and MLflow's routes over real models, each with its own shape of errors. */

import { gzipSync } from 'node:zlib'
import { createModelServer, type ModelServer } from 'modelmount'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { addModel, constantModel, customOpModel, identityModel, scalarModel } from '../../../tools/models.mjs'
import { type Caller, callerOf } from '../../support/mount.ts'
import { serverFor } from '../../support/server.ts'

let server: ModelServer
let tf: Caller
beforeAll(async () => {
  server = await createModelServer({
    logger: false,
    maxBodyBytes: 10_000,
    models: [
      { name: 'add', source: addModel() },
      { name: 'add', version: '2', source: addModel() },
      { name: 'broken', source: customOpModel() },
      { name: 'constant', source: constantModel() },
      { name: 'floats', source: identityModel('float', ['N', 2]) },
      { name: 'scalar', source: scalarModel() },
      { name: 'text', source: identityModel('string', ['N']) },
    ],
  })
  tf = callerOf(server.http.mount({ dialects: ['tf-serving'] }))
})
afterAll(() => server.close())

describe('TensorFlow Serving', () => {
  const ROW = {
    instances: [
      { a: [1, 2, 3, 4], b: [1, 1, 1, 1] },
      { a: [0, 0, 0, 0.5], b: [0, 0, 0, 0] },
    ],
  }

  test('only the paths that are its own', async () => {
    const mount = server.http.mount({ dialects: ['tf-serving'] })
    for (const path of ['/v1/models', '/v1/models/', '/v1/models/add', '/V1/Models/add:predict', '/v1/models/x/y/z'])
      expect([path, mount.owns(path)]).toEqual([path, true])
    for (const path of ['/v1', '/v1/modelsx', '/v2', '/v2/models/add', '/v1/embeddings', '/ping'])
      expect([path, mount.owns(path)]).toEqual([path, false])
    expect(server.http.owns('/v1/models/add')).toBe(false)
    expect(await callerOf(server.http).get('/v1/models/add')).toMatchObject({ status: 404 })
    const both = callerOf(server.http.mount({ dialects: ['open-inference', 'tf-serving', 'mlflow'] }))
    for (const path of ['/v2', '/v1/models/add', '/version']) expect([path, (await both.get(path)).status]).toEqual([path, 200])
  })

  test('rows and columns', async () => {
    expect(await tf.post('/v1/models/add:predict', ROW)).toMatchObject({
      status: 200,
      headers: { 'content-type': 'application/json' },
      text: '{"predictions":[[2.0,3.0,4.0,5.0],[0.0,0.0,0.0,0.5]]}',
    })
    const columns = { inputs: { a: [[1, 2, 3, 4]], b: [[1, 1, 1, 1]] } }
    for (const path of ['add:predict', 'add/versions/1:predict', 'ADD:PREDICT'.replace('ADD', 'add'), '%61dd:predict'])
      expect([path, (await tf.post(`/v1/models/${path}`, columns)).json]).toEqual([path, { outputs: [[2, 3, 4, 5]] }])
    expect((await tf.post('/v1/models/floats:predict', { instances: [[0.1, 0.2]] })).text).toBe('{"predictions":[[0.1,0.2]]}')
    expect((await tf.post('/v1/models/scalar:predict', { inputs: 4 })).json).toEqual({ outputs: 5 })
    expect((await tf.post('/v1/models/constant:predict', { inputs: {} })).json).toEqual({ outputs: [1, 2, 3] })
    const b64 = Buffer.from('né').toString('base64')
    expect((await tf.post('/v1/models/text:predict', { instances: ['a', { b64 }] })).json).toEqual({ predictions: ['a', 'né'] })
  })

  test('as curl and requests send it', async () => {
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    expect(await tf.post('/v1/models/add:predict', ROW, form)).toMatchObject({ status: 200 })
    const gzip = await tf.post('/v1/models/add:predict', gzipSync(JSON.stringify(ROW)), { 'content-encoding': 'gzip' })
    expect(gzip).toMatchObject({ status: 200 })
    const large = { instances: new Array(500).fill([0, 0]) }
    const reply = await tf.post('/v1/models/floats:predict', large, { 'accept-encoding': 'gzip' })
    expect(reply.headers['content-encoding']).toBe('gzip')
  })

  test('status, metadata, names', async () => {
    const ok = { error_code: 'OK', error_message: '' }
    expect((await tf.get('/v1/models/add')).json).toEqual({
      model_version_status: ['2', '1'].map((version) => ({ version, state: 'AVAILABLE', status: ok })),
    })
    expect((await tf.get('/v1/models/add/versions/1')).json).toMatchObject({ model_version_status: [{ version: '1' }] })
    expect((await tf.get('/v1/models/broken')).json).toMatchObject({
      model_version_status: [{ state: 'END', status: { error_message: 'MODEL_UNSUPPORTED' } }],
    })
    expect((await tf.get('/v1/models/add/metadata')).json).toMatchObject({
      model_spec: { name: 'add', version: '2' },
      metadata: { signature_def: { signature_def: { serving_default: { inputs: { a: { dtype: 'DT_FLOAT' } } } } } },
    })
    expect((await tf.get('/v1/models')).json).toEqual({ models: ['add', 'broken', 'constant', 'floats', 'scalar', 'text'] })
    const head = await tf.send('HEAD', '/v1/models/add')
    expect(head).toMatchObject({ status: 200, text: '' })
  })

  test('errors are { error } and what fits', async () => {
    const cases: [method: string, path: string, body: unknown, status: number, code: string][] = [
      ['POST', 'nope:predict', ROW, 404, 'MODEL_NOT_FOUND'],
      ['POST', 'add/versions/9:predict', ROW, 404, 'VERSION_NOT_FOUND'],
      ['POST', 'add/labels/canary:predict', ROW, 404, 'LABEL_NOT_FOUND'],
      ['GET', 'add/labels/canary', undefined, 404, 'LABEL_NOT_FOUND'],
      ['GET', 'nope/labels/canary', undefined, 404, 'MODEL_NOT_FOUND'],
      ['POST', 'add/versions/1/labels/x:predict', ROW, 400, 'REQUEST_INVALID'],
      ['POST', 'add/labels/x/versions/1:predict', ROW, 400, 'REQUEST_INVALID'],
      ['GET', 'add/versions/1/labels/x/metadata', undefined, 400, 'REQUEST_INVALID'],
      ['POST', 'add:classify', ROW, 400, 'REQUEST_INVALID'],
      ['POST', 'add:regress', ROW, 400, 'REQUEST_INVALID'],
      ['POST', 'add:explain', ROW, 404, 'ROUTE_NOT_FOUND'],
      ['GET', 'add:predict', undefined, 405, 'METHOD_NOT_ALLOWED'],
      ['POST', 'add', ROW, 405, 'METHOD_NOT_ALLOWED'],
      ['POST', 'broken:predict', ROW, 503, 'MODEL_NOT_READY'],
      ['POST', 'add:predict', undefined, 400, 'REQUEST_INVALID'],
      ['POST', 'add:predict', '{', 400, 'REQUEST_INVALID'],
      ['POST', 'add:predict', { ...ROW, inputs: {} }, 400, 'REQUEST_INVALID'],
      ['POST', 'scalar:predict', { instances: [1] }, 400, 'INPUT_INVALID'],
      ['POST', 'constant:predict', { instances: [{}] }, 200, ''],
      ['POST', '%E0%A4%A:predict', ROW, 400, 'REQUEST_INVALID'],
    ]
    for (const [method, path, body, status, code] of cases) {
      const reply = method === 'GET' ? await tf.get(`/v1/models/${path}`) : await tf.post(`/v1/models/${path}`, body)
      expect([path, reply.status, reply.json]).toEqual([
        path,
        status,
        status === 200 ? expect.anything() : { error: expect.stringMatching(/\S/), code },
      ])
    }
  })
})

describe('MLflow', () => {
  const mlflow = (model: string): Caller => callerOf(server.http.mount({ dialects: ['mlflow'], mlflow: { model } }))
  const JSON_TYPE = { 'content-type': 'application/json' }

  test('the four formats and CSV', async () => {
    const { post } = mlflow('floats')
    const records = { predictions: [{ y: 1 }, { y: 2 }, { y: 3 }, { y: 4 }] }
    const tensors = {
      predictions: {
        y: [
          [1, 2],
          [3, 4],
        ],
      },
    }
    for (const [body, answer] of [
      [
        {
          dataframe_split: {
            columns: ['a', 'b'],
            data: [
              [1, 2],
              [3, 4],
            ],
          },
        },
        records,
      ],
      [
        {
          dataframe_records: [
            { a: 1, b: 2 },
            { a: 3, b: 4 },
          ],
        },
        records,
      ],
      [
        {
          instances: [
            [1, 2],
            [3, 4],
          ],
        },
        tensors,
      ],
      [
        {
          inputs: [
            [1, 2],
            [3, 4],
          ],
        },
        tensors,
      ],
    ] as const)
      expect([body, (await post('/invocations', body, JSON_TYPE)).json]).toEqual([body, answer])
    for (const type of ['text/csv', 'text/csv; charset=utf-8', 'TEXT/CSV;charset="UTF-8"'])
      expect((await post('/invocations', 'a,b\n1,2\n3,4\n', { 'content-type': type })).json).toEqual(records)
  })

  test('which model', async () => {
    const add = mlflow('add')
    const body = { inputs: { a: [[1, 2, 3, 4]], b: [[1, 1, 1, 1]] } }
    expect((await add.post('/invocations', body)).json).toEqual({ predictions: { sum: [[2, 3, 4, 5]] } })
    const old = callerOf(server.http.mount({ dialects: ['mlflow'], mlflow: { model: 'add', version: '1' } }))
    expect(await old.post('/invocations', body)).toMatchObject({ status: 200 })
    const any = callerOf(server.http.mount({ dialects: ['mlflow'] }))
    expect(await any.post('/invocations', body)).toMatchObject({
      status: 404,
      json: { error_code: 'RESOURCE_DOES_NOT_EXIST', message: expect.stringContaining('mlflow: { model }') },
    })
    const single = await serverFor({ models: [{ name: 'only', source: addModel() }] })
    const only = callerOf(single.http.mount({ dialects: ['mlflow'] }))
    expect(await only.post('/invocations', body)).toMatchObject({ status: 200 })
    expect(await only.get('/ping')).toMatchObject({ status: 200, text: '\n' })
  })

  test('probes and version', async () => {
    for (const path of ['/ping', '/health']) {
      expect(await mlflow('add').get(path)).toMatchObject({ status: 200, text: '\n' })
      for (const model of ['broken', 'nope']) expect((await mlflow(model).get(path)).status).toBe(404)
    }
    expect((await mlflow('add').get('/version')).text).toMatch(/^\d+\.\d+\.\d+/)
  })

  test('errors in its shape', async () => {
    const { post, get } = mlflow('floats')
    const told = async (body: unknown, type = 'application/json') => {
      const reply = await post('/invocations', body, { 'content-type': type })
      return [reply.status, (reply.json as { error_code: string }).error_code]
    }
    expect(await told('{')).toEqual([400, 'BAD_REQUEST'])
    expect(await told({})).toEqual([400, 'BAD_REQUEST'])
    expect(await told('')).toEqual([400, 'BAD_REQUEST'])
    expect(await told('a,b\n1', 'text/csv')).toEqual([400, 'BAD_REQUEST'])
    expect(await told({ inputs: [[1]] })).toEqual([400, 'BAD_REQUEST'])
    expect(await told({ inputs: [[1, 2]] }, 'text/plain')).toEqual([415, 'BAD_REQUEST'])
    expect(await told({ inputs: [[1, 2]] }, 'application/json; charset=latin1')).toEqual([415, 'BAD_REQUEST'])
    expect(await told({ inputs: [[1, 2]] }, 'application/json; version=1')).toEqual([415, 'BAD_REQUEST'])
    expect(await get('/invocations')).toMatchObject({ status: 405, headers: { allow: 'POST, OPTIONS' } })
    // An adapter's own refusal has the shape of its path, too.
    const error = { [Symbol.for('modelmount.error')]: true, code: 'BODY_TOO_LARGE', status: 413, message: 'too large' }
    const mount = server.http.mount({ dialects: ['open-inference', 'mlflow'] })
    expect(JSON.parse(new TextDecoder().decode(mount.error(error, '/invocations').body))).toMatchObject({
      error_code: 'BAD_REQUEST',
    })
    expect(JSON.parse(new TextDecoder().decode(mount.error(error, '/v2/models/x/infer').body))).toMatchObject({
      error: 'too large',
    })
  })
})
