/** Instances that come later, too, have run before they get their first request. */

import type { ModelServer } from 'modelmount'
import * as ort from 'onnxruntime-node'
import { beforeAll, describe, expect, test } from 'vitest'
import { attr, node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { workerPids } from '../support/children.ts'
import { watch } from '../support/events.ts'
import { LINUX } from '../support/needs.ts'
import { provedServerFor } from '../support/server.ts'

/** x float32 [N, 2] -> same, and the next number of a sequence that begins anew with each session: it tells how many runs there were before. */
const counting = writeModel({
  graph: {
    inputs: [value('x', 'float', ['N', 2])],
    outputs: [value('same', 'float', ['N', 2]), value('next', 'float', [1])],
    nodes: [
      node('Identity', ['x'], ['same']),
      node('RandomUniform', [], ['next'], { shape: attr.ints([1]), seed: attr.float(7), dtype: attr.int(1) }),
    ],
    initializers: [],
  },
})
const row = { x: [[1, 2]] }
const sequence: number[] = []

beforeAll(async () => {
  const session = await ort.InferenceSession.create(counting)
  for (let i = 0; i < 40; i++) {
    const { next } = await session.run({ x: new ort.Tensor('float32', [1, 2], [1, 2]) })
    sequence.push(next?.data[0] as number)
  }
  await session.release()
  expect(new Set(sequence).size).toBe(40)
})

/** Runs that the instance which answers has done before this one. */
async function runsBefore(server: ModelServer): Promise<number> {
  const { outputs } = await server.predict('m', row)
  return sequence.indexOf(outputs.next?.data[0] as number)
}

const model = { name: 'm', source: counting } as const

describe('after a crash', LINUX, () => {
  test.each([
    ['one made-up row', undefined, 1],
    [
      'and the samples that were given',
      [
        { x: [[1, 2]] },
        {
          x: [
            [1, 2],
            [3, 4],
          ],
        },
      ],
      3,
    ],
  ])('%s', async (_, warmup, runs) => {
    const server = await provedServerFor({
      models: [{ ...model, ...(warmup ? { warmup } : {}) }],
      isolation: 'process',
      strict: true,
    })
    const ready = watch(server).next(({ type }) => type === 'worker-ready')
    for (const pid of workerPids()) process.kill(pid, 'SIGKILL')
    await ready
    expect(await runsBefore(server)).toBe(runs)
  })
})

test('after the model was out of memory', async () => {
  const server = await provedServerFor({ models: [{ ...model, idleUnloadMs: 50 }], strict: true })
  const gone = watch(server).next((event) => event.type === 'residency' && !event.resident)
  await gone
  expect(await runsBefore(server)).toBe(1)
})

test('at the start, when there are several', async () => {
  const server = await provedServerFor({ models: [{ ...model, instances: 2, balance: 'round-robin' }], strict: true })
  const [a, b] = [await runsBefore(server), await runsBefore(server)]
  // The first one was tried out; the second one only ran what is usual.
  expect(Math.min(a, b)).toBe(1)
})

describe('a model that dies of what it is warmed up with', LINUX, () => {
  /** x float32 [1] -> x times 2^28 ones: a gigabyte for 1, and next to nothing for what a caller sends here. */
  const greedy = writeModel({
    graph: {
      inputs: [value('x', 'float', [1])],
      outputs: [value('y', 'float', ['n'])],
      nodes: [
        node('Mul', ['x', 'many'], ['scaled']),
        node('Cast', ['scaled'], ['size'], { to: attr.int(7) }),
        node('ConstantOfShape', ['size'], ['y']),
      ],
      initializers: [tensor('many', 'float', [1], [2 ** 28])],
    },
  })

  test('serves all the same where it was not tried out first, and so does its successor', async () => {
    const server = await provedServerFor({
      models: [{ name: 'm', source: greedy, maxMemoryBytes: 150 * 2 ** 20, trialRun: false }],
      isolation: 'process',
      strict: true,
    })
    for (let i = 0; i < 2; i++) {
      const { outputs } = await server.predict('m', { x: [3 / 2 ** 28] })
      expect(outputs.y?.dims).toEqual([3])
      const events = watch(server)
      const ready = events.next(({ type }) => type === 'worker-ready')
      for (const pid of workerPids()) process.kill(pid, 'SIGKILL')
      await ready
      expect(events.seen.filter(({ type }) => type === 'worker-lost')).toHaveLength(1)
    }
  })
})
