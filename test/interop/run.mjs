/**
 * Runs the interop scripts against `modelmount serve`: `node test/interop/run.mjs PYTHON [SCRIPT…]`. PYTHON is an interpreter that has the client
 * packages; without scripts all are run. Not part of `npm test`, as it needs Python with packages.
 */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const cli = here('../../dist/cli.js')

const SCRIPTS = {
  'triton_http.py': ['--management'],
  'kserve_client.py': ['--dialects', 'open-inference,tf-serving'],
  'mlserver_client.py': [],
  'mlflow_scoring.py': ['--dialects', 'mlflow'],
}

const [, , python, ...chosen] = process.argv
if (python === undefined) throw new Error('usage: node test/interop/run.mjs PYTHON [SCRIPT…]')

const directory = mkdtempSync(join(tmpdir(), 'modelmount-interop-'))
spawnSync(process.execPath, [here('repository.mjs'), join(directory, 'models')], { stdio: 'inherit' })
// MLflow's routes serve one model.
cpSync(join(directory, 'models/doubled'), join(directory, 'one/doubled'), { recursive: true })

let failed = 0
for (const script of chosen.length > 0 ? chosen : Object.keys(SCRIPTS)) {
  const models = join(directory, script === 'mlflow_scoring.py' ? 'one' : 'models')
  const server = spawn(process.execPath, [cli, 'serve', '--models', models, '--port', '0', ...SCRIPTS[script]], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const { value } = await createInterface({ input: server.stdout })[Symbol.asyncIterator]().next()
  const { host } = new URL(JSON.parse(value).url)
  console.log(`${script} against ${host}`)
  const client = spawn(python, [here(script), host], { stdio: 'inherit' })
  const [code] = await once(client, 'exit')
  if (code !== 0) failed++
  server.kill('SIGTERM')
  await once(server, 'exit')
}
rmSync(directory, { recursive: true, force: true })
process.exitCode = failed > 0 ? 1 : 0
