/** Models with state: the bounds of a sequence, the order of its requests, and its fate after failures. */

import fc from 'fast-check'
import type { ModelServer, PredictResult, SequenceOptions } from 'modelmount'
import { describe, expect, test } from 'vitest'
import { recurrentModel, totalModel } from '../../tools/models.mjs'
import { observe, provedServerFor } from '../support/server.ts'

const TOTAL: SequenceOptions = { state: { s: 'next' } }
const RECURRENT: SequenceOptions = { state: { h: 'hn' } }

const total = (sequences: SequenceOptions = TOTAL, more = {}) => ({ name: 'total', source: totalModel(), sequences, ...more })

const sum = async (
  server: ModelServer,
  x: number,
  sequence: { id: number | bigint | string; start?: boolean; end?: boolean },
  opts = {},
): Promise<number> => {
  const { outputs } = await server.predict('total', { x: [[x, 0]] }, { sequence, ...opts })
  return outputs.y?.data[0] as number
}

const floats = (outputs: PredictResult['outputs']): Float32Array => outputs.y?.data as Float32Array

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error) => error.code,
  )

describe('a sequence', () => {
  test('hands state on from its start to its end', async () => {
    const server = await provedServerFor({ models: [total()] })
    expect(await sum(server, 1, { id: 7, start: true })).toBe(1)
    expect(await sum(server, 2, { id: 7 })).toBe(3)
    expect(server.model('total').sequences).toMatchObject({ open: 1, bytes: 8, waiting: 0 })
    expect(await sum(server, 4, { id: 7, end: true })).toBe(7)
    expect(server.model('total').sequences).toMatchObject({ open: 0, bytes: 0 })
    expect(await codeOf(sum(server, 1, { id: 7 }))).toBe('SEQUENCE_NOT_FOUND')
    expect(await sum(server, 5, { id: 7, start: true, end: true })).toBe(5)
  })

  test('begins anew with a start', async () => {
    const server = await provedServerFor({ models: [total()] })
    await sum(server, 1, { id: 7, start: true })
    expect(await sum(server, 10, { id: 7, start: true })).toBe(10)
    expect(await sum(server, 1, { id: 7 })).toBe(11)
  })

  test('is told apart by its id, the kind of its id, and its tenant', async () => {
    const server = await provedServerFor({ models: [total()] })
    const large = 2n ** 60n
    await sum(server, 1, { id: 7, start: true })
    await sum(server, 10, { id: '7', start: true })
    await sum(server, 100, { id: 7, start: true }, { tenant: 'a' })
    await sum(server, 1000, { id: large, start: true })
    expect(await codeOf(sum(server, 0, { id: large + 1n }))).toBe('SEQUENCE_NOT_FOUND')
    expect(await codeOf(sum(server, 0, { id: '7' }, { tenant: 'a' }))).toBe('SEQUENCE_NOT_FOUND')
    expect(await sum(server, 0, { id: 7n })).toBe(1)
    expect(await sum(server, 0, { id: '7' })).toBe(10)
    expect(await sum(server, 0, { id: 7 }, { tenant: 'a' })).toBe(100)
    expect(await sum(server, 0, { id: large })).toBe(1000)
  })

  test('is what a model with state needs, and one without cannot have', async () => {
    const server = await provedServerFor({ models: [total(), { name: 'plain', source: totalModel() }] })
    await expect(server.predict('total', { x: [[1, 2]] })).rejects.toMatchObject({ code: 'SEQUENCE_REQUIRED', status: 400 })
    const both = { x: [[1, 2]], s: [[0, 0]] }
    expect(await codeOf(server.predict('plain', both, { sequence: { id: 1, start: true } }))).toBe('OPTIONS_INVALID')
    for (const id of [0, -1, 1.5, 2 ** 53, '', 'x'.repeat(257), 0n, 2n ** 64n, true, undefined] as number[])
      expect(await codeOf(server.predict('total', { x: [[1, 2]] }, { sequence: { id, start: true } }))).toBe('OPTIONS_INVALID')
  })

  test('hides the state from callers, unless it is an answer too', async () => {
    const server = await provedServerFor({
      models: [total(), total({ state: { s: { output: 'y', returned: true } } }, { name: 'both' })],
    })
    expect(server.model('total')).toMatchObject({ inputs: [{ name: 'x' }], outputs: [{ name: 'y' }] })
    expect(server.model('both')).toMatchObject({ inputs: [{ name: 'x' }], outputs: [{ name: 'y' }, { name: 'next' }] })
    expect(await codeOf(sum(server, 1, { id: 1, start: true }, { outputs: ['next'] }))).toBe('OUTPUT_NOT_FOUND')
    expect(await codeOf(server.predict('total', { x: [[1, 2]], s: [[0, 0]] }, { sequence: { id: 1, start: true } }))).toBe(
      'INPUT_INVALID',
    )
    const first = await server.predict('both', { x: [[1, 2]] }, { sequence: { id: 1, start: true } })
    expect(Object.keys(first.outputs)).toEqual(['y', 'next'])
    // The answer is the caller's own: writing to it must not reach the state.
    floats(first.outputs).fill(99)
    const { outputs } = await server.predict('both', { x: [[1, 2]] }, { sequence: { id: 1 }, outputs: ['next'] })
    expect(Object.keys(outputs)).toEqual(['next'])
    expect([...(outputs.next?.data ?? [])]).toEqual([2, 4])
  })

  test('may begin with something else than zeros, and have several rows', async () => {
    const initial = [5, 6]
    const server = await provedServerFor({ models: [total({ state: { s: { output: 'next', initial } } })] })
    const rows = { x: [[1, 1], [2, 2], [3, 3]] } // biome-ignore format: rows
    const { outputs } = await server.predict('total', rows, { sequence: { id: 1, start: true } })
    expect([...(outputs.y?.data ?? [])]).toEqual([6, 7, 7, 8, 8, 9])
    await expect(server.predict('total', { x: [[1, 1]] }, { sequence: { id: 1 } })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: 'the sequence began with 3 rows, and this request has 1',
    })
    const next = await server.predict('total', rows, { sequence: { id: 1 } })
    expect([...(next.outputs.y?.data ?? [])]).toEqual([7, 8, 9, 10, 11, 12])
  })

  test('never meets kept results', async () => {
    const server = await provedServerFor({ cache: { maxBytes: 65536 }, models: [total()] })
    expect(server.model('total').cache).toBeUndefined()
    expect(await sum(server, 1, { id: 1, start: true })).toBe(1)
    expect(await sum(server, 1, { id: 1 })).toBe(2)
  })

  test('survives that its model leaves memory', async () => {
    const server = await provedServerFor({ models: [total(TOTAL, { idleUnloadMs: 1 })] })
    const unloaded = new Promise<void>((resolve) =>
      server.subscribe((event) => event.type === 'residency' && !event.resident && resolve()),
    )
    await sum(server, 1, { id: 1, start: true })
    await unloaded
    expect(await sum(server, 1, { id: 1 })).toBe(2)
  })
})

describe('the order of requests', () => {
  test('is that of their arrival, one at a time', async () => {
    const server = await provedServerFor({ instances: 2, models: [total()] })
    const answers = Array.from({ length: 20 }, (_, i) => sum(server, 1, { id: 1, start: i === 0 }))
    expect(server.model('total').sequences).toMatchObject({ open: 1, waiting: 19 })
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
  })

  test('sequences interleaved at random, sharing runs, answer as each does alone', async () => {
    const server = await provedServerFor({
      instances: 2,
      models: [
        { name: 'recurrent', source: recurrentModel(), sequences: RECURRENT, batching: { maxSize: 16 } },
        { name: 'alone', source: recurrentModel(), batching: false },
      ],
    })
    const frame = (seed: number): number[] => [Math.sin(seed), Math.cos(3 * seed), Math.sin(7 * seed)]
    const alone = async (length: number, seed: number): Promise<number[][]> => {
      let h = new Float32Array(6)
      const answers: number[][] = []
      for (let i = 0; i < length; i++) {
        const state = { type: 'float32' as const, dims: [2, 1, 3], data: h }
        const { outputs } = await server.predict('alone', { x: [frame(seed + i)], h: state })
        h = outputs.hn?.data as Float32Array<ArrayBuffer>
        answers.push([...floats(outputs)])
      }
      return answers
    }
    let largest = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 2, maxLength: 12 }),
        fc.infiniteStream(fc.nat()),
        fc.infiniteStream(fc.boolean()),
        async (lengths, draws, pauses) => {
          const sent = lengths.map(() => 0)
          const answers: Promise<number[]>[][] = lengths.map(() => [])
          for (let left = lengths.reduce((a, b) => a + b); left > 0; left--) {
            const able = lengths.flatMap((length, i) => ((sent[i] as number) < length ? [i] : []))
            const i = able[(draws.next().value as number) % able.length] as number
            const at = sent[i] ?? 0
            sent[i] = at + 1
            const sequence = { id: i + 1, start: at === 0, end: at === (lengths[i] as number) - 1 }
            const answer = server.predict('recurrent', { x: [frame(100 * i + at)] }, { sequence })
            answers[i]?.push(
              answer.then(({ outputs, batchSize }) => {
                largest = Math.max(largest, batchSize)
                return [...floats(outputs)]
              }),
            )
            if (pauses.next().value) await new Promise((resolve) => setImmediate(resolve))
          }
          for (const [i, length] of lengths.entries()) {
            const got = await Promise.all(answers[i] as Promise<number[]>[])
            const expected = await alone(length, 100 * i)
            for (const [at, y] of got.entries())
              for (const [j, element] of y.entries()) expect(element).toBeCloseTo(expected[at]?.[j] as number, 5)
          }
          expect(server.model('recurrent').sequences).toMatchObject({ open: 0, bytes: 0, waiting: 0 })
        },
      ),
      { numRuns: 25 },
    )
    // Only where the model was found to gain from it, which is for the machine to say.
    if (server.model('recurrent').batching.enabled) expect(largest).toBeGreaterThan(1)
  })

  test('state with its rows second shares runs without a word on its axes', async () => {
    const server = await provedServerFor({ models: [{ name: 'recurrent', source: recurrentModel(), sequences: RECURRENT }] })
    expect(server.model('recurrent').batching.reason).toMatch(/rows per second/)
  })
})

describe('what goes wrong', () => {
  /** The first request of the sequence is answered only later, so that others wait behind it. */
  const behind = (server: ModelServer, count: number, opts: (index: number) => object) =>
    Array.from({ length: count }, (_, i) => sum(server, 1, { id: 1, start: i === 0 }, opts(i)))

  test('a request that fails leaves the state as it was', async () => {
    const server = await provedServerFor({ models: [total()] })
    await sum(server, 5, { id: 1, start: true })
    const late = new AbortController()
    late.abort()
    expect(await codeOf(sum(server, 1, { id: 1 }, { signal: late.signal }))).toBe('ABORTED')
    const running = new AbortController()
    const aborted = codeOf(sum(server, 1, { id: 1, end: true }, { signal: running.signal }))
    running.abort()
    expect(await aborted).toBe('ABORTED')
    expect(await sum(server, 1, { id: 1 })).toBe(6)
  })

  test('an abort gives up a place in the line', async () => {
    const server = await provedServerFor({ models: [total()] })
    const abort = new AbortController()
    const answers = behind(server, 4, (i) => (i === 2 ? { signal: abort.signal } : {}))
    abort.abort()
    expect(server.model('total').sequences).toMatchObject({ waiting: 2 })
    const [a, b, c, d] = await Promise.allSettled(answers)
    expect([a, b, d]).toMatchObject([{ value: 1 }, { value: 2 }, { value: 3 }])
    expect(c).toMatchObject({ reason: { code: 'ABORTED' } })
  })

  test('a first request that fails leaves no sequence to those behind it, be there one from before', async () => {
    const server = await provedServerFor({ models: [total()] })
    await sum(server, 100, { id: 1, start: true })
    const abort = new AbortController()
    const running = sum(server, 1, { id: 1 })
    const start = codeOf(sum(server, 1, { id: 1, start: true }, { signal: abort.signal }))
    const follower = codeOf(sum(server, 1, { id: 1 }))
    const again = sum(server, 7, { id: 1, start: true })
    abort.abort()
    expect(await running).toBe(101)
    expect([await start, await follower, await again]).toEqual(['ABORTED', 'SEQUENCE_NOT_FOUND', 7])
    // Also when its turn has come already.
    const second = new AbortController()
    const started = codeOf(sum(server, 1, { id: 1, start: true }, { signal: second.signal }))
    const next = codeOf(sum(server, 1, { id: 1 }))
    second.abort()
    expect([await started, await next]).toEqual(['ABORTED', 'SEQUENCE_NOT_FOUND'])
    expect(server.model('total').sequences).toMatchObject({ open: 0, bytes: 0, waiting: 0 })
  })

  test('whoever sends behind the end is told', async () => {
    const server = await provedServerFor({ models: [total()] })
    const [first, last, behindIt] = [
      sum(server, 1, { id: 1, start: true }),
      sum(server, 1, { id: 1, end: true }),
      codeOf(sum(server, 1, { id: 1 })),
    ]
    expect([await first, await last, await behindIt]).toEqual([1, 2, 'SEQUENCE_NOT_FOUND'])
  })

  test('the line is bounded, and so is what one tenant has in it', async () => {
    const server = await provedServerFor({ models: [total(TOTAL, { maxQueue: 4, maxQueuePerTenant: 2 })] })
    const codes = await Promise.all(behind(server, 7, () => ({})).map(codeOf))
    expect(codes).toEqual(['none', 'none', 'none', 'none', 'none', 'QUEUE_FULL', 'QUEUE_FULL'])
    const ofTenant = await Promise.all(behind(server, 5, () => ({ tenant: 'a' })).map(codeOf))
    expect(ofTenant).toEqual(['none', 'none', 'none', 'QUOTA_EXCEEDED', 'QUOTA_EXCEEDED'])
  })

  test('close() answers those who wait, and no state is left', async () => {
    const server = await provedServerFor({ models: [total()] })
    const answers = observe(Promise.all(behind(server, 5, () => ({}))))
    await server.close()
    expect(answers.settled).toBe(true)
    expect(await answers.promise).toEqual([1, 2, 3, 4, 5])
    expect(server.model('total').sequences).toMatchObject({ open: 0, bytes: 0 })
  })

  test('a declaration that the graph contradicts fails the load', async () => {
    const bad: [SequenceOptions, string][] = [
      [{ state: { z: 'next' } }, 'sequences.state.z names an input "z", but the inputs of the graph are "x", "s"'],
      [{ state: { s: 'z' } }, 'sequences.state.s names an output "z", but the outputs of the graph are "y", "next"'],
      [{ state: { s: { output: 'next', dims: [-1, 3] } } }, 'sequences.state.s.dims is [-1,3]'],
      [
        { state: { s: { output: 'next', initial: [1] } } },
        'sequences.state.s.initial has 1 elements, and one row of the state has 2',
      ],
      [{ state: { s: 'next' }, controls: { x: 'id' } }, 'sequences.controls.x is "id"'],
      [{ state: { s: 'y', x: 'next' } }, 'keeps every output of the graph to itself'],
    ]
    const server = await provedServerFor({ models: bad.map(([sequences], i) => total(sequences, { name: `bad${i}` })) })
    for (const [i, [, message]] of bad.entries())
      expect(server.model(`bad${i}`).reason).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) })
    await expect(provedServerFor({ models: [total({})] })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
    await expect(provedServerFor({ models: [total({ state: { s: 'next' }, controls: { s: 'start' } })] })).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
    })
  })
})

describe('bounds', () => {
  test('as many sequences as may be open, per tenant and in all; none is dropped for another', async () => {
    const server = await provedServerFor({ models: [total({ ...TOTAL, maxSequences: 4 })] })
    for (const id of [1, 2]) await sum(server, id, { id, start: true }, { tenant: 'a' })
    await expect(sum(server, 1, { id: 3, start: true }, { tenant: 'a' })).rejects.toMatchObject({
      code: 'QUOTA_EXCEEDED',
      status: 429,
      retryAfterS: expect.any(Number),
    })
    for (const id of [1, 2]) await sum(server, id, { id, start: true })
    await expect(sum(server, 1, { id: 3, start: true })).rejects.toMatchObject({
      code: 'SEQUENCE_LIMIT',
      status: 503,
      retryAfterS: 60,
    })
    for (const id of [1, 2]) expect(await sum(server, 0, { id, end: true })).toBe(id)
    expect(await sum(server, 1, { id: 3, start: true })).toBe(1)
    expect(await sum(server, 0, { id: 1 }, { tenant: 'a' })).toBe(1)
  })

  test('as many bytes of state as there may be', async () => {
    const server = await provedServerFor({ models: [total({ ...TOTAL, maxBytes: 20 })] })
    const rows = (count: number) => ({ x: Array.from({ length: count }, () => [1, 1]) })
    const start = (id: number, count: number) => codeOf(server.predict('total', rows(count), { sequence: { id, start: true } }))
    expect(await start(1, 3)).toBe('INPUT_INVALID')
    expect(await start(1, 2)).toBe('none')
    expect(await start(2, 1)).toBe('SEQUENCE_LIMIT')
    expect(server.model('total').sequences).toMatchObject({ open: 1, bytes: 16 })
    expect(await start(1, 1)).toBe('none')
    expect(await start(2, 1)).toBe('none')
    expect(server.model('total').sequences).toMatchObject({ open: 2, bytes: 16 })
  })
})

describe('versions', () => {
  test('a sequence stays with the version that it began with', async () => {
    const server = await provedServerFor({ models: [total()] })
    const doubled = totalModel()
    const versionOf = async (sequence: object, opts = {}) =>
      (await server.predict('total', { x: [[1, 0]] }, { sequence: { id: 1, ...sequence }, ...opts })).version
    expect(await versionOf({ start: true })).toBe('1')
    await server.load({ ...total(), source: doubled, version: '2' })
    server.setVersionLabel('total', 'next', '2')
    expect(await versionOf({})).toBe('1')
    expect(await versionOf({}, { label: 'next' })).toBe('1')
    expect(await codeOf(versionOf({}, { version: '2' }))).toBe('SEQUENCE_NOT_FOUND')
    expect(await versionOf({ id: 2, start: true })).toBe('2')
    // Beginning anew ends the old one, whichever version has it.
    expect(await versionOf({ start: true })).toBe('2')
    expect(server.model('total', '1').sequences).toMatchObject({ open: 0 })
    expect(await versionOf({})).toBe('2')
    await server.unload('total', '2')
    await expect(versionOf({})).rejects.toMatchObject({
      code: 'SEQUENCE_NOT_FOUND',
      message: expect.stringContaining('begin again'),
    })
  })

  test('one that is replaced answers what it has accepted, and its sequences are over', async () => {
    const server = await provedServerFor({ models: [total()] })
    const answers = [sum(server, 1, { id: 1, start: true }), sum(server, 1, { id: 1 })]
    await server.load(total())
    expect(await Promise.all(answers)).toEqual([1, 2])
    expect(await codeOf(sum(server, 1, { id: 1 }))).toBe('SEQUENCE_NOT_FOUND')
  })
})

test('controls tell the model where in the sequence it is', async () => {
  // The total of x and what stands in s: here not state, but the flag of a start, as 10 and 20.
  const server = await provedServerFor({
    models: [
      total({ controls: { s: { is: 'start', values: [10, 20] } } }),
      total({ controls: { s: 'ready' } }, { name: 'ready' }),
    ],
  })
  expect(await sum(server, 1, { id: 1, start: true })).toBe(21)
  expect(await codeOf(sum(server, 1, { id: 2 }))).toBe('SEQUENCE_NOT_FOUND')
  expect(await sum(server, 1, { id: 1 })).toBe(11)
  const { outputs } = await server.predict('ready', { x: [[1, 2]] }, { sequence: { id: 1, start: true } })
  expect([...(outputs.y?.data ?? [])]).toEqual([2, 3])
})
