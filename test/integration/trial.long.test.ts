/** Models are tried in one child per server, which may die, hang or take too much: that costs batching, nothing else. Real children. */

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encryptModel, type ModelServer, type ModelServerOptions, type ServerEvent } from 'modelmount'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { externalDataModel, mlpModel } from '../../tools/models.mjs'
import { attr, node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { hold, nextWorker, workerPids } from '../support/children.ts'
import { watch } from '../support/events.ts'
import { LINUX } from '../support/needs.ts'
import { provedServerFor } from '../support/server.ts'
import { slowLoadModel } from '../support/slow-load.ts'
import { constantOf, sharedCost } from '../support/small-models.ts'

const dir = mkdtempSync(join(tmpdir(), 'trial-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const isUntried = (event: ServerEvent): boolean => event.type === 'untried'

/** Every child that is there in some turn of the event loop until the test has finished. */
function watchChildren(): { readonly all: ReadonlySet<number>; readonly most: () => number } {
  const all = new Set<number>()
  let most = 0
  let over = false
  const look = (): void => {
    const pids = workerPids()
    for (const pid of pids) all.add(pid)
    most = Math.max(most, pids.length)
    if (!over) setImmediate(look)
  }
  look()
  onTestFinished(() => {
    over = true
  })
  return { all, most: () => most }
}

const batchingOf = (server: ModelServer, name = 'm') => server.model(name).batching

describe('the child', LINUX, () => {
  test.each(['thread', 'process'] as const)(
    'that is killed leaves the model served, unbatched, with the reason: %s tier',
    async (isolation) => {
      const server = await provedServerFor({ models: [], isolation, trialRun: false })
      const events = watch(server)
      const untried = events.next(isUntried)
      const load = server.load({ name: 'm', source: slowLoadModel(40) })
      // In the process tier the instance is the next.
      process.kill(await nextWorker(), 'SIGKILL')
      await load
      expect(await untried).toMatchObject({ model: 'm', reason: expect.stringContaining('SIGKILL') })
      expect(batchingOf(server)).toMatchObject({
        enabled: false,
        maxSize: 1,
        reason: expect.stringMatching(/^it was not tried: .*SIGKILL/),
      })
      const { outputs } = await server.predict('m', { x: { type: 'float32', dims: [1, 1024], data: new Float32Array(1024) } })
      expect(outputs.y?.dims).toEqual([1, 1024])
      // The next one is tried in another.
      await server.load({ name: 'next', source: sharedCost() })
      expect(batchingOf(server, 'next')).toMatchObject({ reason: expect.stringContaining('times the rows per second') })
    },
  )

  test('is one for all models that a server starts with, and gone when they are ready', async () => {
    const children = watchChildren()
    const server = await provedServerFor({
      models: Array.from({ length: 5 }, (_, i) => ({ name: `m${i}`, source: i % 2 ? mlpModel() : sharedCost() })),
      strict: true,
    })
    const reasons = Array.from({ length: 5 }, (_, i) => batchingOf(server, `m${i}`).reason)
    // Proved, whether or not it pays, or the machine is too busy to tell.
    expect(reasons.filter((reason) => !/times the rows per second|takes too long/.test(reason))).toEqual([])
    await expect.poll(workerPids).toEqual([])
    expect([children.all.size, children.most()]).toEqual([1, 1])
  })

  test('is not started for what has nothing to try', async () => {
    const children = watchChildren()
    await provedServerFor({
      models: [
        { name: 'off', source: mlpModel(), batching: false },
        { name: 'no-inputs', source: constantOf(1) },
        { name: 'off-with-a-sample', source: sharedCost(), batching: false, warmup: [{ x: [[0, 0, 0, 0]] }] },
      ],
      strict: true,
    })
    expect(children.all.size).toBe(0)
  })

  test('that hangs is killed, and the model is served', async () => {
    const server = await provedServerFor({ models: [] })
    const untried = watch(server).next(isUntried)
    const load = server.load({ name: 'm', source: sharedCost(), loadTimeoutMs: 3000 })
    hold([await nextWorker([])])
    await load
    expect(await untried).toMatchObject({ reason: expect.stringContaining('longer than loadTimeoutMs (3000 ms)') })
    const { outputs } = await server.predict('m', { x: [[0, 0, 0, 0]] })
    expect(outputs.y?.dims).toEqual([1, 4])
    await expect.poll(workerPids).toEqual([])
  })

  test('is gone soon when the server closes or the model is unloaded in the middle of its trial', async () => {
    for (const end of ['close', 'unload'] as const) {
      const server = await provedServerFor({ models: [] })
      const load = server.load({ name: 'm', source: sharedCost() })
      const settled = load.then(
        () => 'loaded',
        (error: { code: string }) => error.code,
      )
      hold([await nextWorker([])])
      await (end === 'close' ? server.close() : server.unload('m'))
      expect(await settled).toMatch(/SERVER_CLOSED|MODEL_LOAD_FAILED|loaded/)
      await expect.poll(workerPids).toEqual([])
    }
  })

  test('counts against the budget: beside the model where there is room, before it where not, else not at all', async () => {
    const MIB = 2 ** 20
    // About 16 MiB for the instance and 48 for the child.
    const batchingWith = async (budgetBytes: number) => {
      const server = await provedServerFor({
        models: [{ name: 'm', source: sharedCost() }],
        memory: { budgetBytes },
        strict: true,
      })
      return batchingOf(server)
    }
    expect(await batchingWith(200 * MIB)).toMatchObject({ reason: expect.stringContaining('times the rows per second') })
    expect(await batchingWith(60 * MIB)).toMatchObject({ reason: expect.stringContaining('times the rows per second') })
    expect(await batchingWith(30 * MIB)).toMatchObject({ enabled: false, reason: expect.stringContaining('memory.budgetBytes') })
  })

  test('that takes more memory than there is for it is killed', async () => {
    /** x float32 [N, 1] -> a row of a gigabyte where x is as large as what is made up. */
    const greedy = writeModel({
      graph: {
        inputs: [value('x', 'float', ['N', 1])],
        outputs: [value('y', 'float', ['N', 'n'])],
        nodes: [
          node('ReduceMax', ['x'], ['largest'], { keepdims: attr.int(0) }),
          node('Mul', ['largest', 'many'], ['scaled']),
          node('Cast', ['scaled'], ['size'], { to: attr.int(7) }),
          node('Reshape', ['size', 'one'], ['sizes']),
          node('Concat', ['one', 'sizes'], ['shape'], { axis: attr.int(0) }),
          node('ConstantOfShape', ['shape'], ['y']),
        ],
        initializers: [tensor('many', 'float', [], [2 ** 30]), tensor('one', 'int64', [1], BigInt64Array.of(1n))],
      },
    })
    const server = await provedServerFor({ models: [], memory: { budgetBytes: 200 * 2 ** 20 } })
    const untried = watch(server).next(isUntried)
    await server.load({ name: 'm', source: greedy })
    expect(await untried).toMatchObject({ reason: expect.stringMatching(/bytes of memory/) })
    const { outputs } = await server.predict('m', { x: [[3 / 2 ** 30]] })
    expect(outputs.y?.dims).toEqual([1, 3])
  })

  test('held up for a while holds up the model, and nobody else', async () => {
    const server = await provedServerFor({ models: [{ name: 'other', source: sharedCost() }] })
    const load = server.load({ name: 'm', source: mlpModel() })
    const goOn = hold([await nextWorker([])])
    await server.predict('other', { x: [[1, 2, 3, 4]] })
    goOn()
    await load
    expect(batchingOf(server)).toMatchObject({ reason: expect.stringContaining('times the rows per second') })
  })
})

describe('a model is tried as it is', () => {
  const external = join(dir, 'external')
  const key = { id: 'k', key: new Uint8Array(randomBytes(32)) }
  beforeAll(async () => {
    externalDataModel(external)
    writeFileSync(join(dir, 'mlp.onnx'), mlpModel())
    const keys = { current: () => key, byId: () => key }
    await encryptModel(join(dir, 'mlp.onnx'), { keys, model: 'm', out: join(dir, 'sealed') })
    await encryptModel(external, { keys, model: 'm', out: join(dir, 'sealed-external') })
  })
  const encryption = { keys: { current: () => key, byId: () => key } }

  test.each<[string, () => Partial<ModelServerOptions>, string | Uint8Array]>([
    ['from bytes', () => ({}), mlpModel()],
    ['from a file', () => ({}), join(dir, 'mlp.onnx')],
    ['with weights beside it', () => ({}), join(external, 'model.onnx')],
    ['encrypted', () => ({ encryption }), join(dir, 'sealed', 'mlp.onnx.enc')],
    ['encrypted, with weights beside it', () => ({ encryption }), join(dir, 'sealed-external', 'model.onnx.enc')],
    [
      'with session options',
      () => ({ session: { graphOptimizationLevel: 'disabled', executionMode: 'parallel', interOpNumThreads: 2 } }),
      mlpModel(),
    ],
  ])('%s', async (_, options, source) => {
    for (const isolation of ['thread', 'process'] as const) {
      const server = await provedServerFor({ ...options(), isolation, models: [] })
      const events = watch(server)
      await server.load({ name: 'm', source })
      expect(events.seen.filter(isUntried)).toEqual([])
      // Proved, whether or not it pays.
      expect(batchingOf(server).reason).toMatch(/times the rows per second/)
    }
  })
})

describe('an honest model whose inputs cannot be made up loads at once', () => {
  /** A convolution that takes nothing shorter than 65 in any of three open dimensions. */
  const conv3d = (): Uint8Array =>
    writeModel({
      graph: {
        inputs: [value('x', 'float', ['N', 4, 'D', 'H', 'W'])],
        outputs: [value('y', 'float', ['N', 1, 'd', 'h', 'w'])],
        nodes: [node('Conv', ['x', 'w'], ['y'], { kernel_shape: attr.ints([65, 65, 65]) })],
        initializers: [tensor('w', 'float', [1, 4, 65, 65, 65], new Float32Array(4 * 65 ** 3))],
      },
    })
  const open = (count: number): Uint8Array => {
    const dims = Array.from({ length: count }, (_, i) => `d${i}`)
    return writeModel({
      graph: {
        inputs: [value('x', 'float', dims)],
        outputs: [value('y', 'float', dims)],
        nodes: [node('Relu', ['x'], ['y'])],
      },
    })
  }

  test('a convolution over three open dimensions', async () => {
    const server = await provedServerFor({ models: [{ name: 'm', source: conv3d() }], strict: true })
    expect(batchingOf(server)).toMatchObject({ enabled: false, reason: expect.stringContaining('made-up inputs') })
  })

  test('eight open dimensions', async () => {
    const server = await provedServerFor({ models: [{ name: 'm', source: open(8) }], strict: true })
    const { outputs } = await server.predict('m', {
      x: { type: 'float32', dims: [1, 1, 1, 1, 1, 1, 1, 1], data: Float32Array.of(-1) },
    })
    expect(Array.from(outputs.y?.data as Float32Array)).toEqual([0])
  })
})
