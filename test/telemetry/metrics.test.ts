/** The counts, their names, and how few of them strangers can make. */

import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { observeGpus, parseGpus } from '../../src/telemetry/gpu.ts'
import type { Instruments } from '../../src/telemetry/instruments.ts'
import { METRICS, TRITON_METRICS } from '../../src/telemetry/names.ts'
import { matmulChainModel, mlpModel } from '../../tools/models.mjs'
import { POSIX } from '../support/needs.ts'
import { provedServerFor } from '../support/server.ts'
import { keep, numbers } from './support.ts'

const row = (seed: number): number[] => Array.from({ length: 32 }, (_, i) => Math.sin(seed * 32 + i))
const MLP = { name: 'mlp', source: mlpModel(), cache: { maxBytes: 100_000 } }

test('requests, runs, rows, the cache and the model itself are counted under the names of the table', async () => {
  const kept = keep()
  const server = await provedServerFor({ models: [MLP], telemetry: kept.telemetry })
  await Promise.all([1, 2, 3].map((seed) => server.predict('mlp', { features: [row(seed)] })))
  await server.predict('mlp', { features: [row(1)] })
  await expect(server.predict('mlp', { features: 'no' })).rejects.toThrow()
  const metrics = await kept.metrics()
  const at = (name: string) => numbers(metrics.get(name))
  expect(at('modelmount.requests')).toEqual(
    new Map([
      ['mlp 1 ok', 4],
      ['mlp 1 INPUT_INVALID', 1],
    ]),
  )
  expect(at('modelmount.rows')).toEqual(new Map([['mlp 1', 3]]))
  const { queue } = server.model('mlp')
  expect(at('modelmount.executions').get('mlp 1 idle')).toBe(queue.batches)
  expect(at('modelmount.cache.requests')).toEqual(
    new Map([
      ['mlp 1 hit', 1],
      ['mlp 1 miss', 3],
    ]),
  )
  expect(at('modelmount.model.ready').get('mlp 1')).toBe(1)
  expect(at('modelmount.model.info').get('mlp 1 ready cpu thread true')).toBe(1)
  expect(at('modelmount.instances')).toEqual(
    new Map([
      ['mlp 1 ready', 1],
      ['mlp 1 target', 1],
    ]),
  )
  expect(at('modelmount.requests.limit').get('mlp 1')).toBe(server.model('mlp').batching.maxSize)
  expect(at('modelmount.saturation').get('mlp 1')).toBe(0)
  expect(at('process.memory.usage').get('')).toBeGreaterThan(2 ** 20)

  const histogram = (name: string) =>
    metrics.get(name)?.dataPoints.map(({ attributes, value }) => [Object.values(attributes).join(' '), value])
  expect(histogram('modelmount.request.duration')).toEqual([
    ['mlp 1', expect.objectContaining({ count: 4 })],
    ['mlp 1 INPUT_INVALID', expect.objectContaining({ count: 1 })],
  ])
  for (const name of ['queue.duration', 'compute.input.duration', 'infer.duration', 'compute.output.duration'])
    expect(histogram(`modelmount.${name}`)).toEqual([['mlp 1', expect.objectContaining({ count: queue.batches })]])
  expect(histogram('modelmount.batch.size')).toEqual([['mlp 1', expect.objectContaining({ count: queue.batches, sum: 3 })]])

  // Nothing leaves under a name, unit or bucket that the table does not have.
  const known = new Map<string, { unit: string; buckets?: readonly number[] }>(
    Object.values(METRICS).map((metric) => [metric.name, metric]),
  )
  for (const [name, { descriptor }] of metrics) {
    expect([name, known.get(name)?.unit]).toEqual([name, descriptor.unit])
    expect([name, (descriptor as { advice?: { explicitBucketBoundaries?: unknown } }).advice?.explicitBucketBoundaries]).toEqual([
      name,
      known.get(name)?.buckets,
    ])
  }
})

test('batching’s gain is what rows would have taken alone, over what they took', async () => {
  const kept = keep()
  const server = await provedServerFor({ models: [{ name: 'chain', source: matmulChainModel() }], telemetry: kept.telemetry })
  await Promise.all(Array.from({ length: 64 }, () => server.predict('chain', { x: new Float32Array(256) })))
  const metrics = await kept.metrics()
  const [alone, took] = ['modelmount.compute.alone.time', 'modelmount.compute.time'].map(
    (name) => numbers(metrics.get(name)).get('chain 1') ?? 0,
  )
  expect(took).toBeGreaterThan(0)
  expect(alone).toBeGreaterThan(0)
})

test('names that callers make up, 100,000 of them, are one series', async () => {
  const kept = keep()
  const server = await provedServerFor({ models: [MLP], telemetry: kept.telemetry })
  const ask = (i: number) => server.predict(`model-${i}`, {}).catch(() => {})
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  onTestFinished(() => {
    Error.stackTraceLimit = stackTraceLimit
  })
  for (let i = 0; i < 100_000; i += 10_000) await Promise.all(Array.from({ length: 10_000 }, (_, j) => ask(i + j)))
  const body = Buffer.from('{}')
  for (let i = 0; i < 100; i++)
    await server.http.handle({ method: 'POST', path: `/v2/models/other-${i}/infer`, headers: {}, body })
  const metrics = await kept.metrics()
  expect(numbers(metrics.get('modelmount.requests'))).toEqual(new Map([['_OTHER _OTHER MODEL_NOT_FOUND', 100_100]]))
  expect(metrics.get('modelmount.request.duration')?.dataPoints).toHaveLength(1)
  expect(JSON.stringify([...metrics])).not.toMatch(/model-\d|other-\d/)
})

test('a version that is unloaded leaves the gauges; a worker that is lost is counted', async () => {
  const kept = keep()
  const server = await provedServerFor({
    models: [MLP, { ...MLP, version: '2', isolation: 'process' }],
    telemetry: kept.telemetry,
  })
  await server.unload('mlp', '1')
  expect([...numbers((await kept.metrics()).get('modelmount.model.ready')).keys()]).toEqual(['mlp 2'])
  expect(numbers((await kept.metrics()).get('modelmount.worker.restarts'))).toEqual(new Map([['mlp 2', 0]]))
})

test('after the server has closed nothing reads it any more', async () => {
  const kept = keep()
  const server = await provedServerFor({ models: [MLP], telemetry: kept.telemetry })
  await server.predict('mlp', { features: [row(1)] })
  await server.close()
  const names = [...(await kept.metrics()).keys()]
  expect(names).toContain('modelmount.request.duration')
  expect(names).not.toContain('modelmount.model.ready')
  expect(names).not.toContain('nodejs.eventloop.utilization')
})

test('Triton’s names have its numbers, when asked for', async () => {
  const kept = keep({ tritonNames: true })
  const server = await provedServerFor({ models: [MLP], telemetry: kept.telemetry })
  await Promise.all([1, 2].map((seed) => server.predict('mlp', { features: [row(seed)] })))
  await expect(server.predict('mlp', { features: [row(3)] }, { signal: AbortSignal.abort() })).rejects.toThrow()
  const metrics = await kept.metrics()
  const at = (name: string) => Object.fromEntries(numbers(metrics.get(name)))
  expect(at('nv_inference_request_success')).toEqual({ 'mlp 1': 2 })
  expect(at('nv_inference_request_failure')).toEqual({
    'mlp 1 REJECTED': 0,
    'mlp 1 CANCELED': 1,
    'mlp 1 BACKEND': 0,
    'mlp 1 OTHER': 0,
  })
  expect(at('nv_inference_count')).toEqual({ 'mlp 1': 2 })
  expect(at('nv_inference_request_duration_us')['mlp 1']).toBeGreaterThan(0)
  for (const { name } of Object.values(TRITON_METRICS)) expect([...metrics.keys()]).toContain(name)
})

// ---------------------------------------------------------------- GPUs

test('what nvidia-smi says is read, and what it does not say left out', () => {
  expect(
    parseGpus(
      'GPU-1, NVIDIA H100 80GB HBM3, 37, 1024, 81559, 312.50\nGPU-2, NVIDIA T4, [N/A], [Not Supported], 15360, [N/A]\n\nno card here\n',
    ),
  ).toEqual([
    {
      id: 'GPU-1',
      name: 'NVIDIA H100 80GB HBM3',
      utilization: 0.37,
      usedBytes: 2 ** 30,
      totalBytes: 81559 * 2 ** 20,
      watts: 312.5,
    },
    {
      id: 'GPU-2',
      name: 'NVIDIA T4',
      utilization: undefined,
      usedBytes: undefined,
      totalBytes: 15360 * 2 ** 20,
      watts: undefined,
    },
  ])
})

const fakeSmi = (script: string): void => {
  const dir = mkdtempSync(join(tmpdir(), 'smi-'))
  writeFileSync(join(dir, 'nvidia-smi'), `#!/bin/sh\n${script}\n`)
  chmodSync(join(dir, 'nvidia-smi'), 0o755)
  const path = process.env.PATH
  process.env.PATH = `${dir}:${path}`
  onTestFinished(() => {
    process.env.PATH = path
    rmSync(dir, { recursive: true, force: true })
  })
}

/** Collects by hand, at times that are given. */
function collecting(file: string) {
  let now = 0
  let collect = (): void => {}
  const instruments: Instruments = {
    histogram: () => ({ record() {} }),
    observe(_, read) {
      collect = () => read(() => {})
      return () => {}
    },
    forget() {},
  }
  onTestFinished(observeGpus(instruments, file, () => now))
  return (afterMs: number): void => {
    now += afterMs
    collect()
  }
}

test('an nvidia-smi that fails is asked three times, and never again', POSIX, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'smi-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const [file, log] = [join(dir, 'nvidia-smi'), join(dir, 'log')]
  writeFileSync(file, `#!/bin/sh\necho asked >> '${log}'\nexit 9\n`, { mode: 0o755 })
  const asked = (): number => (existsSync(log) ? readFileSync(log, 'utf8').split('\n').length - 1 : 0)
  const collect = collecting(file)
  const askedAfterAll = (): number => {
    collect(20_000)
    return asked()
  }
  for (let times = 1; times <= 3; times++) {
    // Until it has been heard that the last one failed, there is no other. The next one may have begun to write by then.
    await expect.poll(askedAfterAll).toBeGreaterThanOrEqual(times)
  }
  // A program that works comes too late: this one is given up.
  writeFileSync(file, `#!/bin/sh\necho asked >> '${log}'\necho 'GPU-1, T4, 1, 1, 1, 1'\n`, { mode: 0o755 })
  for (let i = 0; i < 20; i++) {
    collect(20_000)
    await new Promise((resolve) => setImmediate(resolve))
  }
  // By then whatever was started before has been counted too.
  for (let i = 0; i < 3; i++) spawnSync(file)
  expect(asked()).toBe(6)
})

test('a GPU is read beside the collection; one that hangs, fails or is not there is absent', POSIX, async () => {
  fakeSmi("echo 'GPU-1, NVIDIA H100, 37, 1024, 81559, 312.50'")
  const found = keep({ gpu: true })
  await provedServerFor({ models: [], telemetry: found.telemetry })
  await vi.waitFor(
    async () =>
      expect(numbers((await found.metrics()).get('hw.gpu.utilization'))).toEqual(new Map([['GPU-1 NVIDIA H100', 0.37]])),
    30_000,
  )
  for (const script of ['exit 9', 'exec sleep 30']) {
    fakeSmi(script)
    const absent = keep({ gpu: true })
    await provedServerFor({ models: [], telemetry: absent.telemetry })
    const before = performance.now()
    expect((await absent.metrics()).has('hw.gpu.utilization')).toBe(false)
    expect(performance.now() - before).toBeLessThan(4000)
  }
})
