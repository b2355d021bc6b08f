/**
 * A real Prometheus scrapes the example app under load; then every query of the dashboard and every rule is asked of it, and must have data.
 *
 *   apt-get install prometheus && npm run build && node test/interop/prometheus.mjs [seconds of load, 40 at least]
 *
 * PROMETHEUS names another binary; promtool is expected beside it. Writes what the panels show to `.interop/dashboard.json`, from which
 * `tools/draw-dashboard.mjs` draws the picture in docs/telemetry.md.
 */

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const example = join(root, 'examples/observability')
const prometheus = process.env.PROMETHEUS ?? 'prometheus'
const loadS = Math.max(40, Number(process.argv[2] ?? 60))
/** Values for Grafana's own variables. */
const VARIABLES = { $__rate_interval: '20s', $model: '.*', $version: '.*' }

const dir = mkdtempSync(join(tmpdir(), 'interop-'))
const children = []
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

function start(file, args, env = {}) {
  const child = spawn(file, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  child.on('error', (error) => fail(`${file} did not start (${error.message}); on Debian: apt-get install prometheus`))
  child.output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (child.output += chunk))
  children.push(child)
  return child
}

function fail(message) {
  console.error(message)
  for (const child of children) child.kill('SIGKILL')
  process.exit(1)
}

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })
}

async function until(what, check) {
  for (let i = 0; i < 300; i++) {
    const found = await check().catch(() => undefined)
    if (found) return found
    await sleep(100)
  }
  return fail(`${what} did not come up\n${children.map(({ output }) => output).join('\n')}`)
}

// ---------------------------------------------------------------- load

const row = (seed) => Array.from({ length: 32 }, (_, i) => Math.sin(seed * 32 + i))
const score = (seed) => ({ inputs: [{ name: 'features', shape: [1, 32], datatype: 'FP32', data: row(seed) }] })
const vector = JSON.stringify({
  inputs: [{ name: 'x', shape: [1, 1024], datatype: 'FP32', data: Array.from({ length: 1024 }, (_, i) => Math.cos(i)) }],
})

async function load(origin, endAt) {
  const counts = new Map()
  const post = async (path, body, headers = {}) => {
    const response = await fetch(`${origin}/ml${path}`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', ...headers },
    })
    await response.arrayBuffer()
    counts.set(response.status, (counts.get(response.status) ?? 0) + 1)
  }
  const caller = async (index) => {
    for (let i = 0; Date.now() < endAt; i++) {
      // A slow wave, so that the panels have something to show.
      const busy = Math.sin(Date.now() / 6000) > -0.3
      const version = index % 3 === 0 ? '1' : '2'
      if (index < 10 || busy) await post('/v2/models/embed/infer', vector, index === 1 ? { 'x-request-timeout-ms': '15' } : {})
      // One in three has been asked before.
      await post(`/v2/models/score/versions/${version}/infer`, JSON.stringify(score(i % 3 === 0 ? 7 : i * 100 + index)))
      if (index === 0 && i % 10 === 0) await post('/v2/models/score/infer', JSON.stringify({ inputs: [{ name: 'other' }] }))
      if (index === 0 && i % 15 === 0) await post(`/v2/models/made-up-${i}/infer`, '{}')
      await sleep(busy ? 2 : 30)
    }
  }
  await Promise.all(Array.from({ length: 24 }, (_, index) => caller(index)))
  return Object.fromEntries(counts)
}

// ---------------------------------------------------------------- questions

const substituted = (expr) => Object.entries(VARIABLES).reduce((text, [name, value]) => text.replaceAll(name, value), expr)

async function ask(api, path, params) {
  const response = await fetch(`${api}/api/v1/${path}?${new URLSearchParams(params)}`)
  const { status, data, error } = await response.json()
  if (status !== 'success') throw new Error(`${path}: ${error}`)
  return data
}

async function askPanels(api, from, to) {
  const { panels } = JSON.parse(readFileSync(join(example, 'dashboard.json'), 'utf8'))
  const answers = []
  for (const { title, type, targets = [], fieldConfig, gridPos } of panels) {
    for (const { expr, legendFormat } of targets) {
      const { result } = await ask(api, 'query_range', { query: substituted(expr), start: from, end: to, step: '1' })
      const series = result.map(({ metric, values }) => ({
        name: legendFormat.replace(/\{\{(\w+)\}\}/g, (_, label) => metric[label] ?? ''),
        values: values.map(([at, value]) => [at, Number(value)]).filter(([, value]) => Number.isFinite(value)),
      }))
      answers.push({
        title,
        type,
        unit: fieldConfig.defaults.unit,
        stacked: fieldConfig.defaults.custom?.stacking?.mode === 'normal',
        gridPos,
        expr,
        series: series.filter(({ values }) => values.length > 0),
      })
    }
  }
  return answers
}

const shown = (value) => (value === undefined ? '-' : Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3))

// ---------------------------------------------------------------- the run

const [appPort, port] = [await freePort(), await freePort()]
const origin = `http://127.0.0.1:${appPort}`
const api = `http://127.0.0.1:${port}`
const promtool = prometheus.replace(/prometheus$/, 'promtool')
for (const args of [
  ['check', 'rules', 'rules.yml'],
  ['check', 'config', 'prometheus.yml'],
  ['test', 'rules', 'rules.test.yml'],
])
  execFileSync(promtool, args, { cwd: example, stdio: ['ignore', 'pipe', 'inherit'] })
console.log('promtool: rules, their tests and the configuration are valid')

// A machine without a GPU has one that always says the same, in the words of the real program.
const hasGpu = spawnSync('nvidia-smi', ['-L']).status === 0
if (!hasGpu) {
  mkdirSync(join(dir, 'bin'))
  writeFileSync(join(dir, 'bin/nvidia-smi'), '#!/bin/sh\necho "GPU-0, Stand-in, 35, 1024, 8192, 55.5"\n', { mode: 0o755 })
}
console.log(`GPU: ${hasGpu ? 'the real nvidia-smi' : 'a stand-in for nvidia-smi'}`)

writeFileSync(
  join(dir, 'prometheus.yml'),
  readFileSync(join(example, 'prometheus.yml'), 'utf8')
    .replaceAll('5s', '1s')
    .replace('127.0.0.1:3000', `127.0.0.1:${appPort}`)
    .replace('rules.yml', join(example, 'rules.yml')),
)
const app = start(process.execPath, ['--import', 'tsx', join(example, 'server.ts'), '--port', String(appPort), '--gpu'], {
  PATH: `${join(dir, 'bin')}:${process.env.PATH}`,
})
await until('the example', async () => (await fetch(origin)).ok)
execFileSync(promtool, ['check', 'metrics'], {
  input: await (await fetch(`${origin}/ml/metrics`)).text(),
  stdio: ['pipe', 'pipe', 'inherit'],
})
console.log('promtool: the metrics are valid')
start(prometheus, [
  `--config.file=${join(dir, 'prometheus.yml')}`,
  `--storage.tsdb.path=${join(dir, 'data')}`,
  `--web.listen-address=127.0.0.1:${port}`,
])
await until('Prometheus', async () => (await fetch(`${api}/-/ready`)).ok)

const from = Date.now() / 1000 + 22
const counts = await load(origin, Date.now() + loadS * 1000)
console.log(`${loadS} s of load, answers by status: ${JSON.stringify(counts)}`)
const to = Date.now() / 1000

const version = (await ask(api, 'status/buildinfo', {})).version
const target = (await ask(api, 'targets', {})).activeTargets[0]
console.log(`Prometheus ${version}: target ${target.health}, last scrape ${(target.lastScrapeDuration * 1000).toFixed(1)} ms`)
const answers = await askPanels(api, from, to)
let empty = 0
for (const { title, expr, series } of answers) {
  if (series.length === 0) empty++
  const last = series.map(({ name, values }) => `${name || 'value'} ${shown(values.at(-1)?.[1])}`)
  console.log(`${series.length > 0 ? 'ok   ' : 'EMPTY'} ${title}: ${last.slice(0, 6).join(', ') || expr}`)
}
const { groups } = await ask(api, 'rules', {})
const rules = groups.flatMap((group) => group.rules)
const unhealthy = rules.filter(({ health }) => health !== 'ok')
let unrecorded = 0
for (const { name, type } of rules) {
  if (type !== 'recording') continue
  const { result } = await ask(api, 'query', { query: name })
  if (result.length === 0) unrecorded++
  console.log(
    `${result.length > 0 ? 'ok   ' : 'EMPTY'} ${name}: ${result.map(({ value }) => shown(Number(value[1]))).join(', ')}`,
  )
}
const made = await ask(api, 'series', { 'match[]': '{model_name=~".*made-up.*"}' })

app.kill('SIGTERM')
const [code] = await Promise.race([
  new Promise((resolve) => app.once('exit', (...how) => resolve(how))),
  sleep(15_000).then(() => ['late']),
])
for (const child of children) child.kill('SIGTERM')
await sleep(500)
rmSync(dir, { recursive: true, force: true })
mkdirSync(join(root, '.interop'), { recursive: true })
// Numbers of a stand-in are not shown.
const measured = hasGpu ? answers : answers.filter(({ expr }) => !/\bhw_(gpu|power)_/.test(expr))
writeFileSync(join(root, '.interop/dashboard.json'), JSON.stringify({ prometheus: version, from, to, answers: measured }))

const problems = [
  empty > 0 && `${empty} queries without data`,
  unhealthy.length > 0 && `unhealthy rules: ${unhealthy.map(({ name }) => name).join(', ')}`,
  unrecorded > 0 && `${unrecorded} recording rules without data`,
  made.length > 0 && `${made.length} series of made-up names`,
  target.health !== 'up' && `the target is ${target.health}`,
  code !== 0 && `the example ended with ${code}`,
].filter(Boolean)
if (problems.length > 0) fail(problems.join('; '))
console.log(`all ${answers.length} queries and ${rules.length} rules have what they need; no made-up name became a label`)
process.exit(0)
