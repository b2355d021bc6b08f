/** Which requests may share a run, how many of them, and what a request weighs: without the scheduler around. */

import { describe, expect, test } from 'vitest'
import { axesOf, type ModelAxes } from '../../../src/core/scheduler/axes.ts'
import { createBatching } from '../../../src/core/scheduler/batching.ts'
import { createCurve } from '../../../src/core/scheduler/curve.ts'
import { createEntry } from '../../../src/core/scheduler/entry.ts'
import type { BatchSettings } from '../../../src/core/scheduler/options.ts'
import type { Dim, ModelSignature, Tensor, ValueInfo } from '../../../src/core/tensor/types.ts'

type Shapes = Readonly<Record<string, readonly Dim[]>>

const values = (shapes: Shapes): ValueInfo[] =>
  Object.entries(shapes).map(([name, dims]) => ({ name, type: 'float32', declaredType: 'tensor(float)', dims }))
const SETTINGS: BatchSettings = {
  maxSize: 16,
  maxRunMs: 100,
  maxElements: 100,
  maxDelayMs: 0,
  mixTenants: true,
  axes: {},
  ragged: undefined,
  independentRows: true,
}

function batchingOf(inputs: Shapes, outputs: Shapes = { y: ['N'] }) {
  const signature: ModelSignature = { inputs: values(inputs), outputs: values(outputs) }
  const axes = axesOf(signature, {}) as ModelAxes
  const curve = createCurve()
  return createBatching(signature, axes, SETTINGS, {
    curve,
    cap: 8,
    gain: 2,
    sizes: [1, 2, 4, 8],
    ragged: undefined,
    padding: undefined,
  })
}

const floats = (...dims: number[]): Tensor => ({
  type: 'float32',
  dims,
  data: Float32Array.from({ length: dims.reduce((n, dim) => n * dim, 1) }, (_, i) => i),
})
const scalar = (value: number): Tensor => ({ type: 'float32', dims: [], data: Float32Array.of(value) })
const run = (inputs: Record<string, Tensor>, fetches: readonly string[] = ['y']) => ({ inputs, fetches })

describe('the bucket of a request', () => {
  test('is one for all where only rows differ', () => {
    const { place, shared } = batchingOf({ x: ['N', 2] })
    const [one, three] = [place(run({ x: floats(1, 2) }), true), place(run({ x: floats(3, 2) }), true)]
    expect([one.rows, three.rows, three.bucket]).toEqual([1, 3, one.bucket])
    expect(shared(one.bucket)).toBe(true)
  })

  test('is its own for no rows, for rows that disagree, and for what may not share', () => {
    const { place, shared } = batchingOf({ x: ['N', 2], z: ['N'] })
    for (const [x, z, shareable] of [
      [floats(0, 2), floats(0), true],
      [floats(2, 2), floats(3), true],
      [floats(2, 2), floats(2), false],
    ] as const) {
      const { bucket, rows } = place(run({ x, z }), shareable)
      expect([shared(bucket), rows]).toEqual([false, 1])
    }
  })

  test('differs by shape, by the values that a run has in common, and by the outputs wanted', () => {
    const { place } = batchingOf({ x: ['N', 'W'], rate: [] }, { y: ['N'], z: ['N'] })
    const bucket = (width: number, rate: Tensor, fetches?: readonly string[]) =>
      place(run({ x: floats(2, width), rate }, fetches), true).bucket
    const usual = bucket(3, scalar(1))
    expect(place(run({ x: floats(5, 3), rate: scalar(1) }), true)).toEqual({ bucket: usual, rows: 5 })
    const others = [bucket(4, scalar(1)), bucket(3, scalar(2)), bucket(3, scalar(1), ['z']), bucket(3, scalar(1), ['y', 'z'])]
    expect(new Set([usual, ...others]).size).toBe(5)
  })

  test('is one for equal lists of outputs, however many lists were seen between', () => {
    const names = Array.from({ length: 200 }, (_, i) => `y${i}`)
    const { place } = batchingOf({ x: ['N', 2] }, Object.fromEntries(names.map((name) => [name, ['N']])))
    const bucket = (fetches: readonly string[]) => place(run({ x: floats(1, 2) }, fetches), true).bucket
    const first = names.map((name) => bucket([name]))
    expect(new Set(first).size).toBe(200)
    expect(names.map((name) => bucket([name]))).toEqual(first)
    expect(bucket(['y1', 'y2'])).not.toBe(bucket(['y2', 'y1']))
    expect(bucket(names)).toBe(bucket([...names]))
  })

  test('differs by integers of 64 bits, which JSON does not know', () => {
    const { place } = batchingOf({ x: ['N'], rate: [] })
    const bucket = (rate: bigint) =>
      place(run({ x: floats(1), rate: { type: 'int64', dims: [], data: BigInt64Array.of(rate) } }), true).bucket
    expect(new Set([2n ** 53n, 2n ** 53n + 1n, 2n ** 53n].map(bucket)).size).toBe(2)
  })

  test('differs by long values and by texts, too', () => {
    const { place } = batchingOf({ x: ['N'], table: [] })
    const bucket = (table: Tensor) => place(run({ x: floats(1), table }), true).bucket
    const long = (last: number): Tensor => {
      const tensor = floats(100)
      ;(tensor.data as Float32Array)[99] = last
      return tensor
    }
    const texts = (...data: string[]): Tensor => ({ type: 'string', dims: [data.length], data })
    const buckets = [long(1), long(2), texts('a', 'b'), texts('a,b'), texts('a', 'c'), scalar(1)].map(bucket)
    expect(new Set(buckets).size).toBe(6)
    expect([bucket(long(1)), bucket(texts('a', 'b'))]).toEqual([buckets[0], buckets[2]])
    const wide = Float32Array.from({ length: 300 }, () => 9)
    wide.set(long(2).data as Float32Array, 100)
    expect(bucket({ type: 'float32', dims: [100], data: wide.subarray(100, 200) })).toBe(buckets[1])
  })
})

describe('a run', () => {
  test('has as many rows as fit within the bound on elements, where rows may differ in size', () => {
    const ragged = batchingOf({ x: ['N', 'W'], z: ['N'] })
    // 2 rows are 2 * 9 + 2 elements.
    expect(ragged.roomFor(run({ x: floats(2, 9), z: floats(2) }), 2)).toBe(10)
    expect(ragged.roomFor(run({ x: floats(2, 400), z: floats(2) }), 2)).toBe(1)
    expect(batchingOf({ x: ['N', 400] }).roomFor(run({ x: floats(2, 400) }), 2)).toBe(Number.POSITIVE_INFINITY)
  })

  test('of several pieces is cut and pasted by rows; each piece has its own copy of what they share', () => {
    const { cut, paste } = batchingOf({ x: ['N', 2], rate: [] }, { y: ['N'], z: ['N'] })
    const inputs = { x: floats(3, 2), rate: scalar(7) }
    const pieces = cut(inputs, [2, 1]) ?? []
    expect(pieces.map(({ x, rate }) => [[...(x as { data: Float32Array }).data], rate])).toEqual([
      [[0, 1, 2, 3], scalar(7)],
      [[4, 5], scalar(7)],
    ])
    expect(pieces[0]?.rate?.data).not.toBe(pieces[1]?.rate?.data)
    expect(cut(inputs, [2, 2])).toBeUndefined()
    expect({ ...paste([{ y: floats(2) }, { y: floats(1) }]) }).toEqual({
      y: { type: 'float32', dims: [3], data: Float32Array.of(0, 1, 0) },
    })
  })

  test('of one bucket teaches the others what it costs, up to as many buckets as are told apart', () => {
    const batching = batchingOf({ x: ['N', 'W'] })
    for (let i = 0; i < 5; i++) batching.observe('*', 2, 10, 0)
    expect(batching.curveOf('a').estimate(2)).toBeCloseTo(10)
    batching.observe('a', 2, 50, 0)
    expect(batching.curve.estimate(2)).toBeCloseTo(10)
    expect(batching.curveOf('a').estimate(2)).toBeGreaterThan(10)
    for (let i = 0; i < 70; i++) batching.curveOf(`bucket ${i}`)
    expect(batching.curveOf('bucket 69')).toBe(batching.curve)
    expect(batching.curveOf('bucket 1')).not.toBe(batching.curve)
    for (let i = 0; i < 70; i++) expect(batching.capOf(`bucket ${i}`)).toBe(8)
    expect(batching.cap).toBe(8)
  })
})

test('a request weighs the bytes of its inputs, texts by a guess, and begins in the queue', () => {
  const inputs = { a: floats(2, 3), b: { type: 'string', dims: [2], data: ['x', 'y'] } as Tensor }
  const ticket = {
    run: run(inputs),
    enqueuedAt: 5,
    deadline: 9,
    signal: undefined,
    priority: 'low',
    tenant: 't',
    shareable: false,
  } as const
  const entry = createEntry(ticket, { bucket: 'l', rows: 2 }, true)
  expect(entry).toMatchObject({
    bytes: 24 + 128,
    enqueuedAt: 5,
    deadline: 9,
    priority: 'low',
    tenant: 't',
    bucket: 'l',
    rows: 2,
    apart: true,
    shareable: false,
    phase: 'queued',
    waits: false,
    partners: 'any',
  })
  // Until it has a promise, an answer has no owner.
  entry.resolve({ outputs: {}, queueMs: 0, inferMs: 0, batchSize: 1, endedAt: 0, run: { batchId: 1, runMs: 0, tier: 'worker' } })
})
