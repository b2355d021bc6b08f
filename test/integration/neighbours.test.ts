/** Requests that share a run: each caller's answer is the one it would get alone, with any neighbours. */

import type { ModelServer, PredictResult, Tensor } from 'modelmount'
import { describe, expect, test } from 'vitest'
import { gatherModel, mlpModel } from '../../tools/models.mjs'
import { attr, node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { posted, provedServerFor } from '../support/server.ts'

const SIZE = 64
const WEIGHTS = Float32Array.from({ length: SIZE * SIZE }, (_, i) => (Math.imul(i + 1, 2654435761) / 2 ** 31) * 0.1)
const CHAIN = Array.from({ length: 8 }, (_, i) => node('MatMul', [i === 0 ? 'x' : `h${i - 1}`, 'w'], [`h${i}`]))
const W = tensor('w', 'float', [SIZE, SIZE], WEIGHTS)
const X = value('x', 'float', ['N', SIZE])
const Y = value('y', 'float', ['N', SIZE])

/** y = chain(x) + relu(max over all rows of x - 100): rows are independent as long as none is loud. */
const loudModel = (): Uint8Array =>
  writeModel({
    graph: {
      inputs: [X],
      outputs: [Y],
      nodes: [
        ...CHAIN,
        node('ReduceMax', ['x'], ['max'], { axes: attr.ints([0]), keepdims: attr.int(1) }),
        node('Sub', ['max', 'limit'], ['over']),
        node('Relu', ['over'], ['excess']),
        node('Add', ['h7', 'excess'], ['y']),
      ],
      initializers: [W, tensor('limit', 'float', [1], [100])],
    },
  })

/** With c = x - mean over all rows of x: y = chain(c) + c + the mean of table[index], with a table of one row: only index 0 is taken, so made-up inputs must be zeros. */
const centredModel = (): Uint8Array =>
  writeModel({
    graph: {
      inputs: [X, value('index', 'int64', ['N', 8])],
      outputs: [Y],
      nodes: [
        node('ReduceMean', ['x'], ['mean'], { axes: attr.ints([0]), keepdims: attr.int(1) }),
        node('Sub', ['x', 'mean'], ['centred']),
        node('MatMul', ['centred', 'w'], ['h0']),
        ...CHAIN.slice(1),
        node('Gather', ['table', 'index'], ['found']),
        node('ReduceMean', ['found'], ['row'], { axes: attr.ints([1]), keepdims: attr.int(0) }),
        node('Add', ['centred', 'row'], ['sum']),
        node('Add', ['h7', 'sum'], ['y']),
      ],
      initializers: [W, tensor('table', 'float', [1, SIZE], new Float32Array(SIZE))],
    },
  })

/** Requests that wait together behind a long run, so that they may share the next one. */
async function together(
  server: ModelServer,
  blocker: Record<string, Tensor>,
  requests: readonly Record<string, Tensor>[],
): Promise<PredictResult[]> {
  const front = server.predict('m', blocker)
  await posted()
  const answers = await Promise.all(requests.map((inputs) => server.predict('m', inputs)))
  await front
  return answers
}

const floats = (rows: number, of: (i: number) => number): Tensor => ({
  type: 'float32',
  dims: [rows, SIZE],
  data: Float32Array.from({ length: rows * SIZE }, (_, i) => of(i)),
})
const zeros = (rows: number): Tensor => ({ type: 'int64', dims: [rows, 8], data: new BigInt64Array(8 * rows) })
const dataOf = (result: PredictResult | undefined): number[] => [...((result?.outputs.y?.data ?? []) as Float32Array)]
const furthest = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((x, i) => Math.abs(x - (b[i] ?? Number.NaN))))

describe('a model whose rows influence each other', () => {
  test('only for values that nobody tried: no caller sees its neighbour', async () => {
    const server = await provedServerFor({ models: [{ name: 'm', source: loudModel() }], strict: true })
    const quiet = { x: floats(1, (i) => Math.sin(i)) }
    const alone = await server.predict('m', quiet)
    const [beside] = await together(server, { x: floats(20_000, () => 0) }, [quiet, { x: floats(1, () => 1000) }, quiet])
    expect(furthest(dataOf(beside), dataOf(alone))).toBeLessThan(0.01)
  })

  test('that takes only zeros when tried: no caller sees its neighbour', async () => {
    const server = await provedServerFor({ models: [{ name: 'm', source: centredModel() }], strict: true })
    const mine = { x: floats(1, (i) => Math.sin(i)), index: zeros(1) }
    const alone = await server.predict('m', mine)
    const other = { x: floats(1, () => 50), index: zeros(1) }
    const [beside] = await together(server, { x: floats(20_000, () => 0), index: zeros(20_000) }, [mine, other, mine])
    expect(furthest(dataOf(beside), dataOf(alone))).toBeLessThan(0.01)
  })
})

describe('a model whose rows are independent', () => {
  test('300 callers with one to five rows each get their own rows, in their own memory', async () => {
    const server = await provedServerFor({ models: [{ name: 'm', source: mlpModel({ layers: [SIZE, 128, 3] }) }], strict: true })
    const requests = Array.from({ length: 300 }, (_, i) => {
      const rows = 1 + (i % 5)
      return { features: floats(rows, (k) => Math.sin(i * 1000 + k)) }
    })
    const alone: Float32Array[] = []
    for (const inputs of requests)
      alone.push((await server.predict('m', inputs, { batch: false })).outputs.scores?.data as Float32Array)
    const answers = await together(server, { features: floats(20_000, () => 0) }, requests)
    const buffers = new Set<unknown>()
    for (const [i, { outputs }] of answers.entries()) {
      const scores = outputs.scores?.data as Float32Array
      expect(outputs.scores?.dims).toEqual([1 + (i % 5), 3])
      expect(furthest([...scores], [...(alone[i] as Float32Array)])).toBeLessThan(1e-4)
      expect(scores.buffer.byteLength).toBe(scores.byteLength)
      buffers.add(scores.buffer)
    }
    expect(buffers.size).toBe(300)
    // Some did share a run, so the check means something.
    if (server.model('m').batching.maxSize >= 4) expect(answers.some(({ batchSize }, i) => batchSize > 1 + (i % 5))).toBe(true)
  })

  test('a neighbour that the model refuses costs nobody else the answer', async () => {
    const server = await provedServerFor({ models: [{ name: 'm', source: gatherModel() }], strict: true })
    const pending = Array.from({ length: 60 }, (_, i) => server.predict('m', { indices: [i % 7 === 3 ? 99 : i % 8] }))
    for (const [i, outcome] of (await Promise.allSettled(pending)).entries()) {
      if (i % 7 === 3) expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'INPUT_REJECTED' } })
      else {
        const first = 4 * (i % 8)
        expect(outcome).toMatchObject({
          status: 'fulfilled',
          value: { outputs: { rows: { data: Float32Array.of(first, first + 1, first + 2, first + 3) } } },
        })
      }
    }
  })

  test('neighbours that give up, or want other outputs, cost nobody else the answer', async () => {
    const server = await provedServerFor({ models: [{ name: 'm', source: mlpModel({ layers: [SIZE, 128, 3] }) }], strict: true })
    const features = (i: number) => ({ features: floats(1, (k) => Math.sin(i * 100 + k)) })
    const front = server.predict('m', { features: floats(20_000, () => 0) })
    await posted()
    const leave = new AbortController()
    const pending = Array.from({ length: 60 }, (_, i) =>
      server.predict('m', features(i), i % 5 === 0 ? { signal: leave.signal } : i % 5 === 1 ? { outputs: ['scores'] } : {}),
    )
    leave.abort()
    const outcomes = await Promise.allSettled(pending)
    await front
    for (const [i, outcome] of outcomes.entries()) {
      if (i % 5 === 0) expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ABORTED' } })
      else {
        const alone = (await server.predict('m', features(i), { batch: false })).outputs.scores?.data as Float32Array
        const got = (outcome as PromiseFulfilledResult<PredictResult>).value.outputs.scores?.data as Float32Array
        expect(furthest([...got], [...alone])).toBeLessThan(1e-4)
      }
    }
  })
})
