/**
 * Runs the Nest adapter on other major versions of Nest than the one installed here: `node test/interop/nest-versions.mjs [10 12 …]`, after
 * `npm run build`. Installs them into a temporary folder; not part of `npm test`. Prints one line per version, platform and check.
 */

import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const versions = process.argv.length > 2 ? process.argv.slice(2) : ['10', '12']
const TERMINUS = { 10: '10', 11: '11', 12: '12' }

let failed = false
for (const version of versions) {
  const dir = mkdtempSync(join(tmpdir(), `nest-${version}-`))
  try {
    writeFileSync(join(dir, 'package.json'), '{"type":"module","private":true}')
    const of = (name) => `@nestjs/${name}@${version}`
    const packages = [of('common'), of('core'), of('platform-express'), of('platform-fastify'), of('testing')]
    const others = [
      `@nestjs/terminus@${TERMINUS[version] ?? version}`,
      'reflect-metadata@0.2',
      'rxjs@7',
      'lru-cache@11',
      'fastify-plugin@6',
    ]
    execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', ...packages, ...others], {
      cwd: dir,
      stdio: 'inherit',
    })
    // Our own build, found beside that version of Nest; the engine is the one of this repository.
    mkdirSync(join(dir, 'node_modules/modelmount'))
    cpSync(join(root, 'dist'), join(dir, 'node_modules/modelmount/dist'), { recursive: true })
    cpSync(join(root, 'package.json'), join(dir, 'node_modules/modelmount/package.json'))
    symlinkSync(join(root, 'node_modules/onnxruntime-node'), join(dir, 'node_modules/onnxruntime-node'))
    symlinkSync(join(root, 'node_modules/onnxruntime-common'), join(dir, 'node_modules/onnxruntime-common'))
    cpSync(join(root, 'test/interop/nest-checks.mjs'), join(dir, 'nest-checks.mjs'))
    cpSync(join(root, 'examples/express/score.onnx'), join(dir, 'score.onnx'))
    const { status } = spawnSync(process.execPath, ['nest-checks.mjs'], { cwd: dir, stdio: 'inherit', timeout: 120_000 })
    failed ||= status !== 0
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
process.exitCode = failed ? 1 : 0
