/**
 * Runs the interop scripts against `modelmount serve`, and against `attach()` in front of an app: `node test/interop/run.mjs PYTHON [SCRIPT…]`. PYTHON is an interpreter that has the client
 * packages; without scripts all are run. Not part of `npm test`, as it needs Python with packages.
 */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createModelServer } from '../../dist/index.js'
import { attach } from '../../dist/node.js'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const cli = here('../../dist/cli.js')

/** The mount that each needs. */
const SCRIPTS = {
  'triton_http.py': { management: true },
  'kserve_client.py': { dialects: ['open-inference', 'tf-serving'] },
  'mlserver_client.py': {},
  'mlflow_scoring.py': { dialects: ['mlflow'] },
}

/** @returns the address, and a function that ends the server */
async function serveByCommand(models, { management = false, dialects = ['open-inference'] }) {
  const flags = [...(management ? ['--management'] : []), '--dialects', dialects.join()]
  const server = spawn(process.execPath, [cli, 'serve', '--models', models, '--port', '0', ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const { value } = await createInterface({ input: server.stdout })[Symbol.asyncIterator]().next()
  return {
    host: new URL(JSON.parse(value).url).host,
    async end() {
      server.kill('SIGTERM')
      await once(server, 'exit')
    },
  }
}

async function serveInLane(models, mount) {
  const server = await createModelServer({ repository: models, logger: false })
  const http = createServer((_req, res) => res.writeHead(404).end())
  attach(http, server, { ...mount, fastLane: true })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  return {
    host: `127.0.0.1:${http.address().port}`,
    async end() {
      http.closeAllConnections()
      http.close()
      await server.close()
    },
  }
}

const [, , python, ...chosen] = process.argv
if (python === undefined) throw new Error('usage: node test/interop/run.mjs PYTHON [SCRIPT…]')

const directory = mkdtempSync(join(tmpdir(), 'modelmount-interop-'))
spawnSync(process.execPath, [here('repository.mjs'), join(directory, 'models')], { stdio: 'inherit' })
// MLflow's routes serve one model.
cpSync(join(directory, 'models/doubled'), join(directory, 'one/doubled'), { recursive: true })

let failed = 0
for (const script of chosen.length > 0 ? chosen : Object.keys(SCRIPTS))
  for (const serve of [serveByCommand, serveInLane]) {
    const models = join(directory, script === 'mlflow_scoring.py' ? 'one' : 'models')
    const { host, end } = await serve(models, SCRIPTS[script])
    console.log(`${script} against ${host}, ${serve.name}`)
    const client = spawn(python, [here(script), host], { stdio: 'inherit' })
    const [code] = await once(client, 'exit')
    if (code !== 0) failed++
    await end()
  }
rmSync(directory, { recursive: true, force: true })
process.exitCode = failed > 0 ? 1 : 0
