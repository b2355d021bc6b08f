/** As many instances as the load needs, models that leave memory and come back, one budget for all, and no request lost over it. */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, getPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ModelServer, ServerEvent, Telemetry } from 'modelmount'
import { describe, expect, onTestFinished, test } from 'vitest'
import { slowLoopModel } from '../../tools/models.mjs'
import { hold, nextWorker, workerPids } from '../support/children.ts'
import { watch } from '../support/events.ts'
import { LINUX, TWO_CPUS } from '../support/needs.ts'
import { posted, provedServerFor as serverFor } from '../support/server.ts'
import { constantOf } from '../support/small-models.ts'

const MIB = 1024 * 1024
const TIERS = process.platform === 'linux' ? (['thread', 'process'] as const) : (['thread'] as const)

const scaledTo = (instances: number) => (event: ServerEvent) => event.type === 'scaled' && event.instances === instances
const moved = (model: string, resident: boolean) => (event: ServerEvent) =>
  event.type === 'residency' && event.model === model && event.resident === resident

/** Callers that each send the next request when the last one is answered; `stop()` resolves with the number of answers. */
function traffic(server: ModelServer, { model = 'm', callers = 6, trips = 20_000n } = {}) {
  let more = true
  let answers = 0
  const done = Promise.all(
    Array.from({ length: callers }, async () => {
      while (more) {
        await server.predict(model, { trips })
        answers++
      }
    }),
  )
  return {
    done,
    async stop(): Promise<number> {
      more = false
      await done
      return answers
    },
  }
}

/** Six callers of one instance wait longer than `targetDelayMs` on the fastest machine. */
const SCALED = {
  name: 'm',
  source: slowLoopModel(),
  instances: { min: 1, max: 2 },
  scaling: { targetDelayMs: 1, idleMs: 400 },
} as const

describe('scaling', TWO_CPUS, () => {
  test.each(TIERS)('up while requests stand in line, down after an idle period (%s tier)', async (isolation) => {
    const ran = new Set<number>()
    let bothRan = (): void => {}
    const both = new Promise<void>((resolve) => {
      bothRan = resolve
    })
    const telemetry: Telemetry = {
      run({ instance }) {
        if (ran.add(instance).size === 2) bothRan()
      },
    }
    const server = await serverFor({ models: [SCALED], isolation, telemetry, strict: true })
    expect(server.model('m').instances).toEqual({ ready: 1, target: 1, min: 1, max: 2, threads: expect.any(Number) })
    const events = watch(server)
    const up = events.next(scaledTo(2))
    const ready = events.next((event) => event.type === 'worker-ready')
    const load = traffic(server)
    expect(await up).toMatchObject({ model: 'm', version: '1', reason: 'queue' })
    const down = events.next(scaledTo(1))
    await ready
    expect(server.model('m').instances).toMatchObject({ ready: 2, target: 2 })
    // Both take part.
    await both
    expect(await load.stop()).toBeGreaterThan(6)
    expect(await down).toMatchObject({ reason: 'idle' })
    await expect.poll(() => server.model('m').instances.ready).toBe(1)
    if (isolation === 'process') await expect.poll(() => workerPids().length).toBe(1)
    await server.predict('m', { trips: 1n })
  })

  test('a light load needs no second instance', async () => {
    const server = await serverFor({ models: [SCALED], strict: true })
    const events = watch(server)
    for (let i = 0; i < 50; i++) await server.predict('m', { trips: 5_000n })
    expect(events.seen.filter(({ type }) => type === 'scaled')).toEqual([])
  })

  test('not beyond the CPUs, which is said once', async () => {
    const max = availableParallelism() * 4
    const server = await serverFor({
      models: [{ ...SCALED, instances: { min: 1, max }, session: { intraOpNumThreads: availableParallelism() } }],
    })
    const events = watch(server)
    const warned = events.next((event) => event.type === 'warning')
    const load = traffic(server)
    expect(await warned).toMatchObject({ message: expect.stringMatching(/^m@1: .*CPUs/) })
    await load.stop()
    expect(server.model('m').instances).toMatchObject({ target: 1, max, threads: availableParallelism() })
    expect(events.seen.filter(({ type }) => type === 'warning')).toHaveLength(1)
  })

  test('not beyond the memory, which is said once', async () => {
    const server = await serverFor({ models: [SCALED], memory: { budgetBytes: 20 * MIB } })
    const events = watch(server)
    const warned = events.next((event) => event.type === 'warning')
    const load = traffic(server)
    expect(await warned).toMatchObject({ message: expect.stringContaining('memory.budgetBytes') })
    await load.stop()
    expect(server.model('m').instances.target).toBe(1)
  })

  test('numbers that ask for more than there is are obeyed, with a warning', async () => {
    const server = await serverFor({ models: [] })
    const events = watch(server)
    const instances = availableParallelism() + 1
    await server.load({ name: 'm', source: slowLoopModel(), instances })
    expect(server.model('m').instances).toMatchObject({ ready: instances, target: instances, min: instances, max: instances })
    expect(events.seen).toContainEqual({
      type: 'warning',
      message: expect.stringMatching(/^m@1: \d+ instances with 1 thread each/),
    })
  })

  test('models that load together share the CPUs', async () => {
    const cpus = availableParallelism() > 2 ? availableParallelism() - 1 : availableParallelism()
    // One that shares a thread has a thread's part.
    const alone = await serverFor({ models: [{ name: 'a', source: constantOf(1) }], sharedWorker: false })
    expect(alone.model('a').instances.threads).toBe(cpus)
    const names = ['a', 'b']
    const both = await serverFor({ models: names.map((name) => ({ name, source: constantOf(1) })), sharedWorker: false })
    for (const name of names) expect(both.model(name).instances.threads).toBe(Math.max(1, Math.floor(cpus / 2)))
  })

  test('replacing the version while it scales fails no request', async () => {
    const server = await serverFor({ models: [SCALED], strict: true })
    const events = watch(server)
    const up = events.next(scaledTo(2))
    const load = traffic(server)
    await up
    await server.load(SCALED)
    expect(server.models()).toHaveLength(1)
    expect(await load.stop()).toBeGreaterThan(0)
  })

  test.each(['unload', 'close'] as const)('%s while it scales answers what was accepted and leaves nothing', async (how) => {
    const server = await serverFor({ models: [SCALED], isolation: TIERS.at(-1), strict: true })
    const events = watch(server)
    const up = events.next(scaledTo(2))
    const load = traffic(server)
    await up
    const accepted = Array.from({ length: 20 }, () => server.predict('m', { trips: 20_000n }))
    const stopped = load.stop()
    await (how === 'close' ? server.close() : server.unload('m'))
    expect((await Promise.allSettled(accepted)).filter(({ status }) => status === 'rejected')).toEqual([])
    expect(await stopped).toBeGreaterThan(0)
    await expect.poll(workerPids).toEqual([])
  })

  test('a new instance that dies while it loads costs nothing', LINUX, async () => {
    const server = await serverFor({ models: [SCALED], isolation: 'process', strict: true })
    const events = watch(server)
    const [first] = workerPids()
    const failed = events.next((event) => event.type === 'scaled' && event.reason === 'failed')
    const killed = events.next(scaledTo(2)).then(async () => {
      process.kill(await nextWorker([first!]), 'SIGKILL')
    })
    const load = traffic(server)
    await killed
    expect(await failed).toMatchObject({ instances: 1, detail: expect.stringContaining('SIGKILL') })
    expect(server.model('m').instances).toMatchObject({ ready: 1, target: 1 })
    // It is tried again.
    await events.next(scaledTo(2))
    await events.next((event) => event.type === 'worker-ready')
    expect(await load.stop()).toBeGreaterThan(0)
    expect(events.seen.filter(({ type }) => type === 'worker-lost')).toEqual([])
  })

  test('a crash of the only instance while another one loads', LINUX, async () => {
    // The traffic ends before both are back: an idle period must not scale down meanwhile.
    const scaling = { ...SCALED.scaling, idleMs: 600_000 }
    const server = await serverFor({ models: [{ ...SCALED, scaling }], isolation: 'process', strict: true })
    const events = watch(server)
    const [first] = workerPids()
    const up = events.next(scaledTo(2))
    const load = traffic(server)
    await up
    const stopped = load.stop()
    const sent = Array.from({ length: 20 }, () => server.predict('m', { trips: 1n }))
    hold([first!])
    // Its answers up to then arrive, and it gets another run that it does not answer any more.
    await expect.poll(() => server.model('m').queue.running).toBeGreaterThan(0)
    for (let i = 0; i < 3; i++) await posted()
    process.kill(first!, 'SIGKILL')
    const outcomes = await Promise.allSettled([stopped, ...sent])
    const lost = outcomes.filter(({ status }) => status === 'rejected')
    // The one that ran, and nothing of what waited.
    expect(lost).toHaveLength(1)
    expect(lost[0]).toMatchObject({ reason: { code: 'WORKER_LOST' } })
    await expect.poll(() => server.model('m').instances).toMatchObject({ ready: 2, target: 2 })
  })
})

describe('on demand', () => {
  test.each(TIERS)('a model that nobody asks for leaves, and comes back once for twenty callers (%s tier)', async (isolation) => {
    const server = await serverFor({ models: [], isolation })
    const events = watch(server)
    const out = events.next(moved('m', false))
    await server.load({ name: 'm', source: constantOf(7), idleUnloadMs: 150 })
    expect(server.model('m').state).toBe('ready')
    expect(await out).toMatchObject({ version: '1', reason: 'idle' })
    expect(server.model('m')).toMatchObject({ state: 'ready', resident: false, instances: { ready: 0, target: 0, min: 1 } })
    expect(server.health()).toMatchObject({ ready: true, models: [{ name: 'm', state: 'ready' }] })
    if (isolation === 'process') await expect.poll(workerPids).toEqual([])

    const back = events.next(moved('m', true))
    const results = await Promise.all(Array.from({ length: 20 }, () => server.predict('m', {})))
    expect(results.map(({ outputs }) => outputs.y?.data[0])).toEqual(Array(20).fill(7))
    expect(await back).toMatchObject({ reason: 'demand' })
    expect(events.seen.filter(moved('m', true))).toHaveLength(1)
    // And leaves again.
    await events.next(moved('m', false))
  })

  test('min: 0 means the same, after scaling.idleMs', async () => {
    const server = await serverFor({ models: [] })
    const events = watch(server)
    const out = events.next(moved('m', false))
    await server.load({ name: 'm', source: constantOf(7), instances: { min: 0, max: 2 }, scaling: { idleMs: 150 } })
    await out
    expect(server.model('m').instances).toMatchObject({ min: 0, max: 2, ready: 0 })
    expect((await server.predict('m', {})).outputs.y?.data[0]).toBe(7)
  })

  test('a model in use stays', async () => {
    const server = await serverFor({ models: [{ name: 'm', source: slowLoopModel(), idleUnloadMs: 100 }] })
    const events = watch(server)
    await server.predict('m', { trips: 500_000n })
    for (let i = 0; i < 20; i++) await server.predict('m', { trips: 10_000n })
    expect(events.seen.filter(({ type }) => type === 'residency')).toEqual([])
    await events.next(moved('m', false))
  })

  test('deadlines and signals hold while it comes back', async () => {
    const server = await serverFor({ models: [] })
    const events = watch(server)
    const out = events.next(moved('m', false))
    await server.load({ name: 'm', source: constantOf(7), idleUnloadMs: 150 })
    await out
    const gone = new AbortController()
    const calls = [{ timeoutMs: 1 }, { signal: gone.signal }, {}].map((opts) => server.predict('m', {}, opts))
    const outcomes = Promise.allSettled(calls)
    await posted()
    gone.abort()
    expect(await outcomes).toMatchObject([
      { reason: { code: 'DEADLINE_EXCEEDED' } },
      { reason: { code: 'ABORTED' } },
      { value: { outputs: { y: { data: Float32Array.of(7) } } } },
    ])
  })

  test('close and unload answer who waits for it', async () => {
    for (const how of ['close', 'unload'] as const) {
      const server = await serverFor({ models: [] })
      const events = watch(server)
      const out = events.next(moved('m', false))
      await server.load({ name: 'm', source: constantOf(7), idleUnloadMs: 150 })
      await out
      const waiting = Array.from({ length: 5 }, () => server.predict('m', {}))
      await posted()
      await (how === 'close' ? server.close() : server.unload('m'))
      for (const { outputs } of await Promise.all(waiting)) expect(outputs.y?.data[0]).toBe(7)
    }
  })

  test('a model that is out can be closed, unloaded and replaced', async () => {
    const server = await serverFor({ models: [] })
    const events = watch(server)
    for (const answer of [1, 2]) {
      const out = events.next(moved('m', false))
      await server.load({ name: 'm', source: constantOf(answer), idleUnloadMs: 150 })
      await out
    }
    expect((await server.predict('m', {})).outputs.y?.data[0]).toBe(2)
    await events.next(moved('m', false))
    await server.unload('m')
    expect(server.models()).toEqual([])
  })

  test('a file that changed meanwhile is not run; load() mends it', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'instances-test-'))
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
    const source = join(dir, 'm.onnx')
    writeFileSync(source, constantOf(1))
    const server = await serverFor({ models: [] })
    const events = watch(server)
    const out = events.next(moved('m', false))
    await server.load({ name: 'm', source, idleUnloadMs: 150 })
    await out
    writeFileSync(source, constantOf(2))
    const refused = { code: 'MODEL_UNAVAILABLE', status: 503, message: expect.stringContaining('changed on disk') }
    const calls = await Promise.allSettled(Array.from({ length: 3 }, () => server.predict('m', {})))
    for (const call of calls) expect(call).toMatchObject({ status: 'rejected', reason: refused })
    await expect(server.predict('m', {})).rejects.toMatchObject(refused)
    expect(server.health().ready).toBe(false)
    await server.load({ name: 'm', source })
    expect((await server.predict('m', {})).outputs.y?.data[0]).toBe(2)
    expect(server.health().ready).toBe(true)
  })
})

describe('the memory budget', () => {
  /** Room for two bare threads with a tiny model, not for three. */
  const ROOM_FOR_TWO = 40 * MIB
  const three = ['a', 'b', 'c'].map((name, i) => ({ name, source: constantOf(i) }))

  test('a model that is larger than all of it fails to load, with both numbers; the others serve', async () => {
    const server = await serverFor({
      models: [{ name: 'large', source: constantOf(1), instances: 3 }, three[0]!],
      memory: { budgetBytes: ROOM_FOR_TWO },
    })
    const { state, reason } = server.model('large')
    expect(state).toBe('failed')
    expect(reason?.code).toBe('MODEL_LOAD_FAILED')
    expect(reason?.message).toMatch(new RegExp(`needs about \\d{8} bytes .*\\(${ROOM_FOR_TWO}\\)`))
    expect((await server.predict('a', {})).outputs.y?.data[0]).toBe(0)
  })

  test.each(TIERS)('the memory of an instance is told, and how it is known (%s tier)', async (isolation) => {
    const server = await serverFor({ models: [three[0]!], isolation, strict: true })
    const basis = isolation === 'process' ? 'measured' : 'weights'
    const { memory } = server.model('a')
    expect(memory?.basis).toBe(basis)
    expect(memory?.perInstanceBytes).toBeGreaterThan(10 * MIB)
    expect(memory?.perInstanceBytes).toBeLessThan(200 * MIB)
  })

  test('the least recently used model makes room', async () => {
    const server = await serverFor({ models: [], memory: { budgetBytes: ROOM_FOR_TWO }, sharedWorker: false })
    const events = watch(server)
    const left = (): string[] =>
      events.seen.flatMap((event) => (event.type === 'residency' && !event.resident ? `${event.model} ${event.reason}` : []))
    await server.load(three[0]!)
    await server.load(three[1]!)
    await server.predict('a', {})
    await server.load(three[2]!)
    expect(left()).toEqual(['b memory'])
    expect(server.health().ready).toBe(true)
    await server.predict('b', {})
    expect(left()).toEqual(['b memory', 'a memory'])
    await server.predict('a', {})
    expect(left()).toEqual(['b memory', 'a memory', 'c memory'])
    expect(server.models().map(({ name, resident }) => [name, resident])).toEqual([
      ['a', true],
      ['b', true],
      ['c', false],
    ])
  })

  test('three models with room for two, all asked at once, over and over: no request fails', async () => {
    const server = await serverFor({ models: three, memory: { budgetBytes: ROOM_FOR_TWO }, strict: true, sharedWorker: false })
    const events = watch(server)
    const most = { resident: 0 }
    server.subscribe(() => {
      most.resident = Math.max(most.resident, server.models().filter(({ resident }) => resident).length)
    })
    for (let round = 0; round < 4; round++) {
      const answers = await Promise.all(
        Array.from({ length: 30 }, async (_, i) => {
          const { outputs } = await server.predict('abc'[i % 3] ?? '', {})
          return outputs.y?.data[0]
        }),
      )
      expect(answers).toEqual(Array.from({ length: 30 }, (_, i) => i % 3))
    }
    expect(most.resident).toBeLessThanOrEqual(2)
    expect(events.seen.filter(({ type }) => type === 'residency').length).toBeGreaterThan(2)
  })
})

test('closing does not wait for a model that waits for memory', async () => {
  const models = [{ name: 'busy', source: slowLoopModel() }]
  const server = await serverFor({ models, memory: { budgetBytes: 20 * MIB } })
  // Never idle, so that it need not leave.
  const load = traffic(server, { model: 'busy', callers: 2, trips: 1000n })
  const loading = server.load({ name: 'm', source: constantOf(1) }).catch((error: unknown) => error)
  await expect.poll(() => server.models().some(({ name }) => name === 'm')).toBe(true)
  const stopped = load.stop()
  await server.close()
  await stopped
  expect(await loading).toMatchObject({ code: expect.stringMatching(/^(SERVER_CLOSED|MODEL_LOAD_FAILED)$/) })
})

describe('niceness', () => {
  /** Niceness of every thread of a process. */
  const nicenessOf = (pid: number | 'self'): number[] =>
    readdirSync(`/proc/${pid}/task`).flatMap((task) => {
      try {
        const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, 'latin1')
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])
      } catch {
        // A thread of an earlier test that ended meanwhile.
        return []
      }
    })
  const host = getPriority(process.pid)

  test('threads of a worker stand back, those of the host do not', LINUX, async () => {
    const server = await serverFor({
      models: [{ name: 'm', source: slowLoopModel(), session: { intraOpNumThreads: 2 } }],
      niceness: 15,
      strict: true,
    })
    await server.predict('m', { trips: 1n })
    const low = nicenessOf('self').filter((niceness) => niceness === 15)
    // The worker, and the thread that ONNX Runtime added for it.
    expect(low.length).toBeGreaterThanOrEqual(2)
    expect(nicenessOf('self').filter((niceness) => niceness === host).length).toBeGreaterThan(0)
    expect(getPriority(process.pid)).toBe(host)
  })

  test('a child stands back as a whole', LINUX, async () => {
    const server = await serverFor({
      models: [{ name: 'm', source: slowLoopModel() }],
      isolation: 'process',
      niceness: 7,
      strict: true,
    })
    const [pid] = workerPids()
    expect(getPriority(pid!)).toBe(7)
    await server.predict('m', { trips: 1n })
  })

  test('off by default', async () => {
    const server = await serverFor({ models: [{ name: 'm', source: slowLoopModel() }], strict: true })
    await server.predict('m', { trips: 1n })
    if (process.platform === 'linux') expect(new Set(nicenessOf('self'))).toEqual(new Set([host]))
  })
})

describe('options', () => {
  test('are checked, all at once', async () => {
    const server = await serverFor({ models: [] })
    await expect(
      server.load({
        name: 'm',
        source: constantOf(1),
        instances: { min: 3, max: 2 },
        scaling: { idleMs: 0 },
        balance: 'slowest' as 'fastest',
        niceness: 20,
        idleUnloadMs: -1,
      }),
    ).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      details: {
        problems: [
          'spec.instances.min (3) must not be over spec.instances.max (2)',
          'spec.scaling.idleMs must be a number of milliseconds over 0, got 0',
          expect.stringContaining('spec.balance must be one of'),
          'spec.niceness must be an integer from 0 to 19, got 20',
          'spec.idleUnloadMs must be a number of milliseconds over 0, got -1',
        ],
      },
    })
    await expect(serverFor({ models: [], memory: { budgetBytes: 0 }, instances: 0 })).rejects.toMatchObject({
      details: {
        problems: [
          expect.stringContaining('memory.budgetBytes'),
          'instances must be an integer from 1 to 256, or { min, max }, got 0',
        ],
      },
    })
  })

  test.each(['fastest', 'round-robin', 'least-outstanding', 'response-time', 'two-choices'] as const)(
    'balance: %s answers everything',
    async (balance) => {
      const server = await serverFor({ models: [{ name: 'm', source: slowLoopModel(), instances: 2 }], balance, strict: true })
      const results = await Promise.all(Array.from({ length: 100 }, (_, i) => server.predict('m', { trips: BigInt(1 + 50 * i) })))
      expect(results).toHaveLength(100)
    },
  )
})
