/** The process tier contains crashes, hangs and memory, and limits a child's view of its host. */

import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createModelServer, type ModelServer, type ModelSpec } from 'modelmount'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { addModel, slowLoopModel } from '../../tools/models.mjs'
import { node, value, writeModel } from '../../tools/onnx-writer.mjs'
import { hold, isAlive, workerPids } from '../support/children.ts'
import { watch } from '../support/events.ts'
import { LINUX } from '../support/needs.ts'
import { posted } from '../support/server.ts'

const FOREVER = 2n ** 50n
const A = { a: [[1, 2, 3, 4]], b: [[1, 1, 1, 1]] }

let server: ModelServer | undefined
afterEach(async () => {
  await server?.close({ timeoutMs: 2000 })
  server = undefined
})

async function serve(...models: Partial<ModelSpec>[]): Promise<ModelServer> {
  server = await createModelServer({
    models: models.map((model) => ({ name: 'm', source: addModel(), ...model })),
    isolation: 'process',
    proof: 'before-ready',
    logger: false,
    strict: true,
  })
  return server
}

describe('the process tier', LINUX, () => {
  test('answers like the thread tier', async () => {
    const { predict } = await serve({})
    const { outputs } = await predict('m', A)
    expect(outputs.sum).toEqual({ type: 'float32', dims: [1, 4], data: Float32Array.of(2, 3, 4, 5) })
  })

  test('loads a model by a path that is relative to the host, although children work elsewhere', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'relative-test-'))
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
    writeFileSync(join(dir, 'add.onnx'), addModel())
    const { predict } = await serve({ source: relative(process.cwd(), join(dir, 'add.onnx')) })
    expect((await predict('m', A)).outputs.sum?.dims).toEqual([1, 4])
  })

  test('large tensors own their memory and survive the pipe', async () => {
    const { predict } = await serve({})
    const a = new Float32Array(4 * 50_000).map((_, i) => i)
    const { outputs } = await predict('m', { a, b: a })
    expect(outputs.sum?.dims).toEqual([50_000, 4])
    const sum = outputs.sum?.data ?? []
    expect(sum[199_999]).toBe(399_998)
    expect(ArrayBuffer.isView(sum) && sum.buffer.byteLength).toBe(800_000)
  })

  test.each(['SIGSEGV', 'SIGABRT', 'SIGKILL'] as const)(
    'a %s in the child costs the running request only; the pool heals',
    async (signal) => {
      const server = await serve({ source: slowLoopModel() })
      const events = watch(server)
      const running = server.predict('m', { trips: FOREVER })
      const [pid] = workerPids()
      const lost = events.next((event) => event.type === 'worker-lost')
      const waiting = server.predict('m', { trips: 1n })
      await posted()
      process.kill(pid!, signal)
      await expect(running).rejects.toMatchObject({ code: 'WORKER_LOST', status: 503, retryable: true })
      expect(await lost).toMatchObject({ reason: expect.stringContaining(signal) })
      // The neighbour that was queued behind it gets its answer from the new child.
      expect((await waiting).outputs.y?.dims).toEqual([64])
      await expect.poll(workerPids).not.toContain(pid)
    },
  )

  test('a run that hangs is killed at its deadline; neighbours get their answers', async () => {
    const server = await serve({ source: slowLoopModel() })
    await server.predict('m', { trips: 1n })
    const [pid] = workerPids()
    const hung = server.predict('m', { trips: FOREVER }, { timeoutMs: 300 })
    await posted()
    const neighbours = Array.from({ length: 5 }, () => server.predict('m', { trips: 2n }))
    await expect(hung).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', status: 504 })
    for (const { outputs } of await Promise.all(neighbours)) expect(outputs.y?.dims).toEqual([64])
    expect(isAlive(pid!)).toBe(false)
  })

  test('what waits at the worker behind a run that hangs is run by the next child', async () => {
    const server = await serve({ source: slowLoopModel() })
    // Short runs are posted ahead of time. On a busy machine one may not seem short at first.
    const tookMs = (): number => {
      const { baseMs, perRowMs } = server.model('m').batching.curve ?? { baseMs: Number.POSITIVE_INFINITY, perRowMs: 0 }
      return baseMs + perRowMs
    }
    do await server.predict('m', { trips: 1n })
    while (tookMs() > 1)
    const hung = server.predict('m', { trips: FOREVER }, { timeoutMs: 300 })
    await posted()
    const neighbour = server.predict('m', { trips: 2n })
    await posted()
    expect(server.model('m').queue).toMatchObject({ waiting: 0, running: 2 })
    await expect(hung).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    expect((await neighbour).outputs.y?.dims).toEqual([64])
  })

  test('a deadline that a healthy run misses does not cost the child', async () => {
    const server = await serve({ source: slowLoopModel() })
    // Runs are expected to take half a second, so that it would be taken for hung after two.
    for (let i = 0; i < 2; i++) await server.predict('m', { trips: 500_000n })
    const pids = workerPids()
    const release = hold(pids)
    await expect(server.predict('m', { trips: 1n }, { timeoutMs: 8 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    release()
    await server.predict('m', { trips: 1n })
    expect(workerPids()).toEqual(pids)
  })

  test('memory over the cap kills the child, not the host', async () => {
    const hungry = writeModel({
      graph: {
        inputs: [value('shape', 'int64', [1])],
        outputs: [value('total', 'float', [])],
        nodes: [node('ConstantOfShape', ['shape'], ['big']), node('ReduceSum', ['big'], ['total'])],
      },
    })
    const server = await serve({ source: hungry, maxMemoryBytes: 400 * 1024 * 1024 })
    const events = watch(server)
    const lost = events.next((event) => event.type === 'worker-lost')
    await expect(server.predict('m', { shape: [2 ** 31] })).rejects.toMatchObject({ code: 'WORKER_LOST' })
    expect(await lost).toMatchObject({ reason: expect.stringContaining('maxMemoryBytes') })
    await server.predict('m', { shape: [4] })
  })

  test('repeated crashes open the breaker; a working run closes it', async () => {
    const server = await serve({})
    const events = watch(server)
    const opened = events.next((event) => event.type === 'breaker' && event.state === 'open')
    const closed = events.next((event) => event.type === 'breaker' && event.state === 'closed')
    server.subscribe((event) => {
      if (event.type === 'worker-ready' && !events.seen.some((seen) => seen.type === 'breaker'))
        for (const pid of workerPids()) process.kill(pid, 'SIGSEGV')
    })
    for (const pid of workerPids()) process.kill(pid, 'SIGSEGV')
    expect(await opened).toMatchObject({ crashes: 5 })
    await expect(server.predict('m', A)).rejects.toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      status: 503,
      retryAfterS: expect.any(Number),
    })
    await events.next((event) => event.type === 'worker-ready')
    await server.predict('m', A)
    await closed
  })

  test('a child sees no secret, works in an empty folder and asks to be killed first', async () => {
    process.env.MODELMOUNT_TEST_SECRET = 'hunter2'
    await serve({})
    const [pid] = workerPids()
    const env = readFileSync(`/proc/${pid}/environ`, 'latin1')
    expect(env).not.toContain('hunter2')
    expect(env).toContain('ORT_DISABLE_TELEMETRY=1')
    // Removed as soon as the child is up in it: nothing can be put there, and nothing is left however the host ends.
    await expect.poll(() => readlinkSync(`/proc/${pid}/cwd`)).toMatch(/modelmount-\w+ \(deleted\)$/)
    expect(readdirSync(`/proc/${pid}/cwd`)).toEqual([])
    expect(readFileSync(`/proc/${pid}/oom_score_adj`, 'latin1').trim()).toBe('1000')
    await server?.close()
    expect(isAlive(pid!)).toBe(false)
  })

  test("a child's stderr becomes events", async () => {
    const server = await serve({})
    const events = watch(server)
    const line = events.next((event) => event.type === 'worker-output')
    // Makes Node itself write to stderr.
    process.kill(workerPids()[0]!, 'SIGUSR1')
    expect(await line).toMatchObject({ model: 'm', version: '1', line: expect.stringContaining('Debugger listening') })
  })

  test('a hung child does not outlive a host that was killed', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'orphan-test-'))
    try {
      const model = join(dir, 'loop.onnx')
      writeFileSync(model, slowLoopModel())
      const script = fileURLToPath(new URL('orphan.mjs', import.meta.url))
      const host = spawn(process.execPath, [script, model], { stdio: ['ignore', 'pipe', 'inherit'] })
      await new Promise((resolve) => host.stdout.once('data', resolve))
      const [orphan] = workerPids(host.pid)
      expect(orphan).toBeDefined()
      host.kill('SIGKILL')
      await expect.poll(() => isAlive(orphan!), { timeout: 10_000 }).toBe(false)
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })
})
