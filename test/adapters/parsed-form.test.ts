/** `curl -d` calls its JSON a form. An app that reads forms in front of us has taken it apart: that is said, and never misread. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express5, { type RequestHandler } from 'express'
import express4 from 'express4'
import { createModelServer, type ModelServer } from 'modelmount'
import { modelRouter } from 'modelmount/express'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { addModel } from '../../tools/models.mjs'
import { connectTo } from '../support/http.ts'
import { ADD } from './requests.ts'

let server: ModelServer
beforeAll(async () => {
  server = await createModelServer({ logger: false, strict: true, models: [{ name: 'add', source: addModel() }] })
})
afterAll(() => server.close())

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
const COLUMNS = { inputs: { a: [[1, 2, 3, 4]], b: [[1, 1, 1, 1]] } }
const ROUTES = [
  ['/v2/models/add/infer', ADD],
  ['/v2/models/add/generate', { a: [1, 2, 3, 4], b: [1, 1, 1, 1] }],
  ['/v1/models/add:predict', COLUMNS],
] as const

describe.each([
  ['Express 4', express4],
  ['Express 5', express5],
] as const)('%s', (_, express) => {
  async function running(...parsers: readonly RequestHandler[]) {
    const app = (express as typeof express5)()
    for (const parser of parsers) app.use(parser)
    app.use('/ml', modelRouter(server, { dialects: ['open-inference', 'tf-serving'], management: true }))
    const http = createServer(app)
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const { send, end } = connectTo((http.address() as AddressInfo).port)
    onTestFinished(async () => {
      end()
      await new Promise((resolve) => http.close(resolve))
    })
    return send
  }

  test.each([
    ['no parser', []],
    ['express.json()', [express5.json()]],
  ] as const)('behind %s it is JSON', async (_, parsers) => {
    const send = await running(...parsers)
    for (const [path, body] of ROUTES)
      expect([path, await send('POST', `/ml${path}`, JSON.stringify(body), FORM)]).toMatchObject([path, { status: 200 }])
  })

  test.each([
    ['express.urlencoded()', false],
    ['express.urlencoded({ extended: true })', true],
  ])('behind %s it is gone, which the answer says', async (_, extended) => {
    const send = await running(express5.urlencoded({ extended }))
    for (const [path, body] of ROUTES) {
      const { status, text } = await send('POST', `/ml${path}`, JSON.stringify(body), FORM)
      expect([path, status]).toEqual([path, 415])
      expect(text).toContain('send content-type: application/json, or mount the router before express.urlencoded()')
    }
    // Under its own name it passes.
    for (const [path, body] of ROUTES)
      expect(await send('POST', `/ml${path}`, JSON.stringify(body), { 'content-type': 'application/json' })).toMatchObject({
        status: 200,
      })
  })

  test('management takes no form, parsed or not', async () => {
    for (const send of [await running(), await running(express5.urlencoded({ extended: false }))])
      expect(await send('POST', '/ml/v2/repository/index', '{}', FORM)).toMatchObject({
        status: 415,
        json: { code: 'MEDIA_TYPE_UNSUPPORTED' },
      })
  })
})
