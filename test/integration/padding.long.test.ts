/** Rows of different lengths share a run, filled up; each caller gets what it would have got alone. */

import fc from 'fast-check'
import type { BatchOptions, ModelServer, PredictInputs, PredictResult, RunEnd, Telemetry, Tensor } from 'modelmount'
import { describe, expect, test } from 'vitest'
import * as models from '../../tools/models.mjs'
import { attr, node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { posted, provedServerFor } from '../support/server.ts'

const VOCABULARY = 32
const RAGGED = { mask: 'mask' }

const encoderModel = (opts: object = {}): Uint8Array => models.encoderModel({ fixedCost: true, ...opts })

const serve = (source: Uint8Array, batching: BatchOptions = { ragged: RAGGED }): Promise<ModelServer> =>
  provedServerFor({ models: [{ name: 'm', source, batching }], strict: true })

const int64 = (rows: readonly (readonly number[])[]): Tensor => ({
  type: 'int64',
  dims: [rows.length, rows[0]?.length ?? 0],
  data: BigInt64Array.from(rows.flat(), BigInt),
})

/** Rows of tokens, all of the given length. */
const sentence = (length: number, seed: number, rows = 1): Tensor =>
  int64(Array.from({ length: rows }, (_, row) => Array.from({ length }, (_, i) => Math.imul(seed + 31 * row + 7 * i, 97) & 31)))

/** Requests that wait together behind a first one, so that they may share the next runs. */
async function together<T>(server: ModelServer, send: () => readonly Promise<T>[]): Promise<PromiseSettledResult<T>[]> {
  const front = server.predict('m', { ids: sentence(400, 1, 8) }, { batch: false, outputs: ['pooled'] })
  await posted()
  const outcomes = await Promise.allSettled(send())
  await front
  return outcomes
}

function expectSame(got: PredictResult, alone: PredictResult): void {
  expect(Object.keys(got.outputs).sort()).toEqual(Object.keys(alone.outputs).sort())
  for (const [name, tensor] of Object.entries(alone.outputs)) {
    const other = got.outputs[name]
    expect(other?.dims).toEqual(tensor.dims)
    const data = other?.data as Float32Array
    for (const [i, x] of (tensor.data as Float32Array).entries()) expect(Math.abs((data[i] ?? Number.NaN) - x)).toBeLessThan(1e-4)
    // Nothing of the neighbours is behind it.
    expect(data.buffer.byteLength).toBe(data.byteLength)
  }
}

describe('is it allowed?', () => {
  const paddingOf = async (source: Uint8Array, ragged: BatchOptions['ragged'], rest: BatchOptions = {}) =>
    (await serve(source, { ...rest, ...(ragged ? { ragged } : {}) })).model('m').batching.padding

  test('a model that heeds its mask may be filled up; the dimensions are found by their symbol', async () => {
    const server = await serve(encoderModel())
    expect(server.model('m')).toMatchObject({
      batching: { enabled: true, padding: { enabled: true } },
      inputs: [{ name: 'ids' }, { name: 'mask', optional: true }],
    })
  })

  test('one that does not is not, with the reason, and is batched by equal lengths all the same', async () => {
    const server = await serve(encoderModel({ careless: true }))
    expect(server.model('m').batching).toMatchObject({
      enabled: true,
      padding: { enabled: false, reason: "output 'pooled' of a row changes when it is filled up" },
    })
    const lengths = Array.from({ length: 60 }, (_, i) => 6 + (i % 3))
    const outcomes = await together(server, () => lengths.map((n, i) => server.predict('m', { ids: sentence(n, i) })))
    for (const [i, outcome] of outcomes.entries())
      expectSame(
        (outcome as PromiseFulfilledResult<PredictResult>).value,
        await server.predict('m', { ids: sentence(lengths[i] ?? 0, i) }, { batch: false }),
      )
    expect(server.model('m').queue.padding).toBe(0)
  })

  test('not asked for, nothing is said of it', async () => {
    expect(await paddingOf(encoderModel(), undefined)).toBeUndefined()
  })

  test.each<[string, Uint8Array, BatchOptions['ragged'], string]>([
    ['a mask that is not there', encoderModel(), { mask: 'attention_mask' }, "no input 'attention_mask'"],
    ['a dimension that is not there', encoderModel(), { ...RAGGED, axes: { ids: 3 } }, "'ids' has no dimension 3"],
    ['a name that is not there', encoderModel(), { ...RAGGED, axes: { idz: 1 } }, "nothing called 'idz'"],
    ['a filling that the type does not have', encoderModel(), { ...RAGGED, padValue: 0.5 }, "0.5 is no value of 'ids'"],
    ['a filling that the model refuses', encoderModel(), { ...RAGGED, padValue: { ids: 99 } }, 'fails when rows are filled up'],
    ['fixed lengths', models.mlpModel(), { mask: 'features' }, 'has no name in the file'],
  ])('%s is the reason', async (_, source, ragged, reason) => {
    expect(await paddingOf(source, ragged)).toEqual({ enabled: false, reason: expect.stringContaining(reason) })
  })

  const unnamed = (): Uint8Array =>
    writeModel({
      graph: {
        inputs: [value('x', 'float', ['N', null]), value('mask', 'bool', ['N', null])],
        outputs: [value('y', 'float', ['N', null]), value('sum', 'float', ['N'])],
        nodes: [
          node('Where', ['mask', 'x', 'zero'], ['kept']),
          node('ReduceSum', ['kept', 'axis'], ['sum'], { keepdims: attr.int(0) }),
          node('Neg', ['x'], ['y']),
        ],
        initializers: [tensor('zero', 'float', [], [0]), tensor('axis', 'int64', [1], BigInt64Array.of(1n))],
      },
    })

  test('where the file has no names for lengths they are declared, those of outputs too', async () => {
    expect(await paddingOf(unnamed(), RAGGED)).toEqual({ enabled: false, reason: expect.stringContaining('name the dimensions') })
    const inputs = { mask: 1, x: 1 }
    expect(await paddingOf(unnamed(), { ...RAGGED, axes: inputs })).toEqual({
      enabled: false,
      reason: expect.stringContaining("output 'y' of a row changes"),
    })
    expect(await paddingOf(unnamed(), { ...RAGGED, axes: { ...inputs, y: 1 }, padValue: { x: 0.5 } })).toMatchObject({
      enabled: true,
    })
  })

  test('samples of different lengths warm it up', async () => {
    const server = await provedServerFor({
      models: [
        {
          name: 'm',
          source: encoderModel(),
          batching: { ragged: RAGGED },
          warmup: [5, 9, 5, 1].map((n) => ({ ids: sentence(n, n) })),
        },
        { name: 'plain', source: encoderModel(), warmup: [5, 9].map((n) => ({ ids: sentence(n, n), mask: sentence(n, 0) })) },
        { name: 'short', source: encoderModel(), batching: { ragged: RAGGED }, warmup: [{ ids: sentence(1, 1) }] },
      ],
      strict: true,
    })
    expect(server.model('m').batching).toMatchObject({ enabled: true, padding: { enabled: true } })
    expect(server.model('plain').state).toBe('ready')
    expect(server.model('short').batching.padding).toMatchObject({
      enabled: false,
      reason: expect.stringContaining('longer sample'),
    })
  })
})

describe('shared runs', () => {
  test('any requests, batched and filled up, are answered as they are alone', async () => {
    const server = await serve(encoderModel(), { maxSize: 16, ragged: { ...RAGGED, maxWaste: 0.5 } })
    let shared = 0
    const request = fc.record({
      length: fc.integer({ min: 1, max: 40 }),
      rows: fc.integer({ min: 1, max: 4 }),
      seed: fc.nat(1000),
      masked: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 20, maxLength: 30 }), async (requests) => {
        const all = requests.map(({ length, rows, seed, masked }): PredictInputs => {
          const ids = sentence(length, seed, rows)
          if (masked === undefined) return { ids }
          const kept = Math.max(1, Math.ceil(masked * length))
          return { ids, mask: int64(Array.from({ length: rows }, () => Array.from({ length }, (_, i) => (i < kept ? 1 : 0)))) }
        })
        const outcomes = await together(server, () => all.map((inputs) => server.predict('m', inputs)))
        for (const [i, inputs] of all.entries()) {
          const { value } = outcomes[i] as PromiseFulfilledResult<PredictResult>
          if (value.batchSize > (requests[i]?.rows ?? 0)) shared++
          expectSame(value, await server.predict('m', inputs, { batch: false }))
        }
      }),
      { numRuns: 4 },
    )
    expect(shared).toBeGreaterThan(20)
    expect(server.model('m').queue.padding).toBeGreaterThan(0)
  })

  test('waste is bounded and counted: lengths of different classes do not meet', async () => {
    const server = await serve(encoderModel(), { ragged: { ...RAGGED, maxWaste: 0.5 } })
    const { batches } = server.model('m').queue
    const lengths = [28, 20, 15, 6, 3]
    const outcomes = await together(server, () => lengths.map((n) => server.predict('m', { ids: sentence(n, n) })))
    expect(outcomes.map((outcome) => (outcome as PromiseFulfilledResult<PredictResult>).value.batchSize)).toEqual([3, 3, 3, 2, 2])
    // Two inputs of 8, 13, and 3 elements more; the run in front and two shared ones.
    expect(server.model('m').queue).toMatchObject({ padding: 2 * (8 + 13 + 3), batches: batches + 3 })
  })

  test('a run has no more elements than allowed, the padding to come included', async () => {
    // Two inputs of 16 elements were tried, so that 8 rows have 256.
    const server = await serve(encoderModel(), { maxElements: 256, ragged: { ...RAGGED, maxWaste: 0.5 } })
    expect(server.model('m').batching.maxSize).toBeGreaterThan(2)
    const outcomes = await together(server, () => [32, 32, 32, 32].map((n) => server.predict('m', { ids: sentence(n, n) })))
    for (const outcome of outcomes) expect(outcome).toMatchObject({ value: { batchSize: 2 } })
  })

  test('the padding of each run is told', async () => {
    const runs: RunEnd[] = []
    const telemetry: Telemetry = { run: (run) => void runs.push(run) }
    const server = await provedServerFor({
      models: [{ name: 'm', source: encoderModel(), batching: { ragged: RAGGED } }],
      telemetry,
      strict: true,
    })
    await together(server, () => [10, 13].map((n) => server.predict('m', { ids: sentence(n, n) })))
    expect(runs.map(({ rows, padding }) => ({ rows, padding }))).toEqual([
      { rows: 1, padding: 0 },
      { rows: 2, padding: 6 },
    ])
  })

  test('lengths are rounded up to a multiple', async () => {
    const server = await serve(encoderModel(), { ragged: { ...RAGGED, multipleOf: 16 } })
    const outcomes = await together(server, () => [5, 13].map((n) => server.predict('m', { ids: sentence(n, n) })))
    expect(outcomes).toMatchObject([{ value: { batchSize: 2 } }, { value: { batchSize: 2 } }])
    expect(server.model('m').queue.padding).toBe(2 * (11 + 3))
  })

  test('a poisonous row, callers that leave, other outputs, large requests and tenants: each gets its own', async () => {
    const server = await serve(encoderModel(), { maxSize: 8, mixTenants: true, ragged: { ...RAGGED, maxWaste: 0.5 } })
    const leave = new AbortController()
    const requests = Array.from({ length: 80 }, (_, i) => {
      const length = 9 + (i % 8)
      const ids = i % 11 === 3 ? int64([[...Array(length - 1).fill(1), VOCABULARY]]) : sentence(length, i, i % 9 === 4 ? 21 : 1)
      const opts = {
        tenant: `t${i % 3}`,
        ...(i % 13 === 5 ? { signal: leave.signal } : {}),
        ...(i % 7 === 2 ? { outputs: ['pooled'] } : {}),
      }
      return { inputs: { ids }, opts }
    })
    const outcomes = await together(server, () => {
      const sent = requests.map(({ inputs, opts }) => server.predict('m', inputs, opts))
      leave.abort()
      return sent
    })
    expect(outcomes).toHaveLength(80)
    for (const [i, outcome] of outcomes.entries()) {
      const { inputs, opts } = requests[i] as (typeof requests)[number]
      if (i % 13 === 5) expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ABORTED' } })
      else if (i % 11 === 3) expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'INPUT_REJECTED' } })
      else
        expectSame(
          (outcome as PromiseFulfilledResult<PredictResult>).value,
          await server.predict('m', inputs, { ...opts, batch: false }),
        )
    }
    expect(server.model('m').queue).toMatchObject({ waiting: 0, running: 0 })
    expect(server.model('m').queue.padding).toBeGreaterThan(0)
  })

  test('tenants that may not mix do not, whatever their lengths', async () => {
    const server = await serve(encoderModel(), { ragged: { ...RAGGED, maxWaste: 0.5 } })
    const outcomes = await together(server, () =>
      [9, 10, 11, 12].map((n, i) => server.predict('m', { ids: sentence(n, n) }, { tenant: `t${i % 2}` })),
    )
    for (const outcome of outcomes) expect(outcome).toMatchObject({ value: { batchSize: 2 } })
  })
})

test('the mask may be left out where requests run one by one, too', async () => {
  const server = await serve(encoderModel(), { maxSize: 1, ragged: RAGGED })
  expect(server.model('m').batching).toMatchObject({
    enabled: false,
    padding: { enabled: false, reason: 'requests do not share runs' },
  })
  const ids = sentence(7, 3)
  const left = await server.predict('m', { ids })
  expectSame(left, await server.predict('m', { ids, mask: int64([Array(7).fill(1)]) }))
  await expect(server.predict('m', { mask: sentence(7, 3) })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
})
