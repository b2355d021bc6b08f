/** Derived models: their names, their folder, the steps to make them, and the fate of a builder that fails. */

import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Channel, ChannelEvents } from '../../../src/core/engine/channel.ts'
import { openBuilder } from '../../../src/core/engine/derived/builder.ts'
import { derive, type OpenSession } from '../../../src/core/engine/derived/derive.ts'
import { digestFiles } from '../../../src/core/engine/derived/digest.ts'
import { openDirectory } from '../../../src/core/engine/derived/directory.ts'
import { outerKey } from '../../../src/core/engine/derived/key.ts'
import { pack, unpack } from '../../../src/core/engine/frame.ts'
import type { FromWorker, ToWorker } from '../../../src/core/engine/messages.ts'
import type { OrtSessionOptions } from '../../../src/core/engine/session-options.ts'
import { ortSessionOptions } from '../../../src/core/engine/session-options.ts'
import type { Tensor } from '../../../src/core/types.ts'
import { POSIX } from '../../support/needs.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'
import { treeFor } from '../../support/tree.ts'

const SESSION = ortSessionOptions({})
const number = (value: number): Tensor => ({ type: 'float32', dims: [1], data: Float32Array.of(value) })

describe('the outer key', () => {
  test('is the same for any number of threads', () => {
    expect(outerKey(SESSION, [1, 2])).toMatch(/^[0-9a-f]{16}$/)
    expect(outerKey({ ...SESSION, intraOpNumThreads: 7 }, [1, 2])).toBe(outerKey(SESSION, [1, 2]))
  })

  test('is another for other options and other sizes', () => {
    const keys = [
      outerKey(SESSION, [1, 2]),
      outerKey(SESSION, [2, 1]),
      outerKey(SESSION, [1]),
      outerKey(ortSessionOptions({ graphOptimizationLevel: 'basic' }), [1, 2]),
      outerKey(ortSessionOptions({ denormalAsZero: true }), [1, 2]),
    ]
    expect(new Set(keys).size).toBe(keys.length)
  })
})

describe('digests', () => {
  test('are of whole files, also of more than a chunk; nothing of what is no file', () => {
    const large = Buffer.alloc(2 ** 20 + 7, 'large')
    const root = treeFor({ a: 'abc', empty: '', large })
    const paths = ['a', 'empty', 'large', '.', 'missing'].map((name) => join(root, name))
    const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex')
    expect(digestFiles(paths)).toEqual([sha256('abc'), sha256(''), sha256(large), '', ''])
  })
})

describe('the folder', POSIX, () => {
  test('is made with what is above it, for nobody else', async () => {
    const path = join(treeFor({}), 'a/b/c')
    expect(await openDirectory(path)).toEqual({ path })
    expect(statSync(path).mode & 0o777).toBe(0o700)
    expect(await openDirectory(path)).toEqual({ path })
  })

  test.each<[string, (path: string) => void]>([
    ['is a symbolic link', (path) => symlinkSync(tmpdir(), path)],
    ['is not a directory', (path) => writeFileSync(path, '')],
    [
      'can be written by others',
      (path) => {
        mkdirSync(path)
        chmodSync(path, 0o770)
      },
    ],
    ['cannot be used (ENOTDIR)', () => {}],
  ])('%s: refused', async (problem, make) => {
    const root = treeFor({ file: '' })
    const path = problem.endsWith('(ENOTDIR)') ? join(root, 'file/below') : join(root, 'cache')
    make(path)
    expect(await openDirectory(path)).toEqual({ refused: `the cache directory ${JSON.stringify(path)} ${problem}` })
  })

  test('of another user is refused', async () => {
    const path = join(treeFor({}), 'cache')
    const own = process.getuid?.() ?? 0
    vi.spyOn(process, 'getuid').mockReturnValue(own + 1)
    onTestFinished(() => void vi.restoreAllMocks())
    expect(await openDirectory(path)).toMatchObject({ refused: expect.stringContaining('belongs to another user') })
  })

  test('is the cache folder of the user, and where that cannot be used one for temporary files', async () => {
    const root = treeFor({ taken: '' })
    onTestFinished(() => void vi.unstubAllEnvs())
    vi.stubEnv('XDG_CACHE_HOME', join(root, 'home'))
    vi.stubEnv('TMPDIR', root)
    expect(await openDirectory(undefined)).toEqual({ path: join(root, 'home/modelmount') })
    vi.stubEnv('XDG_CACHE_HOME', join(root, 'taken'))
    expect(await openDirectory(undefined)).toEqual({ path: join(root, `modelmount-${process.getuid?.()}`) })
    vi.stubEnv('TMPDIR', join(root, 'taken'))
    const { refused } = (await openDirectory(undefined)) as { refused: string }
    expect(refused.split(', and ')).toHaveLength(2)
    vi.stubEnv('XDG_CACHE_HOME', '')
    vi.stubEnv('HOME', root)
    expect(await openDirectory(undefined)).toEqual({
      path: join(root, process.platform === 'darwin' ? 'Library/Caches' : '.cache', 'modelmount'),
    })
  })
})

describe('a builder', () => {
  function setUp() {
    const clock = createSimulatedClock()
    const sent: ToWorker[] = []
    let worker: ChannelEvents | undefined
    let closed = 0
    const builder = openBuilder(
      (events): Channel => {
        worker = events
        return {
          post: (message) => void sent.push(message as ToWorker),
          async close() {
            closed++
          },
        }
      },
      clock,
      { timeoutMs: 1000 },
    )
    const answer = (message: FromWorker): void => worker?.onMessage(message)
    return { builder, clock, sent, answer, exit: (reason: string) => worker?.onExit(reason), closes: () => closed }
  }
  const { frame } = pack([{ x: number(1) }])
  const request = { source: 'm', patch: [], session: SESSION, into: 'draft', samples: frame, fetches: ['y'] }
  const derived: FromWorker = { kind: 'derived', outputs: frame, speed: 2 }

  test('answers one question after the other', async () => {
    const { builder, sent, answer, clock } = setUp()
    const digests = builder.digest(['a', 'b'])
    answer({ kind: 'digested', digests: ['1', '2'] })
    expect(await digests).toEqual(['1', '2'])
    const made = builder.derive(request, [])
    answer(derived)
    expect(await made).toBe(derived)
    expect(sent).toEqual([
      { kind: 'digest', files: ['a', 'b'] },
      { kind: 'derive', ...request },
    ])
    // Each answer came in time.
    await clock.letPass(10_000)
    const more = builder.digest([])
    answer({ kind: 'digested', digests: [] })
    expect(await more).toEqual([])
  })

  test('is waited for as long as was said, and not asked again', async () => {
    const { builder, clock, sent } = setUp()
    const digests = builder.digest(['a'])
    const failed = expect(digests).rejects.toMatchObject({ code: 'MODEL_LOAD_FAILED', message: 'it took longer than 1000 ms' })
    await clock.letPass(1000)
    await failed
    await expect(builder.digest(['a'])).rejects.toThrow('it took longer')
    expect(sent).toHaveLength(1)
  })

  test('that fails or ends says why; its text is cut and escaped', async () => {
    const failing = setUp()
    const made = failing.builder.derive(request, [])
    failing.answer({ kind: 'load-failed', message: `\u001b${'x'.repeat(1000)}`, fallbacks: [] })
    const { message } = await made.then(
      () => new Error('it was made'),
      (error: Error) => error,
    )
    expect(message).toHaveLength(500)
    expect(message).not.toContain('\u001b')
    const ending = setUp()
    const digests = ending.builder.digest([])
    ending.exit('killed by SIGSEGV')
    await expect(digests).rejects.toThrow('killed by SIGSEGV')
    await expect(ending.builder.derive(request, [])).rejects.toThrow('killed by SIGSEGV')
  })

  test('that is ended leaves no question open', async () => {
    const { builder, closes } = setUp()
    const digests = expect(builder.digest([])).rejects.toThrow('the server is closing')
    await builder.end()
    await digests
    expect(closes()).toBe(1)
  })

  test('that answers something else is not believed', async () => {
    const { builder, answer } = setUp()
    const made = builder.derive(request, [])
    answer({ kind: 'digested', digests: ['1'] })
    await expect(made).rejects.toMatchObject({ code: 'INTERNAL' })
    const digests = builder.digest(['a'])
    answer(derived)
    expect(await digests).toEqual([])
  })
})

describe('deriving', () => {
  type Opened = { readonly source: string; readonly options: OrtSessionOptions & { optimizedModelFilePath?: string } }

  /** Sessions whose runs take as long as told, on a clock that only they move. */
  function setUp(ms: { readonly plain: number; readonly derived: readonly number[] }) {
    const into = treeFor({})
    const opened: Opened[] = []
    let released = 0
    let now = 0
    const derivedMs = [...ms.derived]
    let runs = 0
    vi.spyOn(performance, 'now').mockImplementation(() => now)
    onTestFinished(() => void vi.restoreAllMocks())
    const open: OpenSession = async ({ source }, options) => {
      opened.push({ source: String(source), options })
      const path = options.optimizedModelFilePath
      if (path !== undefined) for (const name of ['model.onnx', 'weights.bin']) writeFileSync(join(into, name), '')
      const isDerived = String(source).startsWith(into)
      return {
        async run({ x }) {
          runs++
          now += isDerived ? ((derivedMs.length > 1 ? derivedMs.shift() : derivedMs[0]) ?? 1) : ms.plain
          return { y: number(Number(x?.data[0]) + (isDerived ? 100 : 0)) }
        },
        async release() {
          released++
        },
      }
    }
    const samples = pack([{ x: number(1) }, { x: number(2) }]).frame
    const message = { kind: 'derive', source: 'plain.onnx', patch: [], session: SESSION, into, samples, fetches: ['y'] } as const
    return { into, opened, released: () => released, runs: () => runs, derived: () => derive(message, open) }
  }

  test('writes weights beside the graph, and tries both models with all samples', async () => {
    const { into, opened, released, derived } = setUp({ plain: 20, derived: [10] })
    const { answer, transfer } = await derived()
    expect(opened.map(({ source }) => source)).toEqual(['plain.onnx', 'plain.onnx', join(into, 'model.onnx')])
    const [writer, ...tried] = opened
    expect(writer?.options).toMatchObject({
      optimizedModelFilePath: join(into, 'model.onnx'),
      extra: {
        ...SESSION.extra,
        'session.save_external_prepacked_constant_initializers': '1',
        'session.optimized_model_external_initializers_file_name': 'weights.bin',
        'session.optimized_model_external_initializers_min_size_in_bytes': '1024',
      },
    })
    for (const { options } of tried) expect(options).toEqual(SESSION)
    expect(released()).toBe(1)
    const outputs = unpack(answer.outputs, { share: false })
    expect(outputs.map(({ y }) => y?.data[0])).toEqual([1, 2, 101, 102])
    expect(answer).toMatchObject({ kind: 'derived', speed: 2 })
    expect(transfer).toEqual([answer.outputs])
    expect(existsSync(join(into, 'weights.bin'))).toBe(true)
  })

  test('looks again at one that seems slower, and believes its shortest run', async () => {
    const soonFast = setUp({ plain: 10, derived: [...Array.from({ length: 20 }, () => 20), 10] })
    expect((await soonFast.derived()).answer.speed).toBe(1)
    // With the second sample it stays slow, and that counts.
    const onceFast = setUp({ plain: 10, derived: [...Array.from({ length: 40 }, () => 20), 10, 20] })
    expect((await onceFast.derived()).answer.speed).toBe(0.5)
    const even = setUp({ plain: 10, derived: [10] })
    await even.derived()
    const slow = setUp({ plain: 10, derived: [20] })
    await slow.derived()
    // Four looks instead of one, besides the two runs of either model that are compared by their outputs.
    expect(slow.runs() - 4).toBe(4 * (even.runs() - 4))
  })

  test('runs a fast model more often, within bounds', async () => {
    const slow = setUp({ plain: 1000, derived: [1000] })
    await slow.derived()
    const fast = setUp({ plain: 0.01, derived: [0.01] })
    await fast.derived()
    // Two samples, two models, three turns.
    expect([slow.runs(), fast.runs()]).toEqual([4 + 12 * 4, 4 + 12 * 40])
  })
})
