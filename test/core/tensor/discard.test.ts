import { expect, test } from 'vitest'
import { discard, freeUnused } from '../../../src/core/tensor/index.ts'
import type { Tensor } from '../../../src/core/tensor/types.ts'

const COUNT = 100_000

const floats = (data: Float32Array): Tensor => ({ type: 'float32', dims: [data.length], data })

test('frees large tensors that are alone in their memory, and nothing else', () => {
  const alone = new Float32Array(COUNT)
  const whole = new Float32Array(2 * COUNT)
  const [first, last] = [whole.subarray(0, COUNT), whole.subarray(COUNT)]
  const shared = new Float32Array(new SharedArrayBuffer(4 * COUNT))
  const small = new Float32Array(10)
  discard({
    alone: floats(alone),
    // Two outputs may be one.
    again: floats(alone),
    first: floats(first),
    last: floats(last),
    shared: floats(shared),
    small: floats(small),
    text: { type: 'string', dims: [1], data: ['x'] },
  })
  expect([alone.length, alone.buffer.byteLength]).toEqual([0, 0])
  expect([first, last, shared, small].map(({ length }) => length)).toEqual([COUNT, COUNT, COUNT, 10])
})

test('frees buffers that no tensor is a view of, if they are worth it', () => {
  const make = (): readonly [Uint8Array, Float32Array, Uint8Array] => [
    new Uint8Array(100_000),
    new Float32Array(COUNT),
    new Uint8Array(10),
  ]
  const [copied, viewed, small] = make()
  const shared = new SharedArrayBuffer(100_000)
  const tensors = { x: floats(viewed.subarray(3)), text: { type: 'string', dims: [1], data: ['x'] } } as const
  freeUnused([copied.buffer, copied.buffer, viewed.buffer, small.buffer, shared], tensors)
  expect([copied, viewed, small].map(({ length }) => length)).toEqual([0, COUNT, 0])
  expect(shared.byteLength).toBe(100_000)

  const few = [new Uint8Array(20_000), new Uint8Array(20_000)]
  freeUnused(
    few.map(({ buffer }) => buffer),
    {},
  )
  expect(few.map(({ length }) => length)).toEqual([20_000, 20_000])
})
