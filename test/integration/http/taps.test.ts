/** Apps that look at a request's body, or hold it, before or while it is read. */

import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { createModelServer, type ModelServer } from 'modelmount'
import { nodeHandler } from 'modelmount/node'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { identityModel } from '../../../tools/models.mjs'

let server: ModelServer
beforeAll(async () => {
  server = await createModelServer({
    logger: false,
    strict: true,
    models: [{ name: 'm', source: identityModel('float', ['batch', 2]) }],
  })
})
afterAll(() => server.close())

const body = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1.5, 2] }] })

type Before = (req: IncomingMessage, next: () => void) => void

test.each<[what: string, before: Before, after?: (req: IncomingMessage) => void]>([
  [
    'listens before us',
    (req, next) => {
      req.on('data', () => {})
      next()
    },
  ],
  ['listens after us', (_req, next) => next(), (req) => void req.on('data', () => {})],
  ['waits for a while', (_req, next) => void setImmediate(() => setImmediate(next))],
  [
    'holds the body back for a while',
    (req, next) => {
      req.pause()
      setImmediate(next)
    },
  ],
  [
    'has had a pipe on it',
    (req, next) => {
      req.unpipe()
      req.pause()
      process.nextTick(next)
    },
  ],
])('an app that %s', async (_what, before, after) => {
  const handler = nodeHandler(server)
  const app = createServer((req, res) =>
    before(req, () => {
      handler(req, res)
      after?.(req)
    }),
  )
  onTestFinished(() => void app.close())
  app.listen(0, '127.0.0.1')
  await once(app, 'listening')
  const { port } = app.address() as { port: number }
  for (let i = 0; i < 3; i++) {
    const answer = await fetch(`http://127.0.0.1:${port}/v2/models/m/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
    expect(await answer.json()).toMatchObject({ outputs: [{ data: [1.5, 2] }] })
  }
})
