/** The lean path is a short cut, not another server: the same requests get the same answers, errors, counts and reports as on the long way. */

import fc from 'fast-check'
import { createModelServer, type ModelServer, type ModelServerOptions, type PredictOptions, type Telemetry } from 'modelmount'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mlpModel } from '../../tools/models.mjs'
import { node, value, writeModel } from '../../tools/onnx-writer.mjs'

/** Two inputs and two outputs of other types: twice = a + a, flipped = not b. */
const pairModel = (a = 'a', b = 'b', twice = 'twice', flipped = 'flipped'): Uint8Array =>
  writeModel({
    graph: {
      inputs: [value(a, 'int64', ['N', 3]), value(b, 'bool', ['N', 2])],
      outputs: [value(twice, 'int64', ['N', 3]), value(flipped, 'bool', ['N', 2])],
      nodes: [node('Add', [a, a], [twice]), node('Not', [b], [flipped])],
    },
  })

type RequestEnd = Parameters<NonNullable<Telemetry['end']>>[0]

interface Side {
  readonly server: ModelServer
  readonly ends: RequestEnd[]
}

const sides: Side[] = []
const BATCHING = { independentRows: true } as const

async function side(leanPath: boolean): Promise<Side> {
  const ends: RequestEnd[] = []
  const telemetry: Telemetry = { end: (request) => void ends.push(request) }
  const models: ModelServerOptions['models'] = [
    { name: 'mlp', source: mlpModel({ layers: [8, 4, 2] }), batching: BATCHING, leanPath },
    { name: 'pair', source: pairModel(), batching: BATCHING, leanPath },
    { name: 'again', source: pairModel('twice', 'flipped', 'c', 'd'), leanPath },
    {
      name: 'strict',
      source: mlpModel({ layers: [8, 4, 2] }),
      leanPath,
      maxBatch: 3,
      inputs: { features: { nonFinite: 'reject' } },
    },
  ]
  const server = await createModelServer({ models, logger: false, telemetry, proof: 'before-ready', proofCache: false })
  return { server, ends }
}

beforeAll(async () => {
  sides.push(await side(true), await side(false))
})
afterAll(() => Promise.all(sides.map(({ server }) => server.close())))
type Make = (random: () => number) => unknown

const floats =
  (count: number): Make =>
  (random) =>
    Float32Array.from({ length: count }, () => random() - 0.5)
const rowsOf = (rows: number, width: number, random: () => number) =>
  Array.from({ length: rows }, () => Array.from({ length: width }, () => random() - 0.5))

/** Inputs of the MLPs: right ones in all forms, and wrong ones. */
const FEATURES: Readonly<Record<string, Make>> = {
  'a typed array': floats(8),
  'a typed array of three rows': floats(24),
  'nested rows': (random) => rowsOf(2, 8, random),
  'one nested row': (random) => rowsOf(1, 8, random),
  'a tensor': (random) => ({ type: 'float32', dims: [1, 8], data: floats(8)(random) }),
  'a tensor of four rows': (random) => ({ type: 'float32', dims: [4, 8], data: floats(32)(random) }),
  'a tensor with nested data': (random) => ({ type: 'float32', dims: [2, 8], data: rowsOf(2, 8, random) }),
  'more rows than a run has': floats(8 * 200),
  'numbers that are none': () => Float32Array.from({ length: 8 }, (_, i) => (i === 3 ? Number.NaN : i)),
  'no rows': floats(0),
  'half a row': floats(12),
  doubles: () => new Float64Array(8),
  'a row that is too short': () => [[1, 2, 3]],
  'a row with a string': () => [[1, 2, 3, 4, 5, 6, 7, '8']],
  'a row that is too short behind a good one': (random) => [...rowsOf(1, 8, random), [1]],
  'a tensor of another type': () => ({ type: 'float64', dims: [1, 8], data: new Float64Array(8) }),
  'a tensor whose dims lie': (random) => ({ type: 'float32', dims: [2, 8], data: floats(8)(random) }),
  'a tensor of another rank': (random) => ({ type: 'float32', dims: [8], data: floats(8)(random) }),
  nothing: () => undefined,
  null: () => null,
  'a number': () => 1,
  'a getter that throws': () => ({
    get type() {
      throw new Error('no')
    },
  }),
}

const OPTIONS: Readonly<Record<string, () => PredictOptions | undefined>> = {
  none: () => undefined,
  empty: () => ({}),
  id: () => ({ id: 'order-7' }),
  tenant: () => ({ tenant: 'a' }),
  'another tenant': () => ({ tenant: 'b' }),
  priority: () => ({ priority: 'high' }),
  'a long deadline': () => ({ timeoutMs: 20_000 }),
  'a signal': () => ({ signal: new AbortController().signal }),
  'a signal that has fired': () => ({ signal: AbortSignal.abort('gone') }),
  alone: () => ({ batch: false }),
  outputs: () => ({ outputs: ['scores'] }),
  version: () => ({ version: '1' }),
  'a version that is not there': () => ({ version: '9' }),
  'an option that does not exist': () => ({ nonsense: 1 }) as PredictOptions,
}

interface Request {
  readonly model: string
  readonly form: string
  readonly options: string
  readonly stranger: boolean
  readonly seed: number
}

const requests: fc.Arbitrary<Request> = fc.record({
  model: fc.constantFrom('mlp', 'mlp', 'mlp', 'strict', 'absent'),
  form: fc.constantFrom(...Object.keys(FEATURES), ...Object.keys(FEATURES).slice(0, 7), ...Object.keys(FEATURES).slice(0, 7)),
  options: fc.constantFrom(...Object.keys(OPTIONS), 'none', 'none', 'none', 'none', 'none'),
  stranger: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
  seed: fc.integer({ min: 1, max: 2 ** 30 }),
})

function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return state / 0x7fffffff
  }
}

const rounded = (values: Iterable<number | bigint>): unknown[] =>
  Array.from(values, (value) => (typeof value === 'number' ? Math.round(value * 1e4) : value))

async function outcomeOf({ server }: Side, { model, form, options, stranger, seed }: Request): Promise<unknown> {
  const features = (FEATURES[form] as Make)(randomOf(seed))
  const inputs = { features, ...(stranger ? { stranger: 1 } : {}) } as unknown as Record<string, Float32Array>
  const asked = server.predict(model, inputs, OPTIONS[options]?.())
  // The caller's memory is its own again.
  if (ArrayBuffer.isView(features)) (features as Float32Array).fill(7)
  try {
    const { id, timings, batchSize, outputs, ...rest } = await asked
    expect(id).toMatch(options === 'id' ? /^order-7$/ : /^[0-9a-f]{16}-/)
    for (const ms of Object.values(timings)) expect(ms).toBeGreaterThanOrEqual(0)
    expect(batchSize).toBeGreaterThanOrEqual(1)
    const shown = Object.entries(outputs).map(([name, { type, dims, data }]) => {
      // It shares memory with nothing.
      if (ArrayBuffer.isView(data)) expect(data.byteLength).toBe(data.buffer.byteLength)
      return [name, type, [...dims], rounded(data as Iterable<number>)]
    })
    return { ...rest, shown }
  } catch (error) {
    const { name, code, status, message, details, retryAfterS } = error as Record<string, unknown>
    // Where a deadline finds a request is chance, and so is the sentence.
    return { name, code, status, details, retryAfterS, ...(code === 'DEADLINE_EXCEEDED' ? {} : { message }) }
  }
}

/** By model and error, as telemetry had them. */
function tally(ends: readonly RequestEnd[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { model, version, error, cached } of ends) {
    const key = `${model} ${version} ${error} ${cached}`
    counts[key] = (counts[key] ?? 0) + 1
  }
  return counts
}

describe('beside the long way', () => {
  test('all requests have the same outcome, and are reported alike', async () => {
    const [lean, long] = sides as [Side, Side]
    await fc.assert(
      fc.asyncProperty(fc.array(requests, { minLength: 1, maxLength: 60 }), async (burst) => {
        const [ours, theirs] = await Promise.all(
          [lean, long].map((one) => Promise.all(burst.map((request) => outcomeOf(one, request)))),
        )
        expect(ours).toEqual(theirs)
      }),
      { numRuns: 60, seed: 3 },
    )
    expect(tally(lean.ends)).toEqual(tally(long.ends))
  })

  test('several inputs and outputs keep their types and their order', async () => {
    for (const { server } of sides) {
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, i) =>
          server.predict('pair', {
            b: { type: 'bool', dims: [1, 2], data: Uint8Array.of(i & 1, 1) },
            a: BigInt64Array.of(BigInt(i), -1n, 2n ** 40n),
          }),
        ),
      )
      for (const [i, { outputs }] of answers.entries()) {
        expect(Object.keys(outputs)).toEqual(['twice', 'flipped'])
        expect([...(outputs.twice?.data ?? [])]).toEqual([BigInt(2 * i), -2n, 2n ** 41n])
        expect([...(outputs.flipped?.data ?? [])]).toEqual([1 - (i & 1), 0])
      }
    }
  })
})

test('a getter that asks the same model writes over no row', async () => {
  const [{ server }] = sides as [Side, Side]
  const inner: Promise<unknown>[] = []
  const trap = new Proxy([1, 2, 3, 4, 5, 6, 7, 8], {
    get(target, key, receiver) {
      if (key === '4') inner.push(server.predict('mlp', { features: new Float32Array(8).fill(9) }))
      return Reflect.get(target, key, receiver)
    },
  })
  const [trapped, plain] = await Promise.all([
    server.predict('mlp', { features: [trap] }),
    server.predict('mlp', { features: [[1, 2, 3, 4, 5, 6, 7, 8]] }),
  ])
  expect(inner.length).toBeGreaterThan(0)
  const nines = (await server.predict('mlp', { features: new Float32Array(8).fill(9) })).outputs
  for (const result of await Promise.all(inner)) expect((result as typeof trapped).outputs).toEqual(nines)
  expect(rounded(trapped.outputs.scores?.data as Float32Array)).toEqual(rounded(plain.outputs.scores?.data as Float32Array))
})

test('a request that leaves an open batch is answered at once, and costs its neighbours nothing', async () => {
  const [{ server }] = sides as [Side, Side]
  const leave = new AbortController()
  const row = (i: number) => ({ features: new Float32Array(8).fill(i) })
  const alone = await Promise.all(Array.from({ length: 5 }, (_, i) => server.predict('mlp', row(i))))
  const asked = Array.from({ length: 5 }, (_, i) => server.predict('mlp', row(i), i === 2 ? { signal: leave.signal } : undefined))
  leave.abort()
  await expect(asked[2]).rejects.toMatchObject({ code: 'ABORTED' })
  for (const [i, promise] of asked.entries())
    if (i !== 2)
      expect(rounded((await promise).outputs.scores?.data as Float32Array)).toEqual(
        rounded(alone[i]?.outputs.scores?.data as Float32Array),
      )
})

test('close() answers rows in the open batch', async () => {
  const { server } = await side(true)
  const asked = Array.from({ length: 100 }, () => server.predict('mlp', { features: new Float32Array(8) }))
  const closed = server.close()
  await expect(Promise.all(asked)).resolves.toHaveLength(100)
  await closed
})

test('outputs of one prediction are inputs of another one', async () => {
  const [{ server }] = sides as [Side, Side]
  const ask = () => server.predict('pair', { a: new BigInt64Array(3), b: [[true, false]] })
  // Two that share a run: each gets an object of its own.
  const [{ outputs: again }] = await Promise.all([ask(), ask()])
  for (const name of ['toString', 'constructor', '__proto__']) expect(name in again).toBe(false)
  const next = await server.predict('again', again)
  expect(Object.keys(next.outputs)).toEqual(['c', 'd'])
})
