/** Bounds in bytes at their edge: an exact fit is admitted, one byte more is not, and bytes that have left no longer count. */

import { describe, expect, test } from 'vitest'
import { createBufferPool, POOLED_BYTES } from '../../src/core/engine/buffer-pool.ts'
import { createSequences, planSequences } from '../../src/core/sequences/index.ts'
import type { ModelSignature, Tensor, ValueInfo } from '../../src/core/tensor/types.ts'
import { createPoisonedLoad } from '../support/poisoned-load.ts'
import { createSimulatedClock } from '../support/simulated-clock.ts'
import { call, handModel, setUp } from './cache/support.ts'

/** Below the bound, at it, and beyond it. */
const EDGES = [
  [-1, true],
  [0, true],
  [1, false],
] as const

/** Of a request of `createPoisonedLoad`. */
const REQUEST_BYTES = 8

const RUN = { batchId: 1, runMs: 0, tier: 'worker' } as const

describe('maxQueueBytes', () => {
  test.each(EDGES)('of the queue, with %i bytes beyond it', async (beyond, fits) => {
    const load = createPoisonedLoad({ cap: 1, law: () => 10, maxQueueBytes: 3 * REQUEST_BYTES - beyond })
    load.send()
    await load.clock.letPass(1)
    const waiting = [load.send(), load.send()]
    const edge = load.send()
    await load.clock.letPass(100)
    for (const number of waiting) expect(load.answers.get(number)).toBe('ok')
    expect(load.answers.get(edge)).toBe(fits ? 'ok' : 'QUEUE_FULL')
  })

  test('what was answered, has left or was refused counts no more', async () => {
    const load = createPoisonedLoad({ cap: 1, law: () => 10, maxQueueBytes: 3 * REQUEST_BYTES })
    for (let round = 0; round < 20; round++) {
      const controller = new AbortController()
      load.send()
      await load.clock.letPass(1)
      const numbers = [load.send(), load.send({ signal: controller.signal }), load.send()]
      const refused = load.send()
      await load.clock.letPass(1)
      controller.abort()
      await load.clock.letPass(100)
      expect(numbers.map((number) => load.answers.get(number))).not.toContain('QUEUE_FULL')
      expect(load.answers.get(refused)).toBe('QUEUE_FULL')
    }
  })
})

describe('maxQueuePerTenant', () => {
  test('as many wait as it says, one more does not, and another tenant is not asked', async () => {
    const load = createPoisonedLoad({ cap: 1, law: () => 10, maxQueuePerTenant: 3 })
    for (let round = 0; round < 5; round++) {
      load.send({ tenant: 'a' })
      await load.clock.letPass(1)
      const numbers = [...['a', 'a', 'a', 'a', 'b', ''].map((tenant) => load.send({ tenant }))]
      await load.clock.letPass(100)
      const codes = numbers.map((number) => load.answers.get(number))
      expect(codes).toEqual(['ok', 'ok', 'ok', 'QUOTA_EXCEEDED', 'ok', 'ok'])
    }
  })
})

describe('maxBytes of the cache', () => {
  /** Cost of an entry beside its data, as the cache counts it. */
  async function bytesOf(size: number): Promise<number> {
    const { cache } = setUp({ maxBytes: 100_000 })
    await cache.getOrRun({}, call(), async () => answer(size))
    return cache.info().bytes
  }
  const answer = (size: number) => ({
    outputs: { y: { type: 'uint8' as const, dims: [size], data: new Uint8Array(size) } },
    queueMs: 0,
    inferMs: 0,
    batchSize: 1,
    endedAt: 0,
  })

  test.each(EDGES)('for one result, with %i bytes beyond it', async (beyond, fits) => {
    const { cache } = setUp({ maxBytes: (await bytesOf(5000)) - beyond })
    await cache.getOrRun({}, call(), async () => answer(5000))
    expect(cache.info().entries).toBe(fits ? 1 : 0)
  })

  test.each(EDGES)('for two, with %i bytes beyond it', async (beyond, fits) => {
    const { cache } = setUp({ maxBytes: 2 * (await bytesOf(3000)) - beyond })
    for (const fetches of [['a'], ['b']]) await cache.getOrRun({}, call({ fetches }), async () => answer(3000))
    expect(cache.info().entries).toBe(fits ? 2 : 1)
  })

  test.each(EDGES)('for those who wait for the run of an equal request, with %i bytes beyond it', async (beyond, fits) => {
    // 1 KiB for each, and its inputs.
    const setup = setUp({}, { maxQueueBytes: 2 * (1024 + 100) - beyond })
    const model = handModel(setup.clock)
    const inputs = { x: { type: 'uint8' as const, dims: [100], data: new Uint8Array(100) } }
    const answers = Array.from({ length: 3 }, () => setup.cache.getOrRun(inputs, call(), model.run))
    const settled = Promise.allSettled(answers)
    model.runs[0]?.answer(1)
    expect((await settled).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', fits ? 'fulfilled' : 'rejected'])
  })
})

describe('bytes of sequences', () => {
  const value = (name: string): ValueInfo => ({ name, type: 'float32', declaredType: 'tensor(float)', dims: ['N', 1] })
  const SIGNATURE: ModelSignature = { inputs: [value('x'), value('s')], outputs: [value('y'), value('next')] }
  const rows = (count: number): Tensor => ({ type: 'float32', dims: [count, 1], data: new Float32Array(count) })

  function bench(bounds: object) {
    const clock = createSimulatedClock()
    const plan = planSequences(SIGNATURE, { state: new Map([['s', { output: 'next' }]]), controls: new Map() }, {})
    const settings = {
      ...{ model: 'm', idleTimeoutMs: 1000, maxSequences: 10, maxPerTenant: 5, maxBytes: 1000 },
      ...{ maxQueue: 10, maxQueueBytes: 1000, maxQueuePerTenant: 5, ...bounds },
    }
    const sequences = createSequences(plan, settings, { clock })
    const waiting: (() => void)[] = []
    const ask = (id: number, count: number, opts: { start?: boolean; end?: boolean; signal?: AbortSignal } = {}) =>
      sequences
        .run(
          { x: rows(count) },
          {
            sequence: { id, start: opts.start ?? false, end: opts.end ?? false },
            fetches: ['y'],
            deadline: 1e9,
            signal: opts.signal,
          },
          () =>
            new Promise((resolve) =>
              waiting.push(() =>
                resolve({
                  outputs: { y: rows(count), next: rows(count) },
                  queueMs: 0,
                  inferMs: 0,
                  batchSize: 1,
                  endedAt: 0,
                  run: RUN,
                }),
              ),
            ),
        )
        .then(
          () => 'ok',
          (error) => error.code,
        )
    async function answerAll(): Promise<void> {
      do {
        for (const answer of waiting.splice(0)) answer()
        await new Promise((resolve) => setImmediate(resolve))
      } while (waiting.length > 0)
    }
    return { sequences, ask, answerAll }
  }

  test.each(EDGES)('of all state, with %i bytes beyond it', async (beyond, fits) => {
    const { sequences, ask, answerAll } = bench({ maxBytes: 4 * 5 - beyond })
    const first = ask(1, 2, { start: true })
    const second = ask(2, 3, { start: true })
    await answerAll()
    expect([await first, await second]).toEqual(['ok', fits ? 'ok' : 'SEQUENCE_LIMIT'])
    expect(sequences.info.bytes).toBe(fits ? 20 : 8)
    // Ended work no longer counts.
    const end = ask(1, 2, { end: true })
    await answerAll()
    expect(await end).toBe('ok')
    const third = ask(3, 2, { start: true })
    await answerAll()
    expect(await third).toBe('ok')
  })

  test.each(EDGES)('of one state, with %i bytes beyond it', async (beyond, fits) => {
    const { ask, answerAll } = bench({ maxBytes: 4 * 5 - beyond })
    const first = ask(1, 5, { start: true })
    await answerAll()
    expect(await first).toBe(fits ? 'ok' : 'INPUT_INVALID')
  })

  test.each(EDGES)('of the line, with %i bytes beyond it', async (beyond, fits) => {
    const { ask, answerAll } = bench({ maxQueueBytes: 4 * 4 - beyond })
    for (let round = 0; round < 3; round++) {
      const controller = new AbortController()
      const start = ask(1, 2, { start: true })
      const gone = ask(1, 2, { signal: controller.signal })
      controller.abort()
      const waiting = [ask(1, 2), ask(1, 2)]
      await answerAll()
      expect(await gone).toBe('ABORTED')
      expect(await start).toBe('ok')
      expect(await Promise.all(waiting)).toEqual(['ok', fits ? 'ok' : 'QUEUE_FULL'])
    }
  })
})

describe('bytes of free buffers', () => {
  test.each(EDGES)('with %i bytes beyond them', (beyond, fits) => {
    const clock = createSimulatedClock()
    const buffers = createBufferPool(clock, { maxBytes: 2 * POOLED_BYTES - beyond })
    const taken = [buffers.take(Uint8Array, POOLED_BYTES), buffers.take(Uint8Array, POOLED_BYTES)]
    for (const { buffer } of taken) buffers.put(structuredClone(buffer, { transfer: [buffer] }))
    expect(buffers.freeBytes).toBe(fits ? 2 * POOLED_BYTES : POOLED_BYTES)
  })

  test.each(EDGES)('for one, with %i bytes beyond them', (beyond, fits) => {
    const buffers = createBufferPool(createSimulatedClock(), { maxBytes: POOLED_BYTES - beyond })
    expect(buffers.isLent(buffers.take(Uint8Array, POOLED_BYTES).buffer)).toBe(fits)
  })
})
