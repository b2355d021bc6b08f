/** An Express app with a model route and another route beside it. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { modelRouter } from 'modelmount/express'
import { SESSION } from '../lib/direct.ts'
import { createProvedServer } from '../lib/proved.ts'
import type { AppAnswer, AppAsk, Kind } from './ask.ts'
import { type InferBody, KEEP_ALIVE_MS, PATH, startRival } from './rivals.ts'

export async function startExpress({ kind, ...ask }: AppAsk & { readonly kind: Exclude<Kind, 'bytes'> }): Promise<AppAnswer> {
  const app = express()
  let label = 'modelmount'
  if (kind === 'ours') {
    const { model: source, inline } = ask
    const server = await createProvedServer({ models: [{ name: 'm', source, session: SESSION, inline }], strict: true })
    app.use(modelRouter(server))
  } else {
    const rival = await startRival({ kind, ...ask })
    label = rival.label
    app.use(express.json())
    app.post(PATH, async (req, res) => {
      res.json(await rival.infer(req.body as InferBody))
    })
  }
  app.get('/h', (_req, res) => {
    res.json({ ok: true })
  })
  const http = createServer(app)
  http.keepAliveTimeout = KEEP_ALIVE_MS
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  return { port: (http.address() as AddressInfo).port, label }
}
