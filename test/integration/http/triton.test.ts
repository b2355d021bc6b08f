/** Triton's extensions over a real server: repository control, statistics, configuration. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ModelServer } from 'modelmount'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { addModel, identityModel } from '../../../tools/models.mjs'
import { type Caller, callerOf } from '../../support/mount.ts'
import { serverFor } from '../../support/server.ts'
import { constantOf, plus } from '../../support/small-models.ts'

function put(root: string, path: string, bytes: Uint8Array): void {
  mkdirSync(join(root, path, '..'), { recursive: true })
  writeFileSync(join(root, path), bytes)
}

function repositoryWith(files: Readonly<Record<string, Uint8Array>>): string {
  const root = mkdtempSync(join(tmpdir(), 'modelmount-repository-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  for (const [path, bytes] of Object.entries(files)) put(root, path, bytes)
  return root
}

describe('model repository', () => {
  let root: string
  let server: ModelServer
  let admin: Caller
  beforeEach(async () => {
    root = repositoryWith({
      'one/1/model.onnx': constantOf(1),
      'one/2/model.onnx': constantOf(2),
      'broken/1/model.onnx': Buffer.from('no model'),
    })
    server = await serverFor({ repository: root, models: [{ name: 'hand', source: constantOf(9) }] })
    admin = callerOf(server.http.mount({ management: true }))
  })
  const answer = async (name: string): Promise<unknown> => (await server.predict(name, {})).outputs.y?.data[0]

  test('off unless asked for', async () => {
    const { post, get } = callerOf(server.http.mount())
    for (const path of ['/v2/repository/index', '/v2/repository/models/one/unload', '/v2/repository/models/one/load'])
      expect(await post(path)).toMatchObject({ status: 404, json: { code: 'ROUTE_NOT_FOUND' } })
    expect((await get('/v2')).json).not.toMatchObject({ extensions: expect.arrayContaining(['model_repository']) })
    expect((await admin.get('/v2')).json).toMatchObject({ extensions: expect.arrayContaining(['model_repository']) })
  })

  test('the index, of all and of what is ready', async () => {
    const ready = [
      { name: 'hand', version: '1', state: 'READY' },
      { name: 'one', version: '1', state: 'READY' },
      { name: 'one', version: '2', state: 'READY' },
    ]
    const broken = { name: 'broken', version: '1', state: 'UNAVAILABLE', reason: 'the file is not a valid ONNX model' }
    for (const body of [undefined, '', {}, { ready: false }, { ready: null }])
      expect(await admin.post('/v2/repository/index', body)).toMatchObject({ status: 200, json: [broken, ...ready] })
    expect((await admin.post('/v2/repository/index', { ready: true })).json).toEqual(ready)
    for (const body of [{ ready: 1 }, [], 'x', '"x"'])
      expect(await admin.post('/v2/repository/index', body)).toMatchObject({ status: 400, json: { code: 'REQUEST_INVALID' } })
    expect(await admin.get('/v2/repository/index')).toMatchObject({ status: 405, headers: { allow: 'POST, OPTIONS' } })
  })

  test('unload and load', async () => {
    const unload = await admin.post('/v2/repository/models/one/unload', { parameters: { unload_dependents: false } })
    expect(unload).toMatchObject({ status: 200, text: '' })
    expect(await admin.get('/v2/models/one/ready')).toMatchObject({ status: 404 })
    expect((await admin.post('/v2/repository/index')).json).toContainEqual({
      name: 'one',
      version: '2',
      state: 'UNAVAILABLE',
      reason: 'unloaded',
    })
    expect(await admin.post('/v2/repository/models/one/load')).toMatchObject({ status: 200, text: '' })
    expect(await answer('one')).toBe(2)
  })

  test('loading again takes what is in the repository by then', async () => {
    put(root, 'one/2/model.onnx', constantOf(20))
    put(root, 'one/3/model.onnx', constantOf(3))
    put(root, 'new/1/model.onnx', constantOf(5))
    rmSync(join(root, 'one/1'), { recursive: true })
    expect((await admin.post('/v2/repository/index')).json).toContainEqual({
      name: 'new',
      version: '1',
      state: 'UNAVAILABLE',
      reason: 'unloaded',
    })
    expect(await admin.post('/v2/repository/models/one/load', {})).toMatchObject({ status: 200 })
    expect(await admin.post('/v2/repository/models/new/load', {})).toMatchObject({ status: 200 })
    expect(
      server
        .models()
        .filter(({ name }) => name === 'one')
        .map(({ version }) => version),
    ).toEqual(['2', '3'])
    expect(await answer('one')).toBe(3)
    expect((await server.predict('one', {}, { version: '2' })).outputs.y?.data[0]).toBe(20)
    expect(await answer('new')).toBe(5)
  })

  test('a load that fails leaves what served before, and says no more than it should', async () => {
    put(root, 'one/2/model.onnx', Buffer.from('garbage'))
    const reply = await admin.post('/v2/repository/models/one/load')
    expect(reply).toMatchObject({ status: 500, json: { code: 'MODEL_INVALID' } })
    expect(reply.text).not.toContain(root)
    expect(await answer('one')).toBe(2)
    expect(await admin.post('/v2/repository/models/broken/load')).toMatchObject({ status: 500 })
    put(root, 'broken/1/model.onnx', constantOf(7))
    expect(await admin.post('/v2/repository/models/broken/load')).toMatchObject({ status: 200 })
    expect(await answer('broken')).toBe(7)
  })

  test('a model that was given by hand is loaded again as it was given', async () => {
    expect(await admin.post('/v2/repository/models/hand/load')).toMatchObject({ status: 200 })
    expect(await answer('hand')).toBe(9)
  })

  test('files and settings of a client’s own, unknown models, paths', async () => {
    for (const parameters of [{ config: '{}' }, { 'file:1/model.onnx': 'AAAA' }, { anything: 1 }])
      expect(await admin.post('/v2/repository/models/one/load', { parameters })).toMatchObject({ status: 400 })
    for (const parameters of [{ unload_dependents: 'yes' }, { other: true }, 'x'])
      expect(await admin.post('/v2/repository/models/one/unload', { parameters })).toMatchObject({ status: 400 })
    for (const name of ['nope', '..', '..%2Fone', '__proto__', '%2Fetc', 'one%00'])
      for (const verb of ['load', 'unload'])
        expect(await admin.post(`/v2/repository/models/${name}/${verb}`)).toMatchObject({
          status: 404,
          json: { code: 'MODEL_NOT_FOUND' },
        })
  })

  test('after the end', async () => {
    await server.close()
    expect(await admin.post('/v2/repository/models/one/load')).toMatchObject({ status: 503, json: { code: 'SERVER_CLOSED' } })
  })
})

describe('statistics', () => {
  test('in Triton’s shape, and only growing', async () => {
    const server = await serverFor({
      models: [
        { name: 'add', source: addModel(), cache: { maxBytes: 100_000 } },
        { name: 'plus', source: plus(1) },
      ],
    })
    const { get, post } = callerOf(server.http)
    const stats = async (path: string) => ((await get(path)).json as { model_stats: Record<string, never>[] }).model_stats
    const zero = { count: 0, ns: 0 }
    const [before] = await stats('/v2/models/add/stats')
    expect(before).toEqual({
      name: 'add',
      version: '1',
      last_inference: 0,
      inference_count: 0,
      execution_count: 0,
      inference_stats: {
        success: zero,
        fail: zero,
        queue: zero,
        compute_input: zero,
        compute_infer: zero,
        compute_output: zero,
        cache_hit: zero,
        cache_miss: zero,
      },
      response_stats: {},
      batch_stats: [],
      memory_usage: [{ type: 'CPU', id: 0, byte_size: expect.any(Number) }],
    })
    const rows = (n: number) => ({ name: 'a', shape: [n, 4], datatype: 'FP32', data: new Array(4 * n).fill(n) })
    for (const n of [1, 1, 3]) await post('/v2/models/add/infer', { inputs: [rows(n), { ...rows(n), name: 'b' }] })
    const aborted = AbortSignal.abort()
    await expect(server.predict('add', { a: [[1, 2, 3, 4]], b: [[1, 2, 3, 5]] }, { signal: aborted })).rejects.toThrow()
    const [after] = await stats('/v2/models/add/versions/1/stats')
    const some = (count: number) => ({ count, ns: expect.toSatisfy((ns: number) => Number.isInteger(ns) && ns > 0) })
    expect(after).toMatchObject({
      last_inference: expect.toSatisfy((at: number) => Math.abs(at - Date.now()) < 60_000),
      inference_count: expect.any(Number),
      execution_count: 2,
      inference_stats: {
        success: some(3),
        fail: { count: 1 },
        queue: { count: 3 },
        compute_input: { count: 2 },
        compute_infer: some(2),
        compute_output: { count: 2 },
        cache_hit: { count: 1 },
        cache_miss: { count: 2 },
      },
    })
    const batches = (after as unknown as { batch_stats: { batch_size: number; compute_infer: { count: number } }[] }).batch_stats
    expect(batches.reduce((sum, { compute_infer }) => sum + compute_infer.count, 0)).toBe(2)
    expect((await stats('/v2/models/stats')).map(({ name }) => name)).toEqual(['add', 'plus'])
    expect(await get('/v2/models/nope/stats')).toMatchObject({ status: 404 })
    expect(await get('/v2/models/add/versions/7/stats')).toMatchObject({ status: 404, json: { code: 'VERSION_NOT_FOUND' } })
  })
})

describe('configuration', () => {
  test('completed from the graph', async () => {
    const server = await serverFor({
      models: [
        { name: 'add', source: addModel(), batching: { maxSize: 8 } },
        { name: 'text', source: identityModel('string', [2, null as unknown as string]), metadata: { owner: 'fraud' } },
      ],
    })
    const { get } = callerOf(server.http)
    expect((await get('/v2/models/add/config')).json).toMatchObject({
      name: 'add',
      platform: 'onnxruntime_onnx',
      backend: 'onnxruntime',
      max_batch_size: 8,
      input: [
        { name: 'a', data_type: 'TYPE_FP32', dims: [4] },
        { name: 'b', data_type: 'TYPE_FP32', dims: [4] },
      ],
      output: [{ name: 'sum', data_type: 'TYPE_FP32', dims: [4] }],
      instance_group: [{ kind: 'KIND_CPU', count: 1 }],
      model_transaction_policy: { decoupled: false },
    })
    expect((await get('/v2/models/text/versions/1/config')).json).toMatchObject({
      max_batch_size: 0,
      input: [{ name: 'x', data_type: 'TYPE_STRING', dims: [2, -1] }],
      parameters: { owner: { string_value: 'fraud' } },
    })
    expect((await get('/v2/models/text/config')).json).not.toHaveProperty('dynamic_batching')
    expect(await get('/v2/models/nope/config')).toMatchObject({ status: 404 })
  })
})

test('the metadata lists all of it', async () => {
  const server = await serverFor({ models: [] })
  expect((await callerOf(server.http.mount({ management: true })).get('/v2')).json).toMatchObject({
    extensions: [
      'classification',
      'schedule_policy',
      'binary_tensor_data',
      'parameters',
      'statistics',
      'model_configuration',
      'model_repository',
    ],
  })
})
