/** The generate extension: flat JSON in and out. */

import type { ModelServer } from 'modelmount'
import { createModelServer } from 'modelmount'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { addModel, identityModel } from '../../../tools/models.mjs'
import { node, value, writeModel } from '../../../tools/onnx-writer.mjs'
import { type Caller, callerOf } from '../../support/mount.ts'

/** As text models are served: text_input string [N, 1] -> text_output. */
const echo = writeModel({
  graph: {
    name: 'echo',
    inputs: [value('text_input', 'string', ['N', 1])],
    outputs: [value('text_output', 'string', ['N', 1])],
    nodes: [node('Identity', ['text_input'], ['text_output'])],
  },
})

let server: ModelServer
let call: Caller
beforeAll(async () => {
  server = await createModelServer({
    logger: false,
    models: [
      { name: 'echo', source: echo },
      { name: 'add', source: addModel() },
      { name: 'long', source: identityModel('int64', ['N']) },
      { name: 'fixed', source: identityModel('float', [2, 2]) },
    ],
  })
  call = callerOf(server.http)
})
afterAll(() => server.close())

test('one text in, one text out', async () => {
  const answer = { model_name: 'echo', model_version: '1', text_output: 'né' }
  expect((await call.post('/v2/models/echo/generate', { text_input: 'né' })).json).toEqual(answer)
  expect((await call.post('/v2/models/echo/versions/1/generate', { text_input: ['né'], id: 'a' })).json).toEqual({
    ...answer,
    id: 'a',
  })
  const inside = { parameters: { text_input: 'né', temperature: 0.5, priority: 1 }, stream: false }
  expect((await call.post('/v2/models/echo/generate', inside)).json).toEqual(answer)
})

test('a stream is one event', async () => {
  const reply = await call.post('/v2/models/echo/generate_stream', { text_input: 'a\nb' })
  expect(reply).toMatchObject({ status: 200, headers: { 'content-type': 'text/event-stream; charset=utf-8' } })
  expect(reply.text).toBe('data: {"model_name":"echo","model_version":"1","text_output":"a\\nb"}\n\n')
  expect(await call.post('/v2/models/echo/generate_stream', {})).toMatchObject({ status: 400, json: { code: 'INPUT_INVALID' } })
})

test('lists are shaped by the model', async () => {
  expect((await call.post('/v2/models/add/generate', { a: [1, 2, 3, 4], b: [1, 1, 1, 1] })).json).toMatchObject({
    sum: [2, 3, 4, 5],
  })
  expect((await call.post('/v2/models/long/generate', '{"x":[9007199254740993]}')).text).toContain('"y":9007199254740993}')
  expect((await call.post('/v2/models/long/generate', { x: [] })).json).toMatchObject({ y: [] })
  expect((await call.post('/v2/models/fixed/generate', { x: [1, 2, 3, 4] })).json).toMatchObject({ y: [1, 2, 3, 4] })
})

test('what is wrong', async () => {
  for (const [model, body, code] of [
    ['add', { a: [1, 2, 3], b: [1] }, 'INPUT_INVALID'],
    ['fixed', { x: [1, 2, 3] }, 'INPUT_INVALID'],
    [
      'fixed',
      {
        x: [
          [1, 2],
          [3, 4],
        ],
      },
      'INPUT_INVALID',
    ],
    ['echo', { text_input: 5 }, 'INPUT_INVALID'],
    ['echo', { text_input: null }, 'INPUT_INVALID'],
    ['echo', { text_input: ['a', 'b'], timeout: {} }, 'REQUEST_INVALID'],
    ['echo', { text_input: 'a', id: 5 }, 'REQUEST_INVALID'],
    ['echo', { text_input: 'a', parameters: [] }, 'REQUEST_INVALID'],
    ['echo', { text_input: 'a', timeout: 'soon' }, 'REQUEST_INVALID'],
    ['echo', [], 'REQUEST_INVALID'],
    ['echo', '', 'REQUEST_INVALID'],
  ] as const)
    expect([body, await call.post(`/v2/models/${model}/generate`, body)]).toMatchObject([body, { status: 400, json: { code } }])
  expect(await call.post('/v2/models/nope/generate', {})).toMatchObject({ status: 404 })
})
