/** An app that can be watched: Express, three models, metrics under `/ml/metrics`, traces to wherever the `OTEL_*` variables say. */

import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import express from 'express'
import { createModelServer, signModel } from 'modelmount'
import { modelRouter } from 'modelmount/express'
import { startTelemetry } from 'modelmount/telemetry/sdk'
import { matmulChainModel, mlpModel } from '../../tools/models.mjs'

const { values } = parseArgs({ options: { port: { type: 'string', default: '3000' }, gpu: { type: 'boolean' } } })

// One version is signed, as a training job would do it; the others come as they are, which is told and not refused.
const { privateKey, publicKey } = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
})
const dir = mkdtempSync(join(tmpdir(), 'observability-'))
const signed = join(dir, 'score')
mkdirSync(signed)
writeFileSync(join(signed, 'model.onnx'), mlpModel({ layers: [32, 256, 256, 2], seed: 2 }))
await signModel(signed, { privateKey, signature: join(signed, 'model.sig') })

// Before anything else, so that objects created later find it.
const telemetry = await startTelemetry({ serviceName: 'shop', ...(values.gpu ? { gpu: true } : {}) })
const server = await createModelServer({
  telemetry,
  trust: { signers: [{ publicKey }] },
  verification: 'warn',
  store: { dir: join(dir, 'store') },
  models: [
    // Two versions side by side; the higher one is the default.
    { name: 'score', version: '1', source: mlpModel({ seed: 1 }), cache: { maxBytes: 1_000_000 } },
    { name: 'score', version: '2', source: join(signed, 'model.onnx'), cache: { maxBytes: 1_000_000 } },
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
  rmSync(dir, { recursive: true, force: true })
  // Last, so that the last spans and numbers still leave.
  await telemetry.shutdown()
})
