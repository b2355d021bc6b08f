import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { atOnce } from '../../../src/core/dialects/codec/index.ts'
import { topClasses, topIndices as topSteps } from '../../../src/core/dialects/open-inference/classification.ts'
import type { Dim, ModelSignature, Tensor } from '../../../src/core/tensor/types.ts'
import { input } from '../tensor/support.ts'

const declared = (dims: readonly Dim[] | undefined): ModelSignature => ({ inputs: [], outputs: [input('y', 'float32', dims)] })
const floats = (dims: number[], data: number[]): Tensor => ({ type: 'float32', dims, data: new Float32Array(data) })
const top = (
  tensor: Tensor,
  classes: number,
  dims: readonly Dim[] | undefined = ['N', null],
  labels?: Record<string, string[]>,
) => atOnce(topClasses('y', tensor, classes, { signature: declared(dims), labels }))

describe('top classes', () => {
  test('best first, per row where the model has rows', () => {
    const scores = floats([2, 3], [0.25, 3.3, -1, 5, 5, 6])
    expect(top(scores, 2)).toEqual({
      type: 'string',
      dims: [2, 2],
      data: ['3.300000:1', '0.250000:0', '6.000000:2', '5.000000:0'],
    })
    expect(top(scores, 2, [2, 3])).toMatchObject({ dims: [2], data: ['6.000000:5', '5.000000:3'] })
    expect(top(scores, 99).dims).toEqual([2, 3])
    expect(top(floats([3], [1, 2, 3]), 1, ['N'])).toMatchObject({ dims: [1], data: ['3.000000:2'] })
    // All dimensions between the rows and the classes are one list.
    expect(top(floats([1, 2, 2], [1, 2, 3, 4]), 1, ['N', null, null])).toMatchObject({ dims: [1, 1], data: ['4.000000:3'] })
    expect(top(floats([0, 3], []), 2)).toEqual({ type: 'string', dims: [0, 2], data: [] })
    expect(top(floats([2, 0], []), 2)).toEqual({ type: 'string', dims: [2, 0], data: [] })
    expect(top(floats([], [7]), 3, [])).toMatchObject({ dims: [1], data: ['7.000000:0'] })
  })

  test('labels of the output, where it has them', () => {
    const labels = { y: ['cat', 'dog'], other: ['no'] }
    expect(top(floats([1, 3], [1, 2, 3]), 3, ['N', 3], labels).data).toEqual(['3.000000:2', '2.000000:1:dog', '1.000000:0:cat'])
    expect(top(floats([1], [1]), 1, [1], { constructor: ['x'] }).data).toEqual(['1.000000:0'])
  })

  test('integers are plain, odd floats as C++ prints them', () => {
    expect(top({ type: 'int64', dims: [3], data: new BigInt64Array([1n, 2n ** 62n + 1n, -5n]) }, 2).data).toEqual([
      '4611686018427387905:1',
      '1:0',
    ])
    expect(top({ type: 'uint8', dims: [2], data: new Uint8Array([3, 200]) }, 1).data).toEqual(['200:1'])
    const odd = [Number.NaN, 1e30, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0]
    expect(top({ type: 'float64', dims: [5], data: new Float64Array(odd) }, 5).data).toEqual([
      'inf:2',
      '1000000000000000019884624838656.000000:1',
      '-0.000000:4',
      '-inf:3',
      'nan:0',
    ])
  })

  test('the heap agrees with sorting', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constant(Number.NaN))),
        fc.nat({ max: 12 }),
        (values, count) => {
          const sorted = [...values.keys()].sort((a, b) => {
            const [x, y] = [values[a] as number, values[b] as number].map((v) =>
              Number.isNaN(v) ? Number.NEGATIVE_INFINITY : v,
            ) as [number, number]
            return y - x || a - b
          })
          expect(atOnce(topSteps(Float64Array.from(values), count))).toEqual(sorted.slice(0, count))
        },
      ),
    )
  })
})
