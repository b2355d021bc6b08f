/** Runs on the host: the models that get there, and all that stays the same. The event loop says what a test wants; the rest is real. */

import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { ModelServer, ModelSpec, PredictResult, ServerEvent, Tensor } from 'modelmount'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createModelServer } from '../../src/core/server.ts'
import type { RunEnd } from '../../src/core/telemetry/index.ts'
import { gatherModel, identityModel, mlpModel, scalarModel, slowLoopModel } from '../../tools/models.mjs'
import { attr, type NodePart, node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { loop } from '../support/host-loop.ts'
import { longPath } from '../support/long-path.ts'
import { posted } from '../support/server.ts'

vi.mock('../../src/core/engine/inline/loop.ts', () => import('../support/host-loop.ts'))

/** A machine that is busy must not decide a test: any run is short enough, and none is suspected but where a test wants that. */
const limits = vi.hoisted(() => ({ tooLong: Number.POSITIVE_INFINITY }))
vi.mock('../../src/core/engine/inline/limits.ts', () => ({
  MOST_MS: 1000,
  MOST_BYTES: 2 ** 20,
  get TOO_LONG() {
    return limits.tooLong
  },
}))

/** The server is that of src/, where no built scripts are. */
vi.mock('../../src/core/host/scripts.ts', async (original) => {
  const scriptPath = (script: string): string => fileURLToPath(new URL(`../../dist/workers/${script}.cjs`, import.meta.url))
  const requireFromScripts = () => createRequire(scriptPath('worker'))
  return { ...(await original<object>()), scriptPath, requireFromScripts }
})

interface Served {
  readonly server: ModelServer
  readonly runs: RunEnd[]
  readonly events: ServerEvent[]
}

async function serve(model: Omit<ModelSpec, 'name'>): Promise<Served> {
  loop.calm = true
  const runs: RunEnd[] = []
  const events: ServerEvent[] = []
  const server = await createModelServer({
    logger: false,
    strict: true,
    telemetry: { run: (run) => void runs.push(run) },
    models: [{ inline: 'auto', sharedWorker: false, ...model, name: 'm' }],
  })
  onTestFinished(() => server.close({ timeoutMs: 5000 }))
  server.subscribe((event) => void events.push(event))
  return { server, runs, events }
}

/** Asks until the session on the host is there. */
async function onHost(model: Omit<ModelSpec, 'name'>, ask: (server: ModelServer) => Promise<unknown>): Promise<Served> {
  const served = await serve(model)
  await expect
    .poll(async () => {
      await ask(served.server)
      return served.server.model('m').tier
    })
    .toMatchObject({ name: 'inline' })
  served.runs.length = 0
  return served
}

const rowOf = (index: number): Float32Array => Float32Array.from({ length: 32 }, (_, i) => Math.sin(index * 32 + i))
const features = (index: number) => ({ features: rowOf(index) })
const askMlp = (server: ModelServer) => server.predict('m', features(0))
const mlp = (): Promise<Served> => onHost({ source: mlpModel() }, askMlp)

const identity = { source: identityModel('float', ['N', 4]) }
const four = (value: number) => ({ x: { type: 'float32', dims: [1, 4], data: new Float32Array(4).fill(value) } }) as const
const askIdentity = (server: ModelServer) => server.predict('m', four(0))

/** A run on the host is told by its instance: those of the pool count from 1. */
const tiersOf = (runs: readonly RunEnd[]): string[] => runs.map(({ instance }) => (instance === 0 ? 'inline' : 'worker'))

test('gives the answers of the worker, and reports the run like any other', async () => {
  const { server, runs, events } = await mlp()
  expect(server.model('m').tier.reason).toMatch(/^runs are short: on the host/)
  expect(events).toContainEqual({ type: 'tier', model: 'm', version: '1', tier: 'inline', reason: server.model('m').tier.reason })
  const before = server.model('m').queue
  const here = await server.predict('m', features(1))
  loop.calm = false
  const there = await server.predict('m', features(1))
  expect(tiersOf(runs)).toEqual(['inline', 'worker'])
  expect(here.outputs.scores?.data).toEqual(there.outputs.scores?.data)
  expect(here).toEqual({ ...there, id: expect.any(String), timings: expect.any(Object) })
  expect(Object.keys(here.timings)).toEqual(Object.keys(there.timings))
  const [inline, worker] = runs as [RunEnd, RunEnd]
  expect(Object.keys(inline)).toEqual(Object.keys(worker))
  expect(inline).toMatchObject({ model: 'm', requests: 1, rows: 1, error: undefined, provider: 'cpu', reason: worker.reason })
  for (const time of ['queueMs', 'inputMs', 'inferMs', 'outputMs'] as const) expect(inline[time]).toBeGreaterThanOrEqual(0)
  expect(server.model('m').queue).toMatchObject({ batches: before.batches + 2, rows: before.rows + 2, running: 0, waiting: 0 })
  expect(server.model('m').memory?.inlineBytes).toBeGreaterThan(2 ** 20)
})

test('says in the answer where its run was', async () => {
  const tiers: unknown[] = []
  const { server } = await onHost({ source: mlpModel() }, askMlp)
  await server.close()
  const watched = await createModelServer({
    logger: false,
    models: [{ name: 'm', source: mlpModel(), inline: 'auto', sharedWorker: false }],
    extensions: [
      {
        apiVersion: 1,
        name: 'tiers',
        stages: {
          observe: (next) => async (call) => {
            const answer = await next(call)
            tiers.push(answer.run?.tier)
            return answer
          },
        },
      },
    ],
  })
  onTestFinished(() => watched.close())
  await expect
    .poll(async () => {
      await askMlp(watched)
      return tiers.at(-1)
    })
    .toBe('inline')
  expect(tiers[0]).toBe('worker')
})

test('results are the caller’s alone: their memory can be given away', async () => {
  const { server, runs } = await onHost(identity, askIdentity)
  const [one] = await Promise.all([server.predict('m', four(1))])
  const many = await Promise.all([2, 3].map((value) => server.predict('m', four(value))))
  expect(new Set(tiersOf(runs))).toEqual(new Set(['inline']))
  for (const [index, result] of [one, ...many].entries()) {
    const { buffer } = ((result as PredictResult).outputs.y as Tensor).data as Float32Array
    expect(new Float32Array(structuredClone(buffer, { transfer: [buffer as ArrayBuffer] }))).toEqual(
      new Float32Array(4).fill(index + 1),
    )
    expect(buffer.byteLength).toBe(0)
  }
})

test('rows of one turn are one run, answered in their order', async () => {
  const { server, runs } = await onHost(identity, askIdentity)
  const order: number[] = []
  const ask = async (value: number): Promise<void> => {
    const { outputs, batchSize } = await server.predict('m', four(value))
    expect(outputs.y?.data).toEqual(new Float32Array(4).fill(value))
    expect(batchSize).toBe(40)
    order.push(value)
  }
  await Promise.all(Array.from({ length: 40 }, (_, value) => ask(value)))
  expect(tiersOf(runs)).toEqual(['inline'])
  expect(order).toEqual(Array.from({ length: 40 }, (_, value) => value))
})

test('more than a batch goes to the worker, a hundred callers of one turn among them', async () => {
  const { server, runs } = await onHost(identity, askIdentity)
  const { maxSize } = server.model('m').batching
  expect(maxSize).toBeLessThan(100)
  const results = await Promise.all(Array.from({ length: 100 }, (_, value) => server.predict('m', four(value))))
  expect(results.map(({ outputs }) => (outputs.y?.data as Float32Array | undefined)?.[0])).toEqual(
    Array.from({ length: 100 }, (_, i) => i),
  )
  expect(tiersOf(runs)).toContain('worker')
  await askIdentity(server)
  expect(tiersOf(runs).at(-1)).toBe('inline')
})

test('a busy event loop sends requests to the worker, and one model at a time has a turn', async () => {
  const { server, runs } = await mlp()
  loop.calm = false
  await askMlp(server)
  loop.calm = true
  loop.enter()
  await askMlp(server)
  loop.leave()
  await askMlp(server)
  expect(tiersOf(runs)).toEqual(['worker', 'worker', 'inline'])
})

test('requests that give up, or are late, inside a batch cost no other', async () => {
  const { server, runs } = await onHost(identity, askIdentity)
  const leaver = new AbortController()
  const gone = server.predict('m', four(1), { signal: leaver.signal })
  const late = server.predict('m', four(2), { timeoutMs: 500 })
  const stays = server.predict('m', four(3))
  const outcomes = Promise.allSettled([gone, late, stays])
  await posted()
  leaver.abort()
  // The run begins after this turn, and the deadline passes in it.
  for (const until = performance.now() + 600; performance.now() < until; );
  const [aborted, expired, answered] = await outcomes
  expect(aborted).toMatchObject({ reason: { code: 'ABORTED' } })
  expect(expired).toMatchObject({ reason: { code: 'DEADLINE_EXCEEDED' } })
  expect(answered).toMatchObject({ value: { batchSize: 3, outputs: { y: { data: new Float32Array(4).fill(3) } } } })
  expect(tiersOf(runs)).toEqual(['inline'])
})

test('a row that fails its run costs its caller alone', async () => {
  const ask = (server: ModelServer, index: number) =>
    server.predict('m', { indices: { type: 'int64', dims: [1], data: BigInt64Array.of(BigInt(index)) } })
  const { server, runs } = await onHost({ source: gatherModel() }, (server) => ask(server, 1))
  const outcomes = await Promise.allSettled([0, 1, 2, 99, 4, 5].map((index) => ask(server, index)))
  expect(outcomes.map(({ status }) => status)).toEqual([
    'fulfilled',
    'fulfilled',
    'fulfilled',
    'rejected',
    'fulfilled',
    'fulfilled',
  ])
  expect(outcomes[3]).toMatchObject({ reason: { code: expect.stringMatching(/^(INPUT_REJECTED|INFERENCE_FAILED)$/) } })
  expect(outcomes[5]).toMatchObject({ value: { outputs: { rows: { data: Float32Array.of(20, 21, 22, 23) } } } })
  // Those of its batch are tried again in the worker.
  if (server.model('m').batching.enabled) expect(tiersOf(runs).slice(0, 2)).toEqual(['inline', 'worker'])
})

test('close() answers the rows that wait', async () => {
  const { server, runs } = await mlp()
  const waiting = Promise.all([1, 2, 3].map((index) => server.predict('m', features(index))))
  await server.close()
  expect(await waiting).toHaveLength(3)
  expect(tiersOf(runs)).toEqual(['inline'])
  expect(server.model('m').tier.name).toBe('worker')
})

test('a model that is unloaded or replaced takes its session along', async () => {
  const { server } = await mlp()
  await server.load({ name: 'm', source: mlpModel({ seed: 2 }), inline: 'auto', sharedWorker: false }, { replace: true })
  expect(server.model('m').tier).toMatchObject({ name: 'worker' })
  await expect.poll(() => askMlp(server).then(() => server.model('m').tier.name)).toBe('inline')
  await server.unload('m')
  expect(server.models()).toEqual([])
})

test('a model out of memory has no session, and gets one again with its requests', async () => {
  const { server, events } = await onHost({ source: mlpModel(), idleUnloadMs: 50 }, askMlp)
  await expect.poll(() => server.model('m').resident).toBe(false)
  expect(server.model('m').tier.name).toBe('worker')
  expect(server.model('m').memory?.inlineBytes).toBeUndefined()
  await expect.poll(() => askMlp(server).then(() => server.model('m').tier.name)).toBe('inline')
  expect(events.filter(({ type }) => type === 'tier').length).toBeGreaterThan(1)
})

test('a run time that jumps ends it for good, and a worker has the last word', async () => {
  limits.tooLong = 8
  onTestFinished(() => {
    limits.tooLong = Number.POSITIVE_INFINITY
  })
  const { source, usual, slow } = longPath()
  const { server, runs, events } = await onHost({ source }, (server) => server.predict('m', usual(1)))
  await expect
    .poll(async () => {
      await server.predict('m', slow(64))
      return server.model('m').tier
    })
    .toMatchObject({
      name: 'worker',
      reason: expect.stringMatching(/not inline: a run took .* expected, and so did its repetition$/),
    })
  expect(tiersOf(runs)).toContain('inline')
  expect(events.at(-1)).toMatchObject({ type: 'tier', tier: 'worker', reason: expect.stringContaining('a run took') })
  runs.length = 0
  for (let i = 0; i < 5; i++) await server.predict('m', usual(1))
  expect(new Set(tiersOf(runs))).toEqual(new Set(['worker']))
  expect(server.model('m').memory?.inlineBytes).toBeUndefined()
})

// ---------------------------------------------------------------- models that stay in their worker

/** x float32 [N, 4] and k int64 [1] -> y; of the nodes. */
const graphOf = (
  nodes: readonly NodePart[],
  dims: readonly (string | number)[] = ['N', 4],
  yDims: readonly (string | number)[] = ['N', 4],
) =>
  writeModel({
    graph: {
      name: 'g',
      inputs: [value('x', 'float', [...dims])],
      outputs: [value('y', 'float', [...yDims])],
      nodes: [...nodes],
      initializers: [tensor('two', 'int64', [2], BigInt64Array.of(1n, 2n)), tensor('weight', 'float', [4], [1, 2, 3, 4])],
    },
  })

const PLAIN = node('Mul', ['x', 'weight'], ['y'])
const BRANCH = (name: string) => ({ outputs: [value(name, 'float', undefined)], nodes: [node('Identity', ['x'], [name])] })
const CONDITION = [
  node('ReduceSum', ['x'], ['total'], { keepdims: attr.int(0) }),
  node('Cast', ['total'], ['flag'], { to: attr.int(9) }),
]
const scan = () =>
  writeModel({
    graph: {
      name: 'scan',
      inputs: [value('x', 'float', ['N', 4])],
      outputs: [value('y', 'float', ['N', 4])],
      nodes: [
        node('Scan', ['x'], ['y'], {
          num_scan_inputs: attr.int(1),
          body: attr.graph({
            name: 'b',
            inputs: [value('in', 'float', [4])],
            outputs: [value('out', 'float', [4])],
            nodes: [node('Identity', ['in'], ['out'])],
          }),
        }),
      ],
    },
  })

const floats = (dims: readonly number[]) =>
  ({ x: { type: 'float32', dims, data: new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(1) } }) as const

const STAY: readonly [string, Omit<ModelSpec, 'name'>, Parameters<ModelServer['predict']>[1], RegExp][] = [
  ['switched off', { source: graphOf([PLAIN]), inline: false }, floats([1, 4]), /inline is false$/],
  ['Loop', { source: slowLoopModel() }, { trips: BigInt64Array.of(1n) }, /control flow/],
  [
    'If',
    {
      source: graphOf([
        ...CONDITION,
        node('If', ['flag'], ['y'], {
          then_branch: attr.graph({ name: 't', inputs: [], ...BRANCH('a') }),
          else_branch: attr.graph({ name: 'e', inputs: [], ...BRANCH('b') }),
        }),
      ]),
    },
    floats([1, 4]),
    /operator If is control flow/,
  ],
  ['Scan', { source: scan() }, floats([1, 4]), /operator Scan is control flow/],
  [
    'a vendor’s operator',
    {
      source: writeModel({
        opsets: { '': 17, 'com.microsoft': 1 },
        graph: {
          name: 'v',
          inputs: [value('x', 'float', ['N', 4])],
          outputs: [value('y', 'float', ['N', 4])],
          nodes: [node('Gelu', ['x'], ['y'], {}, { domain: 'com.microsoft' })],
        },
      }),
    },
    floats([1, 4]),
    /com\.microsoft:Gelu is not one of ONNX's own/,
  ],
  [
    'as many elements as values say',
    {
      source: graphOf(
        [node('NonZero', ['x'], ['places']), node('Cast', ['places'], ['y'], { to: attr.int(1) })],
        ['N', 4],
        [2, 'found'],
      ),
    },
    floats([1, 4]),
    /operator NonZero gives as many elements/,
  ],
  [
    'a size that values say',
    { source: graphOf(tiled(), ['N', 4], ['N', 'wide']) },
    floats([1, 4]),
    /operator Tile .* takes the size of its result from values/,
  ],
  [
    'open shapes',
    { source: identityModel('float', ['N', 'M']) },
    floats([1, 4]),
    /the shape of input 'x' is open beside its rows/,
  ],
  ['strings', { source: identityModel('string', ['N']) }, { x: ['a'] }, /'x' holds strings/],
  [
    'float16',
    { source: identityModel('float16', ['N']) },
    { x: { type: 'float16', dims: [1], data: new Uint16Array(1) } },
    /'x' is of float16/,
  ],
  [
    'a large file',
    { source: mlpModel({ layers: [512, 600, 2] }) },
    { features: new Float32Array(512) },
    /it has \d+ bytes, and a session on the host is made of 1048576 at most/,
  ],
  ['a process', { source: graphOf([PLAIN]), isolation: 'process' }, floats([1, 4]), /^isolation is 'process'$/],
  [
    'values that can end the process',
    { source: dividing(), isolation: 'thread' },
    { x: BigInt64Array.of(4n), by: BigInt64Array.of(2n) },
    /operator Div .* can end the process/,
  ],
]

/** x repeated as often as its greatest element says. */
function tiled(): NodePart[] {
  return [
    node('ReduceMax', ['x'], ['most'], { keepdims: attr.int(0) }),
    node('Cast', ['most'], ['times'], { to: attr.int(7) }),
    node('Mul', ['two', 'times'], ['repeats']),
    node('Tile', ['x', 'repeats'], ['y']),
  ]
}

function dividing(): Uint8Array {
  return writeModel({
    graph: {
      name: 'dividing',
      inputs: [value('x', 'int64', ['N']), value('by', 'int64', ['N'])],
      outputs: [value('y', 'int64', ['N'])],
      nodes: [node('Div', ['x', 'by'], ['y'])],
    },
  })
}

test.each(STAY)('stays in its worker: %s', async (_, model, inputs, reason) => {
  const { server, runs } = await serve(model)
  await expect
    .poll(async () => {
      await server.predict('m', inputs)
      return server.model('m').tier.reason
    })
    .toMatch(reason)
  expect(server.model('m').tier.name).toBe(model.isolation === 'process' ? 'process' : 'worker')
  expect(tiersOf(runs)).not.toContain('inline')
})

test('a request whose rows are not counted runs on the host if it has the bytes of one row', async () => {
  const served = await onHost({ source: scalarModel(), batching: false }, (server) => server.predict('m', scalarInputs(server)))
  await served.server.predict('m', scalarInputs(served.server))
  expect(tiersOf(served.runs)).toContain('inline')
})

const scalarInputs = (server: ModelServer) =>
  Object.fromEntries(
    server.model('m').inputs.map(({ name, dims = [] }) => [
      name,
      {
        type: 'float32' as const,
        dims: dims.map((dim) => (typeof dim === 'number' ? dim : 1)),
        data: new Float32Array(dims.reduce<number>((n, dim) => n * (typeof dim === 'number' ? dim : 1), 1)),
      },
    ]),
  )
