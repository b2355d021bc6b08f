import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concat, rowsOf, split } from '../../../src/core/scheduler/batch.ts'
import { allocate, DTYPES } from '../../../src/core/tensor/index.ts'
import type { DType, Tensor } from '../../../src/core/tensor/types.ts'

const TYPES = Object.keys(DTYPES) as DType[]

function tensor(type: DType, dims: number[], seed: number): Tensor {
  const data = allocate(
    type,
    dims.reduce((product, dim) => product * dim, 1),
  )
  for (let i = 0; i < data.length; i++) {
    const value = (seed * 31 + i * 7) % 100
    if (type === 'string') (data as string[])[i] = `s${value}`
    else if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = BigInt(value)
    else (data as Uint8Array)[i] = type === 'bool' ? value % 2 : value
  }
  return { type, dims, data } as Tensor
}

const buffer = (x: Tensor | undefined) => (ArrayBuffer.isView(x?.data) ? x.data.buffer : undefined)

const batches = fc
  .record({
    type: fc.constantFrom(...TYPES),
    before: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 2 }),
    after: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 2 }),
    rows: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 6 }),
  })
  .map(({ type, before, after, rows }) => ({
    axis: before.length,
    rows,
    requests: rows.map((count, seed) => ({ x: tensor(type, [...before, count, ...after], seed) })),
  }))

describe('joining and cutting', () => {
  test('cutting a joined batch gives back every request, along any axis and for any type', () => {
    fc.assert(
      fc.property(batches, ({ axis, rows, requests }) => {
        const joined = concat(requests, { x: axis })
        expect(joined.x?.dims[axis]).toBe(rows.reduce((sum, n) => sum + n, 0))
        expect(split(joined, rows, { x: axis })?.map((piece) => piece.x)).toEqual(requests.map((request) => request.x))
      }),
      { numRuns: 500 },
    )
  })

  test('rows of a batch stand where a run of all of them expects them', () => {
    const a = { x: { type: 'int8', dims: [2, 1], data: Int8Array.of(1, 2) } } as const
    const b = { x: { type: 'int8', dims: [2, 2], data: Int8Array.of(3, 4, 5, 6) } } as const
    expect(concat([a, b], { x: 1 }).x).toEqual({ type: 'int8', dims: [2, 3], data: Int8Array.of(1, 3, 4, 2, 5, 6) })
  })

  test('no piece shares memory with its neighbours or with the batch', () => {
    const joined = concat([{ x: tensor('float32', [2, 3], 1) }, { x: tensor('float32', [1, 3], 2) }], { x: 0 })
    const pieces = split(joined, [2, 1], { x: 0 }) ?? []
    const buffers = pieces.map((piece) => buffer(piece.x))
    expect(new Set([...buffers, buffer(joined.x)]).size).toBe(3)
    expect(buffers.map((behind) => behind?.byteLength)).toEqual([24, 12])
  })

  test('an output without the rows that went in is not cut', () => {
    expect(split({ y: tensor('float32', [3, 2], 1) }, [1, 1], { y: 0 })).toBeUndefined()
    expect(split({ other: tensor('float32', [2], 1) }, [1, 1], { y: 0 })).toBeUndefined()
  })

  test('inputs that disagree on their rows have none', () => {
    expect(rowsOf({ a: tensor('float32', [2, 3], 1), b: tensor('float32', [2, 5], 1) }, { a: 0, b: 0 })).toBe(2)
    expect(rowsOf({ a: tensor('float32', [2, 3], 1), b: tensor('float32', [3, 5], 1) }, { a: 0, b: 0 })).toBeUndefined()
  })
})
