/** The client and a real server: every element type goes there and back. */

import fc from 'fast-check'
import { createModelServer, type DType, isModelmountError, type Tensor } from 'modelmount'
import { createClient } from 'modelmount/client'
import { nodeHandler } from 'modelmount/node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Client, serveHttp } from '../support/http.ts'
import { mirror } from '../support/small-models.ts'

const TYPES = {
  float32: 'float',
  float64: 'double',
  float16: 'float16',
  int8: 'int8',
  int16: 'int16',
  int32: 'int32',
  int64: 'int64',
  uint8: 'uint8',
  uint16: 'uint16',
  uint32: 'uint32',
  uint64: 'uint64',
  bool: 'bool',
  string: 'string',
} as const satisfies Record<DType, string>

const arrays = {
  float32: fc.float32Array({ maxLength: 9 }),
  float64: fc.float64Array({ maxLength: 9 }),
  float16: fc.uint16Array({ maxLength: 9, max: 0x7c00 }),
  int8: fc.int8Array({ maxLength: 9 }),
  int16: fc.int16Array({ maxLength: 9 }),
  int32: fc.int32Array({ maxLength: 9 }),
  int64: fc.bigInt64Array({ maxLength: 9 }),
  uint8: fc.uint8Array({ maxLength: 9 }),
  uint16: fc.uint16Array({ maxLength: 9 }),
  uint32: fc.uint32Array({ maxLength: 9 }),
  uint64: fc.bigUint64Array({ maxLength: 9 }),
  bool: fc.uint8Array({ maxLength: 9, max: 1 }),
  string: fc.array(
    fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')),
    { maxLength: 5 },
  ),
}

describe('every element type', () => {
  let server: Awaited<ReturnType<typeof createModelServer>>
  let http: Client
  beforeAll(async () => {
    server = await createModelServer({ logger: false, strict: true, models: [{ name: 'all', source: mirror(TYPES) }] })
    http = await serveHttp(nodeHandler(server))
  })
  afterAll(async () => {
    await http.close()
    await server.close()
  })

  test.each([true, false])('comes back as it went, with bytes: %s', async (binary) => {
    const client = createClient({ url: `http://127.0.0.1:${http.port}`, binary })
    const tensors = fc.record(arrays)
    await fc.assert(
      fc.asyncProperty(tensors, async (data) => {
        const isPlain = [...data.float32, ...data.float64].every(Number.isFinite) && data.float16.every((half) => half < 0x7c00)
        fc.pre(binary || isPlain)
        const inputs: Record<string, Tensor> = {}
        for (const [type, values] of Object.entries(data))
          inputs[`in_${type}`] = { type, dims: [values.length], data: values } as unknown as Tensor
        const { outputs } = await client.predict('all', inputs)
        for (const [type, values] of Object.entries(data))
          expect([type, outputs[`out_${type}`]]).toEqual([type, { type, dims: [values.length], data: values }])
      }),
      { numRuns: 30 },
    )
  })

  test('a model of unknown rank takes any shape', async () => {
    const client = createClient({ url: `http://127.0.0.1:${http.port}` })
    const empty = Object.fromEntries(Object.keys(TYPES).map((type) => [`in_${type}`, []]))
    for (const [value, dims] of [
      [[1, 2], [2]],
      [
        [[1], [2]],
        [2, 1],
      ],
      [[[[3, 4]]], [1, 1, 2]],
      [5, []],
    ] as const) {
      const { outputs } = await client.predict('all', { ...empty, in_float32: value as never, in_string: ['a'] })
      expect(outputs.out_float32?.dims).toEqual(dims)
    }
  })

  test('not-a-number goes as null where there are no bytes, infinities need them', async () => {
    const url = `http://127.0.0.1:${http.port}`
    const input = { in_float32: [Number.NaN] }
    const rest = Object.fromEntries(
      Object.keys(TYPES)
        .filter((type) => type !== 'float32')
        .map((type) => [`in_${type}`, []]),
    )
    const { outputs } = await createClient({ url }).predict('all', { ...rest, ...input })
    expect(outputs.out_float32?.data[0]).toBeNaN()
    const plain = createClient({ url, binary: false })
    const read = await plain.predict('all', { ...rest, ...input, in_float16: Uint16Array.of(0x7e00) })
    expect(read.outputs.out_float32?.data[0]).toBeNaN()
    expect(read.outputs.out_float16?.data).toEqual(Uint16Array.of(0x7e00))
    const infinite = plain.predict('all', { ...rest, in_float32: [Number.POSITIVE_INFINITY] })
    await expect(infinite).rejects.toMatchObject({ code: 'INPUT_INVALID', details: { input: 'in_float32' } })
    // The client's errors are those of the server's package too.
    await expect(infinite).rejects.toSatisfy(isModelmountError)
  })
})
