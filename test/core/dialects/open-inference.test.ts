import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { atOnce } from '../../../src/core/dialects/codec/index.ts'
import { encodeError } from '../../../src/core/dialects/open-inference/errors.ts'
import { encodeModelMetadata, encodeServerMetadata } from '../../../src/core/dialects/open-inference/metadata.ts'
import { decodeInfer } from '../../../src/core/dialects/open-inference/request.ts'
import { encodeInfer as encodeSteps } from '../../../src/core/dialects/open-inference/response.ts'
import { isModelmountError, ModelmountError } from '../../../src/core/errors.ts'
import type { ModelInfo } from '../../../src/core/model/types.ts'
import type { PredictResult } from '../../../src/core/predict/types.ts'
import { toHalf, toWireType } from '../../../src/core/tensor/index.ts'
import type { DType, ModelSignature, Tensor } from '../../../src/core/tensor/types.ts'
import { ALL_TYPES, fault, input } from '../tensor/support.ts'

const limit = { maxElements: 1000 }
const bytes = (text: string) => new TextEncoder().encode(text)
const text = (body: Uint8Array) => new TextDecoder('utf-8', { fatal: true }).decode(body)

const model: ModelSignature = {
  inputs: [input('x', 'float32', ['N', 2]), input('ids', 'int64', ['N'], true)],
  outputs: [input('score', 'float32', ['N']), input('label', 'string', ['N'])],
}
const x = { name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] }

const decode = (body: unknown, signature = model) => decodeInfer(bytes(JSON.stringify(body)), signature, limit)
const faultOf = (body: unknown, signature = model) => fault(() => decode(body, signature))

/** A model with one input called x. */
const single = (type: DType, dims: (number | null)[] = [null]): ModelSignature => ({
  inputs: [input('x', type, dims)],
  outputs: [],
})

/** Decodes the JSON text of one element. */
function element(type: DType, json: string): unknown {
  const body = `{"inputs":[{"name":"x","shape":[1],"datatype":"${toWireType(type)}","data":[${json}]}]}`
  return decodeInfer(bytes(body), single(type), limit).inputs.x?.data[0]
}

function encodeInfer(...args: Parameters<typeof encodeSteps>): { readonly body: Uint8Array } {
  const { body, moreChunks = [] } = atOnce(encodeSteps(...args))
  return { body: Buffer.concat([body, ...moreChunks]) }
}

describe('requests', () => {
  test('a full request, as bytes, Buffer, text and parsed', () => {
    const body = {
      id: 'a-1',
      parameters: { priority: 1, trace: true, tenant: 'é' },
      inputs: [{ ...x, parameters: { content_type: 'np' } }],
      outputs: [{ name: 'score', parameters: { binary_data: true } }],
      model_name: 'ignored',
    }
    const json = JSON.stringify(body)
    for (const form of [bytes(json), Buffer.from(json), json, body]) {
      const request = decodeInfer(form, model, limit)
      expect(request.id).toBe('a-1')
      expect({ ...request.parameters }).toEqual({ priority: 1, trace: true, tenant: 'é' })
      expect(request.outputs).toEqual(['score'])
      expect({ ...request.inputs }).toEqual({ x: { type: 'float32', dims: [1, 2], data: new Float32Array([1, 2]) } })
      expect(Object.getPrototypeOf(request.inputs)).toBeNull()
      expect(Object.getPrototypeOf(request.parameters)).toBeNull()
    }
  })

  test('a minimal request', () => {
    const request = decode({ inputs: [x] })
    expect(request.id).toBeUndefined()
    expect(request.outputs).toBeUndefined()
    expect({ ...request.parameters }).toEqual({})
    expect(decode({ id: '', outputs: [], inputs: [x] })).toMatchObject({ id: undefined, outputs: undefined })
  })

  test('models without inputs', () => {
    const none: ModelSignature = { inputs: [], outputs: model.outputs }
    expect({ ...decode({}, none).inputs }).toEqual({})
    expect({ ...decode({ inputs: [] }, none).inputs }).toEqual({})
    expect(faultOf({ inputs: [x] }, none).code).toBe('INPUT_INVALID')
    expect({ ...decode({}, { inputs: [input('o', 'float32', [1], true)], outputs: [] }).inputs }).toEqual({})
  })

  test('faults of form are REQUEST_INVALID and name the field', () => {
    const cases: [unknown, string | undefined][] = [
      [null, undefined],
      [[], undefined],
      ['x', undefined],
      [3, undefined],
      [{}, 'inputs'],
      [{ inputs: null }, 'inputs'],
      [{ inputs: {} }, 'inputs'],
      [{ inputs: [] }, 'inputs'],
      [{ inputs: [null] }, 'inputs[0]'],
      [{ inputs: [[x]] }, 'inputs[0]'],
      [{ inputs: [x, 'x'] }, 'inputs[1]'],
      [{ inputs: [{ ...x, name: 3 }] }, 'inputs[0].name'],
      [{ inputs: [{ ...x, name: undefined }] }, 'inputs[0].name'],
      ...[undefined, null, 2, '1,2', { 0: 1 }, [1, -2], [1, 2.5], [1, '2'], [1, null], [2 ** 53], [[1, 2]]].map(
        (shape): [unknown, string] => [{ inputs: [{ ...x, shape }] }, 'inputs[0].shape'],
      ),
      ...[undefined, null, 1, 'float32', 'fp32', 'BF16', '__proto__', 'constructor'].map((datatype): [unknown, string] => [
        { inputs: [{ ...x, datatype }] },
        'inputs[0].datatype',
      ]),
      ...[undefined, null, 1, '1', { 0: 1 }].map((data): [unknown, string] => [{ inputs: [{ ...x, data }] }, 'inputs[0].data']),
      [{ inputs: [{ ...x, parameters: [] }] }, 'inputs[0].parameters'],
      [{ inputs: [{ ...x, parameters: { binary_data_size: [] } }] }, 'inputs[0].parameters["binary_data_size"]'],
      [{ inputs: [{ ...x, parameters: { binary_data_size: 8 } }] }, 'inputs[0].data'],
      [{ inputs: [{ ...x, data: undefined, parameters: { binary_data_size: 8 } }] }, 'inputs[0].parameters.binary_data_size'],
      [
        { inputs: [{ ...x, data: undefined, parameters: { shared_memory_region: 'r' } }] },
        'inputs[0].parameters.shared_memory_region',
      ],
      [{ inputs: [x], parameters: 'a' }, 'parameters'],
      [{ inputs: [x], parameters: { priority: {} } }, 'parameters["priority"]'],
      [{ inputs: [x], id: 7 }, 'id'],
      [{ inputs: [x], id: {} }, 'id'],
      [{ inputs: [x], outputs: {} }, 'outputs'],
      [{ inputs: [x], outputs: [null] }, 'outputs[0]'],
      [{ inputs: [x], outputs: ['score'] }, 'outputs[0]'],
      [{ inputs: [x], outputs: [{ name: 'score' }, {}] }, 'outputs[1].name'],
      [{ inputs: [x], outputs: [{ name: 'score', parameters: 1 }] }, 'outputs[0].parameters'],
      [{ inputs: [x], outputs: [{ name: 'label', parameters: { classification: 3 } }] }, 'outputs[0].parameters.classification'],
      [{ inputs: [x], outputs: [{ name: 'score' }, { name: 'score' }] }, 'outputs[1].name'],
    ]
    for (const [body, field] of cases) {
      const error = faultOf(body)
      expect([error.code, error.details?.field], JSON.stringify(body)).toEqual(['REQUEST_INVALID', field])
      expect(fault(() => decodeInfer(typeof body === 'string' ? JSON.stringify(body) : body, model, limit)).code).toBe(
        'REQUEST_INVALID',
      )
    }
    for (const body of [undefined, '', new Uint8Array()]) {
      expect(fault(() => decodeInfer(body, model, limit)).message).toBe('the request body is empty')
    }
    for (const body of [new Float32Array(2), new Map(), Symbol('s'), () => 1]) {
      expect(fault(() => decodeInfer(body, model, limit)).status).toBe(400)
    }
  })

  test('inputs that do not fit the model are INPUT_INVALID, in the words of the protocol', () => {
    const cases: [unknown, object][] = [
      [{ inputs: [x, x] }, { field: 'inputs[1]', input: 'x' }],
      [{ inputs: [x, { ...x, name: 'z' }] }, { field: 'inputs[1]', input: 'z', expected: '"x", "ids"' }],
      [{ inputs: [x, { ...x, name: '__proto__' }] }, { field: 'inputs[1]', input: '__proto__' }],
      [
        { inputs: [{ ...x, name: 'ids', datatype: 'INT64', shape: [2] }] },
        { field: 'inputs', input: 'x', expected: 'FP32 [N,2]', got: 'nothing' },
      ],
      [{ inputs: [{ ...x, datatype: 'FP64' }] }, { field: 'inputs[0].datatype', expected: 'FP32', got: 'FP64' }],
      [{ inputs: [{ ...x, shape: [2] }] }, { field: 'inputs[0].shape', expected: 'shape [N,2]', got: 'shape [2]' }],
      [{ inputs: [{ ...x, shape: [2, 1] }] }, { field: 'inputs[0].shape', got: 'shape [2,1]' }],
      [{ inputs: [{ ...x, shape: [4294967296, 2] }] }, { field: 'inputs[0].shape[0]' }],
      [{ inputs: [{ ...x, shape: [4294967295, 2] }] }, { field: 'inputs[0].shape', expected: 'at most 1000 elements' }],
      [{ inputs: [{ ...x, data: [1] }] }, { field: 'inputs[0].data', expected: '2 elements for shape [1,2]', got: '1' }],
      [{ inputs: [{ ...x, data: [[[1, 2]]] }] }, { field: 'inputs[0].data', got: 'nesting of shape [1,1,2]' }],
      [{ inputs: [{ ...x, data: [[1], [2]] }] }, { field: 'inputs[0].data', got: 'nesting of shape [2,1]' }],
      [{ inputs: [{ ...x, shape: [2, 2], data: [[1, 2], [3]] }] }, { field: 'inputs[0].data[1]' }],
      [{ inputs: [{ ...x, data: [1, [2]] }] }, { field: 'inputs[0].data[1]', got: 'array' }],
      [{ inputs: [{ ...x, data: [[1, 'a']] }] }, { field: 'inputs[0].data[0][1]', got: 'string' }],
      [{ inputs: [x, { name: 'ids', shape: [2], datatype: 'INT64', data: [1, 2] }] }, { field: 'inputs[1]', got: 'N = 2' }],
    ]
    for (const [body, details] of cases) {
      const error = faultOf(body)
      expect(error.code, JSON.stringify(body)).toBe('INPUT_INVALID')
      expect(error.details, JSON.stringify(body)).toMatchObject(details)
    }
  })

  test('an output that the model does not have', () => {
    const error = faultOf({ inputs: [x], outputs: [{ name: 'constructor' }] })
    expect(error.code).toBe('OUTPUT_NOT_FOUND')
    expect(error.message).toBe('unknown output "constructor"; the model has "score", "label"')
    expect(error.details?.field).toBe('outputs[0].name')
  })

  test('data may be flat or nested to exactly its shape', () => {
    for (const data of [
      [1, 2, 3, 4],
      [
        [1, 2],
        [3, 4],
      ],
    ]) {
      expect(decode({ inputs: [{ ...x, shape: [2, 2], data }] }).inputs.x?.data).toEqual(new Float32Array([1, 2, 3, 4]))
    }
    expect(decode({ inputs: [{ ...x, shape: [], data: [7] }] }, single('float32', [])).inputs.x?.dims).toEqual([])
    expect(decode({ inputs: [{ ...x, shape: [0, 2], data: [] }] }).inputs.x?.dims).toEqual([0, 2])
  })

  test('100,000 levels of nesting are a fault of the client', () => {
    const nest = '['.repeat(100_000) + ']'.repeat(100_000)
    const bodies = [
      nest,
      `{"inputs":${nest}}`,
      `{"ignored":${nest},"inputs":[]}`,
      `{"inputs":[{"name":"x","shape":${nest},"datatype":"FP32","data":[1,2]}]}`,
      `{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":${nest}}]}`,
      `{"inputs":[{"name":"x","shape":[1,2],"datatype":"INT64","data":[1234567890123456789,${nest}]}]}`,
    ]
    for (const body of bodies) {
      expect(fault(() => decodeInfer(body, model, limit)).status).toBe(400)
      // An app's own parser may have let it through.
      const { ignored, ...parsed } = JSON.parse(body)
      expect(fault(() => decodeInfer(parsed, model, limit)).status, Object.keys(ignored ?? {}).join()).toBe(400)
    }
  })

  test('keys named __proto__ change nothing', () => {
    const body = `{"__proto__":{"inputs":[]},"constructor":1,"parameters":{"__proto__":"a"},"inputs":[{"__proto__":{"data":[]},"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}`
    const request = decodeInfer(body, model, limit)
    expect(Object.keys(request.parameters)).toEqual(['__proto__'])
    expect(request.inputs.x?.data).toEqual(new Float32Array([1, 2]))
    expect(fault(() => decodeInfer('{"__proto__":{"inputs":[]}}', model, limit)).details?.field).toBe('inputs')
  })
})

describe('elements', () => {
  const refusal = (type: DType, json: string) => fault(() => element(type, json))

  test('floats are numbers, null, or one of three strings', () => {
    for (const type of ['float32', 'float64'] as const) {
      expect(element(type, '"NaN"')).toBe(Number.NaN)
      expect(element(type, 'null')).toBe(Number.NaN)
      expect(element(type, '"Infinity"')).toBe(Infinity)
      expect(element(type, '"-Infinity"')).toBe(-Infinity)
      expect(element(type, '-0')).toBe(-0)
      expect(element(type, '1')).toBe(1)
    }
    expect(element('float16', '"-Infinity"')).toBe(0xfc00)
    expect(element('float16', '0.333251953125')).toBe(0x3555)
    for (const json of ['"nan"', '"+Infinity"', '"1"', '""', 'true', '{}']) {
      for (const type of ['float16', 'float32', 'float64'] as const) expect(refusal(type, json).code).toBe('INPUT_INVALID')
    }
  })

  test('a number that overflows its type is refused', () => {
    expect(refusal('float64', '1e309').details?.got).toBe('a number out of range for FP64')
    expect(refusal('float64', '-1e309').code).toBe('INPUT_INVALID')
    expect(refusal('float32', '1e39').details?.got).toBe('a number out of range for FP32')
    expect(refusal('float16', '70000').details?.got).toBe('a number out of range for FP16')
    expect(refusal('int32', '1e309').details?.got).toBe('a number out of range for INT32')
    expect(element('float32', '3.4028234663852886e38')).toBe(3.4028234663852886e38)
    expect(element('float16', '65504')).toBe(0x7bff)
  })

  test('integers are integers in range', () => {
    expect(element('int8', '-128')).toBe(-128)
    expect(element('uint8', '1e2')).toBe(100)
    expect(element('int32', '1.0')).toBe(1)
    for (const [type, json] of [
      ['int8', '128'],
      ['uint8', '-1'],
      ['int32', '1.5'],
      ['int32', '"1"'],
      ['int64', 'true'],
      ['uint64', '-1'],
    ] as const) {
      expect(refusal(type, json).code).toBe('INPUT_INVALID')
    }
  })

  test('booleans are true or false, strings are strings', () => {
    expect(element('bool', 'true')).toBe(1)
    expect(element('bool', 'false')).toBe(0)
    for (const json of ['0', '1', '"true"', 'null']) expect(refusal('bool', json).details?.expected).toBe('true or false')
    expect(element('string', '"é\\ud83d\\ude00"')).toBe('é😀')
    // ONNX Runtime's binding would cut it short without a word.
    expect(refusal('string', '"a\\u0000b"').details?.got).toContain('NUL')
    for (const json of ['1', 'null', 'true', '{}']) expect(refusal('string', json).code).toBe('INPUT_INVALID')
  })

  test('64-bit integers are exact', () => {
    for (const n of ['9007199254740993', '-9223372036854775808', '9223372036854775807', '1234567890123456789', '0', '-1']) {
      expect(element('int64', n)).toBe(BigInt(n))
    }
    expect(element('uint64', '18446744073709551615')).toBe(2n ** 64n - 1n)
    expect(refusal('int64', '9223372036854775808').details?.got).toBe('an integer out of range for INT64')
    expect(refusal('uint64', '18446744073709551616').code).toBe('INPUT_INVALID')
    expect(refusal('int32', '9007199254740993').code).toBe('INPUT_INVALID')
    expect(refusal('int64', '1e17').details?.got).toContain('plain digits')
    expect(refusal('int64', '9007199254740993.0').details?.got).toContain('plain digits')
    expect(refusal('int64', '9'.repeat(400)).details?.got).toBe('a number out of range for INT64')
  })

  test('floats beside exact integers stay what they are', () => {
    const both: ModelSignature = {
      inputs: [input('n', 'int64', [1]), input('f', 'float64', [2]), input('g', 'float32', [1])],
      outputs: [],
    }
    const body = `{"parameters":{"p":12345678901234567890},"inputs":[
      {"name":"n","shape":[1],"datatype":"INT64","data":[9007199254740993]},
      {"name":"f","shape":[2],"datatype":"FP64","data":[12345678901234567890,"NaN"]},
      {"name":"g","shape":[1],"datatype":"FP32","data":[12345678901234567890]}]}`
    const { inputs, parameters } = decodeInfer(body, both, limit)
    expect(inputs.n?.data[0]).toBe(9007199254740993n)
    expect([...(inputs.f?.data ?? [])]).toEqual([Number('12345678901234567890'), Number.NaN])
    expect(inputs.g?.data[0]).toBe(Math.fround(Number('12345678901234567890')))
    expect(parameters.p).toBe(12345678901234567890n)
  })

  test('a body that was parsed before cannot bring long integers', () => {
    const parsed = (data: unknown[]) => ({ inputs: [{ name: 'x', shape: [1], datatype: 'INT64', data }] })
    const safe = decodeInfer(parsed([Number.MAX_SAFE_INTEGER]), single('int64'), limit)
    expect(safe.inputs.x?.data[0]).toBe(9007199254740991n)
    const error = fault(() => decodeInfer(parsed([2 ** 53]), single('int64'), limit))
    expect(error.code).toBe('INPUT_INVALID')
    expect(error.message).toContain('mount the router before express.json()')
  })
})

describe('answers', () => {
  const result = (outputs: Record<string, Tensor>): PredictResult => ({
    id: 'server-made',
    model: 'm"é',
    version: '2',
    outputs: Object.assign(Object.create(null), outputs),
    batchSize: 1,
    cached: false,
    timings: { queueMs: 0, inferMs: 0, totalMs: 0 },
  })
  const dataText = (tensor: Tensor) => /"data":(.*)\}\]\}$/s.exec(text(encodeInfer(result({ y: tensor })).body))?.[1]

  test('key order, and the id only when the client sent one', () => {
    const outputs: Record<string, Tensor> = {
      y: { type: 'float32', dims: [1, 2], data: new Float32Array([0.5, -1]) },
      n: { type: 'string', dims: [1], data: ['a'] },
    }
    const json =
      '{"model_name":"m\\"é","model_version":"2","outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[0.5,-1]},{"name":"n","datatype":"BYTES","shape":[1],"data":["a"]}]}'
    expect(text(encodeInfer(result(outputs)).body)).toBe(json)
    expect(text(encodeInfer(result(outputs), { id: 'é' }).body)).toBe(json.replace('"outputs"', '"id":"é","outputs"'))
    expect(JSON.parse(text(encodeInfer(result({})).body)).outputs).toEqual([])
  })

  test('numbers', () => {
    expect(dataText({ type: 'float32', dims: [5], data: new Float32Array([Number.NaN, Infinity, -Infinity, -0, 0.1]) })).toBe(
      '["NaN","Infinity","-Infinity",-0,0.1]',
    )
    expect(dataText({ type: 'float64', dims: [3], data: new Float64Array([5e-324, 1e300, -0]) })).toBe('[5e-324,1e+300,-0]')
    expect(dataText({ type: 'float16', dims: [4], data: new Uint16Array([0x3c00, 0x8000, 0x7e00, 1]) })).toBe(
      '[1,-0,"NaN",5.9604645e-8]',
    )
    expect(dataText({ type: 'int64', dims: [2], data: new BigInt64Array([9007199254740993n, -(2n ** 63n)]) })).toBe(
      '[9007199254740993,-9223372036854775808]',
    )
    expect(dataText({ type: 'uint64', dims: [1], data: new BigUint64Array([2n ** 64n - 1n]) })).toBe('[18446744073709551615]')
    expect(dataText({ type: 'bool', dims: [2], data: new Uint8Array([1, 0]) })).toBe('[true,false]')
    expect(dataText({ type: 'int8', dims: [], data: new Int8Array([-5]) })).toBe('[-5]')
    expect(dataText({ type: 'float32', dims: [0, 3], data: new Float32Array(0) })).toBe('[]')
  })

  test('strings', () => {
    const data = ['', '"\\\n', 'é😀', '\ud800', '\u2028']
    const written = dataText({ type: 'string', dims: [5], data }) ?? ''
    expect(JSON.parse(written)).toEqual(data)
    expect(written).toContain('\\ud800')
  })

  test('large tensors are written in pieces that fit together', () => {
    for (const length of [65535, 65536, 65537, 300_000]) {
      const data = Int32Array.from({ length }, (_, i) => i * 1001)
      expect(JSON.parse(dataText({ type: 'int32', dims: [length], data }) ?? '')).toEqual([...data])
    }
    const strings = Array.from({ length: 70_000 }, (_, i) => `é${i}`)
    expect(JSON.parse(dataText({ type: 'string', dims: [70_000], data: strings }) ?? '')).toEqual(strings)
  })

  test('what is written reads back the same, for all types', () => {
    for (const type of ALL_TYPES) {
      fc.assert(
        fc.property(tensorOf(type), (tensor) => {
          const written = text(encodeInfer(result({ x: tensor })).body)
          const inputs = /"outputs":(.*)\}$/s.exec(written)?.[1]
          const decoded = decodeInfer(`{"inputs":${inputs}}`, { inputs: [input('x', type, undefined)], outputs: [] }, limit)
          expect(decoded.inputs.x).toEqual(tensor)
        }),
        { numRuns: 200 },
      )
    }
  })

  function tensorOf(type: DType): fc.Arbitrary<Tensor> {
    const n = { maxLength: 12 }
    const arrays: { readonly [T in DType]: fc.Arbitrary<ArrayLike<unknown>> } = {
      float32: fc.float32Array(n),
      float64: fc.float64Array(n),
      float16: fc
        .array(fc.oneof(fc.double({ min: -65000, max: 65000 }), fc.constantFrom(Infinity, -Infinity)), n)
        .map((a) => Uint16Array.from(a, toHalf)),
      int8: fc.int8Array(n),
      int16: fc.int16Array(n),
      int32: fc.int32Array(n),
      int64: fc.bigInt64Array(n),
      uint8: fc.uint8Array(n),
      uint16: fc.uint16Array(n),
      uint32: fc.uint32Array(n),
      uint64: fc.bigUint64Array(n),
      bool: fc.array(fc.boolean(), n).map((a) => Uint8Array.from(a, Number)),
      string: fc.array(
        fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0')),
        n,
      ),
    }
    return arrays[type].map((data) => ({ type, dims: [data.length], data }) as unknown as Tensor)
  }
})

describe('metadata and errors', () => {
  test('server', () => {
    expect(text(encodeServerMetadata('modelmount', '0.1.0', ['parameters']))).toBe(
      '{"name":"modelmount","version":"0.1.0","extensions":["parameters"]}',
    )
  })

  test('model', () => {
    const info = {
      name: 'm',
      inputs: [input('x', 'float32', ['N', null, 2]), input('s', 'string', [])],
      outputs: [
        input('u', 'int64', undefined),
        { name: 'q', type: undefined, declaredType: 'seq(tensor(float))', dims: undefined },
      ],
      leftOut: [{ name: 'h', declaredType: 'tensor(bfloat16)', reason: 'it is odd' }],
    } as unknown as ModelInfo
    expect(JSON.parse(text(encodeModelMetadata(info, ['1', '2'])))).toEqual({
      name: 'm',
      versions: ['1', '2'],
      platform: 'onnxruntime_onnx',
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [-1, -1, 2] },
        { name: 's', datatype: 'BYTES', shape: [] },
      ],
      outputs: [
        { name: 'u', datatype: 'INT64', shape: [-1] },
        { name: 'q', datatype: 'seq(tensor(float))', shape: [-1] },
      ],
      parameters: { left_out: [{ name: 'h', datatype: 'tensor(bfloat16)', reason: 'it is odd' }] },
    })
  })

  test('errors', () => {
    const bodyOf = (error: unknown) => JSON.parse(text(encodeError(error)))
    const details = { field: 'inputs[0]', input: 'x', secret: 1 }
    expect(bodyOf(new ModelmountError('INPUT_INVALID', 'no', { details, cause: new Error('inner') }))).toEqual({
      error: 'no',
      code: 'INPUT_INVALID',
      details: { field: 'inputs[0]', input: 'x' },
    })
    expect(bodyOf(new ModelmountError('QUEUE_FULL', 'full'))).toEqual({ error: 'full', code: 'QUEUE_FULL' })
    expect(bodyOf(new ModelmountError('INFERENCE_FAILED', 'failed', { details }))).toEqual({
      error: 'failed',
      code: 'INFERENCE_FAILED',
    })
    expect(bodyOf(new Error('/etc/secret'))).toEqual({ error: 'internal error', code: 'INTERNAL' })
    expect(bodyOf(undefined).code).toBe('INTERNAL')
  })
})

describe('damaged bodies', () => {
  const valid = {
    id: 'a',
    parameters: { a: 1 },
    inputs: [
      {
        name: 'x',
        shape: [2, 2],
        datatype: 'FP32',
        parameters: { b: true },
        data: [
          [1, 2],
          [3, 'NaN'],
        ],
      },
      { name: 'ids', shape: [2], datatype: 'INT64', data: [1, 2] },
    ],
    outputs: [{ name: 'score', parameters: {} }],
  }

  function expectClientFault(body: unknown): void {
    try {
      decodeInfer(body, model, limit)
    } catch (error) {
      if (!isModelmountError(error)) throw error
      expect(error.status).toBeGreaterThanOrEqual(400)
      expect(error.status).toBeLessThan(500)
      expect(error.message.length).toBeLessThan(1000)
      JSON.parse(text(encodeError(error)))
    }
  }

  /** Every place in a body, as a path of keys. */
  function placesOf(value: unknown, path: string[] = []): string[][] {
    const children = typeof value === 'object' && value !== null ? Object.entries(value) : []
    return [path, ...children.flatMap(([key, child]) => placesOf(child, [...path, key]))]
  }

  const places = placesOf(valid)

  type Damage = (parent: Record<string, unknown>, key: string) => void
  const set =
    (value: unknown): Damage =>
    (parent, key) => {
      // A copy: later damage may change it, and fast-check hands the same value out again.
      parent[key] = structuredClone(value)
    }
  const addOwn =
    (name: string, value: unknown): Damage =>
    (parent, key) => {
      const target = parent[key]
      if (typeof target === 'object' && target !== null)
        Object.defineProperty(target, name, {
          value: structuredClone(value),
          enumerable: true,
          configurable: true,
          writable: true,
        })
    }
  const nest =
    (levels: number): Damage =>
    (parent, key) => {
      for (let i = 0; i < levels; i++) parent[key] = [parent[key]]
    }
  const damage = fc.oneof(
    fc.constant<Damage>((parent, key) => {
      // Not splice, which would call a constructor that other damage has put into the array.
      if (Array.isArray(parent) && parent.length > 0) parent.copyWithin(Number(key), Number(key) + 1).length--
      else delete parent[key]
    }),
    fc.constant<Damage>((parent, key) => {
      if (Array.isArray(parent)) parent.push(parent[Number(key)])
    }),
    fc.jsonValue().map(set),
    fc.constantFrom(null, '', -1, 1e308, 2 ** 53, 0.5, [], {}, [[]], [null], true, 'NaN', 'INT64', 'BOOL', '__proto__').map(set),
    fc
      .tuple(fc.constantFrom('__proto__', 'constructor', 'toString', 'name', 'data'), fc.jsonValue())
      .map(([name, value]) => addOwn(name, value)),
    fc.constantFrom(1, 31, 40, 600).map(nest),
  )

  test('structural damage', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...places), damage), { minLength: 1, maxLength: 3 }), (damages) => {
        const holder: Record<string, unknown> = { root: structuredClone(valid) }
        for (const [place, apply] of damages) {
          const path = ['root', ...place]
          const key = path.pop() ?? 'root'
          let parent: unknown = holder
          for (const step of path) parent = (parent as Record<string, unknown> | null | undefined)?.[step]
          if (typeof parent === 'object' && parent !== null) apply(parent as Record<string, unknown>, key)
        }
        expectClientFault(JSON.stringify(holder.root) ?? '')
        expectClientFault(holder.root)
      }),
      { numRuns: 5000 },
    )
  })

  test('damaged bytes', () => {
    const body = bytes(JSON.stringify(valid))
    const splice = fc.record({ at: fc.nat(body.length), remove: fc.nat(6), insert: fc.uint8Array({ maxLength: 4 }) })
    fc.assert(
      fc.property(fc.array(splice, { minLength: 1, maxLength: 3 }), (splices) => {
        const damaged = [...body]
        for (const { at, remove, insert } of splices) damaged.splice(at, remove, ...insert)
        expectClientFault(Uint8Array.from(damaged))
      }),
      { numRuns: 5000 },
    )
  })

  test('bodies of anything', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withMap: true, withTypedArray: true, withNullPrototype: true }),
        expectClientFault,
      ),
      { numRuns: 3000 },
    )
  })
})
