/** The measured cost of a model, on machines that have other work while it loads. Runs are made up: they take as long as the test says. */

import { expect, onTestFinished, test, vi } from 'vitest'
import type { Tensor } from '../../../src/core/tensor/types.ts'
import { measure } from '../../../src/core/trial/measure.ts'
import { proveWith } from '../../support/proving.ts'

const AXES = { inputs: { x: 0 }, outputs: { y: 0 }, shared: [] }
const BOUNDS = { maxRunMs: 50, sizes: [1, 2, 4, 8, 16, 32, 64] }
const SIZES = 7
const row = (): Record<string, Tensor> => ({ x: { type: 'float32', dims: [1, 4], data: new Float32Array(4) } })
const law = (rows: number): number => 1 + rows / 8

/** @param slowdown by what a run is slowed down, given how many calls came before */
async function measured(slowdown: (call: number) => number) {
  let calls = 0
  // Each message takes a millisecond, whatever this machine is doing.
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => calls)
  onTestFinished(() => clock.mockRestore())
  const points = await measure([row()], AXES, BOUNDS, {
    fetches: ['y'],
    runAll: async (runs) => {
      const factor = slowdown(calls++)
      return runs.map(({ inputs }) => ({ outputs: {}, inferMs: factor * law(inputs.x?.dims[0] ?? 0) }))
    },
  })
  const off = points.map(({ rows, ms }) => ms / law(rows))
  return { calls, points, off }
}

test('on a quiet machine three looks at each size are enough', async () => {
  const { calls, points, off } = await measured(() => 1)
  expect(points.map(({ rows }) => rows)).toEqual([1, 2, 4, 8, 16, 32, 64])
  expect(off).toEqual(points.map(() => 1))
  expect(calls).toBe(3 * SIZES)
})

test('as long as it still finds shorter runs it looks again', async () => {
  // Half of the disturbance is gone in each pass over the sizes.
  const { off } = await measured((call) => 1 + 4 / 2 ** Math.floor(call / SIZES))
  expect(Math.max(...off)).toBeLessThan(1.1)
})

test('a neighbour that is busy while the single row is looked at does not make a gain', async () => {
  const { off } = await measured((call) => (call % SIZES === 0 && call < 4 * SIZES ? 3 - call / (2 * SIZES) : 1))
  expect(off[0]).toBeLessThan(1.1)
})

test('a machine that gets no quieter is not waited for', async () => {
  const { calls } = await measured((call) => 2 ** -(call / SIZES))
  expect(calls).toBeLessThan(1000)
})

/** A model that gives back its rows, each of so many floats, at a cost that more rows in a run bring down by a fifth. */
async function batchingOf(floats: number) {
  const value = { name: 'x', type: 'float32', declaredType: 'float32', dims: ['N', floats] } as const
  const settings = {
    maxSize: 16,
    maxRunMs: 50,
    maxElements: 2 ** 24,
    maxDelayMs: 0,
    mixTenants: false,
    axes: {},
    ragged: undefined,
  }
  const batching = await proveWith({ inputs: [value], outputs: [value] }, { ...settings, independentRows: true }, async (runs) =>
    runs.map(({ inputs }) => ({ outputs: { ...inputs }, inferMs: 0.02 + 0.08 * (inputs.x?.dims[0] ?? 0) })),
  )
  return batching.info
}

test('rows that are dearer to copy than to run together gain nothing', async () => {
  expect(await batchingOf(32)).toMatchObject({ enabled: true })
  const image = await batchingOf(3 * 224 * 224)
  expect(image).toMatchObject({ enabled: false, maxSize: 1 })
  expect(image.reason).toMatch(/^batching gains nothing: 1\.00 times/)
})
