/** Requests share runs if the model was proved to allow it, and only the clock shows it. */

import { createModelServer, type ModelServer, type ModelSpec, type Tensor } from 'modelmount'
import { afterEach, describe, expect, test } from 'vitest'
import { gatherModel, matmulChainModel, mlpModel, slowLoopModel } from '../../tools/models.mjs'
import { attr, node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { workerPids } from '../support/children.ts'
import { LINUX } from '../support/needs.ts'
import { posted } from '../support/server.ts'
import { sharedCost } from '../support/small-models.ts'

let server: ModelServer | undefined
afterEach(async () => {
  await server?.close({ timeoutMs: 2000 })
  server = undefined
})

async function serve(source: Uint8Array, settings: Partial<ModelSpec> = {}): Promise<ModelServer> {
  server = await createModelServer({
    models: [{ name: 'm', source, ...settings }],
    proof: 'before-ready',
    proofCache: false,
    logger: false,
    strict: true,
  })
  return server
}

const batchingOf = async (source: Uint8Array, settings: Partial<ModelSpec> = {}) =>
  (await serve(source, settings)).model('m').batching

/** features -> scores of the small MLP. */
const row = (seed: number): number[] => Array.from({ length: 32 }, (_, i) => Math.sin(seed * 32 + i))

describe('is it allowed, does it pay?', () => {
  test('a model that gains is batched, and says how much', async () => {
    expect(await batchingOf(sharedCost())).toMatchObject({
      enabled: true,
      reason: expect.stringMatching(/^\d+\.\d times the rows per second at \d+ rows$/),
      curve: { baseMs: expect.any(Number), perRowMs: expect.any(Number) },
    })
  })

  const overRows = (op: string, attrs: Parameters<typeof node>[3] = {}, outDims: (string | number)[] = ['N', 4]): Uint8Array =>
    writeModel({
      graph: {
        inputs: [value('x', 'float', ['N', 4])],
        outputs: [value('y', 'float', outDims)],
        nodes: [node(op, ['x'], ['y'], attrs)],
      },
    })

  test.each([
    ['mixes its rows', overRows('Softmax', { axis: attr.int(0) }), 'changes when other rows run beside it'],
    [
      'drops its rows',
      overRows('ReduceMean', { axes: attr.ints([0]), keepdims: attr.int(1) }, ['M', 4]),
      'as many rows as the inputs',
    ],
    ['takes scalars alone', slowLoopModel(), 'all inputs are scalars or shared'],
    [
      'has a fixed first dimension',
      writeModel({
        graph: {
          inputs: [value('x', 'float', [1, 4])],
          outputs: [value('y', 'float', [1, 4])],
          nodes: [node('Relu', ['x'], ['y'])],
        },
      }),
      'fixed at 1',
    ],
    [
      'lies about its dynamic dimension',
      writeModel({
        graph: {
          inputs: [value('x', 'float', ['N', 4])],
          outputs: [value('y', 'float', ['N', 4])],
          nodes: [node('Reshape', ['x', 'one'], ['y'])],
          initializers: [tensor('one', 'int64', [2], BigInt64Array.of(1n, 4n))],
        },
      }),
      'fails when given more than one row',
    ],
  ])('a model that %s is served one by one, with the reason', async (_, source, reason) => {
    const batching = await batchingOf(source)
    expect(batching).toMatchObject({ enabled: false, maxSize: 1, reason: expect.stringContaining(reason) })
  })

  /** y = x + relu(max over all rows of x - limit): no trial has values beyond the limit. */
  const quietlyMixing = writeModel({
    graph: {
      inputs: [value('x', 'float', ['N', 4])],
      outputs: [value('y', 'float', ['N', 4])],
      nodes: [
        node('ReduceMax', ['x'], ['loudest'], { axes: attr.ints([0]), keepdims: attr.int(1) }),
        node('Sub', ['loudest', 'limit'], ['over']),
        node('Relu', ['over'], ['excess']),
        node('Add', ['x', 'excess'], ['y']),
      ],
      initializers: [tensor('limit', 'float', [], [1e9])],
    },
  })

  test('what no trial shows is seen in the graph: one by one, until the user answers for it', async () => {
    expect(await batchingOf(quietlyMixing)).toMatchObject({
      enabled: false,
      reason:
        "operator ReduceMax of 'loudest' works across the rows; where that does no harm, say so with batching.independentRows",
    })
    await server?.close()
    expect(await batchingOf(quietlyMixing, { batching: { independentRows: true } })).toMatchObject({ enabled: true })
  })

  test('what a trial shows is not put up with, and explained from the graph where that is possible', async () => {
    const random = overRows('RandomNormalLike')
    for (const independentRows of [false, true]) {
      expect(await batchingOf(random, { batching: { independentRows } })).toMatchObject({
        enabled: false,
        reason: expect.stringContaining(": operator RandomNormalLike of 'y' draws random numbers"),
      })
      await server?.close()
    }
  })

  test('says how many rows per second an instance can do by its curve', async () => {
    const { curve, maxSize, rowsPerSecond } = await batchingOf(sharedCost())
    expect(rowsPerSecond).toBeCloseTo((1000 * maxSize) / ((curve?.baseMs ?? 0) + maxSize * (curve?.perRowMs ?? 0)), 6)
    expect(server?.model('m').memory).toMatchObject({ perInstanceBytes: expect.any(Number), basis: 'weights' })
    await server?.close()
    const one = await batchingOf(slowLoopModel())
    expect(one).toMatchObject({ maxSize: 1, enabled: false })
    if (one.curve) expect(one.rowsPerSecond).toBeCloseTo(1000 / (one.curve.baseMs + one.curve.perRowMs), 6)
  })

  test('can be switched off, and bounded', async () => {
    expect(await batchingOf(mlpModel(), { batching: false })).toMatchObject({ enabled: false, reason: 'switched off' })
    await server?.close()
    expect((await batchingOf(mlpModel(), { batching: { maxSize: 4 } })).maxSize).toBeLessThanOrEqual(4)
  })
})

describe('shared runs', () => {
  test('each of 500 callers gets what it would have got alone', async () => {
    const { predict } = await serve(mlpModel())
    const inputs = Array.from({ length: 500 }, (_, seed) => row(seed))
    const together = await Promise.all(inputs.map((features) => predict('m', { features: [features] })))
    expect(Math.max(...together.map(({ batchSize }) => batchSize))).toBeGreaterThan(1)
    for (const [seed, { outputs }] of together.entries()) {
      const alone = await predict('m', { features: [inputs[seed] ?? []] }, { batch: false })
      expect(alone.batchSize).toBe(1)
      expectClose(outputs.scores, alone.outputs.scores)
      expect(bytesBehind(outputs.scores)).toBe(8)
    }
  })

  test('requests of several rows stay whole, also above the cap', async () => {
    const { predict } = await serve(mlpModel(), { batching: { maxSize: 8 } })
    const sizes = [1, 3, 8, 20, 2, 5, 1]
    const results = await Promise.all(
      sizes.map((n) => predict('m', { features: Array.from({ length: n }, (_, i) => row(n + i)) })),
    )
    expect(results.map(({ outputs }) => outputs.scores?.dims)).toEqual(sizes.map((n) => [n, 2]))
    expect(results.every(({ batchSize }, i) => batchSize <= Math.max(8, sizes[i] ?? 0))).toBe(true)
  })

  test('a poisonous row costs its own caller only', async () => {
    const { predict } = await serve(gatherModel())
    const indices = Array.from({ length: 60 }, (_, i) => (i === 17 || i === 40 ? 99 : i % 8))
    const results = await Promise.allSettled(indices.map((index) => predict('m', { indices: [index] })))
    for (const [i, result] of results.entries()) {
      if (indices[i] === 99) expect(result).toMatchObject({ status: 'rejected', reason: { code: 'INPUT_REJECTED' } })
      else
        expect(result).toMatchObject({
          value: { outputs: { rows: { data: Float32Array.from([0, 1, 2, 3], (n) => n + 4 * (indices[i] ?? 0)) } } },
        })
    }
  })

  test('requests of different shapes do not meet', async () => {
    const free = writeModel({
      graph: {
        inputs: [value('x', 'float', ['N', 'S'])],
        outputs: [value('y', 'float', ['N', 1])],
        nodes: [node('ReduceSum', ['x', 'axes'], ['y'], { keepdims: attr.int(1) })],
        initializers: [tensor('axes', 'int64', [1], BigInt64Array.of(1n))],
      },
    })
    const { predict } = await serve(free)
    const lengths = Array.from({ length: 90 }, (_, i) => 1 + (i % 3))
    const results = await Promise.all(lengths.map((n, i) => predict('m', { x: [Array.from({ length: n }, () => i)] })))
    expect(results.map(({ outputs }) => outputs.y?.data[0])).toEqual(lengths.map((n, i) => n * i))
  })

  test('other outputs are not shared with', async () => {
    const two = writeModel({
      graph: {
        inputs: [value('x', 'float', ['N', 2])],
        outputs: [value('p', 'float', ['N', 2]), value('q', 'float', ['N', 2])],
        nodes: [node('Neg', ['x'], ['p']), node('Abs', ['x'], ['q'])],
      },
    })
    const { predict } = await serve(two)
    const wanted = [undefined, ['p'], ['q'], ['q', 'p']]
    const results = await Promise.all(
      Array.from({ length: 80 }, (_, i) => predict('m', { x: [[-i, i + 1]] }, { outputs: wanted[i % 4] })),
    )
    for (const [i, { outputs }] of results.entries()) {
      expect(Object.keys(outputs).sort()).toEqual([...(wanted[i % 4] ?? ['p', 'q'])].sort())
      if (outputs.p) expect(outputs.p.data).toEqual(Float32Array.of(i, -i - 1))
      if (outputs.q) expect(outputs.q.data).toEqual(Float32Array.of(i, i + 1))
    }
  })

  test('who gives up while waiting is left out; the others are answered', async () => {
    const { predict } = await serve(matmulChainModel({ size: 256, count: 8 }))
    const x = [Array.from({ length: 256 }, () => 0.5)]
    const giveUp = new AbortController()
    const outcomes = Promise.allSettled(
      Array.from({ length: 100 }, (_, i) => predict('m', { x }, i % 2 ? { signal: giveUp.signal } : {})),
    )
    giveUp.abort()
    for (const [i, outcome] of (await outcomes).entries())
      expect(outcome).toMatchObject(i % 2 ? { reason: { code: 'ABORTED' } } : { status: 'fulfilled' })
  })

  test('who gives up while the shared run is under way gets that at once; the others are answered, and nothing is left', async () => {
    const server = await serve(sharedCost(), { batching: { maxSize: 4 } })
    const before = server.model('m').queue
    const giveUp = new AbortController()
    const sent = [1, 2, 3, 4].map((x, i) => server.predict('m', { x: [[x, x, x, x]] }, i % 2 ? { signal: giveUp.signal } : {}))
    const outcomes = Promise.allSettled(sent)
    await posted()
    // All of them are at the worker now, so that none can be left out any more.
    expect(server.model('m').queue).toMatchObject({ waiting: 0, running: 4 })
    giveUp.abort()
    await expect(sent[1]).rejects.toMatchObject({ code: 'ABORTED' })
    expect(server.model('m').queue.running).toBe(4)
    const alone = { type: 'float32', dims: [1, 4] }
    expect(await outcomes).toMatchObject([
      { value: { batchSize: 4, outputs: { y: { ...alone, data: Float32Array.of(1, 1, 1, 1) } } } },
      { reason: { code: 'ABORTED' } },
      { value: { batchSize: 4, outputs: { y: { ...alone, data: Float32Array.of(3, 3, 3, 3) } } } },
      { reason: { code: 'ABORTED' } },
    ])
    expect(server.model('m').queue).toMatchObject({
      waiting: 0,
      running: 0,
      rows: before.rows + 4,
      batches: before.batches + 1,
    })
  })

  test('a child that dies under a batch costs no member its answer', LINUX, async () => {
    const server = await serve(sharedCost(), { isolation: 'process', batching: { maxSize: 8 } })
    const answers = Promise.all(Array.from({ length: 200 }, (_, i) => server.predict('m', { x: [[i, 0, 0, 0]] })))
    await posted()
    expect(server.model('m').queue.running).toBeGreaterThanOrEqual(8)
    for (const pid of workerPids()) process.kill(pid, 'SIGKILL')
    expect((await answers).map(({ outputs }) => outputs.y?.data[0])).toEqual(Array.from({ length: 200 }, (_, i) => i))
  })
})

test('options that are wrong or contradict each other are refused, all at once', async () => {
  const refused = async (settings: unknown): Promise<string[]> => {
    const error = await serve(mlpModel(), settings as Partial<ModelSpec>).then(
      () => expect.unreachable(),
      (error: unknown) => error,
    )
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID' })
    return (error as { details: { problems: string[] } }).details.problems.map((problem) => problem.split(' ')[0] ?? '')
  }
  const wrong = {
    maxSize: 0,
    maxRunMs: -1,
    maxDelayMs: 1e9,
    mixTenants: 'no',
    axes: { x: -1, y: 'both' },
    independentRows: 1,
    pad: 1,
  }
  const ragged = { axes: { x: 1.5 }, padValue: { x: Number.NaN }, multipleOf: 0, maxWaste: 1, buckets: [8] }
  expect((await refused({ batching: { ...wrong, ragged } })).sort()).toEqual(
    [
      ...['maxSize', 'maxRunMs', 'maxDelayMs', 'mixTenants', 'axes.x', 'axes.y', 'independentRows', 'pad', 'ragged.mask'],
      ...['ragged.axes.x', 'ragged.padValue.x', 'ragged.multipleOf', 'ragged.maxWaste', 'ragged.buckets'],
    ]
      .map((path) => `models[0].batching.${path}`)
      .sort(),
  )
  const contradicting = {
    maxSize: 1,
    maxDelayMs: 200,
    axes: { mask: 'shared', state: 1, rate: 'shared' },
    ragged: { mask: 'mask', axes: { state: 1, rate: 0, ids: 0 }, padValue: { mask: 1 } },
  }
  expect(await refused({ timeoutMs: 100, batching: contradicting })).toEqual(
    [
      'maxDelayMs',
      'maxDelayMs',
      'ragged.mask',
      'ragged.padValue.mask',
      'ragged.axes.state',
      'ragged.axes.rate',
      'ragged.axes.ids',
    ].map((path) => `models[0].batching.${path}`),
  )
})

describe('samples to warm up with', () => {
  test('are what batching is tried with, where made-up inputs are refused', async () => {
    const picky = writeModel({
      graph: {
        inputs: [value('index', 'int64', ['N', 2])],
        outputs: [value('y', 'float', ['N', 2, 1])],
        nodes: [node('Sub', ['index', 'base'], ['at']), node('Gather', ['table', 'at'], ['y'])],
        initializers: [
          tensor('base', 'int64', [1], BigInt64Array.of(1000n)),
          tensor(
            'table',
            'float',
            [8, 1],
            new Float32Array(8).map((_, i) => i),
          ),
        ],
      },
    })
    expect(await batchingOf(picky)).toMatchObject({
      enabled: false,
      reason: 'the model refused made-up inputs, so batching could not be tried: give it a sample in warmup',
    })
    await server?.close()
    const warmup = [{ index: [[1000, 1001]] }, { index: [[1007, 1003]] }]
    expect(await batchingOf(picky, { warmup })).toMatchObject({ enabled: true })
    expect((await server?.predict('m', { index: [[1002, 1003]] }))?.outputs.y?.data).toEqual(Float32Array.of(2, 3))
  })

  test.each([
    ['does not fit', { features: [[1, 2]] }, /warmup\[1\] failed: .*features/],
    ['is refused by the model', { indices: [99] }, /warmup\[1\] failed: /],
  ])('one that %s fails the load', async (_, bad, sentence) => {
    const isGather = 'indices' in bad
    const good = isGather ? { indices: [1] } : { features: [row(1)] }
    const loading = serve(isGather ? gatherModel() : mlpModel(), { warmup: [good, bad] })
    await expect(loading).rejects.toMatchObject({ code: 'MODEL_LOAD_FAILED', message: expect.stringMatching(sentence) })
  })
})

describe('a warm-up that hangs', () => {
  const endless = writeModel({
    graph: {
      inputs: [value('x', 'float', ['N', 4])],
      outputs: [value('y', 'float', ['N', 4])],
      nodes: [
        node('Loop', ['trips', '', 'x'], ['y'], {
          body: attr.graph({
            name: 'body',
            inputs: [value('i', 'int64', []), value('go', 'bool', []), value('acc', 'float', ['N', 4])],
            outputs: [value('goOn', 'bool', []), value('next', 'float', ['N', 4])],
            nodes: [node('Identity', ['go'], ['goOn']), node('Sin', ['acc'], ['next'])],
          }),
        }),
      ],
      initializers: [tensor('trips', 'int64', [], BigInt64Array.of(2n ** 50n))],
    },
  })

  test('fails the load, and the child is gone', async () => {
    const server = await createModelServer({
      models: [
        { name: 'endless', source: endless, loadTimeoutMs: 1500 },
        { name: 'good', source: mlpModel() },
      ],
      isolation: 'process',
      logger: false,
    })
    expect(server.model('endless')).toMatchObject({ state: 'failed', reason: { code: 'MODEL_LOAD_FAILED' } })
    expect((await server.predict('good', { features: [row(1)] })).outputs.scores?.dims).toEqual([1, 2])
    await server.close()
    await expect.poll(workerPids).toEqual([])
  })
})

/** Data that a caller could see through `.buffer`. */
const bytesBehind = (tensor: Tensor | undefined): number | undefined =>
  ArrayBuffer.isView(tensor?.data) ? tensor.data.buffer.byteLength : undefined

function expectClose(a: Tensor | undefined, b: Tensor | undefined): void {
  expect(a?.dims).toEqual(b?.dims)
  for (let i = 0; i < (b?.data.length ?? 0); i++) expect(Number(a?.data[i])).toBeCloseTo(Number(b?.data[i]), 5)
}
