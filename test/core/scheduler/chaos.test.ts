/**
 * Everything that can go wrong at once, on a simulated clock: poisonous rows, callers that leave, deadlines that have passed or will, workers
 * that die, queues that are full. Each request is answered once, with its own answer or a reason that is true of it.
 */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createBalancer } from '../../../src/core/engine/balance.ts'
import type { Instance } from '../../../src/core/engine/instance.ts'
import type { Pool } from '../../../src/core/engine/pool.ts'
import type { RunOutcome } from '../../../src/core/engine/run.ts'
import { NO_SESSION } from '../../../src/core/engine/wire/names.ts'
import { ModelmountError } from '../../../src/core/errors.ts'
import type { Batching } from '../../../src/core/scheduler/batching.ts'
import type { Finished, Ticket } from '../../../src/core/scheduler/entry.ts'
import type { Sink } from '../../../src/core/scheduler/lean/index.ts'
import { createScheduler } from '../../../src/core/scheduler/scheduler.ts'
import type { Priority } from '../../../src/core/scheduler/types.ts'
import type { ModelSignature, Tensor } from '../../../src/core/tensor/types.ts'
import { proveWith } from '../../support/proving.ts'
import { createRandom, createSimulatedClock } from '../../support/simulated-clock.ts'
import { sendBy } from '../../support/worker-messages.ts'

const SIGNATURE: ModelSignature = {
  inputs: [{ name: 'x', type: 'float32', declaredType: 'float32', dims: ['N', 1] }],
  outputs: [{ name: 'x', type: 'float32', declaredType: 'float32', dims: ['N', 1] }],
}
const POISON = -1
const connections = [undefined, Symbol('one'), Symbol('two')]
const CAP = 16
const law = (rows: number): number => 2 + 0.1 * rows

const batchingOf = async (): Promise<Batching> => {
  const settings = { maxSize: CAP, maxRunMs: 50, maxElements: 1e6, maxDelayMs: 0, mixTenants: false, axes: {}, ragged: undefined }
  const batching = await proveWith(SIGNATURE, { ...settings, independentRows: false }, async (runs) =>
    runs.map(({ inputs }): RunOutcome => ({ outputs: { ...inputs }, inferMs: law(inputs.x?.dims[0] ?? 1) })),
  )
  expect(batching.cap).toBe(CAP)
  return batching
}

const rejected = (): RunOutcome => ({ error: new ModelmountError('INPUT_REJECTED', 'poison'), inferMs: 1 })

interface Trouble {
  readonly seed: number
  readonly killable: boolean
  readonly mixTenants: boolean
  readonly instances: number
  readonly maxQueue: number
  /** Share of messages under which a worker dies. */
  readonly losses: number
  readonly poison: number
  /** Requests that may take the lean path are offered to it first. */
  readonly lean: boolean
  /** All requests are of one tenant and one priority. */
  readonly oneFlow: boolean
}

const AS_IT_IS: Sink = { answered: (finished) => finished, failed: (error) => error }

async function run({ seed, killable, mixTenants, instances: count, maxQueue, losses, poison, lean, oneFlow }: Trouble) {
  const [clock, random] = [createSimulatedClock(), createRandom(seed)]
  const batching = await batchingOf()
  const instances: Instance[] = []
  /** Rows that were run, by the id of their request. */
  const ran = new Map<number, number>()
  let lost = 0

  function addInstance(): void {
    const waiting: { done: Parameters<Instance['run']>[1]; outcomes: RunOutcome[] }[] = []
    let freeAt = 0
    const die = (): void => {
      ;(instance as { ready: boolean }).ready = false
      instances.splice(instances.indexOf(instance), 1)
      lost++
      for (const [i, { done }] of waiting.splice(0).entries()) done(i === 0 ? 'lost' : 'unstarted')
      clock.after(5, () => {
        addInstance()
        scheduler.wake()
      })
    }
    const instance: Instance = {
      id: 1,
      loaded: new Promise(() => {}),
      get bursts() {
        return waiting.length
      },
      get outstanding() {
        return waiting.length
      },
      ready: true,
      run(runs, done) {
        let ms = 0
        const outcomes = runs.map(({ inputs }) => {
          const data = inputs.x?.data as Float32Array
          ms += law(data.length)
          for (const value of data) ran.set(Math.floor(value), (ran.get(Math.floor(value)) ?? 0) + 1)
          return data.includes(POISON)
            ? rejected()
            : { outputs: { x: { ...inputs.x, data: data.slice() } as Tensor }, inferMs: law(data.length) }
        })
        const message = { done, outcomes }
        waiting.push(message)
        freeAt = Math.max(freeAt, clock.now()) + ms
        const dies = random() < losses
        clock.after(freeAt - clock.now(), () => {
          if (!instance.ready) return
          if (dies) return die()
          waiting.splice(waiting.indexOf(message), 1)
          done(outcomes)
        })
      },
      names: NO_SESSION,
      send(message, rows, done) {
        sendBy(instance.run)(message, rows, done)
      },
      kill() {
        if (instance.ready && killable) die()
        return killable
      },
      tier: 'worker',
      memoryBytes: undefined,
      close: async () => {},
    }
    instances.push(instance)
  }

  const pool = {
    instances,
    target: count,
    killable,
    unavailableForMs: undefined,
    unavailableBecause: undefined,
    succeeded() {},
    queueChanged() {},
    balancer: createBalancer<Instance>('fastest', { clock, random, recheck: () => scheduler.wake() }),
  } as unknown as Pool
  const scheduler = createScheduler({
    pool,
    clock,
    maxQueue,
    maxQueueBytes: Number.MAX_SAFE_INTEGER,
    maxQueuePerTenant: Math.ceil(maxQueue / 2),
    maxDelayMs: 0,
    mixTenants,
    defer: (callback) => void clock.after(0, callback),
  })
  scheduler.setBatching(batching)
  for (let i = 0; i < count; i++) addInstance()

  const codes: string[] = []
  const problems: string[] = []
  let sent = 0
  let short = 0

  function shortWay({
    run,
    enqueuedAt,
    deadline,
    tenant,
    priority,
    connection,
    signal,
    shareable,
  }: Ticket): Promise<Finished> | undefined {
    const { lane } = scheduler
    if (!lean || !shareable || !lane.admits(enqueuedAt, deadline, tenant, priority, connection, signal)) return undefined
    // As callers give them, or as they come out of the check.
    const rows = random() < 0.5 ? lane.write(run.inputs, 1e6, 1e6) : lane.write(run.inputs, undefined, 1e6)
    if (rows === 0) return undefined
    short++
    return lane.commit(rows, enqueuedAt, deadline, signal, connection, undefined, undefined, AS_IT_IS) as Promise<Finished>
  }

  function send(id: number): void {
    sent++
    const rows = random() < 0.03 ? 3 * CAP + 5 : 1 + Math.floor(4 * random())
    const poisonous = random() < poison
    const data = Float32Array.from({ length: rows }, (_, row) => id + row / 128)
    if (poisonous) data[rows - 1] = POISON
    const timeoutMs = random() < 0.05 ? -1 : 1 + 150 * random()
    const leave = random() < 0.1 ? new AbortController() : undefined
    if (leave) clock.after(30 * random(), () => leave.abort())
    const now = clock.now()
    let answers = 0
    const answered = (code: string): void => {
      if (++answers > 1) problems.push(`${id} answered twice`)
      codes.push(code)
      if (code === 'INPUT_REJECTED' && !poisonous) problems.push(`${id} pays for another one's poison`)
      if (code === 'ABORTED' && !leave) problems.push(`${id} did not leave`)
      if (code === 'WORKER_LOST' && lost === 0) problems.push(`${id} lost no worker`)
      if (timeoutMs < 0 && (code === 'ok' || ran.has(id))) problems.push(`${id} ran after its deadline`)
      if (clock.now() > now + Math.max(0, timeoutMs) + 1) problems.push(`${id} was told late: ${code}`)
    }
    const inputs = { x: { type: 'float32', dims: [rows, 1], data } as Tensor }
    const ticket: Ticket = {
      run: { inputs, fetches: ['x'] },
      enqueuedAt: now,
      deadline: now + timeoutMs,
      signal: leave?.signal,
      priority: oneFlow ? 'normal' : ((['high', 'normal', 'low'] as const)[Math.floor(3 * random())] as Priority),
      tenant: oneFlow ? '' : (['', 'a', 'b'][Math.floor(3 * random())] as string),
      connection: connections[Math.floor(4 * random())],
      shareable: random() > 0.05,
    }
    ;(shortWay(ticket) ?? scheduler.submit(ticket)).then(
      ({ outputs }) => {
        const got = outputs.x?.data as Float32Array
        if (poisonous) problems.push(`${id} was poisonous`)
        if (got.length !== rows || got.some((value, row) => value !== data[row])) problems.push(`${id} got another one's answer`)
        answered('ok')
      },
      (error: ModelmountError) => answered(error.code ?? String(error)),
    )
  }

  let id = 1
  const arrive = (): void => {
    const burst = random() < 0.05 ? 60 : 1
    for (let i = 0; i < burst; i++) send(id++)
    if (clock.now() < 1000) clock.after(-1.2 * Math.log(1 - random()), arrive)
  }
  clock.after(0, arrive)
  await clock.letPass(2000)
  return { sent, short, codes, problems, stats: scheduler.stats, lost }
}

const troubles: fc.Arbitrary<Trouble> = fc.record({
  seed: fc.integer({ min: 1, max: 1e6 }),
  killable: fc.boolean(),
  mixTenants: fc.boolean(),
  instances: fc.integer({ min: 1, max: 3 }),
  maxQueue: fc.constantFrom(10, 100, 10_000),
  losses: fc.constantFrom(0, 0.02, 0.2),
  poison: fc.constantFrom(0, 0.02, 0.3),
  lean: fc.boolean(),
  oneFlow: fc.boolean(),
})

const CALM: Trouble = {
  ...{ seed: 7, killable: false, mixTenants: false, instances: 3, maxQueue: 10_000 },
  ...{ losses: 0, poison: 0, lean: true, oneFlow: true },
}

test('in all of it, every request gets its own answer, or a reason that is true of it, once and in time', async () => {
  const seen = new Set<string>()
  const shares: number[] = []
  await fc.assert(
    fc.asyncProperty(troubles, async (trouble) => {
      const { sent, short, codes, problems, stats } = await run(trouble)
      if (trouble.lean && trouble.oneFlow) shares.push(short / sent)
      expect(problems).toEqual([])
      expect(codes).toHaveLength(sent)
      expect(stats).toMatchObject({ waiting: 0, running: 0 })
      for (const code of codes) seen.add(code)
    }),
    {
      numRuns: 20,
      seed: 11,
      examples: [CALM, { ...CALM, killable: true, losses: 0.02, instances: 1 }].map((trouble) => [trouble]),
    },
  )
  // The test has been to all these places, and down the lean path in good times as in bad ones.
  expect(Math.max(...shares)).toBeGreaterThan(0.5)
  expect(Math.min(...shares)).toBeGreaterThan(0)
  for (const code of [
    'ok',
    'INPUT_REJECTED',
    'ABORTED',
    'DEADLINE_EXCEEDED',
    'QUEUE_FULL',
    'QUOTA_EXCEEDED',
    'OVERLOADED',
    'WORKER_LOST',
  ])
    expect(seen).toContain(code)
  expect(seen.size).toBe(8)
})
