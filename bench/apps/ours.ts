/** An Express app with the model mounted by modelmount, and another route beside it. */

import express from 'express'
import { createModelServer } from 'modelmount'
import { modelRouter } from 'modelmount/express'
import { answerParent } from '../lib/child.ts'
import { SESSION } from '../lib/direct.ts'
import { type AppAnswer, type AppAsk, listen } from './ask.ts'

answerParent(async ({ model }: AppAsk): Promise<AppAnswer> => {
  const server = await createModelServer({ models: [{ name: 'm', source: model, session: SESSION }], strict: true })
  const app = express()
  app.use(modelRouter(server))
  app.get('/h', (_req, res) => {
    res.json({ ok: true })
  })
  return listen(app)
})
