/**
 * Changes to a model's files while it serves, times events that start a worker. The worker runs the loaded bytes, or is not started, for
 * the true reason, until the files are right again. Tables of forms: a line more is a test more.
 */

import { mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { ModelServer, ModelSpec } from 'modelmount'
import { describe, expect, test } from 'vitest'
import { attr, node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { workerPids } from '../support/children.ts'
import { watch } from '../support/events.ts'
import { serverFor } from '../support/server.ts'
import { treeFor } from '../support/tree.ts'

const WEIGHTS = 512

/** trips int64 scalar -> y float32 [512] = `term` + the weights in weights.bin, and z, which takes a microsecond a trip. */
function modelWith(term: number, doc = ''): Uint8Array {
  const body = {
    name: 'body',
    inputs: [value('i', 'int64', []), value('go', 'bool', []), value('acc', 'float', [64])],
    outputs: [value('goOn', 'bool', []), value('next', 'float', [64])],
    nodes: [node('Identity', ['go'], ['goOn']), node('Sin', ['acc'], ['next'])],
  }
  return writeModel({
    doc,
    graph: {
      name: 'replaced',
      inputs: [value('trips', 'int64', [])],
      outputs: [value('y', 'float', [WEIGHTS]), value('z', 'float', [64])],
      nodes: [node('Add', ['term', 'w'], ['y']), node('Loop', ['trips', '', 'start'], ['z'], { body: attr.graph(body) })],
      initializers: [
        tensor('term', 'float', [], [term]),
        tensor('start', 'float', [64], new Float32Array(64).fill(1)),
        tensor('w', 'float', [WEIGHTS], undefined, { external: { location: 'weights.bin', offset: 0, length: 4 * WEIGHTS } }),
      ],
    },
  })
}
const weightsOf = (each: number): Uint8Array => new Uint8Array(new Float32Array(WEIGHTS).fill(each).buffer)

/** The model and its weights are links into `v1`, as mounted volumes have it. */
function files(): { readonly dir: string; readonly source: string } {
  const dir = treeFor({ 'v1/model.onnx': modelWith(1), 'v1/weights.bin': weightsOf(0.5) })
  mkdirSync(join(dir, 'm'))
  for (const name of ['model.onnx', 'weights.bin']) symlinkSync(join('../v1', name), join(dir, 'm', name))
  return { dir, source: join(dir, 'm/model.onnx') }
}

const MAIN = 'v1/model.onnx'
const DATA = 'v1/weights.bin'

/** Puts another file in its place, in one step. */
function replace(path: string, bytes: Uint8Array): void {
  writeFileSync(`${path}.new`, bytes)
  renameSync(`${path}.new`, path)
}

function keepTimes(path: string, change: () => void): void {
  const { atime, mtime } = statSync(path)
  change()
  utimesSync(path, atime, mtime)
}

function swapLink(dir: string, name: string, bytes: Uint8Array): void {
  mkdirSync(join(dir, 'v2'), { recursive: true })
  writeFileSync(join(dir, 'v2', name), bytes)
  symlinkSync(join('../v2', name), join(dir, 'm/link'))
  renameSync(join(dir, 'm/link'), join(dir, 'm', name))
}

/** Everything as it was, as far as bytes go. */
function putBack(dir: string): void {
  swapLink(dir, 'model.onnx', modelWith(1))
  swapLink(dir, 'weights.bin', weightsOf(0.5))
}

interface Deed {
  readonly do: (dir: string) => void
  /** Why no worker may start; `undefined` where it may. */
  readonly refused?: RegExp
}

const DEEDS: Readonly<Record<string, Deed>> = {
  nothing: { do() {} },
  touched: { do: (dir) => utimesSync(join(dir, MAIN), 1, 1) },
  'external data touched': { do: (dir) => utimesSync(join(dir, DATA), 1, 1) },
  'copied again': { do: (dir) => replace(join(dir, MAIN), readFileSync(join(dir, MAIN))) },
  'written again in place': { do: (dir) => writeFileSync(join(dir, MAIN), readFileSync(join(dir, MAIN))) },
  'removed and back': {
    do(dir) {
      const bytes = readFileSync(join(dir, MAIN))
      rmSync(join(dir, MAIN))
      writeFileSync(join(dir, MAIN), bytes)
    },
  },
  'links swapped to the same bytes': { do: putBack },
  'replaced by other bytes of the same size': {
    do: (dir) => replace(join(dir, MAIN), modelWith(2)),
    refused: /its file holds other bytes of the same size/,
  },
  'overwritten with other bytes of the same size, at the same time': {
    do: (dir) => keepTimes(join(dir, MAIN), () => writeFileSync(join(dir, MAIN), modelWith(2))),
    refused: /its file holds other bytes of the same size/,
  },
  'replaced by another size': {
    do: (dir) => replace(join(dir, MAIN), modelWith(1, 'longer')),
    refused: /its file has \d+ bytes, and had \d+/,
  },
  removed: { do: (dir) => rmSync(join(dir, MAIN)), refused: /its file is not there/ },
  'links swapped to other bytes': {
    do(dir) {
      swapLink(dir, 'model.onnx', modelWith(3))
      swapLink(dir, 'weights.bin', weightsOf(0.5))
    },
    refused: /its file holds other bytes of the same size/,
  },
  'external data replaced by other bytes of the same size': {
    do: (dir) => replace(join(dir, DATA), weightsOf(7)),
    refused: /file 1 of its external data holds other bytes of the same size/,
  },
  'external data removed': { do: (dir) => rmSync(join(dir, DATA)), refused: /file 1 of its external data is not there/ },
}

const answerOf = async (server: ModelServer): Promise<unknown> =>
  (await server.predict('m', { trips: 1n }, { outputs: ['y'] })).outputs.y?.data[0]

interface Start {
  readonly spec: Partial<ModelSpec>
  /** True where an instance is left that goes on. */
  readonly leavesOne: boolean
  /** Has a worker started once `deed` was done; resolves when that has been decided, with the reason if it was refused. */
  run(server: ModelServer, deed: () => void): Promise<string | undefined>
}

/** The next start of a worker, or why there was none. */
async function decided(events: ReturnType<typeof watch>): Promise<string | undefined> {
  const event = await events.next(({ type }) => type === 'worker-ready' || type === 'start-refused')
  return event.type === 'start-refused' ? event.reason : undefined
}

const STARTS = {
  crash: {
    spec: { isolation: 'process', trialRun: false },
    leavesOne: false,
    async run(server, deed) {
      deed()
      const outcome = decided(watch(server))
      for (const pid of workerPids()) process.kill(pid, 'SIGKILL')
      return outcome
    },
  },
  demand: {
    spec: { idleUnloadMs: 60 },
    leavesOne: false,
    async run(server, deed) {
      const events = watch(server)
      if (server.model('m').resident) await events.next((event) => event.type === 'residency' && !event.resident)
      deed()
      return answerOf(server).then(
        () => undefined,
        (error: Error) => error.message,
      )
    },
  },
  'scale-up': {
    spec: { instances: { min: 1, max: 2 }, scaling: { targetDelayMs: 1, idleMs: 60_000 } },
    leavesOne: true,
    async run(server, deed) {
      deed()
      const events = watch(server)
      let more = true
      const callers = Array.from({ length: 6 }, async () => {
        while (more) await server.predict('m', { trips: 20_000n }, { outputs: ['z'] })
      })
      const event = await events.next(({ type, ...rest }) => type === 'worker-ready' || (type === 'scaled' && 'detail' in rest))
      more = false
      await Promise.all(callers)
      return event.type === 'scaled' ? event.detail : undefined
    },
  },
  'shared weights': {
    spec: { instances: 2, shareWeights: true },
    leavesOne: true,
    async run(server, deed) {
      const outcome = decided(watch(server))
      deed()
      return outcome
    },
  },
} satisfies Readonly<Record<string, Start>>

const TIERS = process.platform === 'linux' ? (['thread', 'process'] as const) : (['thread'] as const)
const ALL = Object.keys(DEEDS)
/** One of each kind, where a start takes long. */
const SOME = ['touched', 'overwritten with other bytes of the same size, at the same time', 'external data removed']

/** A thread that crashes takes the host with it: only children crash alone. */
const CASES = [
  ...(TIERS.length > 1 ? ALL.map((deed) => ({ start: 'crash', isolation: 'process', deed }) as const) : []),
  ...ALL.map((deed) => ({ start: 'demand', isolation: 'thread', deed }) as const),
  ...SOME.flatMap((deed) => [
    ...(TIERS.length > 1 ? [{ start: 'demand', isolation: 'process', deed } as const] : []),
    ...(availableParallelism() < 2 ? [] : TIERS.map((isolation) => ({ start: 'scale-up', isolation, deed }) as const)),
    ...TIERS.map((isolation) => ({ start: 'shared weights', isolation, deed }) as const),
  ]),
]

describe('a worker that starts', () => {
  test.each(CASES)('after a $start in the $isolation tier, with the file $deed', async ({ start, isolation, deed }) => {
    const { dir, source } = files()
    const { spec, run, leavesOne }: Start = STARTS[start]
    const server = await serverFor({
      models: [{ name: 'm', source, ...spec, isolation, trialRun: false }],
      session: { intraOpNumThreads: 1 },
      batching: false,
      cacheDirectory: join(dir, 'cache'),
      strict: true,
    })
    const events = watch(server)
    const { do: act, refused } = DEEDS[deed] as Deed
    const reason = await run(server, () => act(dir))

    if (refused) {
      expect(reason).toMatch(/the model changed on disk since it was loaded: /)
      expect(reason).toMatch(refused)
      expect(reason).not.toContain(dir)
      if (!leavesOne) {
        await expect(server.predict('m', { trips: 1n })).rejects.toMatchObject({
          code: 'MODEL_UNAVAILABLE',
          status: 503,
          message: expect.stringMatching(refused),
          retryAfterS: expect.any(Number),
        })
        expect(server.health()).toMatchObject({
          ready: false,
          models: [{ state: 'ready', reason: expect.stringMatching(refused) }],
        })
      }
    } else expect(reason).toBeUndefined()
    // By itself, once the files are right.
    if (refused) putBack(dir)
    if (leavesOne || !refused) expect(await answerOf(server)).toBe(1.5)
    else await expect.poll(() => answerOf(server).catch(() => undefined)).toBe(1.5)
    expect(server.health()).toMatchObject({ ready: true })
    expect(server.health().models[0]).not.toHaveProperty('reason')
    // A refused start is no crash.
    expect(events.seen.filter(({ type }) => type === 'worker-lost')).toHaveLength(start === 'crash' ? 1 : 0)
    expect(events.seen.filter(({ type }) => type === 'breaker')).toEqual([])
    if (start === 'shared weights') await expect.poll(() => server.model('m').instances.ready).toBe(2)
  })

  test('while the files stay wrong, is told of once, however often it is tried', async () => {
    const { dir, source } = files()
    const server = await serverFor({ models: [{ name: 'm', source, isolation: 'process', trialRun: false }], strict: true })
    const events = watch(server)
    rmSync(join(dir, MAIN))
    const outcome = decided(events)
    for (const pid of workerPids()) process.kill(pid, 'SIGKILL')
    expect(await outcome).toMatch(/is not there/)
    // Another reason is news: by then it has been looked at again.
    const next = decided(events)
    writeFileSync(join(dir, MAIN), modelWith(1, 'longer'))
    expect(await next).toMatch(/bytes, and had/)
    expect(events.seen.filter(({ type }) => type === 'start-refused')).toHaveLength(2)
  })
})
