/** Tensor maps in one message: all types and sizes come out as they went in, and no map gets the bytes of another. */

import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { pack, type TensorRecord, unpack } from '../../../src/core/engine/frame.ts'
import { allocate, DTYPES } from '../../../src/core/tensor/index.ts'
import type { DType, Tensor } from '../../../src/core/tensor/types.ts'

const TYPES = Object.keys(DTYPES) as DType[]
const LARGE = 64 * 1024

function tensorOf(type: DType, length: number, seed: number): Tensor {
  const data = allocate(type, length)
  for (let i = 0; i < length; i++) {
    const value = (seed * 31 + i * 7) % 100
    if (type === 'string') (data as string[])[i] = `s${value}`
    else if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = BigInt(value)
    else (data as Uint8Array)[i] = type === 'bool' ? value % 2 : value
  }
  return { type, dims: [length, 1], data } as Tensor
}

const maps = fc.array(
  fc.dictionary(
    fc.constantFrom('a', 'b', '__proto__', 'toString', ''),
    fc.record({ type: fc.constantFrom(...TYPES), length: fc.constantFrom(0, 1, 3, 5, 8192) }),
    { noNullPrototype: true, maxKeys: 3 },
  ),
  { maxLength: 4 },
)

/** As it is after a pipe: every array begins at some odd byte of a larger one. */
function overPipe<T extends { readonly slab: Uint8Array; readonly buffers: readonly Uint8Array[] }>(frame: T): T {
  const shifted = (bytes: Uint8Array): Uint8Array => {
    const wider = new Uint8Array(bytes.length + 3)
    wider.set(bytes, 3)
    return wider.subarray(3)
  }
  return { ...frame, slab: shifted(frame.slab), buffers: frame.buffers.map(shifted) }
}

describe('a frame', () => {
  test.each([true, false])('gives back each map, over a thread and over a pipe; share: %s', (share) => {
    fc.assert(
      fc.property(maps, (shapes) => {
        const given = shapes.map((shape, seed) => {
          const map: Record<string, Tensor> = Object.create(null)
          for (const [name, { type, length }] of Object.entries(shape)) map[name] = tensorOf(type, length, seed)
          return map as TensorRecord
        })
        const { frame } = pack(given)
        for (const sent of [frame, overPipe(frame), structuredClone(frame)])
          expect(isDeepStrictEqual(unpack(sent, { share }), given)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  test('names each tensor once, and small ones travel together', () => {
    const one = { x: tensorOf('float32', 3, 1), y: tensorOf('int8', 1, 2) }
    const { frame, transfer } = pack([one, one])
    expect(frame.names).toEqual(['x', 'y'])
    expect([frame.buffers, frame.slab.byteLength, transfer]).toEqual([[], 2 * (16 + 8), [frame.slab.buffer]])
    expect(frame).not.toHaveProperty('back')
  })

  test('a large tensor that is alone in its memory is given away, once; a view is copied', () => {
    const own = tensorOf('uint8', LARGE, 1)
    const wide = new Uint8Array(2 * LARGE).fill(7)
    const view = { type: 'uint8', dims: [LARGE], data: wide.subarray(LARGE) } as Tensor
    const start = { type: 'uint8', dims: [LARGE], data: wide.subarray(0, LARGE) } as Tensor
    const { frame, transfer } = pack([{ own, again: own, view, start }])
    expect(transfer).toHaveLength(4)
    expect(transfer.filter((buffer) => buffer === (own.data as Uint8Array).buffer)).toHaveLength(1)
    expect(transfer).not.toContain(wide.buffer)
    for (const bytes of frame.buffers) expect(bytes.byteLength).toBe(bytes.buffer.byteLength)
    const under = tensorOf('uint8', LARGE - 1, 1)
    expect(pack([{ under }]).frame.buffers).toEqual([])
  })

  test('memory that others may write to is copied, not given away', () => {
    const data = new Uint8Array(new SharedArrayBuffer(LARGE))
    const { transfer } = pack([{ x: { type: 'uint8', dims: [LARGE], data } as unknown as Tensor }])
    expect(transfer.every((buffer) => buffer instanceof ArrayBuffer)).toBe(true)
  })

  test('results do not share memory with each other; a worker’s inputs may', () => {
    const { frame } = pack([{ a: tensorOf('float32', 2, 1), b: tensorOf('float32', 2, 2) }])
    const buffersOf = (share: boolean) =>
      Object.values(unpack(frame, { share })[0] ?? {}).map(({ data }) => (data as Float32Array).buffer)
    const [a, b] = buffersOf(false)
    expect(a).not.toBe(b)
    expect([a?.byteLength, b?.byteLength]).toEqual([8, 8])
    expect(buffersOf(true)).toEqual([frame.slab.buffer, frame.slab.buffer])
    const piece = new Uint8Array(2 * LARGE)
    const whole = { ...pack([{ x: tensorOf('uint8', LARGE, 1) }]).frame, buffers: [piece.subarray(0, LARGE)] }
    const [map = {}] = unpack(whole, { share: false })
    expect((map.x as Extract<Tensor, { type: 'uint8' }>).data.buffer.byteLength).toBe(LARGE)
  })
})
