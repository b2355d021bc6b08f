/** The public models that Triton's own client examples are written for, out of their repository as it is. */

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createModelServer, type ModelServer } from 'modelmount'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Caller, callerOf } from '../../support/mount.ts'
import { needs } from '../../support/needs.ts'

const REPOSITORY = fileURLToPath(new URL('../../../../shared/data/triton-simple', import.meta.url))
const EXAMPLES = needs('models of Triton’s client examples', existsSync(REPOSITORY))

const A = Array.from({ length: 16 }, (_, i) => i)
const B = new Array<number>(16).fill(1)
const SUM = A.map((a) => a + 1)
const DIFFERENCE = A.map((a) => a - 1)

/** The body that tritonclient makes of binary inputs, and its header. */
function binary(datatype: string, blobs: readonly Buffer[]) {
  const inputs = blobs.map((blob, i) => ({
    name: `INPUT${i}`,
    shape: [1, 16],
    datatype,
    parameters: { binary_data_size: blob.length },
  }))
  const json = Buffer.from(JSON.stringify({ inputs, parameters: { binary_data_output: true } }))
  return { body: Buffer.concat([json, ...blobs]), headers: { 'inference-header-content-length': `${json.length}` } }
}

const strings = (values: readonly number[]): Buffer =>
  Buffer.concat(values.flatMap((value) => [Buffer.from(Uint32Array.of(String(value).length).buffer), Buffer.from(`${value}`)]))

describe('triton-simple', EXAMPLES, () => {
  let server: ModelServer
  let call: Caller
  beforeAll(async () => {
    server = await createModelServer({ repository: REPOSITORY, logger: false, strict: true })
    call = callerOf(server.http.mount({ management: true, dialects: ['open-inference', 'tf-serving'] }))
  })
  afterAll(() => server.close())

  test.each([
    ['simple', 'INT32', (values: readonly number[]) => Buffer.from(Int32Array.from(values).buffer)],
    ['simple_int8', 'INT8', (values: readonly number[]) => Buffer.from(Int8Array.from(values).buffer)],
    ['simple_string', 'BYTES', strings],
  ] as const)('%s: sum and difference, binary', async (model, datatype, bytes) => {
    const { body, headers } = binary(datatype, [bytes(A), bytes(B)])
    const reply = await call.post(`/v2/models/${model}/infer`, body, headers)
    expect(reply.status).toBe(200)
    const length = Number(reply.headers['inference-header-content-length'])
    const { outputs } = JSON.parse(Buffer.from(reply.body.subarray(0, length)).toString())
    expect(outputs).toMatchObject([
      { name: 'OUTPUT0', datatype, shape: [1, 16] },
      { name: 'OUTPUT1', datatype, shape: [1, 16] },
    ])
    expect(Buffer.from(reply.body.subarray(length))).toEqual(Buffer.concat([bytes(SUM), bytes(DIFFERENCE)]))
  })

  test('the configuration is the one on disk; more rows than it allows are refused', async () => {
    expect((await call.get('/v2/models/simple/config')).json).toMatchObject({
      name: 'simple',
      platform: 'onnxruntime_onnx',
      max_batch_size: 8,
      input: [
        { name: 'INPUT0', data_type: 'TYPE_INT32', dims: [16] },
        { name: 'INPUT1', data_type: 'TYPE_INT32', dims: [16] },
      ],
    })
    const rows = (n: number) => ({ instances: Array.from({ length: n }, () => ({ INPUT0: A, INPUT1: B })) })
    expect((await call.post('/v1/models/simple:predict', rows(1))).json).toEqual({
      predictions: [{ OUTPUT0: SUM, OUTPUT1: DIFFERENCE }],
    })
    expect(await call.post('/v1/models/simple:predict', rows(8))).toMatchObject({ status: 200 })
    expect(await call.post('/v1/models/simple:predict', rows(9))).toMatchObject({ status: 400, json: { code: 'INPUT_INVALID' } })
  })

  test('text that is no number fails its own run, says nothing of the runtime, and harms nobody', async () => {
    const bad = { instances: [{ INPUT0: A.map(() => 'abc'), INPUT1: B.map(String) }] }
    const reply = await call.post('/v1/models/simple_string:predict', bad)
    expect(reply.status).toBeGreaterThanOrEqual(400)
    expect(reply.text).not.toMatch(/stoll|onnx/i)
    const good = { instances: [{ INPUT0: A.map(String), INPUT1: B.map(String) }] }
    expect((await call.post('/v1/models/simple_string:predict', good)).json).toMatchObject({
      predictions: [{ OUTPUT0: SUM.map(String) }],
    })
  })

  test('sequence models are told where in a sequence they are, and which one it is', async () => {
    expect((await call.get('/v2')).json).toMatchObject({ extensions: expect.arrayContaining(['sequence']) })
    expect((await call.get('/v2/models/simple_sequence')).json).toMatchObject({ inputs: [{ name: 'INPUT', shape: [-1, 1] }] })
    const send = async (model: string, data: number, id: number | string, start: boolean, end: boolean) => {
      const inputs = [{ name: 'INPUT', shape: [1, 1], datatype: 'INT32', data: [data] }]
      const parameters = { sequence_id: id, sequence_start: start, sequence_end: end }
      return (await call.post(`/v2/models/${model}/infer`, { inputs, parameters })).json
    }
    // The sum of the input and the flag of a start, and in the other one, at the end, of the id.
    expect(await send('simple_sequence', 10, 7, true, false)).toMatchObject({ outputs: [{ data: [11] }] })
    expect(await send('simple_sequence', 10, 7, false, false)).toMatchObject({ outputs: [{ data: [10] }] })
    expect(await send('simple_dyna_sequence', 10, 1007, true, false)).toMatchObject({ outputs: [{ data: [11] }] })
    expect(await send('simple_dyna_sequence', 10, 1007, false, true)).toMatchObject({ outputs: [{ data: [1017] }] })
    expect(await send('simple_dyna_sequence', 10, 'seven', true, false)).toMatchObject({ code: 'INPUT_INVALID' })
    expect(await send('simple_sequence', 10, 8, false, false)).toMatchObject({ code: 'SEQUENCE_NOT_FOUND' })
    expect(await send('simple_sequence', 10, 0, false, false)).toMatchObject({ code: 'SEQUENCE_REQUIRED' })
  })

  test('load and unload', async () => {
    expect(await call.post('/v2/repository/models/simple_int8/unload')).toMatchObject({ status: 200 })
    expect(await call.get('/v2/models/simple_int8/ready')).toMatchObject({ status: 404 })
    expect(await call.post('/v2/repository/models/simple_int8/load')).toMatchObject({ status: 200 })
    expect(await call.get('/v2/models/simple_int8/ready')).toMatchObject({ status: 200 })
  })
})
