/** Filling up and cutting back, without a model. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { BufferPool } from '../../../src/core/engine/buffer-pool.ts'
import { axesOf, type DeclaredAxes } from '../../../src/core/scheduler/axes.ts'
import type { RaggedSettings } from '../../../src/core/scheduler/options.ts'
import { lengthen, shorten } from '../../../src/core/scheduler/padding.ts'
import { type Ragged, raggedOf } from '../../../src/core/scheduler/ragged.ts'
import { allocate, DTYPES } from '../../../src/core/tensor/index.ts'
import type { Dim, DType, ModelSignature, Tensor } from '../../../src/core/tensor/types.ts'

const TYPES = Object.keys(DTYPES) as DType[]

function counting(type: DType, dims: readonly number[]): Tensor {
  const data = allocate(
    type,
    dims.reduce((product, dim) => product * dim, 1),
  )
  for (let i = 0; i < data.length; i++)
    data[i] = (
      type === 'string' ? `s${i}` : typeof data[i] === 'bigint' ? BigInt(i % 100) : type === 'bool' ? i % 2 : i % 100
    ) as never
  return { type, dims, data } as Tensor
}

const info = (name: string, dims: readonly Dim[], type: DType = 'int64') => ({
  name,
  type,
  declaredType: `tensor(${type})`,
  dims,
})

function ragged(signature: ModelSignature, settings: Partial<RaggedSettings> = {}, declared: DeclaredAxes = {}): Ragged {
  const axes = axesOf(signature, declared)
  if (typeof axes === 'string') throw new Error(axes)
  const found = raggedOf(signature, axes, { mask: 'mask', axes: {}, padValue: 0, multipleOf: 1, maxWaste: 0.25, ...settings })
  if (typeof found === 'string') throw new Error(found)
  return found
}

const ENCODER: ModelSignature = {
  inputs: [info('ids', ['N', 'S']), info('mask', ['N', 'S']), info('extra', ['N', 3])],
  outputs: [info('weights', ['N', 2, 'S', 'S'], 'float32')],
}

test('what was made longer and cut back is the same, for any type and dimension', () => {
  const cases = fc.record({
    type: fc.constantFrom(...TYPES),
    dims: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 4 }),
    axis: fc.nat(3),
    more: fc.nat(5),
  })
  fc.assert(
    fc.property(cases, ({ type, dims, axis, more }) => {
      const at = axis % dims.length
      const tensor = counting(type, dims)
      const size = (dims[at] as number) + more
      const longer = lengthen(tensor, at, size, 1)
      expect(longer.dims).toEqual(dims.map((dim, i) => (i === at ? size : dim)))
      const elements = longer.dims.reduce((product, dim) => product * dim, 1)
      expect(longer.data).toHaveLength(elements)
      expect(shorten(longer, at, dims[at] as number)).toEqual(tensor)
      const isFill = (x: unknown) => x === '' || Number(x) === Number(type === 'float16' ? 0x3c00 : 1)
      expect([...longer.data].filter(isFill).length - [...tensor.data].filter(isFill).length).toBe(elements - tensor.data.length)
    }),
  )
})

test('the filling stands behind each row', () => {
  const x: Tensor = { type: 'int64', dims: [2, 2], data: BigInt64Array.of(1n, 2n, 3n, 4n) }
  expect(lengthen(x, 1, 3, -1).data).toEqual(BigInt64Array.of(1n, 2n, -1n, 3n, 4n, -1n))
  expect(lengthen(counting('string', [2, 1]), 1, 2, 0).data).toEqual(['s0', '', 's1', ''])
})

test('no class wastes more than allowed, nor leaves a length out', () => {
  const settings = fc.record({
    maxWaste: fc.double({ min: 0.01, max: 0.9, noNaN: true }),
    length: fc.integer({ min: 1, max: 100_000 }),
  })
  fc.assert(
    fc.property(settings, ({ maxWaste, length }) => {
      const { classOf } = ragged(ENCODER, { maxWaste })
      const high = classOf(length)
      expect(high).toBeGreaterThanOrEqual(length)
      expect(classOf(high)).toBe(high)
      expect(1 - length / high).toBeLessThanOrEqual(maxWaste + 1e-9)
      expect(classOf(high + 1)).toBeGreaterThan(high)
    }),
  )
})

test('classes end at multiples', () => {
  const { classOf } = ragged(ENCODER, { multipleOf: 8 })
  expect([1, 8, 9, 16, 17, 24, 25, 33, 47, 100].map(classOf)).toEqual([8, 8, 16, 16, 24, 24, 32, 40, 48, 104])
})

const ids = (length: number, rows = 1): Tensor => counting('int64', [rows, length])

test('a mask is made up of ones in the shape of the others', () => {
  const { complete } = ragged(ENCODER)
  const whole = complete({ ids: ids(3, 2), extra: ids(3, 2) })
  expect(whole.mask).toEqual({ type: 'int64', dims: [2, 3], data: new BigInt64Array(6).fill(1n) })
  expect(complete(whole)).toBe(whole)
  expect(() => complete({ ids: ids(3, 2), extra: ids(3, 1) })).toThrow(expect.objectContaining({ code: 'INPUT_INVALID' }))
})

test('the elements added are counted, and answers cut back in every dimension that has the length', () => {
  const { join, paddingOf, split, complete } = ragged(ENCODER, { padValue: { ids: 7 } })
  const requests = [complete({ ids: ids(3), extra: ids(3) }), complete({ ids: ids(5, 2), extra: ids(3, 2) })]
  const joined = join(requests)
  expect(joined).toMatchObject({ ids: { dims: [3, 5] }, mask: { dims: [3, 5] }, extra: { dims: [3, 3] } })
  expect(joined.ids?.data.slice(0, 10)).toEqual(BigInt64Array.of(0n, 1n, 2n, 7n, 7n, 0n, 1n, 2n, 3n, 4n))
  expect(joined.mask?.data.slice(0, 5)).toEqual(BigInt64Array.of(1n, 1n, 1n, 0n, 0n))
  expect(paddingOf(requests)).toBe(4)
  const weights = (size: number) => ({ weights: counting('float32', [3, 2, size, size]) })
  const pieces = split(weights(5), [1, 2], requests)
  expect(pieces?.map((piece) => piece.weights?.dims)).toEqual([
    [1, 2, 3, 3],
    [2, 2, 5, 5],
  ])
  expect(pieces?.[0]?.weights?.data.slice(0, 4)).toEqual(Float32Array.of(0, 1, 2, 5))
  expect(split(weights(4), [1, 2], requests)).toBeUndefined()
  // Nothing was filled up: whatever the length of the outputs means, it is theirs.
  expect(split({ weights: counting('float32', [1, 2, 4, 4]) }, [1], requests.slice(0, 1))).toHaveLength(1)
})

/** Rows first or second, one length or two, before and after dimensions of their own. */
const LAYOUTS: readonly { readonly dims: readonly Dim[]; readonly axis: number }[] = [
  { dims: ['N', 'S'], axis: 0 },
  { dims: ['N', 2, 'S', 3], axis: 0 },
  { dims: ['N', 'S', 'S'], axis: 0 },
  { dims: [2, 'N', 'S'], axis: 1 },
  { dims: ['S', 'N'], axis: 1 },
]

test('rows joined with padding come back as they were, of any type and layout, in memory of their own', () => {
  const cases = fc.record({
    type: fc.constantFrom(...TYPES),
    layout: fc.constantFrom(...LAYOUTS),
    requests: fc.array(fc.record({ rows: fc.integer({ min: 1, max: 3 }), length: fc.integer({ min: 1, max: 6 }) }), {
      minLength: 1,
      maxLength: 4,
    }),
    multipleOf: fc.constantFrom(1, 4),
  })
  fc.assert(
    fc.property(cases, ({ type, layout, requests, multipleOf }) => {
      const signature: ModelSignature = {
        inputs: [info('ids', layout.dims, type), info('mask', ['N', 'S'])],
        outputs: [info('y', layout.dims, type)],
      }
      const { join, split } = ragged(signature, { multipleOf, padValue: 1 }, { ids: layout.axis, y: layout.axis })
      const given = requests.map(({ rows, length }) => ({
        ids: counting(
          type,
          layout.dims.map((dim) => (dim === 'N' ? rows : dim === 'S' ? length : (dim as number))),
        ),
        mask: counting('int64', [rows, length]),
      }))
      const joined = join(given)
      const pieces = split(
        { y: joined.ids as Tensor },
        requests.map(({ rows }) => rows),
        given,
      )
      expect(pieces?.map(({ y }) => y)).toEqual(given.map(({ ids }) => ids))
      if (type === 'string') return
      const memory = [joined.ids, ...given.map(({ ids }) => ids), ...(pieces ?? []).map(({ y }) => y)] as Tensor[]
      const buffers = memory.map(({ data }) => (data as Float32Array).buffer)
      expect(new Set(buffers).size).toBe(buffers.length)
    }),
  )
})

test('padding is written into reused memory as well', () => {
  const { join } = ragged(ENCODER, { padValue: { ids: 7 } })
  const used: BufferPool = {
    take: (ArrayOf, length) => {
      const dirty = new ArrayOf(new ArrayBuffer(length * ArrayOf.BYTES_PER_ELEMENT))
      return dirty.fill(99n as never) as typeof dirty
    },
    lend: (ArrayOf, length) => new ArrayOf(new ArrayBuffer(length * ArrayOf.BYTES_PER_ELEMENT)),
    copy: (data) => data.slice() as typeof data,
  }
  const request = (length: number) => ({ ids: ids(length), mask: ids(length), extra: ids(3) })
  const joined = join([request(1), request(3)], used)
  expect(joined.ids?.data).toEqual(BigInt64Array.of(0n, 7n, 7n, 0n, 1n, 2n))
  expect(joined.mask?.data).toEqual(BigInt64Array.of(0n, 0n, 0n, 0n, 1n, 2n))
})

test('lengths are found by name, and without one where they are declared', () => {
  const unnamed: ModelSignature = {
    inputs: [info('ids', ['N', null]), info('mask', ['N', null]), info('extra', ['N', null])],
    outputs: [info('weights', ['N', null], 'float32'), info('label', ['N'])],
  }
  expect({ ...ragged(unnamed, { axes: { ids: 1, mask: 1 } }).inputs }).toEqual({ ids: [1], mask: [1] })
  expect({ ...ragged(ENCODER).inputs }).toEqual({ ids: [1], mask: [1] })
  const square: ModelSignature = { ...ENCODER, inputs: [...ENCODER.inputs, info('pairs', ['N', 'S', 'S'])] }
  expect({ ...ragged(square).inputs }).toEqual({ ids: [1], mask: [1], pairs: [1, 2] })
  // An input that all rows share has no length of theirs.
  const common: ModelSignature = { ...ENCODER, inputs: [...ENCODER.inputs, info('places', ['S', 3])] }
  expect({ ...ragged(common, {}, { places: 'shared' }).inputs }).toEqual({ ids: [1], mask: [1] })
})

test('inputs that disagree on their length have none, nor has an empty row', () => {
  const { lengthOf } = ragged(ENCODER)
  expect(lengthOf({ ids: ids(3), mask: ids(3) })).toBe(3)
  expect(lengthOf({ ids: ids(3), mask: ids(4) })).toBeUndefined()
  expect(lengthOf({ ids: ids(0), mask: ids(0) })).toBeUndefined()
})

test.each<[string, ModelSignature, Partial<RaggedSettings>, string]>([
  [
    'text',
    { ...ENCODER, inputs: [info('ids', ['N', 'S']), info('mask', ['N', 'S'], 'string')] },
    {},
    'is of type tensor(string)',
  ],
  ['alone', { ...ENCODER, inputs: [info('mask', ['N', 'S'])] }, {}, 'no input but the mask'],
  [
    'open twice',
    { ...ENCODER, inputs: [info('ids', ['N', 'S']), info('mask', ['N', 'S', 'T'])] },
    { axes: { mask: 1 } },
    'dimension 2',
  ],
  ['too large', ENCODER, { padValue: { ids: 2 ** 70 } }, 'is no value'],
  ['rows', ENCODER, { axes: { ids: 0 } }, 'counts rows'],
  ['fixed', ENCODER, { axes: { extra: 1 } }, "dimension 1 of 'extra' is fixed at 3"],
  ['of too few dimensions', ENCODER, { axes: { extra: 2 } }, "'extra' has no dimension 2"],
  ['no such mask', ENCODER, { mask: 'padding' }, "no input 'padding' to be the mask"],
  ['an unknown name', ENCODER, { axes: { other: 1 } }, "nothing called 'other'"],
  ['an output of too few dimensions', ENCODER, { axes: { weights: 4 } }, "'weights' has no dimension 4"],
  [
    'an output of unknown rank',
    { ...ENCODER, outputs: [{ name: 'weights', type: 'float32', declaredType: 'tensor(float)', dims: undefined }] },
    { axes: { weights: 1 } },
    "'weights' has no dimension 1",
  ],
  [
    'a mask without names',
    { ...ENCODER, inputs: [info('ids', ['N', 'S']), info('mask', ['N', null])] },
    {},
    'has no name in the file',
  ],
])('refused: %s', (_, signature, settings, reason) => {
  expect(() => ragged(signature, settings)).toThrow(reason)
})
