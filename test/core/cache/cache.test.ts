/** The cache by itself, with a clock that is moved by hand and a model that answers when told. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ModelmountError } from '../../../src/core/errors.ts'
import type { Tensor } from '../../../src/core/tensor/types.ts'
import { answerOf, buffersOf, call, dataOf, floats, handModel, type Setup, settled, setUp } from './support.ts'

/** Asks for `x` with a model that answers `x + 1` at once. */
function ask({ cache }: Setup, x: number, opts: Parameters<typeof call>[0] = {}) {
  return cache.getOrRun({ x: floats(x) }, call(opts), async () => answerOf(x + 1))
}

describe('results', () => {
  test('are kept', async () => {
    const setup = setUp()
    expect(await ask(setup, 1)).toMatchObject({ queueMs: 1, inferMs: 2, batchSize: 4 })
    setup.clock.advance(250)
    const second = await ask(setup, 1)
    expect(second).toEqual({ ...answerOf(2), endedAt: setup.clock.now(), queueMs: 0, inferMs: 0, batchSize: 0, ageMs: 250 })
    expect(setup.cache.info()).toMatchObject({ hits: 1, misses: 1, entries: 1 })
  })

  test('cannot be changed by those who get them', async () => {
    const setup = setUp()
    for (let i = 0; i < 4; i++) {
      const answer = await ask(setup, 1)
      expect(answer.outputs).toEqual({ y: floats(2) })
      const { y } = answer.outputs as Record<string, Tensor>
      ;(y as Extract<Tensor, { type: 'float32' }>).data.fill(-1)
      ;(y?.dims as number[])[0] = 99
      ;(answer.outputs as Record<string, Tensor | undefined>).y = undefined
    }
  })

  test('share no memory with each other', async () => {
    const setup = setUp()
    const answers = await Promise.all(Array.from({ length: 5 }, () => ask(setup, 1)))
    expect(buffersOf(answers)).toBe(5)
  })

  test('grow old', async () => {
    const setup = setUp({ ttlMs: 1000 })
    await ask(setup, 1)
    setup.clock.advance(1000)
    expect(await ask(setup, 1)).toMatchObject({ ageMs: 1000 })
    setup.clock.advance(1)
    expect((await ask(setup, 1)).ageMs).toBeUndefined()
    // The age counts from the run, not from the last look.
    setup.clock.advance(600)
    expect(await ask(setup, 1)).toMatchObject({ ageMs: 600 })
    setup.clock.advance(600)
    expect((await ask(setup, 1)).ageMs).toBeUndefined()
    expect(setup.cache.info()).toMatchObject({ hits: 2, misses: 3, entries: 1 })
  })

  test('come in the order in which they are asked for', async () => {
    const { cache } = setUp()
    const run = async () => ({ ...answerOf(), outputs: { p: floats(1), q: floats(2) } })
    await cache.getOrRun({}, call({ fetches: ['p', 'q'] }), run)
    const hit = await cache.getOrRun({}, call({ fetches: ['q', 'p'] }), run)
    expect(Object.keys(hit.outputs)).toEqual(['q', 'p'])
    expect(cache.info()).toMatchObject({ hits: 1, misses: 1 })
  })

  test('never take more than their bytes, and the oldest unused go first', () => {
    const sizes = fc.array(fc.record({ x: fc.nat(30), size: fc.nat(5000) }), { maxLength: 80 })
    return fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 4096, max: 40_000 }), async (requests, maxBytes) => {
        const { cache } = setUp({ maxBytes })
        for (const { x, size } of requests) {
          await cache.getOrRun({ x: floats(x) }, call(), async () => ({
            ...answerOf(),
            outputs: { y: { type: 'uint8', dims: [size], data: new Uint8Array(size) } },
          }))
          expect(cache.info().bytes).toBeLessThanOrEqual(maxBytes)
        }
        const { hits, misses, entries, bytes } = cache.info()
        expect(hits + misses).toBe(requests.length)
        expect(bytes > 0).toBe(entries > 0)
      }),
      { numRuns: 200 },
    )
  })

  test('which have not been asked for the longest are dropped first; what is larger than all room is not kept', async () => {
    const setup = setUp({ maxBytes: 4096 })
    for (const x of [1, 2, 3]) await ask(setup, x)
    await ask(setup, 1)
    await ask(setup, 4)
    expect((await ask(setup, 1)).ageMs).toBe(0)
    expect((await ask(setup, 2)).ageMs).toBeUndefined()
    const huge = async () => answerOf(...new Array<number>(2000).fill(1))
    await setup.cache.getOrRun({ x: floats(9) }, call(), huge)
    expect((await setup.cache.getOrRun({ x: floats(9) }, call(), huge)).ageMs).toBeUndefined()
    expect(setup.cache.info().entries).toBe(3)
  })

  test('strings are counted too', async () => {
    const { cache } = setUp({ maxBytes: 8192 })
    const run = async () => ({
      ...answerOf(),
      outputs: { y: { type: 'string' as const, dims: [1], data: ['x'.repeat(5000)] } },
    })
    await cache.getOrRun({}, call(), run)
    expect(cache.info().entries).toBe(0)
  })

  test('of failed runs are not kept', async () => {
    const { cache } = setUp()
    const fail = async () => Promise.reject(new ModelmountError('INFERENCE_FAILED', 'no'))
    await expect(cache.getOrRun({ x: floats(1) }, call(), fail)).rejects.toMatchObject({ code: 'INFERENCE_FAILED' })
    expect((await cache.getOrRun({ x: floats(1) }, call(), async () => answerOf(2))).ageMs).toBeUndefined()
    expect(cache.info()).toMatchObject({ hits: 0, misses: 2, entries: 1 })
  })

  test('are dropped by purge(), also those under way', async () => {
    const { cache, clock } = setUp()
    const model = handModel(clock)
    const before = cache.getOrRun({ x: floats(1) }, call(), model.run)
    await cache.getOrRun({ x: floats(2) }, call(), async () => answerOf(3))
    expect(cache.purge()).toBe(1)
    expect(cache.info()).toMatchObject({ entries: 0, bytes: 0 })
    // A newcomer does not join what was started before.
    const after = cache.getOrRun({ x: floats(1) }, call(), model.run)
    expect(model.runs).toHaveLength(2)
    model.runs[0]?.answer(10)
    expect(dataOf(await before)).toEqual([10])
    expect(cache.info().entries).toBe(0)
    model.runs[1]?.answer(20)
    expect(dataOf(await after)).toEqual([20])
    expect(cache.info().entries).toBe(1)
  })

  test('are neither served nor kept after close()', async () => {
    const setup = setUp()
    await ask(setup, 1)
    expect(setup.cache.close()).toBeUndefined()
    expect((await ask(setup, 1)).ageMs).toBeUndefined()
    expect(setup.cache.info()).toMatchObject({ entries: 0, bytes: 0 })
  })
})

describe('equal requests at the same time', () => {
  function many(count: number, opts: (i: number) => Parameters<typeof call>[0] = () => ({}), setup = setUp()) {
    const model = handModel(setup.clock)
    const answers = Array.from({ length: count }, (_, i) => setup.cache.getOrRun({ x: floats(1) }, call(opts(i)), model.run))
    const outcomes = Promise.allSettled(answers)
    return { ...setup, model, answers, outcomes }
  }

  test('run once, and each gets a result of its own', async () => {
    const { model, answers, cache } = many(50)
    expect(model.runs).toHaveLength(1)
    model.runs[0]?.answer(7)
    // The first one spoils its copy before the others have theirs.
    const first = answers[0]?.then((answer) => {
      ;(answer.outputs.y as Extract<Tensor, { type: 'float32' }>).data.fill(-1)
      return answer
    })
    const others = await Promise.all(answers.slice(1))
    expect((await first)?.ageMs).toBeUndefined()
    for (const other of others) {
      expect(dataOf(other)).toEqual([7])
      expect(other).toMatchObject({ ageMs: 0, inferMs: 0, batchSize: 0 })
    }
    expect(buffersOf(others)).toBe(49)
    expect(cache.info()).toMatchObject({ hits: 49, misses: 1, entries: 1 })
  })

  test('even when the result is too large to be kept', async () => {
    const { model, outcomes, cache } = many(3, undefined, setUp({ maxBytes: 4096 }))
    model.runs[0]?.answer(...new Array<number>(2000).fill(7))
    for (const outcome of await outcomes) expect(outcome.status).toBe('fulfilled')
    expect(cache.info()).toMatchObject({ hits: 2, misses: 1, entries: 0 })
  })

  test('get the same error, and the next one runs again', async () => {
    const { model, outcomes, cache } = many(5)
    model.runs[0]?.fail(new ModelmountError('INPUT_REJECTED', 'no'))
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ reason: { code: 'INPUT_REJECTED' } })
    const next = cache.getOrRun({ x: floats(1) }, call(), model.run)
    expect(model.runs).toHaveLength(2)
    model.runs[1]?.answer(1)
    await next
  })

  test.each([
    ['the first', 0],
    ['a later one', 2],
  ])('are not harmed when %s gives up', async (_, who) => {
    const giveUp = new AbortController()
    const { model, outcomes } = many(4, (i) => (i === who ? { signal: giveUp.signal } : {}))
    giveUp.abort()
    await settled()
    expect(model.runs[0]?.call.signal?.aborted ?? false).toBe(false)
    model.runs[0]?.answer(7)
    for (const [i, outcome] of (await outcomes).entries())
      expect(outcome).toMatchObject(i === who ? { reason: { code: 'ABORTED' } } : { status: 'fulfilled' })
  })

  test('are dropped when all have given up, and nobody joins what is being dropped', async () => {
    const giveUp = new AbortController()
    const { model, outcomes, cache } = many(4, () => ({ signal: giveUp.signal }))
    giveUp.abort()
    expect(model.runs[0]?.call.signal?.aborted).toBe(true)
    const late = cache.getOrRun({ x: floats(1) }, call(), model.run)
    expect(model.runs).toHaveLength(2)
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ reason: { code: 'ABORTED' } })
    model.runs[1]?.answer(7)
    expect(dataOf(await late)).toEqual([7])
  })

  test('who has gone before it asks is told so, whether the result is known or not', async () => {
    const setup = setUp()
    const signal = AbortSignal.abort()
    await expect(ask(setup, 1, { signal })).rejects.toMatchObject({ code: 'ABORTED' })
    await ask(setup, 1)
    await expect(ask(setup, 1, { signal })).rejects.toMatchObject({ code: 'ABORTED' })
    expect(setup.cache.info()).toMatchObject({ hits: 0, misses: 1 })
  })

  test('a later one with less time leaves alone', async () => {
    const { model, clock, outcomes } = many(3, (i) => (i === 1 ? { timeoutMs: 100 } : {}))
    clock.advance(100)
    await settled()
    model.runs[0]?.answer(7)
    for (const [i, outcome] of (await outcomes).entries())
      expect(outcome).toMatchObject(i === 1 ? { reason: { code: 'DEADLINE_EXCEEDED' } } : { status: 'fulfilled' })
  })

  test('a first one with less time leaves the others to run again, once', async () => {
    const { model, clock, outcomes, cache } = many(4, (i) => (i === 0 ? { timeoutMs: 100 } : {}))
    expect(model.runs[0]?.call.timeoutMs).toBe(100)
    clock.advance(100)
    await settled()
    expect(model.runs).toHaveLength(2)
    expect(model.runs[1]?.call.timeoutMs).toBe(29_900)
    model.runs[1]?.answer(7)
    for (const [i, outcome] of (await outcomes).entries())
      expect(outcome).toMatchObject(i === 0 ? { reason: { code: 'DEADLINE_EXCEEDED' } } : { status: 'fulfilled' })
    expect(cache.info()).toMatchObject({ hits: 2, misses: 2, entries: 1 })
  })

  test('all with the same time are all told when it is over', async () => {
    const { model, clock, outcomes } = many(5, () => ({ timeoutMs: 100 }))
    clock.advance(100)
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ reason: { code: 'DEADLINE_EXCEEDED' } })
    expect(model.runs).toHaveLength(1)
  })

  test('that wait are bounded in bytes', async () => {
    const setup = setUp({}, { maxQueueBytes: 3 * 1028 })
    const { model, outcomes } = many(6, undefined, setup)
    model.runs[0]?.answer(7)
    const codes = (await outcomes).map((outcome) =>
      outcome.status === 'fulfilled' ? 'fine' : (outcome.reason as ModelmountError).code,
    )
    // The first one runs, three wait, two are refused.
    expect(codes).toEqual(['fine', 'fine', 'fine', 'fine', 'QUEUE_FULL', 'QUEUE_FULL'])
    // An answered caller does not wait any more.
    setup.cache.purge()
    const again = many(4, undefined, setup)
    again.model.runs[0]?.answer(7)
    for (const outcome of await again.outcomes) expect(outcome.status).toBe('fulfilled')
  })

  test('of two tenants do not meet', async () => {
    const { model, outcomes } = many(4, (i) => ({ tenant: i % 2 ? 'a' : 'b' }))
    expect(model.runs.map(({ call }) => call.tenant)).toEqual(['b', 'a'])
    for (const run of model.runs) run.answer(1)
    await outcomes
  })

  test('whatever happens, each is answered once, by what was asked', () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('ask' as const),
        x: fc.nat(2),
        timeoutMs: fc.constantFrom(undefined, 5, 50),
        canAbort: fc.boolean(),
      }),
      fc.record({ kind: fc.constant('answer' as const), which: fc.nat(5) }),
      fc.record({ kind: fc.constant('fail' as const), which: fc.nat(5) }),
      fc.record({ kind: fc.constant('abort' as const), which: fc.nat(5) }),
      fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(30) }),
      fc.record({ kind: fc.constant('purge' as const) }),
    )
    return fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { cache, clock } = setUp({ ttlMs: 40 })
        const model = handModel(clock)
        const asked: { x: number; answer: Promise<unknown>; signal: AbortController | undefined }[] = []
        for (const step of steps) {
          if (step.kind === 'ask') {
            const signal = step.canAbort ? new AbortController() : undefined
            const opts = call({ timeoutMs: step.timeoutMs, signal: signal?.signal })
            const answer = cache
              .getOrRun({ x: floats(step.x) }, opts, model.run)
              .then(dataOf, (error: ModelmountError) => error.code)
            asked.push({ x: step.x, answer, signal })
          } else if (step.kind === 'answer') {
            const run = model.runs[step.which]
            run?.answer(Number(run.inputs.x?.data[0]) + 100)
          } else if (step.kind === 'fail') model.runs[step.which]?.fail(new ModelmountError('INFERENCE_FAILED', 'no'))
          else if (step.kind === 'abort') asked[step.which]?.signal?.abort()
          else if (step.kind === 'purge') cache.purge()
          else clock.advance(step.ms)
          await settled()
        }
        for (let round = 0; round < 3; round++) {
          clock.advance(30_001)
          await settled()
        }
        for (const { x, answer } of asked) {
          const outcome = await answer
          if (Array.isArray(outcome)) expect(outcome).toEqual([x + 100])
          else expect(['ABORTED', 'DEADLINE_EXCEEDED', 'INFERENCE_FAILED']).toContain(outcome)
        }
        const { hits, misses } = cache.info()
        expect(misses).toBe(model.runs.length)
        expect(hits + misses).toBeLessThanOrEqual(asked.length + model.runs.length)
      }),
      { numRuns: 150 },
    )
  })
})
