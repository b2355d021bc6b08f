/** A request in pieces: in order, a few at a time, and over as soon as one of them fails or its caller leaves. */

import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { ModelmountError } from '../../../src/core/errors.ts'
import { type Batching, unbatched } from '../../../src/core/scheduler/batching.ts'
import type { Finished, Ticket } from '../../../src/core/scheduler/entry.ts'
import { inPieces } from '../../../src/core/scheduler/pieces.ts'
import type { Tensor } from '../../../src/core/tensor/types.ts'

const tensor = (values: readonly number[]): Tensor => ({
  type: 'float32',
  dims: [values.length],
  data: Float32Array.from(values),
})
const valuesOf = (record: Readonly<Record<string, Tensor>>): number[] => Array.from(record.x?.data as Float32Array)

const BATCHING: Batching = {
  ...unbatched(''),
  capOf: () => 4,
  cut({ x }, rows) {
    const values = Array.from(x?.data as Float32Array)
    return rows.map((count) => ({ x: tensor(values.splice(0, count)) }))
  },
  paste: (outputs) => ({ x: tensor(outputs.flatMap(valuesOf)) }),
}

/** The second of three pieces ends last. */
const ENDS = [10, 30, 20]

/** A request of ten rows, in three pieces, two at a time; pieces are answered by hand. */
function start(signal?: AbortSignal) {
  const pieces: { readonly ticket: Ticket; readonly index: number; answer(): void; fail(error: Error): void }[] = []
  const values = Array.from({ length: 10 }, (_, i) => i)
  const ticket: Ticket = {
    run: { inputs: { x: tensor(values) }, fetches: ['x'] },
    enqueuedAt: 0,
    deadline: 1000,
    signal,
    priority: 'normal',
    tenant: 'a',
    shareable: true,
  }
  const answer = inPieces(ticket, { bucket: '*', rows: 10 }, BATCHING, 2, (ticket, index) => {
    let resolve: (finished: Finished) => void = () => {}
    let reject: (error: Error) => void = () => {}
    const promise = new Promise<Finished>((...settle) => {
      ;[resolve, reject] = settle
    })
    const outputs = ticket.run.inputs
    const done = { outputs, queueMs: 1, inferMs: 2, batchSize: 3 + index, endedAt: ENDS[index] ?? 0, run: runOf(index) }
    pieces.push({ ticket, index, answer: () => resolve(done), fail: reject })
    ticket.signal?.addEventListener('abort', () => reject(new ModelmountError('ABORTED', 'the request was aborted')))
    return promise
  })
  return { answer, pieces, values }
}

const runOf = (index: number) => ({ batchId: index, runMs: 2, tier: 'worker' }) as const
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('two at a time, joined in order whichever ends first', async () => {
  const { answer, pieces, values } = start()
  expect(pieces.map(({ ticket }) => valuesOf(ticket.run.inputs))).toEqual([
    [0, 1, 2, 3],
    [4, 5, 6, 7],
  ])
  pieces[1]?.answer()
  await settle()
  expect(pieces).toHaveLength(3)
  pieces[2]?.answer()
  pieces[0]?.answer()
  const { outputs, ...times } = await answer
  expect(valuesOf(outputs)).toEqual(values)
  expect(times).toEqual({ queueMs: 3, inferMs: 6, batchSize: 5, endedAt: 30, run: runOf(1) })
})

test('when one fails the others are told, no other begins, and the caller’s signal has no listener left', async () => {
  const { signal } = new AbortController()
  const { answer, pieces } = start(signal)
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  pieces[0]?.fail(new ModelmountError('INPUT_REJECTED', 'no'))
  await expect(answer).rejects.toMatchObject({ code: 'INPUT_REJECTED' })
  await settle()
  expect(pieces).toHaveLength(2)
  expect(pieces[1]?.ticket.signal?.aborted).toBe(true)
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

test('a caller that leaves takes all of them along', async () => {
  const controller = new AbortController()
  const { answer, pieces } = start(controller.signal)
  controller.abort()
  await expect(answer).rejects.toMatchObject({ code: 'ABORTED' })
  await settle()
  expect(pieces.map(({ ticket }) => ticket.signal?.aborted)).toEqual([true, true])
})

test('one that was answered leaves no listener either', async () => {
  const { signal } = new AbortController()
  const { answer, pieces } = start(signal)
  for (let i = 0; i < 3; i++) {
    pieces[i]?.answer()
    await settle()
  }
  await answer
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

describe('rows that cannot be cut', () => {
  const ticketOf = (rows: number): Ticket => ({
    run: { inputs: { x: { type: 'float32', dims: [rows], data: new Float32Array() } }, fetches: ['x'] },
    enqueuedAt: 0,
    deadline: 1000,
    signal: undefined,
    priority: 'normal',
    tenant: 'a',
    shareable: true,
  })
  let submitted = 0
  const ask = (rows: number, batching: Batching): Promise<Finished> =>
    inPieces(ticketOf(rows), { bucket: '*', rows }, batching, 2, async () => {
      submitted++
      throw new ModelmountError('ABORTED', 'enough')
    })

  test('more than 100,000 pieces are refused before one runs, and so many are not', async () => {
    submitted = 0
    const many = { ...BATCHING, cut: (_: unknown, sizes: readonly number[]) => sizes.map(() => ({})) }
    await expect(ask(400_001, many)).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      details: { field: 'inputs', expected: 'at most 400000 rows', got: '400001 rows' },
    })
    expect(submitted).toBe(0)
    await expect(ask(400_000, many)).rejects.toMatchObject({ code: 'ABORTED' })
    expect(submitted).toBe(2)
  })

  test('inputs that do not cut are our defect, and none of them runs', async () => {
    submitted = 0
    await expect(ask(10, { ...BATCHING, cut: () => undefined })).rejects.toMatchObject({
      code: 'INTERNAL',
      message: 'internal error',
      cause: new Error('a request could not be cut into pieces'),
    })
    expect(submitted).toBe(0)
  })
})
