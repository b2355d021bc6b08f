/** modelmount on Fastify: `node modelmount_server.mjs PORT FOLDER`. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fastify from 'fastify'
import { modelPlugin } from '../../../dist/fastify.js'
import { createModelServer } from '../../../dist/index.js'

const [, , port, folder] = process.argv
const session = { intraOpNumThreads: 1 }
const server = await createModelServer({
  models: [
    { name: 'tiny', source: readFileSync(join(folder, 'tiny.onnx')), session },
    { name: 'encoder', source: readFileSync(join(folder, 'encoder.onnx')), session, batching: { ragged: { mask: 'mask' } } },
  ],
  // As it stays: nothing is proved beside the first requests.
  proof: 'before-ready',
  strict: true,
  logger: false,
})
const app = fastify({ keepAliveTimeout: 120_000 })
await app.register(modelPlugin, { server })
await app.listen({ port: Number(port), host: '127.0.0.1' })
