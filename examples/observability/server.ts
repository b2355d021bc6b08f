/** An app that can be watched: Express, three models, metrics under `/ml/metrics`, traces to wherever the `OTEL_*` variables say. */

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import express from 'express'
import { createModelServer } from 'modelmount'
import { modelRouter } from 'modelmount/express'
import { startTelemetry } from 'modelmount/telemetry/sdk'
import { matmulChainModel, mlpModel } from '../../tools/models.mjs'

const { values } = parseArgs({ options: { port: { type: 'string', default: '3000' } } })

// Before anything else, so that what is created later finds it.
const telemetry = await startTelemetry({ serviceName: 'shop' })
const server = await createModelServer({
  telemetry,
  models: [
    // Two versions side by side; the higher one is the default.
    { name: 'score', version: '1', source: mlpModel({ seed: 1 }), cache: { maxBytes: 1_000_000 } },
    { name: 'score', version: '2', source: mlpModel({ layers: [32, 256, 256, 2], seed: 2 }), cache: { maxBytes: 1_000_000 } },
    // Heavy enough to be worth batching, and to be overloaded.
    { name: 'embed', source: matmulChainModel({ size: 1024, count: 8 }), batching: { maxSize: 8 } },
  ],
})

const app = express()
app.use('/ml', modelRouter(server, { metrics: true }))
app.get('/', (_req, res) => void res.json(server.health()))
const http = app.listen(Number(values.port), '127.0.0.1')
await once(http, 'listening')
const origin = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
console.log(`metrics on ${origin}/ml/metrics`)

process.once('SIGTERM', async () => {
  http.close()
  http.closeIdleConnections()
  await server.close()
  // Last, so that the last spans and numbers still leave.
  await telemetry.shutdown()
})
