/**
 * Runs modelmount in hosts that `npm test` has not got: `node test/interop/hosts.mjs [CASE…]`, after `npm run build`. Installs pinned public
 * packages into a temporary folder; not part of `npm test`. MODELMOUNT_PACKAGE names another packed modelmount than the one in dist/.
 * Linux x64; `read-only` needs the right to make a mount namespace.
 */

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const work = mkdtempSync(join(tmpdir(), 'hosts-'))
const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip', YARN_ENABLE_TELEMETRY: '0', YARN_ENABLE_IMMUTABLE_INSTALLS: '0' }

function sh(cwd, command, ...args) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: 400_000, env })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stdout}\n${stderr}`)
  return stdout
}

/** The packed library. */
function packed() {
  if (process.env.MODELMOUNT_PACKAGE) return process.env.MODELMOUNT_PACKAGE
  sh(root, 'npm', 'pack', '--ignore-scripts', '--silent', '--pack-destination', work)
  return join(work, 'modelmount-0.1.0.tgz')
}

/** Prints what came of it, as JSON. */
const SCRIPT = `
const first = process.argv[4]
if (first) require(first)
const { createModelServer } = require('modelmount')
async function main() {
  const [, , isolation, source] = process.argv
  const server = await createModelServer({ models: [{ name: 'penguins', source }], isolation, strict: true, logger: false })
  const { outputs } = await server.predict('penguins', { features: [[46.1, 13.2, 211, 4500]] })
  console.log(JSON.stringify({ answer: outputs.probabilities.data[2] }))
  await server.close()
}
main().catch(({ code, message, details, cause }) => {
  console.log(JSON.stringify({ code, problem: details && details.problem, message, cause: cause && String(cause.stack).slice(0, 400) }))
})
`

function project(name) {
  const dir = join(work, name)
  mkdirSync(dir)
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ name, private: true }))
  writeFileSync(join(dir, 'serve.cjs'), SCRIPT)
  cpSync(join(root, 'examples/express/score.onnx'), join(dir, 'score.onnx'))
  return dir
}

const npmInstall = (dir, ...packages) =>
  sh(dir, 'npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', ...packages)

function outcomeOf(dir, command, ...args) {
  const { stdout, stderr } = spawnSync(command, args, { cwd: dir, encoding: 'utf8', timeout: 90_000, env })
  const line = stdout.split('\n').find((text) => text.startsWith('{'))
  return line ? JSON.parse(line) : { nothing: stdout + stderr }
}

const answers = ({ answer }) => Math.abs(answer - 0.9986) < 1e-3
const refused = (problem) => (outcome) => outcome.code === 'HOST_UNSUPPORTED' && outcome.problem === problem

/** Each gives what was done, what came of it, and whether that is right. */
const CASES = {
  *'two-versions'(library) {
    const dir = project('two-versions')
    npmInstall(dir, library, 'onnxruntime-node@1.30.0', 'older@npm:onnxruntime-node@1.21.0')
    const run = (tier) => outcomeOf(dir, process.execPath, 'serve.cjs', tier, 'score.onnx', 'older')
    yield ['thread, beside onnxruntime-node 1.21.0', run('thread'), refused('onnxruntime-conflict')]
    yield ['process, beside onnxruntime-node 1.21.0', run('process'), answers]
  },
  *'yarn-pnp'(library) {
    const dir = project('yarn-pnp')
    const tool = join(work, 'yarn')
    mkdirSync(tool)
    writeFileSync(join(tool, 'package.json'), '{"private":true}')
    npmInstall(tool, '@yarnpkg/cli-dist@4.18.1')
    const yarn = join(tool, 'node_modules/@yarnpkg/cli-dist/bin/yarn.js')
    writeFileSync(join(dir, '.yarnrc.yml'), 'nodeLinker: pnp\nenableScripts: false\nenableGlobalCache: false\n')
    writeFileSync(join(dir, 'yarn.lock'), '')
    sh(dir, process.execPath, yarn, 'add', `modelmount@file:${library}`, 'onnxruntime-node@1.30.0')
    for (const tier of ['thread', 'process'])
      yield [tier, outcomeOf(dir, process.execPath, yarn, 'node', 'serve.cjs', tier, 'score.onnx'), answers]
  },
  *'read-only'(library) {
    const dir = project('read-only')
    npmInstall(dir, library, 'onnxruntime-node@1.30.0')
    const mounted = (more, tier) =>
      outcomeOf(
        dir,
        'unshare',
        '-rm',
        'sh',
        '-c',
        `mount -o remount,ro,bind / && ${more} exec "$0" serve.cjs ${tier} score.onnx`,
        process.execPath,
      )
    yield ['thread', mounted('', 'thread'), answers]
    yield ['process, with shared memory', mounted('mount -t tmpfs none /dev/shm &&', 'process'), answers]
    yield ['process, with nothing', mounted('mount -t tmpfs -o ro none /dev/shm &&', 'process'), refused('temporary-folder')]
  },
}

const chosen = process.argv.slice(2)
let failed = 0
try {
  const library = packed()
  for (const [name, check] of Object.entries(CASES)) {
    if (chosen.length > 0 && !chosen.includes(name)) continue
    for (const [what, outcome, isRight] of check(library)) {
      const good = isRight(outcome)
      if (!good) failed++
      console.log(`${good ? 'ok  ' : 'FAIL'} ${name}, ${what}: ${JSON.stringify(outcome)}`)
    }
  }
} finally {
  if (!process.env.KEEP) rmSync(work, { recursive: true, force: true })
  else console.log(work)
}
process.exitCode = failed > 0 ? 1 : 0
