/** A Fastify application with a model: the prediction routes below /ml, and a route of its own that asks the model. */

import { fileURLToPath } from 'node:url'
import Fastify, { type FastifyInstance } from 'fastify'
import { createModelServer, isModelmountError } from 'modelmount'
import { modelPlugin } from 'modelmount/fastify'

const penguins = fileURLToPath(new URL('../express/score.onnx', import.meta.url))
const SPECIES = ['Adelie', 'Chinstrap', 'Gentoo']

const bodySchema = {
  type: 'object',
  required: ['features'],
  properties: { features: { type: 'array', items: { type: 'number' }, minItems: 4, maxItems: 4 } },
} as const

export async function createApp(): Promise<FastifyInstance> {
  const app = Fastify()
  const server = await createModelServer({ models: [{ name: 'penguins', source: penguins }], strict: true })
  // Closed with the app. Hooks that are added before it (authentication, rate limits) hold for its routes.
  await app.register(modelPlugin, { server, prefix: '/ml' })

  app.post<{ Body: { features: number[] } }>('/species', { schema: { body: bodySchema } }, async ({ body }) => {
    const { outputs } = await app.models.predict('penguins', { features: [body.features] }, { outputs: ['probabilities'] })
    const probabilities = Array.from(outputs.probabilities?.data ?? [], Number)
    return { species: SPECIES[probabilities.indexOf(Math.max(...probabilities))] }
  })

  app.setErrorHandler((error, _request, reply) => {
    if (!isModelmountError(error)) return reply.send(error)
    if (error.retryAfterS !== undefined) reply.header('retry-after', error.retryAfterS)
    return reply.code(error.status).send({ error: error.message, code: error.code })
  })
  return app
}
