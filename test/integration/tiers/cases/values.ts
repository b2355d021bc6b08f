/** Values go in and come out as they are. */

import type { Tensor } from 'modelmount'
import { expect } from 'vitest'
import { callerOf } from '../../../support/mount.ts'
import { type Case, contents, floatsOf, four } from '../case.ts'
import { TYPES } from '../models.ts'

/** Eight elements of each type, the limits among them. */
const LIMITS = {
  float32: Float32Array.of(0, -0, 3.4028234663852886e38, -3.4e38, 1.401298464324817e-45, Number.NaN, 1 / 0, -1 / 0),
  float64: Float64Array.of(0, -0, Number.MAX_VALUE, -Number.MAX_VALUE, Number.MIN_VALUE, Number.NaN, 1 / 0, -1 / 0),
  // zero, -zero, 65504, -65504, smallest, infinity, -infinity, a NaN with a payload
  float16: Uint16Array.of(0x0000, 0x8000, 0x7bff, 0xfbff, 0x0001, 0x7c00, 0xfc00, 0x7e01),
  int8: Int8Array.of(-128, 127, 0, -1, 1, 2, 3, 4),
  int16: Int16Array.of(-32768, 32767, 0, -1, 1, 2, 3, 4),
  int32: Int32Array.of(-2147483648, 2147483647, 0, -1, 1, 2, 3, 4),
  int64: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n, 2n ** 53n + 1n, -(2n ** 53n) - 1n, 0n, -1n, 1n, 2n),
  uint8: Uint8Array.of(0, 255, 1, 2, 3, 4, 5, 6),
  uint16: Uint16Array.of(0, 65535, 1, 2, 3, 4, 5, 6),
  uint32: Uint32Array.of(0, 4294967295, 1, 2, 3, 4, 5, 6),
  uint64: BigUint64Array.of(0n, 2n ** 64n - 1n, 2n ** 63n, 2n ** 53n + 1n, 1n, 2n, 3n, 4n),
  bool: Uint8Array.of(0, 1, 1, 0, 1, 0, 0, 1),
  string: ['', 'a', 'Grüße', '日本語', '👩‍👩‍👧', 'line\nbreak\t"quoted"', ' ', 'x'.repeat(5000)],
} as const

const SHAPES = [
  { dims: [8], count: 8 },
  { dims: [2, 2, 2], count: 8 },
  { dims: [], count: 1 },
  { dims: [1, 1], count: 1 },
  { dims: [0], count: 0 },
  { dims: [2, 0, 3], count: 0 },
] as const

const float32 = (dims: readonly number[], data: Float32Array): Tensor => ({ type: 'float32', dims, data })

export const VALUES: readonly Case[] = [
  {
    name: 'all element types come back bit for bit, in any shape',
    async run({ server }) {
      for (const { dims, count } of SHAPES) {
        const sent = TYPES.map((type) => [`_${type}`, { type, dims, data: LIMITS[type].slice(0, count) } as Tensor] as const)
        const inputs = Object.fromEntries(sent.map(([key, tensor]) => [`in${key}`, tensor]))
        const { outputs } = await server.predict('mirror', inputs)
        for (const [key, tensor] of sent) expect(contents(outputs[`out${key}`])).toEqual(contents(tensor))
      }
    },
  },
  {
    name: 'a scalar, and no input at all',
    async run({ server }) {
      expect((await server.predict('scalar', { x: 41 })).outputs.y).toEqual(float32([], Float32Array.of(42)))
      expect((await server.predict('constant', {})).outputs.y).toEqual(float32([3], Float32Array.of(1, 2, 3)))
    },
  },
  {
    name: 'zero rows',
    async run({ server }) {
      const none = float32([0, 4], new Float32Array(0))
      expect((await server.predict('add', { a: none, b: none })).outputs.sum).toEqual(none)
      expect((await server.predict('identity', { x: new Float32Array(0) })).outputs.y).toEqual(float32([0], new Float32Array(0)))
    },
  },
  {
    name: 'several inputs and outputs, each by its name and in the order of the model',
    async run({ server }) {
      const { outputs } = await server.predict('three', { b: four(2), a: four(6) })
      expect(Object.keys(outputs)).toEqual(['sum', 'difference', 'product'])
      expect(outputs.sum).toEqual(float32([1, 4], four(8)))
      expect(outputs.difference).toEqual(float32([1, 4], four(4)))
      expect(outputs.product).toEqual(float32([1, 4], four(12)))
      expect('toString' in outputs).toBe(false)
    },
  },
  {
    name: 'a selection of outputs, beside requests with other selections',
    async run({ server }) {
      const wanted = [['product'], ['difference', 'sum'], undefined, ['product'], ['sum']]
      const answers = await Promise.all(
        wanted.map((outputs, i) => server.predict('three', { a: four(i), b: four(1) }, outputs && { outputs })),
      )
      for (const [i, { outputs }] of answers.entries()) {
        const names = wanted[i] ?? ['sum', 'difference', 'product']
        expect(Object.keys(outputs).sort()).toEqual([...names].sort())
        if (outputs.sum) expect(outputs.sum.data).toEqual(four(i + 1))
        if (outputs.difference) expect(outputs.difference.data).toEqual(four(i - 1))
        if (outputs.product) expect(outputs.product.data).toEqual(four(i))
      }
    },
  },
  {
    name: 'open dimensions of any size, side by side',
    async run({ server }) {
      const shapes = [
        [1, 1],
        [3, 5],
        [7, 2],
        [1, 300],
        [2, 0],
      ] as const
      const answers = await Promise.all(
        shapes.map(([rows, columns]) => {
          const x = float32([rows, columns], new Float32Array(rows * columns).fill(rows))
          return server.predict('open', { a: x, b: x })
        }),
      )
      for (const [i, { outputs }] of answers.entries()) {
        const [rows, columns] = shapes[i] as readonly [number, number]
        expect(outputs.sum).toEqual(float32([rows, columns], new Float32Array(rows * columns).fill(2 * rows)))
      }
    },
  },
  {
    name: 'tensors, typed arrays, views, nested arrays, and one array twice',
    async run({ server }) {
      const rows = [
        [1, 1, 1, 1],
        [1, 1, 1, 1],
      ]
      const ones = new Float32Array(8).fill(1)
      for (const a of [float32([2, 4], ones), ones, new Float32Array(100).fill(1).subarray(50, 58), rows]) {
        expect((await server.predict('add', { a, b: ones })).outputs.sum).toEqual(float32([2, 4], new Float32Array(8).fill(2)))
      }
      expect((await server.predict('add', { a: ones, b: ones })).outputs.sum?.data).toEqual(new Float32Array(8).fill(2))
    },
  },
  {
    name: 'a row of NaN, and one of infinity, change no row beside them',
    async run({ server }) {
      const features = [Number.NaN, 1, Number.POSITIVE_INFINITY, 1, Number.NaN, 1].map((x) => new Float32Array(32).fill(x))
      const [alone] = [await server.predict('mlp', { features: features[1] as Float32Array }, { batch: false })]
      const answers = await Promise.all(features.map((features) => server.predict('mlp', { features })))
      for (const i of [1, 3, 5])
        for (const [k, score] of floatsOf(answers[i], 'scores').entries())
          expect(score).toBeCloseTo(floatsOf(alone, 'scores')[k] as number, 4)
      for (const i of [0, 4]) expect([...floatsOf(answers[i], 'scores')].every(Number.isNaN)).toBe(true)
    },
  },
  {
    name: 'many rows of one request, as single ones',
    async run({ server }) {
      const rows = 200
      const features = Float32Array.from({ length: rows * 32 }, (_, i) => Math.sin(i))
      const { outputs } = await server.predict('mlp', { features })
      expect(outputs.scores?.dims).toEqual([rows, 2])
      const scores = outputs.scores?.data as Float32Array
      for (const row of [0, 99, 199]) {
        const one = await server.predict('mlp', { features: features.slice(32 * row, 32 * (row + 1)) })
        for (const [k, score] of floatsOf(one, 'scores').entries()) expect(scores[2 * row + k]).toBeCloseTo(score, 4)
      }
    },
  },
  {
    name: 'large tensors, beside small ones',
    async run({ server }) {
      const sizes = [250_000, 3, 60_000, 1]
      const answers = await Promise.all(
        sizes.map((size, i) => server.predict('identity', { x: new Float32Array(size).fill(i + 1) })),
      )
      for (const [i, { outputs }] of answers.entries()) {
        const size = sizes[i] as number
        const data = outputs.y?.data as Float32Array
        expect(outputs.y?.dims).toEqual([size])
        expect([data[0], data[size - 1], data.buffer.byteLength]).toEqual([i + 1, i + 1, 4 * size])
      }
    },
  },
  {
    name: '300 callers at once get their own answers',
    async run({ server }) {
      const answers = await Promise.all(
        Array.from({ length: 300 }, (_, i) => server.predict('identity', { x: new Float32Array(1 + (i % 17)).fill(i) })),
      )
      for (const [i, { outputs }] of answers.entries())
        expect(outputs.y).toEqual(float32([1 + (i % 17)], new Float32Array(1 + (i % 17)).fill(i)))
    },
  },
  {
    name: 'every answer owns its memory',
    async run({ server }) {
      const sizes = Array.from({ length: 60 }, (_, i) => (i % 10 === 0 ? 30_000 : 4 * (1 + (i % 5))))
      const buffers = new Set<unknown>()
      for (const model of ['add', 'open']) {
        const answers = await Promise.all(
          sizes.map((size) => {
            const x = float32([size / 4, 4], new Float32Array(size))
            return server.predict(model, { a: x, b: x })
          }),
        )
        for (const [i, { outputs }] of answers.entries()) {
          const data = outputs.sum?.data as Float32Array
          expect([data.length, data.byteOffset, data.buffer.byteLength]).toEqual([sizes[i], 0, 4 * (sizes[i] as number)])
          buffers.add(data.buffer)
        }
      }
      expect(buffers.size).toBe(2 * sizes.length)
    },
  },
  {
    name: 'a caller may use its arrays again at once',
    async run({ server }) {
      for (const size of [4, 40_000]) {
        const [a, b] = [new Float32Array(size).fill(1), new Float32Array(size).fill(2)]
        const pending = server.predict('add', { a, b })
        a.fill(100)
        b.fill(100)
        const { outputs } = await pending
        expect([...new Set(outputs.sum?.data as Float32Array)]).toEqual([3])
        expect([a.length, b.length]).toEqual([size, size])
      }
    },
  },
  {
    name: 'the result names its request, its model and its times',
    async run({ server }) {
      const { id, model, version, batchSize, cached, timings } = await server.predict('scalar', { x: 1 }, { id: 'order-7' })
      expect({ id, model, version, batchSize, cached }).toEqual({
        id: 'order-7',
        model: 'scalar',
        version: '1',
        batchSize: 1,
        cached: false,
      })
      expect(Math.min(timings.queueMs, timings.inferMs)).toBeGreaterThanOrEqual(0)
      expect(timings.totalMs).toBeGreaterThanOrEqual(timings.inferMs)
      const ids = await Promise.all([1, 2, 3].map(async (x) => (await server.predict('scalar', { x })).id))
      expect(new Set(ids).size).toBe(3)
    },
  },
  {
    name: 'over HTTP: JSON, and bytes',
    async run({ server }) {
      const { post } = callerOf(server.http.mount())
      const reply = await post('/v2/models/scalar/infer', {
        inputs: [{ name: 'x', datatype: 'FP32', shape: [], data: [41] }],
      })
      expect(reply.json).toMatchObject({ outputs: [{ name: 'y', datatype: 'FP32', shape: [], data: [42] }] })
      const head = JSON.stringify({
        inputs: [{ name: 'x', datatype: 'FP32', shape: [2], parameters: { binary_data_size: 8 } }],
        parameters: { binary_data_output: true },
      })
      const body = Buffer.concat([Buffer.from(head), Buffer.from(Float32Array.of(1.5, -2).buffer)])
      const binary = await post('/v2/models/identity/infer', body, {
        'content-type': 'application/octet-stream',
        'inference-header-content-length': String(head.length),
      })
      expect(binary.status).toBe(200)
      expect([...(binary.body as Uint8Array).slice(-8)]).toEqual([...new Uint8Array(Float32Array.of(1.5, -2).buffer)])
    },
  },
]
