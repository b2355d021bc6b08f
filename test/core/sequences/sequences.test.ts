/** Time, memory and sizes of sequences, with a clock and a model by hand. */

import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { ModelmountError } from '../../../src/core/errors.ts'
import { createSequences, planSequences, type SequenceCall } from '../../../src/core/sequences/index.ts'
import { createTenantCounts } from '../../../src/core/sequences/tenant-counts.ts'
import type { Dim, ModelSignature, Tensor, ValueInfo } from '../../../src/core/tensor/types.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'

type Tensors = Readonly<Record<string, Tensor>>
type Declared = Parameters<typeof planSequences>[1]

const value = (name: string, dims: readonly Dim[], type: 'float32' | 'string' | 'int64' = 'float32'): ValueInfo => ({
  name,
  type,
  declaredType: `tensor(${type})`,
  dims,
})
const TOTAL: ModelSignature = {
  inputs: [value('x', ['N', 1]), value('s', ['N', 1])],
  outputs: [value('y', ['N', 1]), value('next', ['N', 1])],
}
const DECLARED: Declared = { state: new Map([['s', { output: 'next' }]]), controls: new Map() }
const one = (x: number): Tensors => ({ x: { type: 'float32', dims: [1, 1], data: Float32Array.of(x) } })

interface Run {
  readonly inputs: Tensors
  readonly fetches: readonly string[]
  answer(outputs?: Tensors): void
  fail(error: Error): void
}

/** Runs wait until they are answered by hand. */
function bench({ bounds = {}, outputs = ['y'] }: { readonly bounds?: object; readonly outputs?: readonly string[] } = {}) {
  const clock = createSimulatedClock()
  const plan = planSequences(TOTAL, DECLARED, {})
  const settings = {
    ...{ model: 'total', idleTimeoutMs: 1000, maxSequences: 10, maxPerTenant: 5, maxBytes: 1000 },
    ...{ maxQueue: 10, maxQueueBytes: 1000, maxQueuePerTenant: 5, ...bounds },
  }
  const sequences = createSequences(plan, settings, { clock })
  const runs: Run[] = []
  const submit = (inputs: Tensors, fetches: readonly string[]) =>
    new Promise<never>((resolve, reject) => {
      const sum = (inputs.x?.data[0] as number) + (inputs.s?.data[0] as number)
      const tensor = (): Tensor => ({ type: 'float32', dims: [1, 1], data: Float32Array.of(sum) })
      const finished = (given: Tensors) => ({ outputs: given, queueMs: 3, inferMs: 1, batchSize: 1, endedAt: clock.now() })
      runs.push({
        inputs,
        fetches,
        answer: (given = { y: tensor(), next: tensor() }) => resolve(finished(given) as never),
        fail: reject,
      })
    })
  const send = (
    x: number,
    call: SequenceCall | undefined,
    { ms = 1e9, tenant, signal }: { ms?: number; tenant?: string; signal?: AbortSignal } = {},
  ) =>
    sequences.run(one(x), { sequence: call, fetches: outputs, deadline: clock.now() + ms, tenant, signal }, submit).then(
      ({ outputs, queueMs }) => ({ y: outputs.y?.data[0], names: Object.keys(outputs), queueMs }),
      (error) => error.code ?? error.message,
    )
  return { clock, sequences, runs, send }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('time', () => {
  test('a sequence is forgotten when nobody has used it for long enough, and not before', async () => {
    const { clock, sequences, runs, send } = bench()
    const first = send(1, { id: 1, start: true })
    // A run takes as long as it takes: the sequence is in use.
    await clock.letPass(5000)
    runs[0]?.answer()
    expect(await first).toMatchObject({ y: 1, names: ['y'] })
    await clock.letPass(600)
    const second = send(2, { id: 1 })
    runs[1]?.answer()
    expect(await second).toMatchObject({ y: 3 })
    await clock.letPass(999)
    expect(sequences.info).toMatchObject({ open: 1, bytes: 4 })
    await clock.letPass(1)
    expect(sequences.info).toMatchObject({ open: 0, bytes: 0 })
    expect(await send(3, { id: 1 })).toBe('SEQUENCE_NOT_FOUND')
  })

  test('one that is over is over although its timer is late', async () => {
    const clock = createSimulatedClock()
    const late = { now: clock.now, after: () => ({ cancel() {}, hold() {} }) }
    const plan = planSequences(TOTAL, DECLARED, {})
    const bounds = { idleTimeoutMs: 1000, maxSequences: 1, maxPerTenant: 1, maxBytes: 4 }
    const sequences = createSequences(
      plan,
      { ...bounds, model: 'm', maxQueue: 1, maxQueueBytes: 1, maxQueuePerTenant: 1 },
      { clock: late },
    )
    const submit = async (inputs: Tensors) =>
      ({ outputs: { y: inputs.x, next: inputs.x }, queueMs: 0, inferMs: 0, batchSize: 1, endedAt: 0 }) as never
    const run = (id: number, start: boolean) =>
      sequences.run(one(1), { sequence: { id, start }, fetches: ['y'], deadline: 1e9 }, submit).then(
        () => 'done',
        (error) => error.code,
      )
    expect(await run(1, true)).toBe('done')
    expect(await run(2, true)).toBe('SEQUENCE_LIMIT')
    clock.runUntil(1000)
    expect(await run(1, false)).toBe('SEQUENCE_NOT_FOUND')
    expect(await run(2, true)).toBe('done')
  })

  test('those that are used go on, those beside them do not', async () => {
    const { clock, sequences, runs, send } = bench()
    for (const id of [1, 2, 3]) void send(id, { id, start: true })
    for (const run of runs) run.answer()
    await settle()
    for (let i = 0; i < 5; i++) {
      await clock.letPass(400)
      void send(0, { id: 2 })
      runs.at(-1)?.answer()
      await settle()
    }
    expect(sequences.info.open).toBe(1)
    expect(await Promise.all([send(0, { id: 1 }), send(0, { id: 3 })])).toEqual(['SEQUENCE_NOT_FOUND', 'SEQUENCE_NOT_FOUND'])
  })

  test('a deadline holds in the line, too, and the wait counts as one', async () => {
    const { clock, sequences, runs, send } = bench()
    const first = send(1, { id: 1, start: true })
    const second = send(10, { id: 1 }, { ms: 50 })
    const third = send(100, { id: 1 })
    await clock.letPass(70)
    expect(await second).toBe('DEADLINE_EXCEEDED')
    expect(sequences.info.waiting).toBe(1)
    runs[0]?.answer()
    expect(await first).toMatchObject({ y: 1, queueMs: 3 })
    expect(runs).toHaveLength(2)
    runs[1]?.answer()
    expect(await third).toMatchObject({ y: 101, queueMs: 73 })
  })

  test('who is refused is told when a place may be free', async () => {
    const { clock, sequences, runs, send } = bench({ bounds: { maxSequences: 1, idleTimeoutMs: 10_000 } })
    const error = () =>
      sequences
        .run(one(1), { sequence: { id: 2, start: true }, fetches: [], deadline: 1e9 }, () => Promise.reject())
        .catch(({ code, retryAfterS }) => [code, retryAfterS])
    void send(1, { id: 1, start: true })
    expect(await error()).toEqual(['SEQUENCE_LIMIT', 1])
    runs[0]?.answer()
    await settle()
    clock.runUntil(2500)
    expect(await error()).toEqual(['SEQUENCE_LIMIT', 8])
  })
})

describe('a beginning that comes to nothing', () => {
  test('because the line is full leaves no sequence to those behind it', async () => {
    const { runs, send } = bench({ bounds: { maxQueue: 1 } })
    const first = send(1, { id: 1, start: true })
    const second = send(2, { id: 1 })
    expect(await send(3, { id: 1, start: true })).toBe('QUEUE_FULL')
    runs[0]?.answer()
    expect(await first).toMatchObject({ y: 1 })
    const follower = send(4, { id: 1 })
    runs[1]?.answer()
    expect(await second).toMatchObject({ y: 3 })
    expect(await follower).toBe('SEQUENCE_NOT_FOUND')
  })

  test('leaves none either when the request before it fails', async () => {
    const { clock, runs, send } = bench()
    const first = send(1, { id: 1, start: true })
    runs[0]?.answer()
    await first
    const second = send(2, { id: 1 })
    const start = send(3, { id: 1, start: true }, { ms: 50 })
    const follower = send(4, { id: 1 })
    await clock.letPass(60)
    expect(await start).toBe('DEADLINE_EXCEEDED')
    runs[1]?.fail(new Error('lost'))
    expect([await second, await follower]).toEqual(['lost', 'SEQUENCE_NOT_FOUND'])
  })
})

describe('state', () => {
  test('is there for another try after a run that failed, although the run took what it was given', async () => {
    const { runs, send } = bench()
    const first = send(1, { id: 1, start: true })
    runs[0]?.answer()
    await first
    const second = send(2, { id: 1 })
    // As if it were posted to a worker.
    const data = runs[1]?.inputs.s?.data as Float32Array<ArrayBuffer>
    structuredClone(data.buffer, { transfer: [data.buffer] })
    runs[1]?.fail(new Error('lost'))
    expect(await second).toBe('lost')
    const third = send(2, { id: 1 })
    runs[2]?.answer()
    expect(await third).toMatchObject({ y: 3 })
  })

  test('shares no memory with the message that it came in', async () => {
    const { runs, send } = bench()
    const slab = new Float32Array(1_000_000).fill(5)
    const first = send(1, { id: 1, start: true })
    const view = (at: number): Tensor => ({ type: 'float32', dims: [1, 1], data: slab.subarray(at, at + 1) })
    runs[0]?.answer({ y: view(0), next: view(1) })
    await first
    slab.fill(9)
    void send(0, { id: 1 })
    const given = runs[1]?.inputs.s?.data as Float32Array
    expect(given[0]).toBe(5)
    expect(given.buffer.byteLength).toBe(4)
  })

  test('that the model would not take back is not kept', async () => {
    const { runs, send } = bench()
    const first = send(1, { id: 1, start: true })
    runs[0]?.answer()
    await first
    const wide: Tensor = { type: 'float32', dims: [2, 1], data: new Float32Array(2) }
    for (const next of [wide, { ...wide, dims: [1, 2] }, { type: 'int32', dims: [1, 1], data: new Int32Array(1) } as Tensor]) {
      const failing = send(2, { id: 1 })
      runs.at(-1)?.answer({ next })
      expect(await failing).toBe('INFERENCE_FAILED')
    }
    const missing = send(2, { id: 1 })
    runs.at(-1)?.answer({})
    expect(await missing).toBe('INFERENCE_FAILED')
    const third = send(2, { id: 1 })
    runs.at(-1)?.answer()
    expect(await third).toMatchObject({ y: 3 })
  })

  test('no run begins twice, whenever the next request comes', async () => {
    const { runs, send } = bench()
    const answers: Promise<unknown>[] = []
    const loop = (async () => {
      for (let i = 0; i < 5; i++) answers.push(Promise.resolve(await send(1, { id: 1, start: i === 0 })))
    })()
    for (let i = 0; i < 5; i++) {
      await settle()
      expect(runs).toHaveLength(i + 1)
      runs[i]?.answer()
    }
    await loop
    expect((await Promise.all(answers)).map((answer) => (answer as { y: number }).y)).toEqual([1, 2, 3, 4, 5])
  })
})

describe('sizes', () => {
  const first = (graph: ModelSignature, declared: Declared, inputs: Tensors, axes = {}) => {
    const plan = planSequences(graph, declared, axes)
    return { axes: { ...plan.axes }, state: plan.fresh(inputs) }
  }
  const x = (...dims: number[]): Tensors => ({
    x: { type: 'float32', dims, data: new Float32Array(dims.reduce((a, b) => a * b, 1)) },
  })
  const graph = (input: readonly Dim[], state: readonly Dim[], next = state): ModelSignature => ({
    inputs: [value('x', input), value('s', state)],
    outputs: [value('y', input), value('next', next)],
  })

  test.each([
    [['batch', 4], ['batch', 8], [3, 8], { s: 0, next: 0 }],
    [['batch', 'time'], [2, 'batch', 8], [2, 3, 8], { s: 1, next: 1 }],
    [[null, 4], [2, null, 8], [2, 3, 8], { s: 1, next: 1 }],
    [['batch', 4], ['rows', 8], [3, 8], { s: 0, next: 0 }],
    [[1, 4], [2, 1, 8], [2, 1, 8], {}],
  ] as const)('for inputs of %j, state of %j begins as %j', (input, dims, expected, axes) => {
    const size = typeof input[0] === 'number' ? 1 : 3
    const { state, axes: found } = first(graph(input, dims), DECLARED, x(size, 4))
    expect(state.s?.dims).toEqual(expected)
    expect(found).toEqual(axes)
  })

  test('what the graph leaves open is declared, and may begin as nothing', () => {
    const cache = graph(['batch', 4], [2, 'batch', 'past', 8], [2, 'batch', 'total', 8])
    expect(() => first(cache, DECLARED, x(3, 4))).toThrow('sequences.state.s.dims must be given')
    const declared: Declared = { ...DECLARED, state: new Map([['s', { output: 'next', dims: [2, -1, 0, 8] }]]) }
    const { state, axes } = first(cache, declared, x(3, 4))
    expect(state.s).toEqual({ type: 'float32', dims: [2, 3, 0, 8], data: new Float32Array(0) })
    expect(axes).toEqual({ s: 1, next: 1 })
  })

  test('each row begins with the same elements, wherever the rows are counted', () => {
    const declared: Declared = { ...DECLARED, state: new Map([['s', { output: 'next', initial: [1, 2, 3, 4] }]]) }
    const { state } = first(graph(['batch', 4], [2, 'batch', 2]), declared, x(3, 4))
    expect([...(state.s?.data ?? [])]).toEqual([1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4])
  })

  test('an id is given as the model takes it', () => {
    const ids = (type: 'int64' | 'string', id: SequenceCall['id']) => {
      const model = { inputs: [value('x', ['N', 1]), value('c', ['N', 1], type)], outputs: [value('y', ['N', 1])] }
      const plan = planSequences(model, { state: new Map(), controls: new Map([['c', { is: 'id' }]]) }, {})
      return [...(plan.controls(x(2, 1), { id }).c?.data ?? [])]
    }
    expect(ids('int64', 7)).toEqual([7n, 7n])
    expect(ids('string', 'a')).toEqual(['a', 'a'])
    expect(ids('string', 7n)).toEqual(['7', '7'])
    expect(() => ids('int64', 'a')).toThrow('takes the id of a sequence as a number')
    expect(() => ids('int64', 2n ** 63n)).toThrow('takes the id of a sequence as a number')
  })
})

describe('a request in the line, however it ends', () => {
  const ENDINGS = {
    answered: async ({ runs }: ReturnType<typeof bench>) => {
      for (let i = 0; i < 4; i++) {
        runs[i]?.answer()
        await settle()
      }
    },
    failed: async ({ runs }: ReturnType<typeof bench>) => {
      for (let i = 0; i < 4; i++) {
        runs[i]?.fail(new Error('no'))
        await settle()
      }
    },
    aborted: async ({ runs }: ReturnType<typeof bench>, abort: () => void) => {
      abort()
      runs[0]?.answer()
      await settle()
    },
    expired: async ({ clock, runs }: ReturnType<typeof bench>) => {
      await clock.letPass(200)
      runs[0]?.answer()
      await settle()
    },
    abandoned: async ({ sequences, runs }: ReturnType<typeof bench>) => {
      sequences.abandon(new ModelmountError('SERVER_CLOSED', 'the server is closing'))
      runs[0]?.answer()
      await settle()
    },
  }

  test.each(Object.entries(ENDINGS))('%s: leaves no listener, no timer that keeps the process, and its place', async (_, end) => {
    const one = bench({ bounds: { maxQueuePerTenant: 3 } })
    for (let turn = 0; turn < 3; turn++) {
      const controller = new AbortController()
      const { signal } = controller
      one.runs.length = 0
      const first = one.send(1, { id: 1, start: true }, { tenant: 'a' })
      const line = [1, 2, 3].map((x) => one.send(x, { id: 1 }, { tenant: 'a', signal, ms: 100 }))
      expect(one.sequences.info.waiting).toBe(3)
      expect(one.clock.held).toBe(1)
      expect(getEventListeners(signal, 'abort')).toHaveLength(1)
      await end(one, () => controller.abort())
      await Promise.all([first, ...line])
      expect(one.sequences.info.waiting).toBe(0)
      expect(one.clock.held).toBe(0)
      expect(getEventListeners(signal, 'abort')).toEqual([])
    }
  })
})

test('sequences that have ended count no more for their tenant, by however many names they came', async () => {
  const { runs, send } = bench({ bounds: { maxPerTenant: 2 } })
  for (let id = 1; id <= 20; id++) {
    const answer = send(1, { id, start: true, end: true }, { tenant: 'a' })
    runs.at(-1)?.answer()
    expect(await answer).toMatchObject({ y: 1 })
  }
  const counts = createTenantCounts()
  for (let i = 0; i < 100_000; i++) {
    counts.add(`tenant ${i}`, 1)
    counts.add(`tenant ${i}`, 1)
    counts.add(`tenant ${i}`, -1)
    counts.add(`tenant ${i}`, -1)
  }
  expect(counts.size).toBe(0)
})
