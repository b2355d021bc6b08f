/** Other releases of OpenTelemetry's SDK: the telemetry tests over the newer line, the oldest release, and the installation that docs/telemetry.md says. */

import { execFile, execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import { needs } from '../support/needs.ts'
import { cleanEnv, installNode, NODE_PACKAGE, runSuite } from '../support/node-versions.ts'
import { familiesOf } from '../support/prometheus-text.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const [MAJOR = 0, MINOR = 0] = process.versions.node.split('.').map(Number)
/** It asks for Node 22.15. */
const isEnough = MAJOR > 22 || (MAJOR === 22 && MINOR >= 15)
const OTHERS = needs('Node for this platform in the npm registry', NODE_PACKAGE !== undefined)

/** Versions that belong together, as `@opentelemetry/sdk-node` pins them. */
const NEWER = {
  api: '1.10.0',
  'context-async-hooks': '3.1.0',
  core: '3.1.0',
  'exporter-prometheus': '0.301.0',
  resources: '3.1.0',
  'sdk-metrics': '3.1.0',
  'sdk-node': '0.301.0',
  'sdk-trace': '3.1.0',
}

/** The oldest that the package asks for. */
const OLDEST = {
  api: '1.9.0',
  'exporter-prometheus': '0.206.0',
  'sdk-metrics': '2.1.0',
  'sdk-node': '0.206.0',
}

const dir = mkdtempSync(join(tmpdir(), 'otel-lines-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const nodes = new Map<number, string>()
function nodeOf(major: number): string {
  const known = nodes.get(major) ?? (major === MAJOR ? process.execPath : installNode(major, join(dir, `node-${major}`)))
  nodes.set(major, known)
  return known
}

const NPM = ['--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error']

/** This checkout with other packages of OpenTelemetry: all else in `node_modules` is the same. */
function checkoutOver(packages: Readonly<Record<string, string>>): string {
  const place = mkdtempSync(join(dir, 'over-'))
  const installed = join(place, 'installed')
  mkdirSync(installed)
  writeFileSync(join(installed, 'package.json'), '{ "private": true }')
  const names = Object.entries(packages).map(([name, version]) => `@opentelemetry/${name}@${version}`)
  execFileSync('npm', ['install', ...NPM, ...names], { cwd: installed, stdio: 'pipe' })
  const root = join(place, 'checkout')
  for (const path of ['bench', 'dist', 'docs', 'examples', 'src', 'test', 'tools', ...readdirSync(ROOT).filter(isPlain)])
    cpSync(join(ROOT, path), join(root, path), { recursive: true, preserveTimestamps: true })
  const modules = join(root, 'node_modules')
  mkdirSync(modules)
  for (const name of readdirSync(join(ROOT, 'node_modules')))
    if (!/^\.vite|^@opentelemetry$/.test(name)) symlinkSync(join(ROOT, 'node_modules', name), join(modules, name))
  symlinkSync(join(installed, 'node_modules/@opentelemetry'), join(modules, '@opentelemetry'))
  return root
}
const isPlain = (name: string): boolean => /\.(ts|json|md)$/.test(name)

test('the telemetry tests pass over it', { ...(isEnough ? {} : OTHERS), timeout: 8 * 60_000 }, async () => {
  const node = isEnough ? process.execPath : nodeOf(24)
  const root = checkoutOver(NEWER)
  const report = join(dir, 'report.json')
  const files = ['test/telemetry']
  const result = await runSuite(node, root, { report, files, signal: AbortSignal.timeout(7 * 60_000) })
  expect(result?.failed).toEqual([])
  expect(result?.passed).toBeGreaterThan(60)
})

test('the oldest release that the package asks for', { timeout: 3 * 60_000 }, async () => {
  const { peerDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  for (const [name, version] of Object.entries(OLDEST))
    expect([name, peerDependencies[`@opentelemetry/${name}`].split(' ')[0]]).toEqual([name, expect.stringContaining(version)])
  const script = `
    import { createModelServer } from 'modelmount'
    import { startTelemetry } from 'modelmount/telemetry/sdk'
    import { mlpModel } from './tools/models.mjs'
    const telemetry = await startTelemetry({ serviceName: 'shop', sampleRatio: 0.5, spanProcessors: [] })
    const server = await createModelServer({ telemetry, logger: false, models: [{ name: 'mlp', source: mlpModel() }] })
    await server.predict('mlp', { features: [new Array(32).fill(1)] })
    console.log((await telemetry.metricsText()).text)
    await server.close()
    await telemetry.shutdown()`
  const cwd = checkoutOver(OLDEST)
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd })
  const requests = familiesOf(stdout).get('modelmount_requests_total')?.samples
  const series = 'modelmount_requests_total{model_name="mlp",model_version="1",modelmount_outcome="ok"}'
  expect(requests).toEqual(new Map([[series, 1]]))
})

describe('the line in docs/telemetry.md installs', () => {
  const line = /^npm install (@opentelemetry\/api .*)$/m.exec(readFileSync(join(ROOT, 'docs/telemetry.md'), 'utf8'))?.[1] ?? ''
  /** The same npm for all. */
  const npm = (): string =>
    join(dirname(execFileSync('npm', ['root', '-g'], { encoding: 'utf8' }).trim()), 'node_modules/npm/bin/npm-cli.js')
  let tarball: string | undefined
  function packed(): string {
    tarball ??= join(
      dir,
      execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', dir], {
        cwd: ROOT,
        encoding: 'utf8',
      }).trim(),
    )
    return tarball
  }

  test.for([20, 22, 24, 26])('in an empty folder, on Node %i', async (major, { skip }) => {
    skip(major !== MAJOR && OTHERS.skip, OTHERS.meta.needs)
    const cwd = mkdtempSync(join(dir, 'app-'))
    const node = nodeOf(major)
    const args = [npm(), 'install', '--package-lock-only', ...NPM, packed(), 'onnxruntime-node', ...line.split(' ')]
    await promisify(execFile)(node, args, { cwd, env: cleanEnv(node) })
    const { packages } = JSON.parse(readFileSync(join(cwd, 'package-lock.json'), 'utf8'))
    const versionOf = (name: string): string => packages[`node_modules/@opentelemetry/${name}`]?.version
    const found = ['api', 'sdk-node', 'sdk-metrics', 'exporter-prometheus'].map(versionOf)
    const older = [/^1\.9\./, /^0\.2\d\d\./, /^2\./, /^0\.2\d\d\./]
    const newer = [/^1\.\d\d\./, /^0\.3\d\d\./, /^3\./, /^0\.3\d\d\./]
    expect(found).toEqual((major === 20 ? older : newer).map((pattern) => expect.stringMatching(pattern)))
  })
})
