/** The same app as one writes it without modelmount: `express.json()`, `session.run()` in the route, `res.json()`. */

import express from 'express'
import { answerParent } from '../lib/child.ts'
import { openSession, runRows } from '../lib/direct.ts'
import { type AppAnswer, type AppAsk, listen } from './ask.ts'

interface InferBody {
  readonly inputs: readonly [{ readonly data: readonly number[] }]
}

answerParent(async ({ model }: AppAsk): Promise<AppAnswer> => {
  const session = await openSession(model)
  const app = express()
  app.use(express.json())
  app.post('/v2/models/m/infer', async (req, res) => {
    const { inputs } = req.body as InferBody
    const output = await runRows(session, Float32Array.from(inputs[0].data))
    res.json({
      model_name: 'm',
      model_version: '1',
      outputs: [
        {
          name: session.outputNames[0],
          datatype: 'FP32',
          shape: output.dims,
          data: Array.from(output.data as Float32Array),
        },
      ],
    })
  })
  app.get('/h', (_req, res) => {
    res.json({ ok: true })
  })
  return listen(app)
})
