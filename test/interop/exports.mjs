/**
 * Counts which models that people have are taken for dangerous, as `inspect --security` sees them: `node test/interop/exports.mjs [FOLDER…]`, with
 * folders that exports.py has filled, or any others. Models that come with the packages in node_modules are counted besides. Few may be found:
 * the script fails beyond one in fifty.
 */

import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const cli = here('../../dist/cli.js')
const MOST = 1 / 50

const modelsIn = (folder) =>
  readdirSync(folder, { recursive: true })
    .filter((path) => path.endsWith('.onnx'))
    .map((path) => join(folder, path))

const models = [here('../../node_modules'), ...process.argv.slice(2)].flatMap(modelsIn)
let found = 0
for (const path of models) {
  const { stdout } = spawnSync(process.execPath, [cli, 'inspect', '--security', '--json', path], { encoding: 'utf8' })
  for (const { message } of JSON.parse(stdout).findings.filter(({ id }) => id === 'request-values')) {
    found++
    console.log(`  ${path}: ${message}`)
  }
}
console.log(`${found} of ${models.length} models are found to divide by values of requests`)
process.exit(found > MOST * models.length ? 1 : 0)
