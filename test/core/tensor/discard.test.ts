import { expect, test } from 'vitest'
import { discard } from '../../../src/core/tensor/index.ts'
import type { Tensor } from '../../../src/core/types.ts'

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
