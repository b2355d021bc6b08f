/** Inputs large enough for memory that is used again: whatever it held before, each caller gets the answer to its own bytes. */

import { Worker } from 'node:worker_threads'
import type { BatchOptions, ModelServer, PredictResult, Tensor } from 'modelmount'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createBufferPool } from '../../src/core/engine/buffer-pool.ts'
import type { Channel, OpenChannel } from '../../src/core/engine/channel.ts'
import { createInstance } from '../../src/core/engine/instance.ts'
import type { RunOutcome } from '../../src/core/engine/run.ts'
import { systemClock } from '../../src/core/host/clock.ts'
import { FIXED_COST } from '../../tools/models.mjs'
import { attr, node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { posted, provedServerFor } from '../support/server.ts'

/** 280 KB a row. */
const SIZE = 70_000

const ENDS = [
  node('Slice', ['x', 'start', 'two', 'one'], ['head']),
  node('Slice', ['x', 'end', 'size', 'one'], ['tail']),
  node('ReduceMax', ['x'], ['largest'], { axes: attr.ints([1]), keepdims: attr.int(1) }),
  ...FIXED_COST.nodes,
  node('Add', ['largest', 'zero'], ['max']),
]
const CONSTANTS = [
  tensor('start', 'int64', [1], [0n]),
  tensor('one', 'int64', [1], [1n]),
  tensor('two', 'int64', [1], [2n]),
  tensor('end', 'int64', [1], [BigInt(SIZE - 2)]),
  tensor('size', 'int64', [1], [BigInt(SIZE)]),
  ...FIXED_COST.initializers,
]

/** x float32 [N, SIZE] -> y [N, 5]: the first two of each row, the last two, and the largest. */
const endsModel = (): Uint8Array =>
  writeModel({
    graph: {
      inputs: [value('x', 'float', ['N', SIZE])],
      outputs: [value('y', 'float', ['N', 5])],
      nodes: [...ENDS, node('Concat', ['head', 'tail', 'max'], ['y'], { axis: attr.int(1) })],
      initializers: CONSTANTS,
    },
  })

/** The same, and index int64 [N] into a table of two: any other fails the run. */
const pickyModel = (): Uint8Array =>
  writeModel({
    graph: {
      inputs: [value('x', 'float', ['N', SIZE]), value('index', 'int64', ['N'])],
      outputs: [value('y', 'float', ['N', 6])],
      nodes: [
        ...ENDS,
        node('Gather', ['table', 'index'], ['found']),
        node('Concat', ['head', 'tail', 'max', 'found'], ['y'], { axis: attr.int(1) }),
      ],
      initializers: [...CONSTANTS, tensor('table', 'float', [2, 1], [0, 1])],
    },
  })

/** x float32 [N, 8], all float32 [SIZE], index int64 [N] -> y [N, 1] = the last of `all` + table[index], with a table of two. */
const sharedModel = (): Uint8Array =>
  writeModel({
    graph: {
      inputs: [value('x', 'float', ['N', 8]), value('all', 'float', [SIZE]), value('index', 'int64', ['N'])],
      outputs: [value('y', 'float', ['N', 1])],
      nodes: [
        node('Slice', ['all', 'before', 'size'], ['last']),
        node('Gather', ['table', 'index'], ['found']),
        node('Slice', ['x', 'start', 'one', 'one'], ['first']),
        node('Add', ['first', 'found'], ['sum']),
        ...FIXED_COST.nodes,
        node('Add', ['last', 'zero'], ['same']),
        node('Add', ['sum', 'same'], ['y']),
      ],
      initializers: [...CONSTANTS, tensor('before', 'int64', [1], [BigInt(SIZE - 1)]), tensor('table', 'float', [2, 1], [0, 1])],
    },
  })

const rowsFrom = (rows: number, seed: number): Tensor => {
  const data = new Float32Array(rows * SIZE).fill(seed)
  for (let row = 0; row < rows; row++) {
    data.set([seed + row, seed + 0.25], row * SIZE)
    data.set([seed + 0.5, seed + row + 0.75], (row + 1) * SIZE - 2)
  }
  return { type: 'float32', dims: [rows, SIZE], data }
}

const answerTo = (rows: number, seed: number): number[] =>
  Array.from({ length: rows }, (_, row) => [seed + row, seed + 0.25, seed + 0.5, seed + row + 0.75, seed + row + 0.75]).flat()

const dataOf = (result: PredictResult): number[] => Array.from((result.outputs.y?.data ?? []) as Float32Array)
const indices = (...values: number[]): Tensor => ({
  type: 'int64',
  dims: [values.length],
  data: BigInt64Array.from(values, BigInt),
})

const serve = (source: Uint8Array, batching: BatchOptions = {}, rest: object = {}): Promise<ModelServer> =>
  provedServerFor({ models: [{ name: 'm', source, batching, ...rest }], strict: true })

/** Counts fresh memory of at least that size which the host asks for by name, as the pool does. */
function countFresh(bytes: number): { count: number } {
  const counter = { count: 0 }
  const Real = globalThis.ArrayBuffer
  globalThis.ArrayBuffer = new Proxy(Real, {
    construct(target, args, newTarget) {
      if (args[0] >= bytes) counter.count++
      return Reflect.construct(target, args, newTarget)
    },
  })
  onTestFinished(() => {
    globalThis.ArrayBuffer = Real
  })
  return counter
}

describe('large inputs', () => {
  test('many callers at once, who reuse their arrays at once, get the answers to what they sent', async () => {
    const server = await serve(endsModel(), { maxSize: 8 })
    expect(server.model('m').batching.enabled).toBe(true)
    const array = new Float32Array(3 * SIZE)
    for (let round = 0; round < 6; round++) {
      const answers = Array.from({ length: 16 }, async (_, i) => {
        const [rows, seed] = [1 + (i % 3), 100 * round + 4 * i]
        const view = array.subarray(0, rows * SIZE)
        view.set(rowsFrom(rows, seed).data as Float32Array)
        const answer = server.predict('m', { x: { type: 'float32', dims: [rows, SIZE], data: view } })
        view.fill(Number.NaN)
        expect(dataOf(await answer)).toEqual(answerTo(rows, seed))
      })
      await Promise.all(answers)
    }
    const { batches, rows } = server.model('m').queue
    expect(rows).toBe(6 * (6 + 2 * 5 + 3 * 5))
    expect(batches).toBeLessThan(6 * 16)
  })

  test('memory is used again: after the first request of a size no more is asked for', async () => {
    const server = await serve(endsModel())
    for (let i = 0; i < 3; i++) await server.predict('m', { x: rowsFrom(4, i) })
    const fresh = countFresh(256 * 1024)
    for (let i = 0; i < 20; i++) expect(dataOf(await server.predict('m', { x: rowsFrom(4, i) }))).toEqual(answerTo(4, i))
    expect(fresh.count).toBe(0)
  })

  test('also that of requests over HTTP, binary, raw and in JSON', async () => {
    const server = await serve(endsModel())
    const row = rowsFrom(1, 7).data as Float32Array
    const bytes = new Uint8Array(row.buffer, row.byteOffset, row.byteLength)
    const head = (more: object) => JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, SIZE], ...more }] })
    const json = head({ parameters: { binary_data_size: bytes.length } })
    const requests = [
      // At any offset: every length of the JSON but one in four is none where floats could lie.
      ...[0, 1, 2, 3].map((spaces) => ({
        headers: { 'inference-header-content-length': String(json.length + spaces) },
        body: new Uint8Array(Buffer.concat([Buffer.from(json + ' '.repeat(spaces)), bytes])),
      })),
      { headers: { 'inference-header-content-length': '0' }, body: Uint8Array.from(bytes) },
      { headers: {}, body: new TextEncoder().encode(head({ data: Array.from(row) })) },
    ]
    const ask = async (): Promise<void> => {
      for (const request of requests) {
        const { status, headers, body } = await server.http.handle({ method: 'POST', path: '/v2/models/m/infer', ...request })
        const length = Number(headers['inference-header-content-length'] ?? 0)
        const floats = length > 0 ? Array.from(new Float32Array(Uint8Array.from(body.subarray(length)).buffer)) : undefined
        const data = floats ?? (JSON.parse(Buffer.from(body).toString()) as { outputs: [{ data: number[] }] }).outputs[0].data
        expect([status, data]).toEqual([200, answerTo(1, 7)])
      }
    }
    await ask()
    const fresh = countFresh(256 * 1024)
    await ask()
    expect(fresh.count).toBe(0)
  })

  test('also that of a run which failed, and of requests that were joined', async () => {
    const server = await serve(pickyModel(), { maxSize: 4 })
    const round = async (): Promise<void> => {
      const calls = [0, 1, 9, 1].map((index, i) => server.predict('m', { x: rowsFrom(1, i), index: indices(index) }))
      const outcomes = await Promise.allSettled(calls)
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled'])
    }
    for (let i = 0; i < 4; i++) await round()
    const fresh = countFresh(256 * 1024)
    for (let i = 0; i < 10; i++) await round()
    expect(fresh.count).toBe(0)
  })

  test('child processes have none of it', async () => {
    const server = await serve(endsModel(), { maxSize: 4 }, { isolation: 'process' })
    const fresh = countFresh(256 * 1024)
    const answers = await Promise.all([1, 2, 3].map((seed) => server.predict('m', { x: rowsFrom(1, seed) })))
    expect(answers.map(dataOf)).toEqual([1, 2, 3].map((seed) => answerTo(1, seed)))
    expect(fresh.count).toBe(0)
  })

  test('a bad row in a shared run costs its neighbours nothing: they run again with their own bytes', async () => {
    const server = await serve(pickyModel(), { maxSize: 8 })
    expect(server.model('m').batching.enabled).toBe(true)
    const front = server.predict('m', { x: rowsFrom(8, 1000), index: indices(0, 0, 0, 0, 0, 0, 0, 0) })
    await posted()
    const calls = Array.from({ length: 8 }, (_, i) =>
      server.predict('m', { x: rowsFrom(1, 8 * i), index: indices(i === 3 ? 7 : i % 2) }),
    )
    const outcomes = await Promise.allSettled(calls)
    await front
    for (const [i, outcome] of outcomes.entries()) {
      if (i === 3)
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: expect.stringMatching(/REJECTED|FAILED/) } })
      else expect(outcome.status === 'fulfilled' && dataOf(outcome.value)).toEqual([...answerTo(1, 8 * i), i % 2])
    }
    expect(server.model('m').queue).toMatchObject({ waiting: 0, running: 0 })
  })

  test('a caller who leaves a shared run takes nothing from the others', async () => {
    const server = await serve(endsModel(), { maxSize: 8 })
    for (let round = 0; round < 5; round++) {
      const leave = new AbortController()
      const front = server.predict('m', { x: rowsFrom(8, 1000) })
      await posted()
      const gone = [1, 2].map((seed) => server.predict('m', { x: rowsFrom(1, seed) }, { signal: leave.signal }))
      const staying = [3, 4, 5].map((seed) => server.predict('m', { x: rowsFrom(1, seed) }))
      if (round % 2 === 0) await posted()
      leave.abort()
      // They write into what the others have left behind.
      await Promise.allSettled(gone)
      const later = [6, 7].map((seed) => server.predict('m', { x: rowsFrom(1, seed) }))
      expect((await Promise.all([...staying, ...later])).map(dataOf)).toEqual([3, 4, 5, 6, 7].map((seed) => answerTo(1, seed)))
      await front
    }
  })

  test('a request that is cut into several runs', async () => {
    const server = await serve(endsModel(), { maxSize: 4 })
    const answers = await Promise.all([0, 100].map((seed) => server.predict('m', { x: rowsFrom(11, seed) })))
    expect(answers.map(dataOf)).toEqual([answerTo(11, 0), answerTo(11, 100)])
  })

  test('closing waits for those that are out, and answers them', async () => {
    const server = await serve(endsModel(), { maxSize: 4 })
    const calls = Array.from({ length: 12 }, (_, i) => server.predict('m', { x: rowsFrom(2, 2 * i) }))
    await server.close()
    expect((await Promise.all(calls)).map(dataOf)).toEqual(calls.map((_, i) => answerTo(2, 2 * i)))
  })
})

describe('a large input that all rows of a run share', () => {
  const all = (last: number): Tensor => ({ type: 'float32', dims: [SIZE], data: new Float32Array(SIZE).fill(last) })
  const x = (rows: number, first: number): Tensor => ({
    type: 'float32',
    dims: [rows, 8],
    data: Float32Array.from({ length: 8 * rows }, (_, i) => (i % 8 === 0 ? first + i / 8 : 0)),
  })
  const serveShared = async (maxSize: number): Promise<ModelServer> => {
    const server = await serve(sharedModel(), { axes: { all: 'shared' }, maxSize })
    expect(server.model('m').batching).toMatchObject({ enabled: true, maxSize: expect.any(Number) })
    return server
  }

  test('is still there when members of a failed run are tried alone', async () => {
    const server = await serveShared(8)
    const front = server.predict('m', { x: x(8, 0), all: all(3), index: indices(0, 0, 0, 0, 0, 0, 0, 0) })
    await posted()
    const calls = [0, 1, 5, 1].map((index, i) => server.predict('m', { x: x(1, i), all: all(10), index: indices(index) }))
    const outcomes = await Promise.allSettled(calls)
    await front
    expect(outcomes.map((outcome) => (outcome.status === 'fulfilled' ? dataOf(outcome.value) : 'failed'))).toEqual([
      [10],
      [12],
      'failed',
      [14],
    ])
  })

  test('must be the same for requests that meet', async () => {
    const server = await serveShared(8)
    const front = server.predict('m', { x: x(8, 0), all: all(3), index: indices(0, 0, 0, 0, 0, 0, 0, 0) })
    await posted()
    const calls = [1, 2, 1, 2].map((last, i) => server.predict('m', { x: x(1, i), all: all(last), index: indices(0) }))
    const answers = await Promise.all(calls)
    await front
    expect(answers.map(dataOf)).toEqual([[1], [3], [3], [5]])
    expect(answers.map(({ batchSize }) => batchSize)).toEqual([2, 2, 2, 2])
  })

  test('goes with every piece of a request that is cut into several runs', async () => {
    const server = await serveShared(4)
    const index = indices(...Array.from({ length: 11 }, () => 1))
    const answer = await server.predict('m', { x: x(11, 0), all: all(20), index })
    expect(dataOf(answer)).toEqual(Array.from({ length: 11 }, (_, i) => 21 + i))
  })
})

describe('a worker thread', () => {
  /** The built worker, and a message that it does not understand, which ends it between two runs. */
  function openReal(): { open: OpenChannel; breakIt(): void } {
    const worker = new Worker(new URL('../../dist/workers/worker.cjs', import.meta.url), {
      workerData: { flags: new Int32Array(new SharedArrayBuffer(8)) },
      stderr: true,
    })
    onTestFinished(async () => void (await worker.terminate()))
    return {
      open: (events): Channel => {
        worker.on('message', events.onMessage)
        worker.on('error', () => {})
        worker.on('exit', () => events.onExit('gone'))
        return {
          post: (message, transfer) => worker.postMessage(message, transfer),
          close: async () => void (await worker.terminate()),
        }
      },
      breakIt: () => worker.postMessage({ kind: 'digest' }),
    }
  }

  test('gives back the memory of its inputs; one that dies takes it along, and nobody waits for that', async () => {
    const { open, breakIt } = openReal()
    const buffers = createBufferPool(systemClock)
    onTestFinished(() => buffers.close())
    const request = {
      source: endsModel(),
      patch: [],
      data: [],
      settings: {
        providers: [{ name: 'cpu' as const }],
        strictProviders: false,
        session: {
          intraOpNumThreads: 1,
          interOpNumThreads: 1,
          graphOptimizationLevel: 'all' as const,
          executionMode: 'sequential' as const,
          enableCpuMemArena: false,
          enableMemPattern: false,
          logSeverityLevel: 4 as const,
          extra: {},
        },
        prefetch: true,
        niceness: 0,
      },
      timeoutMs: 30_000,
    }
    const lost: string[] = []
    const instance = createInstance(request, {
      id: 1,
      open,
      clock: systemClock,
      buffers,
      onLost: (reason) => lost.push(reason),
      onLine() {},
    })
    await instance.loaded
    const run = (seed: number): Promise<readonly RunOutcome[] | 'lost' | 'unstarted'> => {
      const { dims, data } = rowsFrom(1, seed)
      const x: Tensor = { type: 'float32', dims, data: buffers.copy(data as Float32Array) }
      return new Promise((resolve) => instance.run([{ inputs: { x }, fetches: ['y'] }], resolve))
    }
    const free = new Set<number>()
    for (let i = 0; i < 5; i++) {
      const [outcome] = (await run(i)) as readonly RunOutcome[]
      expect(outcome && 'outputs' in outcome && Array.from((outcome.outputs.y?.data ?? []) as Float32Array)).toEqual(
        answerTo(1, i),
      )
      free.add(buffers.freeBytes)
    }
    // Always the same one.
    expect(free.size).toBe(1)
    expect(buffers.freeBytes).toBeGreaterThanOrEqual(4 * SIZE)
    breakIt()
    expect(await Promise.all([run(1), run(2)])).toEqual(['lost', 'unstarted'])
    expect(lost).toEqual(['gone'])
    expect(buffers.freeBytes).toBe(0)
    expect(buffers.copy(new Float32Array(SIZE).fill(3)).every((x) => x === 3)).toBe(true)
  })
})
