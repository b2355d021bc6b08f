/** TensorFlow Serving's JSON: rows, columns, base64, and the answers nested as it writes them. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { atOnce } from '../../../src/core/dialects/codec/index.ts'
import { encodeTfMetadata, encodeTfStatus } from '../../../src/core/dialects/tf-serving/metadata.ts'
import { decodeTfPredict } from '../../../src/core/dialects/tf-serving/request.ts'
import { encodeTfPredict } from '../../../src/core/dialects/tf-serving/response.ts'
import { isModelmountError } from '../../../src/core/errors.ts'
import type { ModelInfo } from '../../../src/core/model/types.ts'
import type { PredictResult } from '../../../src/core/predict/types.ts'
import type { ModelSignature, Tensor } from '../../../src/core/tensor/types.ts'
import { fault, input } from '../tensor/support.ts'

const limit = { maxElements: 1000 }
const one: ModelSignature = { inputs: [input('x', 'float32', ['N', 2])], outputs: [] }
const two: ModelSignature = {
  inputs: [input('a', 'float32', ['N', 2]), input('n', 'int64', ['N'])],
  outputs: [],
}
const text: ModelSignature = { inputs: [input('s', 'string', ['N'])], outputs: [] }
const decode = (body: unknown, signature: ModelSignature) => {
  const { inputs, form } = decodeTfPredict(Buffer.from(JSON.stringify(body)), signature, limit)
  return { form, inputs: { ...inputs } }
}
const faultOf = (body: unknown, signature: ModelSignature) => fault(() => decode(body, signature))
const x = { type: 'float32', dims: [2, 2], data: new Float32Array([1, 2, 3, 4]) }

describe('requests', () => {
  test('rows of one input: values, or objects of its name', () => {
    const expected = { form: 'row', inputs: { x } }
    expect(
      decode(
        {
          instances: [
            [1, 2],
            [3, 4],
          ],
        },
        one,
      ),
    ).toEqual(expected)
    expect(decode({ signature_name: 'serving_default', instances: [{ x: [1, 2] }, { x: [3, 4] }] }, one)).toEqual(expected)
    expect(decode({ instances: [1.5, 2], extra: 1 }, { ...one, inputs: [input('x', 'float32', ['N'])] }).inputs.x?.data).toEqual(
      new Float32Array([1.5, 2]),
    )
  })

  test('rows of several inputs', () => {
    expect(
      decode(
        {
          instances: [
            { a: [1, 2], n: 5 },
            { n: 6, a: [3, 4] },
          ],
        },
        two,
      ).inputs,
    ).toEqual({
      a: x,
      n: { type: 'int64', dims: [2], data: new BigInt64Array([5n, 6n]) },
    })
    const optional = { inputs: [input('a', 'float32', ['N', 2]), input('n', 'int64', ['N'], true)], outputs: [] }
    expect(Object.keys(decode({ instances: [{ a: [1, 2] }] }, optional).inputs)).toEqual(['a'])
  })

  test('columns: a tensor, or one for each name; unknown names are passed over', () => {
    const expected = { form: 'column', inputs: { x } }
    expect(
      decode(
        {
          inputs: [
            [1, 2],
            [3, 4],
          ],
        },
        one,
      ),
    ).toEqual(expected)
    expect(
      decode(
        {
          inputs: {
            x: [
              [1, 2],
              [3, 4],
            ],
            nope: 1,
          },
        },
        one,
      ),
    ).toEqual(expected)
    expect(decode({ inputs: { a: [[1, 2]], n: [7] } }, two).inputs.n?.data).toEqual(new BigInt64Array([7n]))
    expect(decode({ inputs: 3 }, { inputs: [input('x', 'float32', [])], outputs: [] }).inputs.x?.dims).toEqual([])
    expect(decode({ inputs: {} }, { inputs: [], outputs: [] }).inputs).toEqual({})
  })

  test('long integers are exact, strings may be base64', () => {
    const body = '{"instances":[{"a":[1,2],"n":9007199254740993}]}'
    expect(decodeTfPredict(body, two, limit).inputs.n?.data[0]).toBe(9007199254740993n)
    const b64 = (value: string) => ({ b64: Buffer.from(value).toString('base64') })
    expect(decode({ instances: ['a', b64('né'), { b64: '' }] }, text).inputs.s?.data).toEqual(['a', 'né', ''])
    // Without padding, as some encoders leave it.
    expect(decode({ instances: [{ b64: 'YQ' }] }, text).inputs.s?.data).toEqual(['a'])
    expect(decode({ inputs: { s: [b64('x')] } }, text).inputs.s?.data).toEqual(['x'])
    expect(decode({ instances: [{ s: b64('x') }] }, text).inputs.s?.data).toEqual(['x'])
    const grid = { inputs: [input('s', 'string', ['N', 1])], outputs: [] }
    expect(decode({ inputs: [[b64('x')], ['y']] }, grid).inputs.s?.data).toEqual(['x', 'y'])
  })

  test('what is wrong is told with its place', () => {
    const cases: [unknown, ModelSignature, code: string, field: string | undefined][] = [
      [[], one, 'REQUEST_INVALID', undefined],
      [{}, one, 'REQUEST_INVALID', 'instances'],
      [{ instances: [1], inputs: [1] }, one, 'REQUEST_INVALID', 'instances'],
      [{ instances: [] }, one, 'REQUEST_INVALID', 'instances'],
      [{ instances: null }, one, 'REQUEST_INVALID', 'instances'],
      [{ instances: 'x' }, one, 'REQUEST_INVALID', 'instances'],
      [{ instances: [[1, 2]], signature_name: 'other' }, one, 'REQUEST_INVALID', 'signature_name'],
      [{ instances: [[1, 2]], signature_name: 5 }, one, 'REQUEST_INVALID', 'signature_name'],
      [{ instances: [[1, 2], [3]] }, one, 'INPUT_INVALID', 'instances[1]'],
      [{ instances: [[1, 2], 3] }, one, 'INPUT_INVALID', 'instances[1]'],
      [{ instances: [[1, 2], { x: [1, 2] }] }, one, 'REQUEST_INVALID', 'instances[1]'],
      [{ instances: [{ x: [1, 2] }, [1, 2]] }, one, 'REQUEST_INVALID', 'instances[1]'],
      [{ instances: [[1, '2']] }, one, 'INPUT_INVALID', 'instances[0][1]'],
      [{ instances: [[1, true]] }, one, 'INPUT_INVALID', 'instances[0][1]'],
      [{ instances: [[1, 2, 3]] }, one, 'INPUT_INVALID', 'instances'],
      [{ instances: [1, 2] }, one, 'INPUT_INVALID', 'instances'],
      [{ instances: [{ y: [1, 2] }] }, one, 'INPUT_INVALID', 'instances[0]'],
      [{ instances: [{ a: [1, 2] }] }, two, 'INPUT_INVALID', 'instances[0]'],
      [{ instances: [{ a: [1, 2], n: 1 }, { a: [1, 2] }] }, two, 'INPUT_INVALID', 'instances[1]'],
      [
        {
          instances: [
            { a: [1, 2], n: 1 },
            { a: [1, 2], n: 1, z: 1 },
          ],
        },
        two,
        'INPUT_INVALID',
        'instances[1]',
      ],
      [{ instances: [{ a: [1, 2], n: 1.5 }] }, two, 'INPUT_INVALID', 'instances[0]'],
      [{ instances: [[1, 2]] }, two, 'REQUEST_INVALID', 'instances'],
      [{ inputs: [[1, 2]] }, two, 'REQUEST_INVALID', 'inputs'],
      [{ inputs: { a: [[1, 2]] } }, two, 'INPUT_INVALID', 'inputs["n"]'],
      [{ inputs: { x: { type: 'float32', dims: [1, 2], data: [1, 2] } } }, one, 'INPUT_INVALID', 'inputs["x"]'],
      [{ instances: [{ b64: 'Y*==' }] }, text, 'INPUT_INVALID', 'instances[0].b64'],
      [{ instances: [{ b64: 'YQ===' }] }, text, 'INPUT_INVALID', 'instances[0].b64'],
      [{ instances: [{ b64: 5 }] }, text, 'INPUT_INVALID', 'instances[0]'],
      [{ instances: [{ b64: '/w==' }] }, text, 'INPUT_INVALID', 'instances[0].b64'],
      [{ instances: ['a', { b64: 'YQ==', more: 1 }] }, text, 'REQUEST_INVALID', 'instances[1]'],
      [{ instances: [{ b64: 'YQ==' }] }, one, 'INPUT_INVALID', 'instances'],
    ]
    for (const [body, signature, code, field] of cases) {
      const error = faultOf(body, signature)
      expect([error.code, error.details?.field?.replace('instances[0].n', 'instances[0]')], JSON.stringify(body)).toEqual([
        code,
        field,
      ])
    }
  })

  test('anything: a 400 or tensors', () => {
    const item = fc.oneof(
      fc.constantFrom(1, -0.5, '1', null, true, { b64: 'YQ==' }, { a: [1, 2], n: 1 }),
      fc.array(fc.anything()),
      fc.anything(),
    )
    const body = fc.record(
      {
        instances: fc.oneof(fc.array(item), item),
        inputs: fc.oneof(item, fc.dictionary(fc.constantFrom('a', 'n', 'x', 's'), item)),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(body, fc.constantFrom(one, two, text), (request, signature) => {
        try {
          decodeTfPredict(JSON.stringify(request), signature, limit)
          decodeTfPredict(request, signature, limit)
        } catch (error) {
          expect(isModelmountError(error) && error.status).toBe(400)
        }
      }),
      { numRuns: 500 },
    )
    // An app's own parser may have let any depth through.
    let deep: unknown = 'x'
    for (let i = 0; i < 100_000; i++) deep = [deep]
    expect(fault(() => decodeTfPredict({ instances: deep }, text, limit)).status).toBe(400)
  })
})

describe('answers', () => {
  const answer = (outputs: Record<string, Tensor>, form: 'row' | 'column') =>
    Buffer.concat(atOnce(encodeTfPredict({ ...({} as PredictResult), outputs }, form))).toString()
  const floats = (dims: number[], ...data: number[]): Tensor => ({ type: 'float32', dims, data: new Float32Array(data) })

  test('one output, several outputs, rows and columns', () => {
    const y = floats([2, 2], 0.2, 1, -0, 1e-7)
    const z: Tensor = { type: 'int64', dims: [2], data: new BigInt64Array([2n ** 63n - 1n, -1n]) }
    expect(answer({ y }, 'row')).toBe('{"predictions":[[0.2,1.0],[-0.0,1e-7]]}')
    expect(answer({ y }, 'column')).toBe('{"outputs":[[0.2,1.0],[-0.0,1e-7]]}')
    expect(answer({ y, z }, 'row')).toBe('{"predictions":[{"y":[0.2,1.0],"z":9223372036854775807},{"y":[-0.0,1e-7],"z":-1}]}')
    expect(answer({ y, z }, 'column')).toBe('{"outputs":{"y":[[0.2,1.0],[-0.0,1e-7]],"z":[9223372036854775807,-1]}}')
    expect(answer({ y: floats([], 5) }, 'column')).toBe('{"outputs":5.0}')
    expect(answer({ y: floats([0, 3]) }, 'row')).toBe('{"predictions":[]}')
    expect(answer({ y: floats([2, 0]) }, 'row')).toBe('{"predictions":[[],[]]}')
  })

  test('rows need as many items in every output', () => {
    expect(fault(() => answer({ y: floats([], 5) }, 'row')).message).toContain('column form')
    expect(fault(() => answer({ y: floats([2], 1, 2), z: floats([3], 1, 2, 3) }, 'row')).status).toBe(400)
  })

  test('strings, bytes, booleans, halves; floats that JSON has not', () => {
    const s: Tensor = { type: 'string', dims: [2], data: ['a"', 'é'] }
    expect(answer({ s }, 'row')).toBe('{"predictions":["a\\"","é"]}')
    expect(answer({ image_bytes: s }, 'row')).toBe('{"predictions":[{"b64":"YSI="},{"b64":"w6k="}]}')
    expect(answer({ b: { type: 'bool', dims: [2], data: new Uint8Array([1, 0]) } }, 'row')).toBe('{"predictions":[true,false]}')
    expect(answer({ h: { type: 'float16', dims: [1], data: new Uint16Array([0x3555]) } }, 'row')).toBe(
      '{"predictions":[0.333251953125]}',
    )
    expect(answer({ y: floats([3], Number.NaN, Infinity, -Infinity) }, 'row')).toBe('{"predictions":[NaN,Infinity,-Infinity]}')
  })

  test('every float32 is spelled so that it reads back as itself', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const spelled = answer({ y: floats([1], value) }, 'row').slice('{"predictions":['.length, -2)
        expect(Object.is(Math.fround(Number(spelled)), Math.fround(value))).toBe(true)
        expect(spelled).toMatch(/^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/)
      }),
      { numRuns: 500 },
    )
    expect(answer({ y: floats([1], 16777216) }, 'row')).toContain('16777216.0')
    expect(answer({ y: floats([1], 1e22) }, 'row')).toMatch(/\[1e\+22\]/)
  })
})

test('status and metadata', () => {
  const info = {
    ...({} as ModelInfo),
    name: 'm',
    version: '3',
    state: 'ready',
    inputs: [input('x', 'float32', ['N', null, 4])],
    outputs: [input('y', 'string', undefined), input('z', 'int64', [])],
  } as const
  const failed = { ...info, version: '2', state: 'failed', reason: { code: 'MODEL_INVALID', message: '/secret/path' } } as const
  expect(JSON.parse(Buffer.from(encodeTfStatus([failed, info])).toString())).toEqual({
    model_version_status: [
      { version: '3', state: 'AVAILABLE', status: { error_code: 'OK', error_message: '' } },
      { version: '2', state: 'END', status: { error_code: 'INTERNAL', error_message: 'MODEL_INVALID' } },
    ],
  })
  const dims = (...sizes: [string, string][]) => sizes.map(([size, name]) => ({ size, name }))
  expect(JSON.parse(Buffer.from(encodeTfMetadata(info)).toString())).toEqual({
    model_spec: { name: 'm', signature_name: '', version: '3' },
    metadata: {
      signature_def: {
        signature_def: {
          serving_default: {
            inputs: {
              x: {
                dtype: 'DT_FLOAT',
                tensor_shape: { dim: dims(['-1', 'N'], ['-1', ''], ['4', '']), unknown_rank: false },
                name: 'x',
              },
            },
            outputs: {
              y: { dtype: 'DT_STRING', tensor_shape: { dim: [], unknown_rank: true }, name: 'y' },
              z: { dtype: 'DT_INT64', tensor_shape: { dim: [], unknown_rank: false }, name: 'z' },
            },
            method_name: 'tensorflow/serving/predict',
          },
        },
      },
    },
  })
})
