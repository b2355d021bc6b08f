/**
 * Builds an app with bundlers and asks it for predictions in both tiers, from a folder that holds only what docs/bundling.md says to ship:
 * `node test/interop/bundlers/run.mjs [CASE…]`, after `npm run build`. Installs pinned public packages into a temporary folder; not part of
 * `npm test`. MODELMOUNT_PACKAGE names another packed modelmount than the one in dist/. Linux x64.
 */

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CASES } from './cases.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const root = here('../../../')

function sh(cwd, command, ...args) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    timeout: 400_000,
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip', NEXT_TELEMETRY_DISABLED: '1', CI: '1' },
  })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stdout}\n${stderr}`)
  return stdout
}

const chosen = process.argv.slice(2)
const cases = CASES.filter(({ name }) => chosen.length === 0 || chosen.some((prefix) => name.startsWith(prefix)))
const work = mkdtempSync(join(tmpdir(), 'bundlers-'))
let failed = 0
try {
  const project = join(work, 'project')
  mkdirSync(project)
  let packed = process.env.MODELMOUNT_PACKAGE
  if (!packed) {
    sh(root, 'npm', 'pack', '--ignore-scripts', '--silent', '--pack-destination', work)
    packed = join(work, 'modelmount-0.1.0.tgz')
  }
  writeFileSync(join(project, 'package.json'), '{"private":true}')
  const production = [packed, 'onnxruntime-node@1.30.0', 'express@5.3.0']
  const install = (dir, ...packages) =>
    sh(dir, 'npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', ...packages)
  install(project, ...production)
  // As `npm ci --omit=dev` makes it.
  cpSync(join(project, 'node_modules'), join(work, 'production'), { recursive: true, verbatimSymlinks: true })
  install(project, ...new Set(cases.flatMap(({ packages }) => packages)))

  for (const { name, files = {}, copy = [], build, ship, ask } of cases) {
    try {
      cpSync(here('app.mjs'), join(project, 'app.mjs'))
      for (const folder of copy) cpSync(here(folder), project, { recursive: true })
      for (const [file, text] of Object.entries(files)) writeFileSync(join(project, file), text)
      cpSync(join(root, 'examples/express/score.onnx'), join(project, 'score.onnx'))
      build((command, ...args) => sh(project, command, ...args))
      const out = mkdtempSync(join(work, 'shipped-'))
      // Hard links: onnxruntime-node is large.
      const take = (from, to) => {
        mkdirSync(join(out, to, '..'), { recursive: true })
        sh(work, 'cp', '-rlT', from.startsWith('/') ? from : join(project, from), join(out, to))
      }
      ship(take, join(work, 'production'))
      for (const tier of ['thread', 'process']) {
        const answers = await ask(out, tier, join(root, 'examples/express/score.onnx'))
        const good = answers.every((answer) => Math.abs(answer - 0.9986) < 1e-3)
        if (!good) throw new Error(`${tier}: ${answers}`)
        console.log(`ok   ${name}, ${tier}: ${answers.join(' ')}`)
      }
    } catch (error) {
      failed++
      console.log(`FAIL ${name}: ${error.message}`)
    }
  }
} finally {
  if (!process.env.KEEP) rmSync(work, { recursive: true, force: true })
  else console.log(work)
}
process.exitCode = failed > 0 ? 1 : 0
