import vm from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkInputs } from '../../../src/core/tensor/index.ts'
import type { DType, Tensor } from '../../../src/core/tensor/types.ts'
import { ALL_TYPES, check, fault, input, signature } from './support.ts'

const limit = { maxElements: 1000 }
const one = signature(input('x', 'float32', ['N', 2]))
const faultOf = (...args: Parameters<typeof check>) => fault(() => check(...args))

describe('names', () => {
  test('a missing input', () => {
    const error = fault(() => checkInputs(one, {}, limit))
    expect(error.code).toBe('INPUT_INVALID')
    expect(error.message).toBe('input "x" is missing')
    expect(error.details).toEqual({ field: 'x', input: 'x', expected: 'float32 [N,2]', got: 'nothing' })
    expect(fault(() => checkInputs(one, { x: undefined }, limit)).message).toBe('input "x" is missing')
    expect(fault(() => checkInputs(one, Object.create({ x: [[1, 2]] }), limit)).message).toMatch(/plain object/)
  })

  test('an optional input may be left out, and is checked when it is not', () => {
    const model = signature(input('x', 'float32', [1]), input('y', 'float32', [1], true))
    expect(Object.keys(checkInputs(model, { x: [1] }, limit))).toEqual(['x'])
    expect(Object.keys(checkInputs(model, { y: [1], x: [1] }, limit))).toEqual(['x', 'y'])
    expect(fault(() => checkInputs(model, { x: [1], y: ['a'] }, limit)).details?.input).toBe('y')
  })

  test('an unknown input, however it is called', () => {
    for (const name of ['z', '__proto__', 'constructor', 'toString', '']) {
      const inputs = Object.fromEntries([
        ['x', [[1, 2]]],
        [name, 1],
      ])
      const error = fault(() => checkInputs(one, inputs, limit))
      expect(error.message).toBe(`unknown input ${JSON.stringify(name)}; the model takes "x"`)
      expect(error.details?.input).toBe(name)
    }
    expect(fault(() => checkInputs(signature(), { a: 1 }, limit)).message).toMatch(/takes no inputs/)
  })

  test('names of Object.prototype are ordinary names', () => {
    for (const name of ['__proto__', 'constructor', 'hasOwnProperty']) {
      const model = signature(input(name, 'float32', [2]))
      const checked = checkInputs(model, Object.fromEntries([[name, [1, 2]]]), limit)
      expect(Object.getPrototypeOf(checked)).toBeNull()
      expect(Object.keys(checked)).toEqual([name])
      expect(fault(() => checkInputs(model, {}, limit)).message).toMatch(/is missing/)
    }
  })

  test('long and hostile names are cut and escaped', () => {
    const error = fault(() => checkInputs(one, { [`a\n${'b'.repeat(1e6)}`]: 1 }, limit))
    expect(error.message.length).toBeLessThan(200)
    expect(error.message).not.toContain('\n')
    expect(JSON.stringify(error.details).length).toBeLessThan(500)
  })

  test('inputs must be a plain object', () => {
    class Inputs {
      x = [[1, 2]]
    }
    for (const junk of [null, undefined, 1, 'x', [[1, 2]], new Map([['x', 1]]), new Inputs(), Promise.resolve({}), () => 1]) {
      expect(fault(() => checkInputs(one, junk as never, limit)).message).toMatch(/inputs must be a plain object/)
    }
    expect(checkInputs(one, vm.runInNewContext('({ x: [[1, 2]] })'), limit).x?.dims).toEqual([1, 2])
    expect(checkInputs(one, Object.assign(Object.create(null), { x: [[1, 2]] }), limit).x?.dims).toEqual([1, 2])
  })

  test('symbol keys and keys that are not enumerable do not count', () => {
    const inputs = Object.defineProperty({ x: [[1, 2]], [Symbol('s')]: 1 }, 'hidden', { value: 1 })
    expect(Object.keys(checkInputs(one, inputs, limit))).toEqual(['x'])
  })

  test('an input whose type cannot be carried', () => {
    const model = { inputs: [{ name: 's', type: undefined, declaredType: 'seq(tensor(float))', dims: undefined }], outputs: [] }
    expect(fault(() => checkInputs(model, { s: [1] }, limit)).message).toBe(
      'input "s" cannot be sent: its type is seq(tensor(float))',
    )
  })
})

describe('shapes', () => {
  test('the same symbol means the same size in all inputs', () => {
    const model = signature(input('a', 'float32', ['N']), input('b', 'float32', ['N', 'M']), input('c', 'float32', ['M', null]))
    expect(fault(() => checkInputs(model, { a: [1, 2], b: [[1], [1], [1]], c: [[1]] }, limit)).message).toBe(
      'symbol "N" is 2 in input a and 3 in input b',
    )
    const checked = checkInputs(model, { a: [1, 2], b: [[1], [2]], c: [[1, 2, 3]] }, limit)
    expect(checked.c?.dims).toEqual([1, 3])
    expect(faultOf('float32', ['N', 'N'], [[1, 2]]).message).toBe('symbol "N" is 1 in input x and 2 in input x')
    expect(check('float32', [null, null], [[1, 2]]).dims).toEqual([1, 2])
  })

  test('rank and fixed dims', () => {
    expect(faultOf('float32', ['N', 2], [1, 2]).message).toContain('expected 2 levels of nesting for shape [N,2]')
    expect(faultOf('float32', [2], [[1], [2]]).details?.got).toBe('nesting of 2 levels')
    const tooWide = faultOf('float32', ['N', 2], [[1, 2, 3]])
    expect(tooWide.details).toEqual({ field: 'x', input: 'x', expected: 'shape [N,2]', got: 'shape [1,3]' })
    const tensor = { type: 'float32', dims: [1, 3], data: [1, 2, 3] }
    expect(faultOf('float32', ['N', 2], tensor).details?.field).toBe('x.dims')
    expect(faultOf('float32', ['N', 2, null], tensor).details?.expected).toBe('shape [N,2,?]')
  })

  test('dims that are no dims', () => {
    for (const dim of [-1, 1.5, Number.NaN, Infinity, 4294967296, 2 ** 53, '2', null, 2n, undefined]) {
      const error = faultOf('float32', undefined, { type: 'float32', dims: [1, dim], data: [1] })
      expect(error.details?.field).toBe('x.dims[1]')
    }
    for (const dims of [undefined, null, 3, '3', { length: 1 }, new Int32Array([1])]) {
      expect(faultOf('float32', undefined, { type: 'float32', dims, data: [1] }).details?.field).toBe('x.dims')
    }
    // biome-ignore lint/suspicious/noSparseArray: holes are the point
    expect(faultOf('float32', undefined, { type: 'float32', dims: [, 1], data: [1] }).details?.field).toBe('x.dims[0]')
    expect(faultOf('float32', undefined, { type: 'float32', dims: new Array(33).fill(1), data: [1] }).details?.expected).toBe(
      'at most 32 dims',
    )
    expect(Object.is(check('float32', undefined, { type: 'float32', dims: [-0], data: [] }).dims[0], 0)).toBe(true)
  })

  test('products that overflow, and more elements than allowed', () => {
    const huge = (dims: number[]) => faultOf('float32', undefined, { type: 'float32', dims, data: [] }).details?.expected
    expect(huge([4294967295, 4294967295, 4294967295])).toBe('at most 1000 elements')
    expect(huge(new Array(32).fill(4294967295))).toBe('at most 1000 elements')
    // 2^64 elements, which is 0 in 64-bit arithmetic.
    expect(huge([65536, 65536, 65536, 65536])).toBe('at most 1000 elements')
    expect(huge([0, 4294967295])).toBe('at most 1000 elements')
    expect(check('float32', undefined, new Float32Array(1000)).dims).toEqual([1000])
    expect(faultOf('float32', undefined, new Float32Array(1001)).details?.expected).toBe('at most 1000 elements')
    expect(faultOf('float32', undefined, new Array(1001).fill(0)).details?.expected).toBe('at most 1000 elements')
    expect(faultOf('float32', undefined, new Array(1001).fill([])).details?.expected).toBe('at most 1000 elements')
  })

  test('nests that contain themselves or the same array many times cost nothing', () => {
    const loop: unknown[] = []
    loop.push(loop)
    expect(faultOf('float32', undefined, loop).details?.expected).toBe('at most 32 levels of nesting')
    let bomb: unknown[] = []
    for (let level = 0; level < 31; level++) bomb = [bomb, bomb]
    expect(faultOf('float32', undefined, bomb).details?.expected).toBe('at most 1000 elements')
    expect(check('float32', undefined, nestOnce(32)).dims).toHaveLength(32)
    expect(faultOf('float32', undefined, nestOnce(33)).details?.got).toBe('more')
    expect(faultOf('float32', [1], nestOnce(100_000)).details?.got).toBe('more')
  })

  function nestOnce(depth: number): unknown {
    let nest: unknown = 1
    for (let level = 0; level < depth; level++) nest = [nest]
    return nest
  }
})

describe('typed arrays', () => {
  test('the shape is inferred when at most one dim is free', () => {
    const f = (length: number) => new Float32Array(length)
    expect(check('float32', [2, 3], f(6)).dims).toEqual([2, 3])
    expect(check('float32', ['N', 3], f(6)).dims).toEqual([2, 3])
    expect(check('float32', [3, null], f(6)).dims).toEqual([3, 2])
    expect(check('float32', [null, 3], f(0)).dims).toEqual([0, 3])
    expect(check('float32', [], f(1)).dims).toEqual([])
    expect(check('float32', [0], f(0)).dims).toEqual([0])
    expect(check('float32', undefined, f(5)).dims).toEqual([5])
    expect(faultOf('float32', [2, 3], f(5)).message).toBe('input "x": expected 6 elements for shape [2,3] at x, got 5')
    expect(faultOf('float32', [], f(2)).details?.expected).toBe('1 elements for shape []')
    expect(faultOf('float32', ['N', 3], f(5)).details?.expected).toBe('a multiple of 3 elements for shape [N,3]')
    expect(faultOf('float32', ['N', 0], f(0)).message).toContain('{ type, dims, data }')
    expect(faultOf('float32', ['N', 'M'], f(4)).message).toContain(
      '{ type, dims, data }, because the shape [N,M] cannot be inferred',
    )
  })

  test('the constructor must be the one of the type', () => {
    const wrong: [DType, ArrayBufferView][] = [
      ['float32', new Float64Array(1)],
      ['int64', new BigUint64Array(1)],
      ['int32', new Int8Array(1)],
      ['int8', new Uint8Array(1)],
      ['bool', new Uint8ClampedArray(1)],
      ['float16', new Float32Array(1)],
      ['uint8', new DataView(new ArrayBuffer(1))],
      ['string', new Uint8Array(1)],
    ]
    for (const [type, view] of wrong) expect(faultOf(type, [1], view).code).toBe('INPUT_INVALID')
    expect(faultOf('float32', [1], new Float64Array(1)).message).toBe(
      'input "x": expected float32 elements in a Float32Array at x, got Float64Array',
    )
  })

  test('the caller’s own array comes back, Buffers as plain views, shared memory as a copy', () => {
    const own = new Float32Array([1, 2])
    expect(check('float32', [2], own).data).toBe(own)
    expect(check('float32', [2], { type: 'float32', dims: [2], data: own }).data).toBe(own)
    expect(check('uint8', [2], Buffer.from([1, 2])).data).toEqual(new Uint8Array([1, 2]))
    expect(check('uint8', [2], new Uint8ClampedArray([1, 2])).data).toEqual(new Uint8Array([1, 2]))
    expect(check('float16', [2], new Uint16Array([1, 2])).data).toEqual(new Uint16Array([1, 2]))
    const shared = new Int32Array(new SharedArrayBuffer(8))
    expect((check('int32', [2], shared).data as Int32Array).buffer).toBeInstanceOf(ArrayBuffer)
  })

  test('a detached array has no elements', () => {
    const array = new Float32Array(2)
    structuredClone(array.buffer, { transfer: [array.buffer] })
    expect(faultOf('float32', [2], array).details?.got).toBe('0')
    expect(faultOf('float32', [2], { type: 'float32', dims: [2], data: array }).details?.got).toBe('0')
  })

  test('bytes of a bool are 0 or 1', () => {
    expect(check('bool', [2], Buffer.from([0, 1])).data).toEqual(new Uint8Array([0, 1]))
    expect(faultOf('bool', [2], new Uint8Array([0, 2])).details?.field).toBe('x[1]')
    expect(faultOf('bool', [1, 2], [new Uint8Array([1, 7])]).details?.field).toBe('x[0][1]')
  })

  test('rows of a nest may be typed arrays', () => {
    const tensor = check('float32', ['N', 2], [new Float32Array([1, 2]), [3, 4], new Float32Array([5, 6])])
    expect(tensor.dims).toEqual([3, 2])
    expect(tensor.data).toEqual(new Float32Array([1, 2, 3, 4, 5, 6]))
    expect(faultOf('float32', ['N', 2], [new Float32Array(2), new Float64Array(2)]).details?.field).toBe('x[1]')
    expect(faultOf('float32', ['N', 2], [new Float32Array(2), new Float32Array(3)]).details?.field).toBe('x[1]')
    expect(faultOf('float32', [1, 2, 1], [[[1], [2]], new Float32Array(2)]).code).toBe('INPUT_INVALID')
    expect(faultOf('float32', undefined, [[[1], [2]], new Float32Array(2)]).details?.expected).toBe('an array of arrays')
  })
})

describe('nested arrays, scalars and whole tensors', () => {
  test('ragged nests name the place', () => {
    const error = faultOf('float32', ['N', 'M'], [[1, 2], [3]])
    expect(error.message).toBe('input "x": expected an array of length 2 at x[1], got an array of length 1')
    expect(faultOf('float32', ['N', 'M'], [[1, 2], 3]).details).toMatchObject({ field: 'x[1]', got: 'number' })
    expect(faultOf('float32', ['N', 'M'], [[1, [2]]]).details).toMatchObject({ field: 'x[0][1]', got: 'array' })
    expect(faultOf('float32', [1, 2, 1], [[[1], []]]).details?.field).toBe('x[0][1]')
    expect(faultOf('float32', ['N'], [1, [2]]).details).toMatchObject({ field: 'x[1]', got: 'array' })
  })

  test('elements of the wrong kind name the place and the kind, never the value', () => {
    const cases: [DType, unknown, string][] = [
      ['float32', '987', 'string'],
      ['float32', 987n, 'bigint'],
      ['float32', true, 'boolean'],
      ['float32', null, 'null'],
      ['float32', undefined, 'undefined'],
      ['float32', { a: 987 }, 'object'],
      ['float32', 1e39, 'a number out of range for float32'],
      ['float16', 65520, 'a number out of range for float16'],
      ['int8', 128, 'a number out of range for int8'],
      ['int8', 128n, 'an integer out of range for int8'],
      ['int8', -129, 'a number out of range for int8'],
      ['uint8', -1, 'a number out of range for uint8'],
      ['uint32', 2 ** 32, 'a number out of range for uint32'],
      ['int32', 98.7, 'a non-integer number'],
      ['int32', Number.NaN, 'NaN'],
      ['int32', Infinity, 'a non-integer number'],
      ['int32', '987', 'string'],
      ['int64', 2 ** 53, 'an integer beyond 2^53, which a number cannot hold exactly: use a BigInt'],
      ['int64', 2n ** 63n, 'an integer out of range for int64'],
      ['uint64', -1, 'a number out of range for uint64'],
      ['uint64', -1n, 'an integer out of range for uint64'],
      ['uint64', 2n ** 64n, 'an integer out of range for uint64'],
      ['bool', 2, 'number'],
      ['bool', 1n, 'bigint'],
      ['bool', 'true', 'string'],
      ['string', 987, 'number'],
      ['string', null, 'null'],
      ['string', new String('987'), 'object'],
    ]
    for (const [type, value, got] of cases) {
      const fine = check(type, [1], allowed(type)).data[0]
      expect(fine).toBeDefined()
      const error = faultOf(type, [1, 2], [[allowed(type)[0], value]])
      expect(error.details, `${type} ${String(value)}`).toMatchObject({ field: 'x[0][1]', input: 'x', got })
      expect(error.message).not.toMatch(/98\.?7/)
    }
  })

  function allowed(type: DType): unknown[] {
    return [type === 'string' ? 'a' : type === 'bool' ? true : 1]
  }

  test('the edges of every integer type', () => {
    const edges: [DType, (number | bigint)[]][] = [
      ['int8', [-128, 127, -128n, 127n]],
      ['uint16', [0, 65535, 65535n]],
      ['int32', [-2147483648, 2147483647]],
      ['uint32', [4294967295]],
      ['int64', [-(2n ** 63n), 2n ** 63n - 1n, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]],
      ['uint64', [0, 2n ** 64n - 1n]],
    ]
    for (const [type, values] of edges) {
      const { data } = check(type, ['N'], values)
      expect(Array.from(data as ArrayLike<number | bigint>, BigInt)).toEqual(values.map(BigInt))
    }
  })

  test('floats may be anything a float can be', () => {
    for (const type of ['float32', 'float64'] as const) {
      expect([...(check(type, ['N'], [Number.NaN, Infinity, -Infinity, -0, 0.5]).data as Float32Array)]).toEqual([
        Number.NaN,
        Infinity,
        -Infinity,
        -0,
        0.5,
      ])
    }
    expect(check('float16', ['N'], [Infinity, -0, 1, Number.NaN]).data).toEqual(new Uint16Array([0x7c00, 0x8000, 0x3c00, 0x7e00]))
  })

  test('holes are undefined', () => {
    // biome-ignore lint/suspicious/noSparseArray: holes are the point
    expect(faultOf('float32', [3], [1, , 3]).details).toMatchObject({ field: 'x[1]', got: 'undefined' })
    expect(faultOf('string', [2], new Array(2)).details).toMatchObject({ field: 'x[0]', got: 'undefined' })
    expect(faultOf('float32', [2, 1], new Array(2)).code).toBe('INPUT_INVALID')
    expect(faultOf('float32', [2, 1], [[1], undefined]).details).toMatchObject({ field: 'x[1]', got: 'undefined' })
  })

  test('scalars', () => {
    expect(check('float32', [], 5)).toEqual({ type: 'float32', dims: [], data: new Float32Array([5]) })
    expect(check('string', [1, 1], 'a')).toEqual({ type: 'string', dims: [1, 1], data: ['a'] })
    expect(check('int64', undefined, 5n)).toEqual({ type: 'int64', dims: [], data: new BigInt64Array([5n]) })
    expect(check('bool', [], false).data).toEqual(new Uint8Array([0]))
    expect(faultOf('float32', ['N'], 5).details).toMatchObject({ field: 'x', got: 'number' })
    expect(faultOf('float32', [2], 5).details?.expected).toBe('an array or tensor of shape [2]')
    expect(faultOf('float32', [], 'a').details).toMatchObject({ field: 'x', expected: 'a number', got: 'string' })
    expect(faultOf('float32', [], [5]).details?.expected).toContain('0 levels of nesting for shape []')
    for (const junk of [null, () => 1, Symbol('s')]) expect(faultOf('float32', [], junk).code).toBe('INPUT_INVALID')
  })

  test('empty nests', () => {
    expect(check('float32', ['N'], []).dims).toEqual([0])
    expect(check('float32', ['N', 'M'], [[], []]).dims).toEqual([2, 0])
    expect(faultOf('float32', ['N', 2], []).details?.got).toBe('nesting of 1 level')
  })

  test('whole tensors', () => {
    const flat = { type: 'int32', dims: [2, 2], data: [1, 2, 3, 4] }
    const expected = { type: 'int32', dims: [2, 2], data: new Int32Array([1, 2, 3, 4]) }
    expect(check('int32', ['N', 2], flat)).toEqual(expected)
    expect(
      check('int32', ['N', 2], {
        ...flat,
        data: [
          [1, 2],
          [3, 4],
        ],
      }),
    ).toEqual(expected)
    expect(check('int32', ['N', 2], { ...flat, data: [new Int32Array([1, 2]), new Int32Array([3, 4])] })).toEqual(expected)
    expect(check('int32', ['N', 2], { ...flat, data: new Int32Array([1, 2, 3, 4]) })).toEqual(expected)
    expect(check('int32', [], { type: 'int32', dims: [], data: [7] }).data).toEqual(new Int32Array([7]))
    expect(check('int32', [2, 0, 3], { type: 'int32', dims: [2, 0, 3], data: [[], []] }).data).toHaveLength(0)
    expect(check('int32', [2, 0, 3], { type: 'int32', dims: [2, 0, 3], data: [] }).data).toHaveLength(0)
    expect(check('string', [2], { type: 'string', dims: [2], data: Object.freeze(['a', 'b']) }).data).toEqual(['a', 'b'])
  })

  test('whole tensors that do not fit', () => {
    const bad = (parts: object) => faultOf('int32', ['N', 2], { type: 'int32', dims: [2, 2], data: [1, 2, 3, 4], ...parts })
    expect(bad({ type: 'int64' }).details).toEqual({ field: 'x.type', input: 'x', expected: 'int32', got: 'int64' })
    expect(bad({ type: 'constructor' }).details?.got).toBe('another string')
    expect(bad({ type: undefined }).details?.got).toBe('undefined')
    expect(bad({ data: [1, 2, 3] }).message).toBe('input "x": expected 4 elements for shape [2,2] at x.data, got 3')
    expect(bad({ data: new Int32Array(5) }).details?.got).toBe('5')
    expect(bad({ data: new Int16Array(4) }).details?.got).toBe('Int16Array')
    const tooFlat = { type: 'int32', dims: [1, 2, 5], data: [[1, 2]] }
    expect(faultOf('int32', undefined, tooFlat).details?.got).toBe('nesting of shape [1,2]')
    expect(bad({ data: [[1, 2, 3, 4]] }).details?.got).toBe('nesting of shape [1,4]')
    expect(bad({ data: [[1, 2], [3]] }).details?.field).toBe('x.data[1]')
    expect(
      bad({
        data: [
          [1, 2],
          [3, 'a'],
        ],
      }).details?.field,
    ).toBe('x.data[1][1]')
    expect(bad({ data: [1, 2, 3, 'a'] }).details?.field).toBe('x.data[3]')
    expect(bad({ data: [1, [2], 3, 4] }).details).toMatchObject({ field: 'x.data[1]', got: 'array' })
    for (const data of [undefined, null, 4, 'abcd', { length: 4 }]) expect(bad({ data }).details?.field).toBe('x.data')
    expect(faultOf('int32', ['N'], {}).details?.got).toBe('an object of another kind')
    expect(faultOf('int32', ['N'], new Map()).details?.got).toBe('an object of another kind')
  })

  test('the dims of a tensor are not the caller’s array', () => {
    const dims = [2, 1]
    const checked = check('int32', ['N', 1], { type: 'int32', dims, data: [1, 2] })
    dims[0] = 7
    expect(checked.dims).toEqual([2, 1])
  })
})

// ---------------------------------------------------------------- properties

const elementOf: { readonly [T in DType]: fc.Arbitrary<unknown> } = {
  float32: fc.float(),
  float64: fc.double(),
  float16: fc.integer({ min: -2048, max: 2048 }),
  int8: fc.integer({ min: -128, max: 127 }),
  int16: fc.integer({ min: -32768, max: 32767 }),
  int32: fc.integer(),
  int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  uint8: fc.integer({ min: 0, max: 255 }),
  uint16: fc.integer({ min: 0, max: 65535 }),
  uint32: fc.integer({ min: 0, max: 4294967295 }),
  uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  bool: fc.boolean(),
  string: fc.string(),
}

const shape = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 })

function nestOf(dims: readonly number[], element: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const [size, ...rest] = dims
  if (size === undefined) return element
  return fc.array(nestOf(rest, element), { minLength: size, maxLength: size })
}

const typedNest = fc.tuple(fc.constantFrom(...ALL_TYPES), shape).chain(([type, dims]) =>
  fc.record({
    type: fc.constant(type),
    dims: fc.constant(dims),
    nest: nestOf(dims, elementOf[type]) as fc.Arbitrary<unknown[]>,
  }),
)

/** The other way round: a tensor as nested arrays of the values that went in. */
function toNest({ type, dims, data }: Tensor): unknown {
  let at = 0
  function level(depth: number): unknown {
    if (depth === dims.length) return valueAt(at++)
    return Array.from({ length: dims[depth]! }, () => level(depth + 1))
  }
  function valueAt(i: number): unknown {
    if (type === 'bool') return data[i] === 1
    if (type !== 'float16') return data[i]
    const [sign, exponent, fraction] = [data[i]! >> 15, (data[i]! >> 10) & 31, data[i]! & 1023]
    const size = exponent === 0 ? fraction * 2 ** -24 : 2 ** (exponent - 15) * (1 + fraction / 1024)
    return sign ? -size : size
  }
  return level(0)
}

describe('properties', () => {
  test('nested arrays -> tensor -> nested arrays', () => {
    fc.assert(
      fc.property(typedNest, ({ type, dims, nest }) => {
        const tensor = check(type, undefined, nest)
        expect(tensor.dims).toEqual(dims)
        expect(toNest(tensor)).toEqual(nest)
      }),
      { numRuns: 500 },
    )
  })

  test('a nest, the flat tensor and the typed array of the same elements are the same', () => {
    fc.assert(
      fc.property(typedNest, ({ type, dims, nest }) => {
        const tensor = check(type, dims, nest)
        expect(check(type, dims, { type, dims, data: nest })).toEqual(tensor)
        expect(check(type, dims, { type, dims, data: nest.flat(Infinity) })).toEqual(tensor)
        if (type !== 'string') expect(check(type, dims, tensor.data)).toEqual(tensor)
      }),
      { numRuns: 300 },
    )
  })

  test('a nest with one row longer, shorter or not a row is refused', () => {
    const ragged = typedNest
      .filter(({ dims }) => dims.length > 1 && dims[0]! > 1)
      .chain(({ type, nest }) =>
        fc.record({
          type: fc.constant(type),
          nest: fc.constant(nest),
          row: fc.integer({ min: 0, max: nest.length - 1 }),
          damage: fc.constantFrom('longer', 'shorter', 'scalar', 'deeper'),
        }),
      )
    fc.assert(
      fc.property(ragged, ({ type, nest, row, damage }) => {
        const damaged = structuredClone(nest) as unknown[][]
        const target = damaged[row]!
        if (damage === 'longer') target.push(structuredClone(target[0]))
        else if (damage === 'shorter') target.pop()
        else if (damage === 'scalar') damaged[row] = 1 as never
        else damaged[row] = target.map((child) => [child])
        expect(faultOf(type, undefined, damaged).code).toBe('INPUT_INVALID')
      }),
      { numRuns: 500 },
    )
  })

  test('junk never gets anything but a ModelmountError out of the check', () => {
    const anything = fc.anything({
      withBigInt: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withDate: true,
      withSparseArray: true,
      withNullPrototype: true,
    })
    const tensorish = fc.record({
      type: fc.oneof(fc.constantFrom(...ALL_TYPES), anything),
      dims: fc.oneof(fc.array(fc.nat(3)), anything),
      data: anything,
    })
    const value = fc.oneof(anything, tensorish, fc.array(anything), fc.array(fc.array(fc.oneof(fc.integer(), anything))))
    const model = signature(input('x', 'float32', ['N', 2]), input('s', 'string', undefined), input('b', 'bool', [null]))
    const inputs = fc.oneof(anything, fc.record({ x: value, s: value, b: value }), fc.dictionary(fc.string(), value))
    fc.assert(
      fc.property(inputs, (junk) => {
        try {
          checkInputs(model, junk as never, limit)
        } catch (error) {
          expect((error as { code?: string }).code).toBe('INPUT_INVALID')
        }
      }),
      { numRuns: 5000 },
    )
    fc.assert(
      fc.property(fc.constantFrom(...ALL_TYPES), value, (type, junk) => {
        try {
          const { dims, data } = check(type, undefined, junk)
          expect(data.length).toBe(dims.reduce((total, dim) => total * dim, 1))
        } catch (error) {
          expect((error as { code?: string }).code).toBe('INPUT_INVALID')
        }
      }),
      { numRuns: 5000 },
    )
  })
})
