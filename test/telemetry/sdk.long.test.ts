/** The SDK's bootstrap in processes of its own, because it registers itself for the whole process; and what there is without it. */

import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { POSIX } from '../support/needs.ts'
import { runScript, SERVER, START } from './run-script.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

describe('startTelemetry()', () => {
  test('gives metrics as text without a word about where to, under the names of Prometheus’ conventions', async () => {
    const told = await runScript(`${START}
      const telemetry = await startTelemetry({ serviceName: 'shop', prometheus: { port: 0 } })
      const server = await serve(telemetry)
      await server.predict('mlp', { features: [row(1)] })
      const mount = server.http.mount({ metrics: true })
      const { status, headers, body } = await mount.handle({ method: 'GET', path: '/metrics', headers: {} })
      const own = await fetch(telemetry.metricsUrl)
      const lost = await fetch(new URL('/', telemetry.metricsUrl))
      tell({ status, headers, text: Buffer.from(body).toString(), own: [own.status, own.headers.get('content-type')], lost: lost.status })
      await server.close()
      await telemetry.shutdown()`)
    expect(told).toMatchObject({ status: 200, own: [200, 'text/plain; version=0.0.4; charset=utf-8'], lost: 404 })
    expect(told.headers).toMatchObject({ 'content-type': 'text/plain; version=0.0.4; charset=utf-8' })
    expect(told.text).toContain('modelmount_request_duration_seconds_bucket{model_name="mlp",model_version="1",le="+Inf"} 1\n')
    expect(told.text).toContain('modelmount_requests_total{model_name="mlp",model_version="1",modelmount_outcome="ok"} 1\n')
    expect(told.text).toMatch(/^process_memory_usage_bytes \d+$/m)
    expect(told.text).toMatch(/^target_info\{service_name="shop",/m)
    // The arguments of the process can hold secrets.
    expect(told.text).not.toContain('process_command')
  })

  test('writes a hundred models in a thread, the same text as at once', async () => {
    const told = await runScript(`
      import { startTelemetry } from 'modelmount/telemetry/sdk'
      const telemetry = await startTelemetry()
      const end = (i) => telemetry.end({ model: 'm' + i, version: '1', startedAt: 0, endedAt: 3, queueMs: 1, inferMs: 1, batchSize: 1, cached: false })
      for (let i = 0; i < 400; i++) end(i)
      const [{ text }, shared] = await Promise.all([telemetry.metricsText(), telemetry.metricsText()])
      tell({ lines: text.split('\\n').filter((line) => line.startsWith('modelmount_request_duration_seconds_count{')).length, same: text === shared.text })
      await telemetry.shutdown()`)
    expect(told).toEqual({ lines: 400, same: true })
  })

  test('sends to a collector by option, and by the standard variables', async () => {
    const got: string[] = []
    const collector = createServer((req, res) => {
      got.push(`${req.method} ${req.url} ${req.headers['x-key'] ?? ''}`.trim())
      req.resume().on('end', () => res.writeHead(200, { 'content-type': 'application/x-protobuf' }).end())
    })
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void collector.close())
    const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`
    const script = (options: string) => `${START}
      const telemetry = await startTelemetry(${options})
      const server = await serve(telemetry)
      await server.predict('mlp', { features: [row(1)] })
      await server.close()
      await telemetry.shutdown()
      tell({})`
    await runScript(script(`{ otlp: { endpoint: '${endpoint}/', headers: { 'x-key': 'k' } } }`))
    expect(got.sort()).toEqual(['POST /v1/metrics k', 'POST /v1/traces k'])
    got.length = 0
    await runScript(script(''), { env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } })
    expect(got.sort()).toEqual(['POST /v1/metrics', 'POST /v1/traces'])
    got.length = 0
    // One signal of both, to an address of its own.
    const env = { OTEL_METRICS_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${endpoint}/mine` }
    await runScript(script(''), { env: { ...env, OTEL_TRACES_EXPORTER: 'none' } })
    expect(got).toEqual(['POST /mine'])
  })

  test('serves Prometheus on the port that the standard variables name, to a scrape over a socket', async () => {
    const told = await runScript(
      `${START}
      const telemetry = await startTelemetry()
      const server = await serve(telemetry)
      await server.predict('mlp', { features: [row(1)] })
      const { hostname, port } = new URL(telemetry.metricsUrl)
      const scrape = await fetch('http://127.0.0.1:' + port + '/metrics', { headers: { accept: 'text/plain;version=0.0.4' } })
      tell({ hostname, isFree: port !== '9464', status: scrape.status, type: scrape.headers.get('content-type'), text: await scrape.text() })
      await server.close()
      await telemetry.shutdown()`,
      { env: { OTEL_METRICS_EXPORTER: 'prometheus', OTEL_EXPORTER_PROMETHEUS_PORT: '0', OTEL_SERVICE_NAME: 'shop' } },
    )
    expect(told).toMatchObject({
      hostname: '127.0.0.1',
      isFree: true,
      status: 200,
      type: 'text/plain; version=0.0.4; charset=utf-8',
    })
    expect(told.text).toContain('modelmount_requests_total{model_name="mlp",model_version="1",modelmount_outcome="ok"} 1\n')
    expect(told.text).toMatch(/^target_info\{.*service_name="shop"/m)
  })

  test('on the very port and host of the variables; a port that is taken, or is none, leaves nothing registered', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as AddressInfo
    const script = `
      import { startTelemetry } from 'modelmount/telemetry/sdk'
      const codeOf = (error) => [error.code, error.message]
      const refused = await startTelemetry().catch(codeOf)
      process.env.OTEL_EXPORTER_PROMETHEUS_PORT = '65536'
      const none = await startTelemetry().catch(codeOf)
      process.env.OTEL_EXPORTER_PROMETHEUS_PORT = '0'
      const telemetry = await startTelemetry()
      tell({ refused, none, later: (await fetch(telemetry.metricsUrl)).status })
      await telemetry.shutdown()`
    const env = {
      OTEL_METRICS_EXPORTER: 'prometheus',
      OTEL_EXPORTER_PROMETHEUS_HOST: '127.0.0.1',
      OTEL_EXPORTER_PROMETHEUS_PORT: String(port),
    }
    const told = await runScript(script, { env })
    expect(told).toEqual({
      refused: ['OPTIONS_INVALID', expect.stringContaining(`cannot serve metrics on port ${port} of 127.0.0.1`)],
      none: ['OPTIONS_INVALID', "OTEL_EXPORTER_PROMETHEUS_PORT must be a port from 0 to 65535, got '65536'"],
      later: 200,
    })
    await new Promise((resolve) => taken.close(resolve))
    const url = await runScript(
      `import { startTelemetry } from 'modelmount/telemetry/sdk'
      const telemetry = await startTelemetry()
      tell({ url: telemetry.metricsUrl, status: (await fetch(telemetry.metricsUrl)).status })
      await telemetry.shutdown()`,
      { env },
    )
    expect(url).toEqual({ url: `http://127.0.0.1:${port}/metrics`, status: 200 })
  })

  test('is switched off by the standard variable: no metrics, no span, nothing that fails', async () => {
    const told = await runScript(
      `${START}
      const telemetry = await startTelemetry({ otlp: { endpoint: 'http://127.0.0.1:9' }, prometheus: { port: 0 } })
      const server = await serve(telemetry)
      const { outputs } = await server.predict('mlp', { features: [row(1)] })
      const { status, body } = await server.http.mount({ metrics: true }).handle({ method: 'GET', path: '/metrics', headers: {} })
      tell({ outputs: Object.keys(outputs).length, status, bytes: body.length })
      await server.close()
      await telemetry.shutdown()`,
      { env: { OTEL_SDK_DISABLED: 'TRUE' } },
    )
    expect(told).toEqual({ outputs: 1, status: 200, bytes: 0 })
  })

  test('collects for the collector as often as the environment says, and no later than it ends', async () => {
    const told = await runScript(
      `import { createServer } from 'node:http'
      ${START}
      let [posts, thrice] = [0, undefined]
      const three = new Promise((resolve) => { thrice = resolve })
      const collector = createServer((req, res) => {
        if (req.url === '/v1/metrics' && ++posts === 3) thrice()
        req.resume().on('end', () => res.writeHead(200, { 'content-type': 'application/x-protobuf' }).end())
      })
      await new Promise((resolve) => collector.listen(0, '127.0.0.1', resolve))
      const telemetry = await startTelemetry({ otlp: { endpoint: 'http://127.0.0.1:' + collector.address().port } })
      const server = await serve(telemetry)
      await three
      await server.close()
      const before = posts
      await telemetry.shutdown()
      tell({ last: posts - before })
      collector.closeAllConnections()
      collector.close()`,
      { env: { OTEL_METRIC_EXPORT_INTERVAL: '50', OTEL_TRACES_SAMPLER: 'always_off' } },
    )
    expect(told.last).toBeGreaterThanOrEqual(1)
  })

  test.each([
    ['down', 'http://127.0.0.1:9'],
    ['silent', undefined],
  ])('a collector that is %s costs no answer and no time at the end', async (_how, url) => {
    const silent = createServer(() => {})
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => silent.closeAllConnections())
    const endpoint = url ?? `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
    const told = await runScript(`${START}
      import { setFlagsFromString } from 'node:v8'
      import { runInNewContext } from 'node:vm'
      const telemetry = await startTelemetry({ otlp: { endpoint: '${endpoint}' } })
      const server = await serve(telemetry)
      setFlagsFromString('--expose-gc')
      const heap = () => { runInNewContext('gc')(); return process.memoryUsage().heapUsed }
      const rounds = async (n) => {
        for (let i = 0; i < n; i++) await Promise.all(Array.from({ length: 100 }, (_, j) => server.predict('mlp', { features: [row(j)] })))
      }
      await rounds(50)
      const kept = heap()
      // Thirty thousand spans and more, of some kilobytes each; the SDK keeps 2048 that wait.
      await rounds(300)
      const grownMiB = (heap() - kept) / 2 ** 20
      const before = performance.now()
      await server.close()
      await telemetry.shutdown({ timeoutMs: 300 })
      tell({ grownMiB, endedInMs: performance.now() - before })
      process.exit(0)`)
    expect(told.endedInMs).toBeLessThan(10_000)
    expect(told.grownMiB).toBeLessThan(20)
  })

  test('ten thousand spans a second, five seconds of them at once, to a collector that takes its time', async () => {
    let posts = 0
    const slow = createServer((req, res) => {
      posts++
      req.resume().on('end', () => setTimeout(() => res.writeHead(200).end(), 50))
    })
    await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      slow.closeAllConnections()
      slow.close()
    })
    const told = await runScript(`
      import { setFlagsFromString } from 'node:v8'
      import { runInNewContext } from 'node:vm'
      import { startTelemetry } from 'modelmount/telemetry/sdk'
      const telemetry = await startTelemetry({ otlp: { endpoint: 'http://127.0.0.1:${(slow.address() as AddressInfo).port}' } })
      setFlagsFromString('--expose-gc')
      const heap = () => { runInNewContext('gc')(); return process.memoryUsage().heapUsed }
      const of = { model: 'm', version: '1' }
      const times = { startedAt: 0, endedAt: 3, queueMs: 1, inferMs: 1, batchSize: 1, cached: false }
      let made = 0
      async function second() {
        for (let i = 0; i < 10_000; i++) {
          const trace = telemetry.begin({ ...of, startedAt: 0, id: 'request-' + i })
          if (trace) made++
          telemetry.end({ ...of, ...times }, trace)
          if (i % 100 === 99) await new Promise(setImmediate)
        }
      }
      await second()
      const kept = heap()
      for (let i = 0; i < 5; i++) await second()
      const grownMiB = (heap() - kept) / 2 ** 20
      const before = performance.now()
      await telemetry.shutdown({ timeoutMs: 2000 })
      tell({ made, grownMiB, endedInMs: performance.now() - before })
      process.exit(0)`)
    expect(told.made).toBe(60_000)
    expect(told.grownMiB).toBeLessThan(20)
    expect(told.endedInMs).toBeLessThan(10_000)
    expect(posts).toBeGreaterThan(0)
  })

  test.each([
    ['by option', '{ sampleRatio: 0 }', undefined],
    ['by the environment', '{}', '0'],
    ['not at all', '{}', undefined],
  ])('samples %s', async (how, options, arg) => {
    const told = await runScript(
      `${START}
      const names = []
      const processor = { onStart() {}, onEnd: ({ name }) => void names.push(name), forceFlush: async () => {}, shutdown: async () => {} }
      const telemetry = await startTelemetry({ ...${options}, spanProcessors: [processor] })
      const server = await serve(telemetry)
      await server.predict('mlp', { features: [row(1)] })
      await server.close()
      await telemetry.shutdown()
      tell({ names })`,
      { env: arg === undefined ? {} : { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: arg } },
    )
    if (how === 'not at all') expect(told.names).toContain('predict mlp')
    else expect(told.names).toEqual([])
  })

  test('an nvidia-smi that hangs does not keep the app from ending', POSIX, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'smi-'))
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
    writeFileSync(join(dir, 'nvidia-smi'), '#!/bin/sh\necho $$ > "$0.pid"\nexec sleep 60\n', { mode: 0o755 })
    const told = await runScript(
      `import { existsSync } from 'node:fs'
      import { setTimeout as sleep } from 'node:timers/promises'
      import { createModelServer } from 'modelmount'
      import { startTelemetry } from 'modelmount/telemetry/sdk'
      const telemetry = await startTelemetry({ gpu: true })
      const server = await createModelServer({ models: [], telemetry })
      const { text } = await telemetry.metricsText()
      while (!existsSync('${join(dir, 'nvidia-smi.pid')}')) await sleep(5)
      const exits = performance.now()
      await server.close()
      await telemetry.shutdown()
      process.on('exit', () => tell({ gpu: text.includes('hw_gpu'), endedInMs: performance.now() - exits }))`,
      { env: { PATH: `${dir}:${process.env.PATH}` } },
    )
    expect(told.gpu).toBe(false)
    // It is given five seconds otherwise.
    expect(told.endedInMs).toBeLessThan(4000)
    // No query of the driver is left behind.
    const pid = Number(readFileSync(join(dir, 'nvidia-smi.pid'), 'utf8'))
    await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false)
  })

  test('says what to do where an SDK is registered, and what is wrong with an option', async () => {
    const told = await runScript(
      `
      import { startTelemetry } from 'modelmount/telemetry/sdk'
      const codeOf = (error) => [error.code, error.message]
      const wrong = await startTelemetry({ sampleRatio: 2 }).catch(codeOf)
      const protocol = await startTelemetry({ otlp: true }).catch(codeOf)
      delete process.env.OTEL_EXPORTER_OTLP_PROTOCOL
      const telemetry = await startTelemetry()
      const twice = await startTelemetry().catch(codeOf)
      await telemetry.shutdown()
      tell({ wrong, protocol, twice })`,
      { env: { OTEL_EXPORTER_OTLP_PROTOCOL: 'carrier-pigeon' } },
    )
    expect(told).toEqual({
      wrong: ['OPTIONS_INVALID', 'sampleRatio must be a number from 0 to 1, got 2'],
      protocol: ['OPTIONS_INVALID', expect.stringContaining("got 'carrier-pigeon'")],
      twice: ['OPTIONS_INVALID', expect.stringContaining('otelTelemetry()')],
    })
  })
})

describe('otelTelemetry()', () => {
  test('is quiet where no SDK is registered', async () => {
    const told = await runScript(`${SERVER}
      import { otelTelemetry } from 'modelmount/telemetry'
      const server = await serve(otelTelemetry())
      const { outputs } = await server.predict('mlp', { features: [row(1)] })
      tell({ outputs: Object.keys(outputs) })
      await server.close()`)
    expect(told.outputs).toHaveLength(1)
  })

  test('finds the SDK that another copy of the API has registered', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'two-apis-'))
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
    mkdirSync(join(dir, 'app/node_modules/@opentelemetry'), { recursive: true })
    const modules = join(root, 'node_modules')
    for (const name of ['core', 'resources', 'semantic-conventions', 'sdk-trace', 'api'])
      cpSync(join(modules, '@opentelemetry', name), join(dir, 'app/node_modules/@opentelemetry', name), { recursive: true })
    writeFileSync(
      join(dir, 'app/sdk.mjs'),
      `import { trace } from '@opentelemetry/api'
       import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
       export const exporter = new InMemorySpanExporter()
       trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }))
       export { trace }`,
    )
    const told = await runScript(`${SERVER}
      import { exporter, trace as theirs } from '${join(dir, 'app/sdk.mjs')}'
      import { trace as ours } from '@opentelemetry/api'
      import { otelTelemetry } from 'modelmount/telemetry'
      const server = await serve(otelTelemetry())
      await server.predict('mlp', { features: [row(1)] })
      tell({ copies: theirs === ours ? 1 : 2, spans: exporter.getFinishedSpans().map(({ name }) => name) })
      await server.close()`)
    expect(told.copies).toBe(2)
    expect(told.spans).toEqual(expect.arrayContaining(['load mlp', 'predict mlp', 'run mlp']))
  })
})

test('without OpenTelemetry everything else works, and the command says what to install', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'no-otel-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const modules = join(dir, 'node_modules')
  mkdirSync(join(modules, 'modelmount'), { recursive: true })
  for (const path of ['dist', 'package.json']) cpSync(join(root, path), join(modules, 'modelmount', path), { recursive: true })
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  for (const name of [...Object.keys(dependencies), 'onnxruntime-node', 'onnxruntime-common'])
    symlinkSync(join(root, 'node_modules', name), join(modules, name))
  const told = await runScript(
    `import { createModelServer } from 'modelmount'
    import { mlpModel } from '${join(root, 'tools/models.mjs')}'
    const server = await createModelServer({ models: [{ name: 'mlp', source: mlpModel() }] })
    const { outputs } = await server.predict('mlp', { features: [row(1)] })
    let mounted
    try { server.http.mount({ metrics: true }) } catch (error) { mounted = error.message }
    const missing = await import('modelmount/telemetry').catch((error) => error.code)
    tell({ outputs: Object.keys(outputs), mounted, missing })
    await server.close()`,
    { cwd: dir },
  )
  expect(told).toMatchObject({ mounted: expect.stringContaining('startTelemetry()'), missing: 'ERR_MODULE_NOT_FOUND' })
  const failed = await promisify(execFile)(process.execPath, [
    join(modules, 'modelmount/dist/cli.js'),
    'serve',
    '--models',
    dir,
    '--port',
    '0',
    '--metrics',
  ]).catch((error) => error)
  expect(failed.code).toBe(1)
  expect(failed.stderr).toMatch(
    /^modelmount: --metrics needs OpenTelemetry; run: npm install @opentelemetry\/api .+ \(OPTIONS_INVALID\)\n$/,
  )
})
