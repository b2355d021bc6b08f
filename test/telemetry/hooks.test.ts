/** The core's reports to a telemetry, whatever the telemetry does with them. */

import type { LoadEnd, RequestEnd, RunEnd, Telemetry } from 'modelmount'
import { expect, test } from 'vitest'
import { matmulChainModel, mlpModel } from '../../tools/models.mjs'
import { serverFor } from '../support/server.ts'

const row = (seed: number): number[] => Array.from({ length: 32 }, (_, i) => Math.sin(seed * 32 + i))

function recorder() {
  const loads: LoadEnd[] = []
  const runs: RunEnd[] = []
  const ends: { end: RequestEnd; trace: object | undefined }[] = []
  const begun: object[] = []
  const telemetry: Telemetry = {
    begin(start) {
      begun.push(start)
      return start
    },
    end: (end, trace) => void ends.push({ end, trace }),
    run: (run) => void runs.push(run),
    load: (load) => void loads.push(load),
  }
  return { telemetry, loads, runs, ends, begun }
}

test('a load is told with its steps, a request with its run', async () => {
  const { telemetry, loads, runs, ends, begun } = recorder()
  const server = await serverFor({ models: [{ name: 'mlp', version: '7', source: mlpModel() }], telemetry })
  expect(loads).toMatchObject([{ model: 'mlp', version: '7', error: undefined }])
  expect(loads[0]!.steps.map(({ name }) => name)).toEqual(['verify', 'read', 'prepare', 'load', 'warmup'])
  expect(loads[0]!.steps.every(({ startedAt, endedAt }) => endedAt >= startedAt)).toBe(true)

  const results = await Promise.all([0, 1, 2].map((seed) => server.predict('mlp', { features: [row(seed)] })))
  expect(begun).toHaveLength(3)
  // Every trace that began came by its run and ended.
  expect(runs.flatMap(({ traces }) => traces)).toEqual(begun)
  expect(ends.map(({ trace }) => trace)).toEqual(begun)
  expect(ends.map(({ end }) => end)).toMatchObject(
    results.map(({ batchSize, timings }) => ({
      model: 'mlp',
      version: '7',
      error: undefined,
      batchSize,
      cached: false,
      queueMs: timings.queueMs,
      inferMs: timings.inferMs,
    })),
  )
  for (const run of runs) {
    expect(run).toMatchObject({ model: 'mlp', version: '7', provider: 'cpu', reason: 'idle', instance: 1, error: undefined })
    for (const ms of [run.queueMs, run.inputMs, run.inferMs, run.outputMs]) expect(ms).toBeGreaterThanOrEqual(0)
    // The parts are the whole.
    expect(run.inputMs + run.inferMs + run.outputMs).toBeCloseTo(run.endedAt - run.sentAt, 1)
    expect(run.inputMs).toBeGreaterThan(0)
  }
  expect(runs.reduce((sum, { rows }) => sum + rows, 0)).toBe(3)
})

test('in the process tier the worker’s clock is the host’s', async () => {
  const { telemetry, runs } = recorder()
  const server = await serverFor({
    models: [{ name: 'chain', source: matmulChainModel(), isolation: 'process' }],
    telemetry,
  })
  await server.predict('chain', { x: new Float32Array(256) })
  const [run] = runs
  expect(run!.inputMs).toBeGreaterThan(0)
  expect(run!.outputMs).toBeGreaterThan(0)
})

test('requests that are refused before they begin end with their code, and made-up names are not repeated', async () => {
  const { telemetry, ends, begun } = recorder()
  const server = await serverFor({ models: [{ name: 'mlp', source: mlpModel() }], telemetry })
  await expect(server.predict('nobody', {})).rejects.toThrow()
  await expect(server.predict('mlp', {}, { version: '9' })).rejects.toThrow()
  await expect(server.predict('mlp', { features: 'no' })).rejects.toThrow()
  await expect(server.predict('mlp', { features: [row(1)] }, { signal: AbortSignal.abort() })).rejects.toThrow()
  expect(ends.map(({ end: { model, error } }) => [model, error])).toEqual([
    [undefined, 'MODEL_NOT_FOUND'],
    [undefined, 'VERSION_NOT_FOUND'],
    ['mlp', 'INPUT_INVALID'],
    ['mlp', 'ABORTED'],
  ])
  expect(begun).toHaveLength(1)
})

test('a load that fails says with what', async () => {
  const { telemetry, loads } = recorder()
  await serverFor({ models: [{ name: 'broken', source: new Uint8Array([1, 2, 3]) }], telemetry })
  expect(loads).toMatchObject([{ model: 'broken', error: 'MODEL_INVALID' }])
  expect(loads[0]!.steps.map(({ name }) => name)).toEqual(['verify', 'read'])
})

test('a telemetry that throws everywhere costs no answer, and is reported once', async () => {
  const fail = (): never => {
    throw new Error('telemetry is broken')
  }
  const warnings: string[] = []
  const log = (message: string): void => void warnings.push(message)
  const server = await serverFor({
    models: [{ name: 'mlp', source: mlpModel() }],
    telemetry: { watch: fail, begin: fail, end: fail, run: fail, load: fail },
    logger: { info() {}, warn: log, error: log },
  })
  await Promise.all([1, 2, 3].map((seed) => server.predict('mlp', { features: [row(seed)] })))
  await expect(server.predict('nobody', {})).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
  expect(warnings).toEqual([expect.stringContaining('telemetry is broken')])
})

test('metrics that cannot be told are an error of their route, which says nothing of why', async () => {
  let broken = true
  const server = await serverFor({
    models: [{ name: 'mlp', source: mlpModel() }],
    telemetry: {
      async metricsText() {
        if (broken) throw new Error('secret of the collector')
        return { contentType: 'text/plain', text: 'up 1\n' }
      },
    },
  })
  const mount = server.http.mount({ metrics: true })
  const scrape = async () => {
    const { status, body } = await mount.handle({ method: 'GET', path: '/metrics', headers: {} })
    return [status, Buffer.from(body as Uint8Array).toString()]
  }
  expect(await scrape()).toEqual([500, expect.not.stringContaining('secret')])
  expect(await server.predict('mlp', { features: [row(1)] })).toMatchObject({ model: 'mlp' })
  broken = false
  expect(await scrape()).toEqual([200, 'up 1\n'])
})

test('it is watched from before the first model until the server is closed', async () => {
  const seen: string[] = []
  let ended = 0
  const server = await serverFor({
    models: [{ name: 'mlp', source: mlpModel() }],
    telemetry: {
      watch(source) {
        source.subscribe((event) => seen.push(event.type === 'model' ? event.state : event.type))
        return () => void ended++
      },
    },
  })
  expect(seen.slice(0, 1)).toEqual(['loading'])
  expect(ended).toBe(0)
  await server.close()
  expect(seen.at(-1)).toBe('unloaded')
  expect(ended).toBe(1)
})

test('over HTTP each request is counted once, wherever it failed, and only where a model was to be run', async () => {
  const { telemetry, ends } = recorder()
  const server = await serverFor({ models: [{ name: 'mlp', source: mlpModel() }], telemetry })
  const post = (path: string, body: unknown) =>
    server.http.handle({
      method: 'POST',
      path,
      headers: { 'content-type': 'application/json' },
      body: new TextEncoder().encode(JSON.stringify(body)),
    })
  const inputs = [{ name: 'features', shape: [1, 32], datatype: 'FP32', data: row(1) }]
  expect((await post('/v2/models/mlp/infer', { inputs })).status).toBe(200)
  await post('/v2/models/mlp/infer', { inputs: [{ ...inputs[0], name: 'other' }] })
  await post('/v2/models/mlp/infer', { inputs, outputs: [{ name: 'none' }] })
  await post('/v2/models/made-up/infer', { inputs })
  await server.http.handle({ method: 'GET', path: '/v2/models/made-up', headers: {} })
  expect(ends.map(({ end: { model, error } }) => [model, error])).toEqual([
    ['mlp', undefined],
    ['mlp', 'INPUT_INVALID'],
    ['mlp', 'OUTPUT_NOT_FOUND'],
    [undefined, 'MODEL_NOT_FOUND'],
  ])
})
