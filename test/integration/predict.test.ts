/** predict() against the built package: inputs, outputs, and events while a request waits. */

import {
  createModelServer,
  isModelmountError,
  type ModelServer,
  type ModelServerOptions,
  type PredictInputs,
  type Tensor,
} from 'modelmount'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  addModel,
  constantModel,
  gatherModel,
  identityModel,
  scalarModel,
  sequenceModel,
  slowLoopModel,
  symbolModel,
} from '../../tools/models.mjs'
import { hold } from '../support/children.ts'
import { POSIX } from '../support/needs.ts'
import { observe, posted, serverFor } from '../support/server.ts'
import { mirror, slowEcho } from '../support/small-models.ts'

/** About a microsecond per trip here; enough that everything sent behind it has to wait. */
const SLOW = { trips: 300_000n }
const QUICK = { trips: 1n }

const MIRROR = mirror({
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
})

/** Eight elements of each type, the limits among them. */
const LIMITS = {
  float32: Float32Array.of(
    0,
    -0,
    3.4028234663852886e38,
    -3.4028234663852886e38,
    1.401298464324817e-45,
    Number.NaN,
    1 / 0,
    -1 / 0,
  ),
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

type TypeName = keyof typeof LIMITS
const TYPES = Object.keys(LIMITS) as TypeName[]

/** NaN payloads and -0 count, so numbers are compared by their bytes. */
function contents(tensor: Tensor | undefined): unknown {
  if (!tensor) return undefined
  const { type, dims, data } = tensor
  if (type === 'string') return { type, dims, data: [...data] }
  const { buffer, byteOffset, byteLength } = data
  return { type, dims, array: data.constructor.name, bytes: Buffer.from(buffer, byteOffset, byteLength).toString('hex') }
}

function tensorsOf(dims: readonly number[], count: number): Record<TypeName, Tensor> {
  return Object.fromEntries(TYPES.map((type) => [type, { type, dims, data: LIMITS[type].slice(0, count) } as Tensor])) as Record<
    TypeName,
    Tensor
  >
}

const failure = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => ({ resolved: value }),
    (error: unknown) => error,
  )

describe.each(['thread', 'process'] as const)('%s tier', (isolation) => {
  let server: ModelServer
  beforeAll(async () => {
    server = await createModelServer({
      isolation,
      strict: true,
      logger: false,
      models: [
        { name: 'mirror', source: MIRROR },
        { name: 'identity', source: identityModel('float', ['N']) },
        { name: 'add', source: addModel() },
        { name: 'solo', source: addModel(), batching: false },
        { name: 'gather', source: gatherModel() },
      ],
    })
  })
  afterAll(() => server.close())

  test.each([
    { dims: [8], count: 8 },
    { dims: [2, 2, 2], count: 8 },
    { dims: [], count: 1 },
    { dims: [1, 1], count: 1 },
    { dims: [0], count: 0 },
    { dims: [2, 0, 3], count: 0 },
  ])('all 13 element types come back bit for bit in shape $dims', async ({ dims, count }) => {
    const sent = tensorsOf(dims, count)
    const inputs = Object.fromEntries(TYPES.map((type) => [`in_${type}`, sent[type]]))
    const { outputs } = await server.predict('mirror', inputs)
    expect(Object.keys(outputs)).toEqual(TYPES.map((type) => `out_${type}`))
    for (const type of TYPES) expect(contents(outputs[`out_${type}`])).toEqual(contents(sent[type]))
  })

  test('300 concurrent callers each get their own answer', async () => {
    const callers = Array.from({ length: 300 }, async (_, i) => {
      // Sizes on both sides of the limit from which a tensor travels in its own buffer.
      const size = i % 30 === 0 ? 20_000 + i : 1 + (i % 17)
      const x = new Float32Array(size).fill(i)
      x[size - 1] = -i
      const { outputs } = await server.predict('identity', { x }, { id: `caller-${i}` })
      return { i, size, y: outputs.y }
    })
    for (const { i, size, y } of await Promise.all(callers)) {
      expect(y?.dims).toEqual([size])
      const data = y?.data as Float32Array
      expect(data[size - 1]).toBe(-i)
      if (size > 1) expect(data[0]).toBe(i)
    }
  })

  // Answers that shared a run, and answers that only shared a message.
  test.each(['add', 'solo'])('no answer of %s shares memory with a neighbour', async (model) => {
    const sizes = Array.from({ length: 100 }, (_, i) => (i % 10 === 0 ? 30_000 : 4 * (1 + (i % 5))))
    const results = await Promise.all(
      sizes.map((size) => server.predict(model, { a: new Float32Array(size), b: new Float32Array(size) })),
    )
    const buffers = new Set<unknown>()
    for (const [i, { outputs }] of results.entries()) {
      const data = outputs.sum?.data as Float32Array
      expect(data.length).toBe(sizes[i])
      expect(data.byteOffset).toBe(0)
      expect(data.buffer.byteLength).toBe(data.byteLength)
      buffers.add(data.buffer)
    }
    expect(buffers.size).toBe(sizes.length)
  })

  test('a caller may reuse its arrays at once', async () => {
    for (const size of [4, 40_000]) {
      const a = new Float32Array(size).fill(1)
      const data = new Float32Array(size).fill(2)
      const b: Tensor = { type: 'float32', dims: [size / 4, 4], data }
      const pending = server.predict('add', { a, b })
      a.fill(100)
      data.fill(100)
      const { outputs } = await pending
      expect([...new Set(outputs.sum?.data as Float32Array)]).toEqual([3])
      // Still there, not given away to the worker.
      expect(a.length).toBe(size)
      expect(data.length).toBe(size)
    }
  })

  test('an index out of range is the caller’s fault, and costs nobody else anything', async () => {
    const pending = [[1], [99], [7, 0]].map((indices) => failure(server.predict('gather', { indices })))
    const [first, bad, last] = await Promise.all(pending)
    expect(bad).toMatchObject({ code: 'INPUT_REJECTED', status: 400, retryable: false })
    // ONNX Runtime's own words stay inside.
    expect((bad as Error).message).not.toMatch(/status code|Gather|indices element/i)
    expect(first).toMatchObject({ resolved: { outputs: { rows: { dims: [1, 4], data: Float32Array.of(4, 5, 6, 7) } } } })
    expect(last).toMatchObject({ resolved: { outputs: { rows: { dims: [2, 4] } } } })
  })
})

describe('inputs', () => {
  let server: ModelServer
  beforeAll(async () => {
    server = await createModelServer({
      strict: true,
      logger: false,
      models: [
        { name: 'add', source: addModel() },
        { name: 'scalar', source: scalarModel() },
        { name: 'constant', source: constantModel() },
        { name: 'int64', source: identityModel('int64', ['N']) },
        { name: 'bool', source: identityModel('bool', ['N']) },
        { name: 'string', source: identityModel('string', ['N']) },
        { name: 'float16', source: identityModel('float16', ['N']) },
        { name: 'symbol', source: symbolModel() },
        { name: 'sequence', source: sequenceModel() },
        { name: 'small', source: identityModel('float', ['N']), maxElements: 10 },
      ],
    })
  })
  afterAll(() => server.close())

  test.each<[string, PredictInputs]>([
    [
      'tensors',
      {
        a: { type: 'float32', dims: [2, 4], data: new Float32Array(8).fill(1) },
        b: { type: 'float32', dims: [2, 4], data: new Float32Array(8).fill(2) },
      },
    ],
    ['typed arrays, their shape inferred', { a: new Float32Array(8).fill(1), b: new Float32Array(8).fill(2) }],
    [
      'nested arrays',
      {
        a: [
          [1, 1, 1, 1],
          [1, 1, 1, 1],
        ],
        b: [
          [2, 2, 2, 2],
          [2, 2, 2, 2],
        ],
      },
    ],
    [
      'a mixture',
      {
        a: new Float32Array(8).fill(1),
        b: [
          [2, 2, 2, 2],
          [2, 2, 2, 2],
        ],
      },
    ],
    [
      'views into a larger buffer',
      { a: new Float32Array(100).fill(1).subarray(50, 58), b: new Float32Array(100).fill(2).subarray(1, 9) },
    ],
    [
      'the same array twice',
      (() => {
        const one = new Float32Array(8).fill(1.5)
        return { a: one, b: one }
      })(),
    ],
  ])('as %s', async (_, inputs) => {
    const { outputs } = await server.predict('add', inputs)
    expect(outputs.sum).toEqual({ type: 'float32', dims: [2, 4], data: new Float32Array(8).fill(3) })
  })

  test('as a scalar, and none at all', async () => {
    expect((await server.predict('scalar', { x: 41 })).outputs.y).toEqual({
      type: 'float32',
      dims: [],
      data: Float32Array.of(42),
    })
    expect((await server.predict('constant', {})).outputs.y).toEqual({
      type: 'float32',
      dims: [3],
      data: Float32Array.of(1, 2, 3),
    })
    await expect(server.predict('constant', { x: 1 })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  })

  test('long integers as BigInt or safe number; booleans as boolean, 0 or 1', async () => {
    const big = 2n ** 62n + 1n
    expect((await server.predict('int64', { x: [1, big, -5] })).outputs.y?.data).toEqual(BigInt64Array.of(1n, big, -5n))
    await expect(server.predict('int64', { x: [2 ** 60] })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: expect.stringContaining('BigInt'),
    })
    await expect(server.predict('int64', { x: [2n ** 63n] })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    expect((await server.predict('bool', { x: [true, false, 1, 0] })).outputs.y?.data).toEqual(Uint8Array.of(1, 0, 1, 0))
  })

  test('float16 is raw bits in a Uint16Array on this Node version, from bits or from numbers', async () => {
    const fromNumbers = (await server.predict('float16', { x: [1, -2, 65504, 0.1] })).outputs.y
    expect(fromNumbers).toEqual({ type: 'float16', dims: [4], data: Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x2e66) })
    const fromBits = (await server.predict('float16', { x: Uint16Array.of(0x3c00, 0x7e01) })).outputs.y
    expect(fromBits?.data.constructor).toBe(Uint16Array)
    expect(fromBits?.data).toEqual(Uint16Array.of(0x3c00, 0x7e01))
    await expect(server.predict('float16', { x: [70000] })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  })

  test.each<[string, string, unknown]>([
    ['a missing input', 'add', { a: [[1, 2, 3, 4]] }],
    ['an unknown input', 'add', { a: [[1, 2, 3, 4]], b: [[1, 2, 3, 4]], c: 1 }],
    ['__proto__ as an input', 'add', JSON.parse('{"a":[[1,2,3,4]],"b":[[1,2,3,4]],"__proto__":[1]}')],
    ['constructor as an input', 'add', { a: [[1, 2, 3, 4]], b: [[1, 2, 3, 4]], constructor: [1] }],
    ['the wrong rank', 'add', { a: [1, 2, 3, 4], b: [[1, 2, 3, 4]] }],
    ['a fixed dim off by one', 'add', { a: [[1, 2, 3]], b: [[1, 2, 3]] }],
    [
      'equal symbols of unequal size',
      'symbol',
      {
        a: [[1, 2, 3]],
        b: [
          [1, 2, 3],
          [4, 5, 6],
        ],
      },
    ],
    [
      'ragged rows',
      'add',
      {
        a: [[1, 2, 3, 4], [1]],
        b: [
          [1, 2, 3, 4],
          [1, 2, 3, 4],
        ],
      },
    ],
    ['strings for numbers', 'add', { a: [['1', '2', '3', '4']], b: [[1, 2, 3, 4]] }],
    ['numbers for strings', 'string', { x: [1] }],
    ['null elements', 'add', { a: [[null, 2, 3, 4]], b: [[1, 2, 3, 4]] }],
    ['a typed array of another type', 'add', { a: new Float64Array(4), b: new Float32Array(4) }],
    ['an array of the wrong length', 'add', { a: new Float32Array(5), b: new Float32Array(4) }],
    ['negative dims', 'add', { a: { type: 'float32', dims: [-1, 4], data: new Float32Array(4) }, b: new Float32Array(4) }],
    [
      'overflowing dims',
      'add',
      { a: { type: 'float32', dims: [2 ** 31, 2 ** 31], data: new Float32Array(4) }, b: new Float32Array(4) },
    ],
    [
      'an element count off by one',
      'add',
      { a: { type: 'float32', dims: [2, 4], data: new Float32Array(7) }, b: new Float32Array(8) },
    ],
    ['more than maxElements', 'small', { x: new Float32Array(11) }],
    ['a Map', 'add', new Map()],
    ['an array', 'add', []],
    ['nothing', 'add', undefined],
    ['a bool byte of 2', 'bool', { x: Uint8Array.of(2) }],
  ])('%s: INPUT_INVALID before anything is queued', async (_, model, inputs) => {
    const error = await failure(server.predict(model, inputs as PredictInputs))
    expect(error).toMatchObject({ code: 'INPUT_INVALID', status: 400, retryable: false })
    expect(isModelmountError(error)).toBe(true)
  })

  test('the error names input, expected and got, and never a value', async () => {
    const error = (await failure(server.predict('add', { a: [['hunter2', 2, 3, 4]], b: [[1, 2, 3, 4]] }))) as Error
    expect(error).toMatchObject({ details: { input: 'a', field: 'a[0][0]', expected: 'a number', got: 'string' } })
    expect(error.message).not.toContain('hunter2')
  })

  test('output selection', async () => {
    expect(
      Object.keys((await server.predict('add', { a: [[1, 2, 3, 4]], b: [[1, 2, 3, 4]] }, { outputs: ['sum'] })).outputs),
    ).toEqual(['sum'])
    for (const name of ['nope', '__proto__', 'constructor', ''])
      await expect(server.predict('add', { a: [[1, 2, 3, 4]], b: [[1, 2, 3, 4]] }, { outputs: [name] })).rejects.toMatchObject({
        code: 'OUTPUT_NOT_FOUND',
        status: 400,
      })
  })

  test('sequence outputs are left out', async () => {
    expect(server.model('sequence').outputs.map(({ name }) => name)).toEqual(['y'])
    const { outputs } = await server.predict('sequence', { x: [[1, 2, 3, 4]] })
    expect(Object.keys(outputs)).toEqual(['y'])
    await expect(server.predict('sequence', { x: [[1, 2, 3, 4]] }, { outputs: ['pair'] })).rejects.toMatchObject({
      code: 'OUTPUT_NOT_FOUND',
    })
  })

  test('the result says who answered and how long it took', async () => {
    const result = await server.predict('scalar', { x: 1 }, { id: 'order-7' })
    expect(result).toMatchObject({ id: 'order-7', model: 'scalar', version: '1' })
    for (const name of ['toString', 'constructor', '__proto__', 'hasOwnProperty']) expect(name in result.outputs).toBe(false)
    const { queueMs, inferMs, totalMs } = result.timings
    expect(Math.min(queueMs, inferMs)).toBeGreaterThanOrEqual(0)
    expect(totalMs).toBeGreaterThanOrEqual(inferMs)
    const ids = await Promise.all(Array.from({ length: 3 }, async () => (await server.predict('scalar', { x: 1 })).id))
    expect(new Set(ids).size).toBe(3)
  })

  test('unknown models and versions', async () => {
    for (const name of ['nope', '', '__proto__', 'constructor', 'toString'])
      await expect(server.predict(name, {})).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND', status: 404 })
    for (const version of ['2', '', '__proto__', '01'])
      await expect(server.predict('scalar', { x: 1 }, { version })).rejects.toMatchObject({
        code: 'VERSION_NOT_FOUND',
        status: 404,
      })
  })

  test('never throws synchronously, and never anything but a ModelmountError', async () => {
    const predict = server.predict as unknown as (...args: unknown[]) => Promise<unknown>
    const hostile: unknown[][] = [
      [],
      [undefined],
      [null, null, null],
      [1, 2, 3],
      [{}, {}, {}],
      [Symbol('scalar'), { x: 1 }],
      ['scalar'],
      ['scalar', null],
      ['scalar', { x: 1 }, null],
      ['scalar', { x: 1 }, { timeoutMs: -1 }],
      ['scalar', { x: 1 }, { timeoutMs: Number.NaN }],
      ['scalar', { x: 1 }, { signal: {} }],
      ['scalar', { x: 1 }, { outputs: 'y' }],
      ['scalar', { x: 1 }, { version: 1 }],
      ['scalar', { x: 1 }, { nope: true }],
      ['scalar', { x: () => 1 }],
      ['scalar', { x: Symbol('x') }],
      ['scalar', { x: new DataView(new ArrayBuffer(4)) }],
    ]
    for (const args of hostile) {
      let returned: unknown
      expect(() => {
        returned = predict(...args)
      }).not.toThrow()
      const error = await failure(returned as Promise<unknown>)
      expect([args.map(String), isModelmountError(error)]).toEqual([args.map(String), true])
      expect([args.map(String), (error as { code: string }).code]).not.toEqual([args.map(String), 'INTERNAL'])
    }
  })
})

describe('while a request waits', () => {
  const slow = (options: Partial<ModelServerOptions> = {}): Promise<ModelServer> =>
    serverFor({ ...options, models: [{ name: 'slow', source: slowLoopModel() }], strict: true })

  test('an AbortSignal that has fired already', async () => {
    const server = await slow()
    const reason = new Error('nobody is interested')
    await expect(server.predict('slow', QUICK, { signal: AbortSignal.abort(reason) })).rejects.toMatchObject({
      code: 'ABORTED',
      cause: reason,
    })
  })

  test('an AbortSignal takes a queued request out and lets a running one go', async () => {
    const server = await slow()
    const controllers = [new AbortController(), new AbortController()] as const
    const running = observe(server.predict('slow', SLOW, { signal: controllers[0].signal }))
    await posted()
    // One that would never end if it began.
    const queued = observe(server.predict('slow', { trips: 2n ** 50n }, { signal: controllers[1].signal }))
    const neighbour = observe(server.predict('slow', QUICK))
    controllers[1].abort()
    await expect(queued.promise).rejects.toMatchObject({ code: 'ABORTED', status: 499 })
    expect(running.settled).toBe(false)
    controllers[0].abort()
    await expect(running.promise).rejects.toMatchObject({ code: 'ABORTED' })
    // The aborted run still holds the only instance.
    expect(neighbour.settled).toBe(false)
    await neighbour.promise
  })

  test('timeoutMs counts in the queue too', POSIX, async () => {
    const server = await slow({ isolation: 'process' })
    const release = hold()
    const running = server.predict('slow', QUICK)
    await posted()
    await expect(server.predict('slow', QUICK, { timeoutMs: 20 })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      status: 504,
      retryable: true,
    })
    release()
    await running
  })

  test('timeoutMs of the model, for a run that takes longer', POSIX, async () => {
    const server = await slow({ isolation: 'process', timeoutMs: 20 })
    const release = hold()
    await expect(server.predict('slow', QUICK)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    release()
    await expect(server.predict('slow', QUICK, { timeoutMs: 60_000 })).resolves.toMatchObject({ model: 'slow' })
  })

  test('a full queue refuses, and says when to come back', async () => {
    const server = await slow({ maxQueue: 2 })
    const running = server.predict('slow', SLOW)
    await posted()
    const waiting = [server.predict('slow', QUICK), server.predict('slow', QUICK)]
    const refused = server.predict('slow', QUICK)
    await expect(refused).rejects.toMatchObject({ code: 'QUEUE_FULL', status: 503, retryable: true })
    const { retryAfterS } = (await failure(refused)) as { retryAfterS: number }
    expect(Number.isInteger(retryAfterS) && retryAfterS >= 1).toBe(true)
    await Promise.all([running, ...waiting])
    await server.predict('slow', QUICK)
  })

  test('maxQueue counts requests that wait, not those that a free instance takes', async () => {
    const server = await serverFor({ models: [{ name: 'slow', source: slowLoopModel() }], instances: 2, maxQueue: 1 })
    // Two free instances and one place to wait: three in one turn are welcome.
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => server.predict('slow', QUICK)))
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled'])
  })

  test('maxQueueBytes refuses, but one large request alone is let in', async () => {
    const server = await serverFor({ models: [{ name: 'm', source: slowEcho() }], maxQueueBytes: 1000 })
    const x = new Float32Array(1000)
    const running = server.predict('m', { trips: 300_000n, x })
    await posted()
    const [alone, second] = await Promise.allSettled([
      server.predict('m', { trips: 1n, x }),
      server.predict('m', { trips: 1n, x }),
    ])
    expect(alone).toMatchObject({ status: 'fulfilled' })
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'QUEUE_FULL' } })
    await running
  })

  test('close() answers everything that was accepted, then refuses', async () => {
    const server = await slow()
    const accepted = [SLOW, QUICK, QUICK, QUICK].map((inputs) => server.predict('slow', inputs))
    await posted()
    const closing = server.close()
    await expect(server.predict('slow', QUICK)).rejects.toMatchObject({ code: 'SERVER_CLOSED', status: 503, retryable: true })
    for (const { outputs } of await Promise.all(accepted)) expect(outputs.y?.dims).toEqual([64])
    await closing
    await expect(server.predict('slow', QUICK)).rejects.toMatchObject({ code: 'SERVER_CLOSED' })
    await expect(server.load({ name: 'slow', version: '2', source: slowLoopModel() })).rejects.toMatchObject({
      code: 'SERVER_CLOSED',
    })
    expect(server.health()).toMatchObject({ live: false, ready: false })
    // A second close, and the disposer, are the same close.
    await server.close()
    await server[Symbol.asyncDispose]()
  })

  test('close() that may not wait tells everybody', async () => {
    const server = await slow()
    const accepted = [SLOW, QUICK].map((inputs) => failure(server.predict('slow', inputs)))
    await posted()
    await server.close({ timeoutMs: 1 })
    for (const error of await Promise.all(accepted)) expect(error).toMatchObject({ code: 'SERVER_CLOSED' })
  })
})

describe('options', () => {
  const refusal = async (options: unknown): Promise<{ code: string; message: string; details: { problems: string[] } }> =>
    (await failure(createModelServer(options as ModelServerOptions))) as never

  test('all problems at once, each with its path', async () => {
    const error = await refusal({
      models: [
        { name: '../etc', source: 42, instances: 0 },
        { source: 'x.onnx', batch: {} },
      ],
      isolation: 'fork',
      session: { intraOpNumThreads: 1.5, logId: 'x' },
      maxBodyBytes: -1,
      executionProviders: ['cpu', 'qnn'],
      versionPolicy: { latest: 0 },
      logger: {},
      workers: 3,
    })
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID' })
    const { problems } = error.details
    for (const path of [
      'models[0].name',
      'models[0].source',
      'models[0].instances',
      'models[1].name',
      'models[1].batch',
      'isolation',
      'session.intraOpNumThreads',
      'session.logId',
      'maxBodyBytes',
      'executionProviders[1]',
      'versionPolicy.latest',
      'logger',
      'workers',
    ]) {
      expect(problems.filter((problem) => problem.startsWith(`${path} `))).toHaveLength(1)
      expect(error.message).toContain(path)
    }
    expect(problems).toHaveLength(13)
  })

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['an empty object', {}],
    ['a list', []],
    ['an https URL as text', { models: [{ name: 'a', source: 'https://example.com/a.onnx' }] }],
    ['an http URL object', { models: [{ name: 'a', source: new URL('http://example.com/a.onnx') }] }],
    ['a file URL of another host', { models: [{ name: 'a', source: new URL('file://server/share/a.onnx') }] }],
    ['a file URL with an escaped slash', { models: [{ name: 'a', source: new URL('file:///a%2Fb.onnx') }] }],
    ['no bytes', { models: [{ name: 'a', source: new Uint8Array() }] }],
    [
      'the same version twice',
      {
        models: [
          { name: 'a', source: addModel() },
          { name: 'a', version: '1', source: addModel() },
        ],
      },
    ],
    ['a memory cap without a process', { models: [], maxMemoryBytes: 2 ** 30 }],
    ['a repository that is missing', { repository: '/nonexistent/models' }],
    ['a repository that is a file', { repository: new URL(import.meta.url).pathname }],
  ])('%s: OPTIONS_INVALID', async (_, options) => {
    const error = await refusal(options)
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID', message: expect.stringMatching(/^\S/) })
  })
})
