/** The binary tensor data extension: framing, every type, and what clients may get wrong. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { atOnce } from '../../../src/core/dialects/codec/index.ts'
import { formOf } from '../../../src/core/dialects/open-inference/forms.ts'
import { decodeInfer } from '../../../src/core/dialects/open-inference/request.ts'
import { encodeInfer as encodeSteps } from '../../../src/core/dialects/open-inference/response.ts'
import { isModelmountError } from '../../../src/core/errors.ts'
import type { PredictResult } from '../../../src/core/predict/types.ts'
import { fromWireType, toWireType } from '../../../src/core/tensor/index.ts'
import type { Dim, DType, ModelSignature, Tensor } from '../../../src/core/tensor/types.ts'
import { fault, input } from '../tensor/support.ts'

const limit = { maxElements: 1000 }
const encodeInfer = (...args: Parameters<typeof encodeSteps>) => atOnce(encodeSteps(...args))

const model: ModelSignature = {
  inputs: [input('x', 'float32', ['N', 2]), input('s', 'string', [null], true), input('n', 'int64', [null], true)],
  outputs: [input('score', 'float32', ['N', 3]), input('label', 'string', ['N'])],
}
const single = (type: DType, dims: readonly Dim[] | undefined): ModelSignature => ({
  inputs: [input('x', type, dims)],
  outputs: [],
})

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer)
const strings = (...texts: (string | Uint8Array)[]): Uint8Array =>
  Buffer.concat(
    texts.flatMap((text) => {
      const bytes = Buffer.from(text as string)
      const size = Buffer.alloc(4)
      size.writeUInt32LE(bytes.length)
      return [size, bytes]
    }),
  )
const blobInput = (name: string, datatype: string, shape: number[], size: unknown) => ({
  name,
  datatype,
  shape,
  parameters: { binary_data_size: size },
})

/** A body with its framing, `shift` bytes into its buffer as it would be in a pool. */
function framed(json: object | string, blobs: readonly Uint8Array[], shift = 0): { body: Uint8Array; headerLength: number } {
  const head = Buffer.from(typeof json === 'string' ? json : JSON.stringify(json))
  const whole = Buffer.concat([Buffer.alloc(shift), head, ...blobs])
  return { body: new Uint8Array(whole.buffer, whole.byteOffset + shift, whole.length - shift), headerLength: head.length }
}

function decode(json: object | string, blobs: readonly Uint8Array[], signature = model, shift = 0) {
  const { body, headerLength } = framed(json, blobs, shift)
  return decodeInfer(body, signature, { ...limit, headerLength })
}
const faultOf = (json: object | string, blobs: readonly Uint8Array[], signature = model) =>
  fault(() => decode(json, blobs, signature))

describe('requests', () => {
  test('blobs in the order of the inputs, mixed with JSON, at any offset', () => {
    const json = {
      id: 'é',
      inputs: [
        blobInput('s', 'BYTES', [3], 19),
        { name: 'n', datatype: 'INT64', shape: [1], data: [7] },
        blobInput('x', 'FP32', [1, 2], 8),
      ],
    }
    for (let shift = 0; shift < 9; shift++) {
      const { id, inputs } = decode(json, [strings('', 'né', 'abcd'), floats(1.5, -0)], model, shift)
      expect(id).toBe('é')
      expect({ ...inputs }).toEqual({
        x: { type: 'float32', dims: [1, 2], data: new Float32Array([1.5, -0]) },
        s: { type: 'string', dims: [3], data: ['', 'né', 'abcd'] },
        n: { type: 'int64', dims: [1], data: new BigInt64Array([7n]) },
      })
    }
  })

  test('large tensors lie where there is room, whatever was there before', () => {
    const count = 70_000
    const values = Float32Array.from({ length: count }, (_, i) => i / 3)
    const used = new Uint8Array(2 ** 19).fill(0xff)
    const buffers = { lend: (ofType: typeof Float32Array, length: number) => new ofType(used.buffer, 0, length) }
    const { body, headerLength } = framed({ inputs: [blobInput('x', 'FP32', [count], 4 * count)] }, [
      new Uint8Array(values.buffer),
    ])
    const options = { maxElements: count, headerLength, buffers: buffers as never }
    const { data } = decodeInfer(body, single('float32', [null]), options).inputs.x as Tensor
    expect((data as Float32Array).buffer).toBe(used.buffer)
    expect(data).toEqual(values)
  })

  test('a body in pieces is the same body, wherever it was cut', () => {
    const json = { inputs: [blobInput('s', 'BYTES', [3], 19), blobInput('x', 'FP32', [2, 2], 16)] }
    const { body, headerLength } = framed(json, [strings('', 'né', 'abcd'), floats(1.5, -0, 3, 4)])
    const whole = decodeInfer(body, model, { ...limit, headerLength }).inputs
    const cut = fc.array(fc.integer({ min: headerLength, max: body.length }), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(cut, fc.integer({ min: -1, max: 1 }), (places, off) => {
        const cuts = [...places.toSorted((a, b) => a - b), body.length]
        const moreChunks = cuts.slice(1).map((end, i) => body.slice(cuts[i], end))
        const opts = { ...limit, headerLength, moreChunks }
        expect(decodeInfer(body.slice(0, cuts[0]), model, opts).inputs).toEqual(whole)
        if (off === 0) return
        // One byte too many or too few is found as in one piece.
        const wrong =
          off > 0
            ? [...moreChunks, new Uint8Array(1)]
            : moreChunks.with(-1, moreChunks.at(-1)?.subarray(0, -1) ?? new Uint8Array())
        if (off < 0 && moreChunks.at(-1)?.length === 0) return
        expect(fault(() => decodeInfer(body.slice(0, cuts[0]), model, { ...opts, moreChunks: wrong })).code).toBe(
          'REQUEST_INVALID',
        )
      }),
    )
    const count = 100_000
    const values = Float32Array.from({ length: count }, (_, i) => i / 3)
    const buffers = { lend: (ofType: typeof Float32Array, length: number) => new ofType(length) }
    const large = framed({ inputs: [blobInput('x', 'FP32', [count], 4 * count)] }, [new Uint8Array(values.buffer)])
    for (const at of [large.headerLength, large.headerLength + 3, 100_001]) {
      const moreChunks = [large.body.subarray(at, 200_003), large.body.subarray(200_003)]
      for (const lent of [undefined, buffers as never]) {
        const opts = { maxElements: count, headerLength: large.headerLength, moreChunks, buffers: lent }
        const { data } = decodeInfer(large.body.subarray(0, at), single('float32', [null]), opts).inputs.x as Tensor
        expect(Buffer.compare(new Uint8Array((data as Float32Array).buffer, 0, 4 * count), new Uint8Array(values.buffer))).toBe(0)
      }
    }
    const raw = { maxElements: count, headerLength: 0, moreChunks: [floats(3)] }
    expect(decodeInfer(floats(1, 2), single('float32', [null]), raw).inputs.x?.data).toEqual(new Float32Array([1, 2, 3]))
    const text = { ...raw, moreChunks: [Buffer.from('c')] }
    expect(decodeInfer(Buffer.from('ab'), single('string', [null]), text).inputs.x?.data).toEqual(['abc'])
  })

  test('empty tensors, and a header without any blob', () => {
    expect(decode({ inputs: [blobInput('x', 'FP32', [0, 2], 0)] }, []).inputs.x).toMatchObject({ dims: [0, 2] })
    expect(
      decode({ inputs: [blobInput('s', 'BYTES', [0], 0), { name: 'x', datatype: 'FP32', shape: [0, 2], data: [] }] }, []),
    ).toBeTruthy()
    const all = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }] }
    expect(decode(all, []).inputs.x?.data).toEqual(new Float32Array([1, 2]))
  })

  test('lies about sizes are told at their place', () => {
    const one = (size: unknown, shape = [1, 2]) => ({ inputs: [blobInput('x', 'FP32', shape, size)] })
    const place = 'inputs[0].parameters.binary_data_size'
    const cases: [object, Uint8Array[], code: string, field: string][] = [
      [one(9), [floats(1, 2)], 'REQUEST_INVALID', place],
      [one(2 ** 40), [floats(1, 2)], 'REQUEST_INVALID', place],
      [one(4), [floats(1, 2)], 'INPUT_INVALID', place],
      [one(7), [floats(1, 2).subarray(1)], 'INPUT_INVALID', place],
      [one(8), [floats(1, 2, 3)], 'REQUEST_INVALID', 'body'],
      [one(8, [2, 2]), [floats(1, 2)], 'INPUT_INVALID', place],
      [one(8, [1, 3]), [floats(1, 2)], 'INPUT_INVALID', place],
      [one(8, [2]), [floats(1, 2)], 'INPUT_INVALID', 'inputs[0].shape'],
      [one(0, [0, 4294967295]), [], 'INPUT_INVALID', 'inputs[0].shape'],
      [one(8, [2 ** 52, 2 ** 52]), [floats(1, 2)], 'REQUEST_INVALID', 'inputs[0].shape'],
      ...[-1, 1.5, '8', true, [8], 2 ** 53].map((size): [object, Uint8Array[], string, string] => [
        one(size),
        [floats(1, 2)],
        'REQUEST_INVALID',
        Array.isArray(size) ? 'inputs[0].parameters["binary_data_size"]' : place,
      ]),
      [{ inputs: [{ ...blobInput('x', 'FP32', [1, 2], 8), data: [1, 2] }] }, [floats(1, 2)], 'REQUEST_INVALID', 'inputs[0].data'],
      [{ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2] }] }, [floats(1, 2)], 'REQUEST_INVALID', 'inputs[0].data'],
      [
        { inputs: [blobInput('x', 'FP32', [1, 2], 8), blobInput('x', 'FP32', [1, 2], 8)] },
        [floats(1, 2), floats(1, 2)],
        'INPUT_INVALID',
        'inputs[1]',
      ],
      [{ inputs: [blobInput('x', 'BF16', [1, 2], 4)] }, [floats(1)], 'REQUEST_INVALID', 'inputs[0].datatype'],
      [{ inputs: [blobInput('x', 'FP16', [1, 2], 4)] }, [floats(1)], 'INPUT_INVALID', 'inputs[0].datatype'],
    ]
    for (const [json, blobs, code, field] of cases) {
      const error = faultOf(json, blobs)
      expect([error.code, error.details?.field], JSON.stringify(json)).toEqual([code, field])
      expect(error.status).toBe(400)
    }
  })

  test('BYTES elements that do not add up', () => {
    const bytes = single('string', [null])
    const broken = (blob: Uint8Array, shape: number[]) =>
      faultOf({ inputs: [blobInput('x', 'BYTES', shape, blob.length)] }, [blob], bytes)
    expect(broken(strings('a', 'b'), [1]).details).toMatchObject({ expected: '1 BYTES elements', got: 'more' })
    expect(broken(strings('a', 'b'), [3]).details).toMatchObject({ expected: '3 BYTES elements', got: '2' })
    expect(broken(Buffer.from([1, 0, 0]), [1]).details?.got).toBe('3')
    expect(broken(Buffer.from([5, 0, 0, 0, 97]), [1]).details).toMatchObject({
      expected: 'at most 1 bytes in element 0',
      got: '5',
    })
    expect(broken(Buffer.from([255, 255, 255, 255]), [1]).details?.got).toBe('4294967295')
    expect(broken(strings(Buffer.from([0xff])), [1]).details?.expected).toBe('UTF-8')
    expect(broken(strings('a\0b'), [1]).details?.got).toContain('NUL')
    expect(broken(strings('a'), [2 ** 31]).code).toBe('INPUT_INVALID')
  })

  test('booleans are bytes of 0 and 1; halves are two bytes', () => {
    const bool = { inputs: [blobInput('x', 'BOOL', [2], 2)] }
    expect(decode(bool, [Buffer.from([0, 1])], single('bool', [null])).inputs.x?.data).toEqual(new Uint8Array([0, 1]))
    expect(faultOf(bool, [Buffer.from([0, 2])], single('bool', [null])).code).toBe('INPUT_INVALID')
    const half = { inputs: [blobInput('x', 'FP16', [2], 4)] }
    const { data } = decode(half, [Buffer.from([0x00, 0x3c, 0x00, 0xfc])], single('float16', [null]), 1).inputs.x!
    expect(data).toEqual(new Uint16Array([0x3c00, 0xfc00]))
  })

  test('the header', () => {
    const { body, headerLength } = framed({ inputs: [blobInput('x', 'FP32', [1, 2], 8)] }, [floats(1, 2)])
    for (const wrong of [headerLength - 1, headerLength + 1, body.length, body.length + 1, 1, 999_999_999_999_999])
      expect(fault(() => decodeInfer(body, model, { ...limit, headerLength: wrong })).code).toBe('REQUEST_INVALID')
    expect(fault(() => decodeInfer(undefined, model, { ...limit, headerLength: 5 })).code).toBe('REQUEST_INVALID')
    // All of it is JSON, and still the header says more.
    const whole = Buffer.from(JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }] }))
    const long = fault(() => decodeInfer(whole, model, { ...limit, headerLength: whole.length + 1 }))
    expect(long.details).toMatchObject({ field: 'inference-header-content-length', got: `${whole.length + 1}` })
    // A parser of the app has read it as JSON: there are no bytes any more.
    expect(fault(() => decodeInfer({ inputs: [] }, model, { ...limit, headerLength: 5 })).message).toContain('express.json()')
    const error = fault(() => decodeInfer(body.subarray(0, headerLength), model, limit))
    expect(error.message).toContain('Inference-Header-Content-Length')
  })
})

describe('raw requests', () => {
  const raw = (body: Uint8Array, signature: ModelSignature) => decodeInfer(body, signature, { ...limit, headerLength: 0 })
  const refused = (body: Uint8Array, signature: ModelSignature) => fault(() => raw(body, signature))

  test('the shape comes from the model and the size', () => {
    for (const [dims, shape] of [
      [
        ['N', 2],
        [2, 2],
      ],
      [[4], [4]],
      [
        [2, 2],
        [2, 2],
      ],
      [
        [2, null, 2],
        [2, 1, 2],
      ],
      [
        ['N', 'C'],
        [1, 4],
      ],
      [
        ['N', 2, 'C'],
        [1, 2, 2],
      ],
      [undefined, [4]],
    ] as const) {
      const { inputs, forms } = raw(floats(1, 2, 3, 4), single('float32', dims))
      expect(inputs.x).toEqual({ type: 'float32', dims: shape, data: new Float32Array([1, 2, 3, 4]) })
      expect(formOf(forms, 'anything').binary).toBe(true)
    }
    expect(raw(floats(9), single('float32', [])).inputs.x).toMatchObject({ dims: [] })
    expect(raw(new Uint8Array(), single('float32', ['N', 4])).inputs.x).toMatchObject({ dims: [0, 4] })
  })

  test('one string is its bare bytes', () => {
    expect(raw(Buffer.from('né'), single('string', ['N', 1])).inputs.x).toEqual({ type: 'string', dims: [1, 1], data: ['né'] })
    expect(refused(Buffer.from('a'), single('string', ['N', 2])).code).toBe('REQUEST_INVALID')
    expect(refused(Buffer.from([0xff]), single('string', [1])).code).toBe('INPUT_INVALID')
  })

  test('what cannot be told is refused', () => {
    expect(refused(floats(1, 2), model).message).toContain('one input, and this one has 3')
    expect(refused(floats(1, 2), { inputs: [], outputs: [] }).code).toBe('REQUEST_INVALID')
    for (const [dims, body] of [
      [[null, null, null], floats(1)],
      [[2, null, null], floats(1, 2)],
      [['N', 4], floats(1, 2, 3)],
      [['N', 2], floats(1, 2).subarray(1)],
      [[3], floats(1, 2)],
      [['N', 0], floats(1)],
      [['N', 0], floats()],
      [undefined, floats(1).subarray(1)],
    ] as const)
      expect([dims, refused(body, single('float32', dims)).status]).toEqual([dims, 400])
    expect(fault(() => raw(floats(...new Array(1001).fill(0)), single('float32', ['N']))).code).toBe('INPUT_INVALID')
  })
})

describe('answers', () => {
  const result = (outputs: Record<string, Tensor>): PredictResult => ({
    id: '',
    model: 'm',
    version: '1',
    outputs: Object.assign(Object.create(null), outputs),
    batchSize: 1,
    cached: false,
    timings: { queueMs: 0, inferMs: 0, totalMs: 0 },
  })
  const outputs = {
    score: { type: 'float32', dims: [1, 3], data: new Float32Array([1, 2, 3]) },
    label: { type: 'string', dims: [2], data: ['', 'né'] },
  } as const satisfies Record<string, Tensor>
  const x = { name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }

  const answerTo = (request: object, given: Record<string, Tensor> = outputs) => {
    const { forms, outputs: wanted } = decodeInfer(JSON.stringify(request), model, limit)
    const { body, headerLength } = encodeInfer(result(given), { forms, signature: model })
    const json = JSON.parse(new TextDecoder().decode(body.subarray(0, headerLength ?? body.length)))
    return { json, wanted, blobs: body.subarray(headerLength ?? body.length), headerLength }
  }

  test('JSON unless asked, per output or for all', () => {
    expect(answerTo({ inputs: [x] })).toMatchObject({ headerLength: undefined, wanted: undefined })
    const all = answerTo({ inputs: [x], parameters: { binary_data_output: true } })
    expect(all.json.outputs).toEqual([
      { name: 'score', datatype: 'FP32', shape: [1, 3], parameters: { binary_data_size: 12 } },
      { name: 'label', datatype: 'BYTES', shape: [2], parameters: { binary_data_size: 11 } },
    ])
    expect(Buffer.from(all.blobs)).toEqual(Buffer.concat([floats(1, 2, 3), strings('', 'né')]))
    const mixed = answerTo({
      inputs: [x],
      parameters: { binary_data_output: true },
      outputs: [
        { name: 'score', parameters: { binary_data: false } },
        { name: 'label', parameters: { anything: 1 } },
      ],
    })
    expect(mixed.json.outputs).toEqual([
      { name: 'score', datatype: 'FP32', shape: [1, 3], data: [1, 2, 3] },
      { name: 'label', datatype: 'BYTES', shape: [2], parameters: { binary_data_size: 11 } },
    ])
    expect(Buffer.from(mixed.blobs)).toEqual(Buffer.from(strings('', 'né')))
  })

  test('without a byte of tensors the answer is plain JSON', () => {
    const empty: Tensor = { type: 'float32', dims: [0, 3], data: new Float32Array() }
    const answer = answerTo({ inputs: [x], parameters: { binary_data_output: true } }, { score: empty })
    expect(answer.headerLength).toBeUndefined()
    expect(answer.json.outputs).toEqual([{ name: 'score', datatype: 'FP32', shape: [0, 3], parameters: { binary_data_size: 0 } }])
  })

  test('wrong types of parameters', () => {
    for (const [request, field] of [
      [{ parameters: { binary_data_output: 1 } }, 'parameters.binary_data_output'],
      [{ outputs: [{ name: 'score', parameters: { binary_data: 'true' } }] }, 'outputs[0].parameters.binary_data'],
      [{ outputs: [{ name: 'score', parameters: { classification: -1 } }] }, 'outputs[0].parameters.classification'],
      [{ outputs: [{ name: 'score', parameters: { classification: true } }] }, 'outputs[0].parameters.classification'],
      [{ outputs: [{ name: 'score', parameters: { classification: 65_537 } }] }, 'outputs[0].parameters.classification'],
      [{ outputs: [{ name: 'score', parameters: { shared_memory_region: 'r' } }] }, 'outputs[0].parameters.shared_memory_region'],
    ] as const)
      expect(fault(() => decodeInfer({ inputs: [x], ...request }, model, limit)).details?.field).toBe(field)
  })

  test('classes, in binary too', () => {
    const request = { inputs: [x], outputs: [{ name: 'score', parameters: { classification: 2, binary_data: true } }] }
    const { json, blobs } = answerTo(request, { score: outputs.score })
    expect(json.outputs).toEqual([{ name: 'score', datatype: 'BYTES', shape: [1, 2], parameters: { binary_data_size: 28 } }])
    expect(Buffer.from(blobs)).toEqual(Buffer.from(strings('3.000000:2', '2.000000:1')))
  })
})

describe('fuzz', () => {
  const types = ['FP32', 'FP64', 'FP16', 'INT8', 'INT64', 'UINT16', 'BOOL', 'BYTES'] as const

  test('what is sent comes back: decoded and encoded again it is the same bytes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...types),
        fc.array(fc.integer({ min: 0, max: 1 }), { maxLength: 20 }),
        fc.nat({ max: 7 }),
        fc.string({ unit: 'grapheme', maxLength: 9 }),
        (datatype, bits, shift, id) => {
          const type = fromWireType(datatype) as DType
          const width = { FP32: 4, FP64: 8, FP16: 2, INT8: 1, INT64: 8, UINT16: 2, BOOL: 1, BYTES: 0 }[datatype]
          const blob =
            datatype === 'BYTES'
              ? strings(...bits.map((bit) => 'é'.repeat(bit)))
              : Buffer.concat(bits.map((bit) => Buffer.alloc(width, bit)))
          const json = {
            id,
            inputs: [blobInput('x', datatype, [bits.length], blob.length)],
            parameters: { binary_data_output: true },
          }
          const request = decode(json, [blob], single(type, [null]), shift)
          const { body, headerLength } = encodeInfer(
            { ...({} as PredictResult), model: 'm', version: '1', outputs: request.inputs },
            { forms: request.forms },
          )
          expect(Buffer.from(body.subarray(headerLength ?? body.length))).toEqual(Buffer.from(blob))
          expect(JSON.parse(Buffer.from(body.subarray(0, headerLength ?? body.length)).toString()).outputs[0].datatype).toBe(
            toWireType(type),
          )
        },
      ),
      { numRuns: 300 },
    )
  })

  test('any bytes, any header, any sizes: a 400 or a tensor, nothing else', () => {
    const size = fc.oneof(fc.integer({ min: -2, max: 40 }), fc.constantFrom(2 ** 31, 2 ** 53, '8', null, 1.5))
    const anyInput = fc.record({
      name: fc.constantFrom('x', 's', 'n', 'zz', '__proto__'),
      datatype: fc.constantFrom(...types, 'BF16', 'nope'),
      shape: fc.array(fc.oneof(fc.nat({ max: 4 }), fc.constantFrom(-1, 2 ** 32, 2 ** 53)), { maxLength: 3 }),
      parameters: fc.record({ binary_data_size: size }),
    })
    fc.assert(
      fc.property(
        fc.array(anyInput, { maxLength: 3 }),
        fc.uint8Array({ maxLength: 48 }),
        fc.integer({ min: -3, max: 60 }),
        fc.nat({ max: 7 }),
        (inputs, tail, off, shift) => {
          const { body, headerLength } = framed({ inputs }, [tail], shift)
          for (const length of [headerLength, Math.max(0, headerLength + off), 0]) {
            try {
              const request = decodeInfer(body, model, { ...limit, headerLength: length })
              for (const tensor of Object.values(request.inputs))
                expect(tensor.data.length).toBe(tensor.dims.reduce((a, b) => a * b, 1))
            } catch (error) {
              expect(isModelmountError(error) && error.status).toBe(400)
            }
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})
