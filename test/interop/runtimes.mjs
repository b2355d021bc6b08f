/**
 * Predicts in other runtimes than Node: `node test/interop/runtimes.mjs`. Deno and Bun come from the package registry, as the binaries that
 * their packages are made of. Fails where one of them does not do what Node does.
 */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PACKAGES = {
  'linux x64': { deno: ['@deno/linux-x64-glibc@2.9.6', 'deno'], bun: ['@oven/bun-linux-x64@1.4.5', 'bin/bun'] },
  'linux arm64': { deno: ['@deno/linux-arm64-glibc@2.9.6', 'deno'], bun: ['@oven/bun-linux-aarch64@1.4.5', 'bin/bun'] },
}
const ARGS = { deno: ['run', '--allow-all', '--node-modules-dir=manual'], bun: [] }

const script = fileURLToPath(new URL('runtime-predict.mjs', import.meta.url))
const packages = PACKAGES[`${process.platform} ${process.arch}`]
if (!packages) throw new Error('Linux only')
const dir = mkdtempSync(join(tmpdir(), 'runtimes-'))
writeFileSync(join(dir, 'package.json'), '{ "private": true }')
const wanted = Object.values(packages).map(([name]) => name)
const npm = spawnSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', ...wanted], {
  cwd: dir,
  encoding: 'utf8',
})
if (npm.status !== 0) throw new Error(npm.stderr)

const run = (file, args) => spawnSync(file, [...args, script], { encoding: 'utf8', timeout: 120_000 })
const expected = run(process.execPath, []).stdout
console.log(`Node ${process.version}\n${expected}`)
for (const [runtime, [name, binary]] of Object.entries(packages)) {
  const file = join(dir, 'node_modules', name.replace(/@[^@]*$/, ''), binary)
  const { stdout, stderr, status, signal } = run(file, ARGS[runtime])
  const isSame = stdout === expected && status === 0
  console.log(`${name}: ${isSame ? 'the same as Node' : `ended with ${status ?? signal}\n${stdout}${stderr}`}`)
  if (!isSame) process.exitCode = 1
}
rmSync(dir, { recursive: true, force: true })
