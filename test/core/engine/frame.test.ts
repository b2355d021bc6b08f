/** Tensor maps in one message: all types and sizes come out as they went in, and no map gets the bytes of another. */

import { isDeepStrictEqual } from 'node:util'
import { deserialize, serialize } from 'node:v8'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Frame, pack, type TensorRecord, unpack } from '../../../src/core/engine/frame.ts'
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

/** As it is after a pipe. */
const overPipe = (frame: Frame): Frame => deserialize(serialize(frame)) as Frame

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

  test('of small tensors is one buffer', () => {
    const one = { x: tensorOf('float32', 3, 1), y: tensorOf('int8', 1, 2), z: tensorOf('string', 2, 3) }
    const { frame, transfer } = pack([one, one])
    expect(frame).toBeInstanceOf(ArrayBuffer)
    expect(transfer).toEqual([frame])
  })

  test('keeps every string as it is', () => {
    const data = ['', 'é', '\u{1f600}', '\ud800 alone', '\0', 'a'.repeat(100_000)]
    const [map] = unpack(overPipe(pack([{ x: { type: 'string', dims: [6], data } }]).frame), { share: true })
    expect(map?.x?.data).toEqual(data)
  })

  test('keeps dimensions that no int32 holds', () => {
    const x: Tensor = { type: 'float32', dims: [0, 2 ** 40], data: new Float32Array(0) }
    expect(unpack(pack([{ x }]).frame, { share: false })).toEqual([{ x }])
  })

  test('a large tensor that is alone in its memory is given away, once; a view is copied', () => {
    const own = tensorOf('uint8', LARGE, 1)
    const wide = new Uint8Array(2 * LARGE).fill(7)
    const view = { type: 'uint8', dims: [LARGE], data: wide.subarray(LARGE) } as Tensor
    const start = { type: 'uint8', dims: [LARGE], data: wide.subarray(0, LARGE) } as Tensor
    const { transfer } = pack([{ own, again: own, view, start }])
    expect(transfer).toHaveLength(4)
    expect(transfer.filter((buffer) => buffer === (own.data as Uint8Array).buffer)).toHaveLength(1)
    expect(transfer).not.toContain(wide.buffer)
    for (const bytes of transfer.slice(1)) expect(bytes.byteLength).toBe(LARGE)
    const under = tensorOf('uint8', LARGE - 1, 1)
    expect(pack([{ under }]).frame).toBeInstanceOf(ArrayBuffer)
  })

  test('of another version is refused, and says so', () => {
    const { frame } = pack([{ x: tensorOf('int8', 1, 2) }])
    new Float64Array(frame as ArrayBuffer)[0] = 99
    expect(() => unpack(frame, { share: true })).toThrow(/format 99, .* reads format 1\. Restart/)
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
    expect(buffersOf(true)).toEqual([frame, frame])
    const large = pack([{ x: tensorOf('uint8', LARGE, 1) }]).frame
    const [map = {}] = unpack(large, { share: false })
    expect((map.x as Extract<Tensor, { type: 'uint8' }>).data.buffer.byteLength).toBe(LARGE)
  })
})
