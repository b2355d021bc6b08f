/** A Fastify app with a model route. */

import fastify from 'fastify'
import { modelPlugin } from 'modelmount/fastify'
import { SESSION } from '../lib/direct.ts'
import { createProvedServer } from '../lib/proved.ts'
import type { AppAnswer, AppAsk, Kind } from './ask.ts'
import { type InferBody, KEEP_ALIVE_MS, PATH, startRival } from './rivals.ts'

export async function startFastify({ kind, ...ask }: AppAsk & { readonly kind: Exclude<Kind, 'bytes'> }): Promise<AppAnswer> {
  const app = fastify({ keepAliveTimeout: KEEP_ALIVE_MS })
  let label = 'modelmount'
  if (kind === 'ours') {
    const { model: source, inline = false } = ask
    const server = await createProvedServer({ models: [{ name: 'm', source, session: SESSION, inline }], strict: true })
    await app.register(modelPlugin, { server })
  } else {
    const rival = await startRival({ kind, ...ask })
    label = rival.label
    app.post(PATH, async (request) => rival.infer(request.body as InferBody))
  }
  app.get('/h', () => ({ ok: true }))
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  return { port: Number(new URL(address).port), label }
}
