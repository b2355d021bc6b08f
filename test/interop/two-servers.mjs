/**
 * Prometheus' own readers take the metrics of two servers on one telemetry: `node test/interop/two-servers.mjs [PYTHON]`. PYTHON is an
 * interpreter with the package `prometheus_client`; `promtool` is asked, too, where it is on the path.
 */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { createModelServer } from '../../dist/index.js'
import { startTelemetry } from '../../dist/telemetry/sdk.js'
import { mlpModel } from '../../tools/models.mjs'

const row = (seed) => Array.from({ length: 32 }, (_, i) => Math.sin(seed * 32 + i))
const telemetry = await startTelemetry({ tritonNames: true })
const serve = (names) =>
  createModelServer({
    models: names.map((name) => ({ name, source: mlpModel(), cache: { maxBytes: 1e5 } })),
    telemetry,
    logger: false,
  })
const servers = [await serve(['a', 'b']), await serve(['b', 'c'])]
for (const [index, names] of [
  ['a', 'b', 'b'],
  ['b', 'c'],
].entries())
  for (const [seed, name] of names.entries()) await servers[index].predict(name, { features: [row(seed)] })
await servers[1].predict('made-up', {}).catch(() => {})
const { text } = await telemetry.metricsText()
for (const server of servers) await server.close()
await telemetry.shutdown()

const expected = { a: 1, b: 3, c: 1 }
const readers = [
  [process.argv[2] ?? 'python3', [fileURLToPath(new URL('prometheus_text.py', import.meta.url)), JSON.stringify(expected)]],
  ['promtool', ['check', 'metrics']],
]
let asked = 0
for (const [file, args] of readers) {
  const { status, error, stderr } = spawnSync(file, args, { input: text, encoding: 'utf8', stdio: ['pipe', 'inherit', 'pipe'] })
  if (error) {
    console.log(`${file}: not there`)
    continue
  }
  asked++
  console.log(`${file} ${args.slice(0, 2).join(' ')}: ${status === 0 ? 'valid' : stderr}`)
  if (status !== 0) process.exitCode = 1
}
if (asked === 0) process.exitCode = 1
