/** A thread with several sessions, on a clock moved by hand and with a script that does as told: its end, its watch, and the last seat. */

import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createSharedThreads } from '../../../src/core/engine/seats/threads.ts'
import { WINDOW_MS } from '../../../src/core/engine/seats/traffic.ts'
import { isPacket } from '../../../src/core/engine/wire/format.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'
import { treeFor } from '../../support/tree.ts'

const script = vi.hoisted(() => ({ path: '' }))
vi.mock('../../../src/core/host/scripts.ts', async (original) => ({
  ...(await original<typeof import('../../../src/core/host/scripts.ts')>()),
  scriptPath: () => script.path,
}))

/** Answers with what a piece of code gives; `undefined` is no answer. */
const OBEDIENT = `
const { parentPort, workerData } = require('node:worker_threads')
const { flags, meters } = workerData
const [PENDING, STOP, SEATED] = [0, 1, 2]
parentPort.on('message', ({ number, port }) => {
  const work = (busyMs, jobs, longRuns) => {
    meters[3 * number] += busyMs
    meters[3 * number + 1] += jobs
    meters[3 * number + 2] += longRuns
    return 'noted'
  }
  port.on('message', ({ kind, files }) => {
    if (kind === 'release') return port.postMessage({ kind: 'released' })
    const text = eval(files[0])
    Atomics.sub(flags, PENDING, 1)
    if (text !== undefined) port.postMessage({ kind: 'digested', digests: [String(text)] })
  })
})
`

function setUp() {
  script.path = join(treeFor({ 'worker.cjs': OBEDIENT }), 'worker.cjs')
  const clock = createSimulatedClock()
  const threads = createSharedThreads(clock)
  function seat() {
    const log: string[] = []
    const channel = threads.seat({
      onMessage: (message) =>
        void (isPacket(message) || log.push(message.kind === 'digested' ? `${message.digests[0]}` : message.kind)),
      onExit: (reason, blame) => void log.push(`exit: ${reason} (${blame})`),
      onCrowd: (reason) => void log.push(`crowd: ${reason}`),
      onStall: () => void log.push('stall'),
    })
    onTestFinished(() => channel.close())
    const tell = (code: string): void => channel.post({ kind: 'digest', files: [code] }, [])
    return {
      log,
      channel,
      tell,
      ask: async (code: string): Promise<string> => {
        const before = log.length
        tell(code)
        await expect.poll(() => log.length).toBeGreaterThan(before)
        return log.at(-1) as string
      },
    }
  }
  return { clock, threads, seat }
}

test('seats are sessions of one thread, each with its own messages', async () => {
  const { seat } = setUp()
  const [a, b] = [seat(), seat()]
  const where = 'require("node:worker_threads").threadId'
  expect(await a.ask(where)).toBe(await b.ask(where))
  expect(a.log).toHaveLength(1)
})

test('a thread that ends tells each seat, after its last answers, and blames the one at work', async () => {
  const { seat } = setUp()
  const [a, b, c] = [seat(), seat(), seat()]
  for (const each of [a, b, c]) await each.ask('number')
  a.tell('"last words"')
  b.tell('Atomics.store(flags, SEATED, number + 1); process.exit(3)')
  await expect.poll(() => c.log).toContain('exit: the worker thread exited with code 3 (others)')
  expect(b.log.at(-1)).toBe('exit: the worker thread exited with code 3 (own)')
  expect(a.log.slice(1)).toEqual(['last words', 'exit: the worker thread exited with code 3 (others)'])
})

test('one that ends between jobs blames none', async () => {
  const { seat } = setUp()
  const [a, b] = [seat(), seat()]
  await a.ask('1')
  b.tell('process.exit(4)')
  await expect.poll(() => a.log.at(-1)).toBe('exit: the worker thread exited with code 4 (unknown)')
})

test('the next seat after an end is on a new thread', async () => {
  const { seat } = setUp()
  const a = seat()
  a.tell('process.exit(1)')
  await expect.poll(() => a.log).toHaveLength(1)
  expect(await seat().ask('number')).toBe('0')
})

test('the busiest seat of a crowded thread hears of it once the window is over', async () => {
  const { clock, seat } = setUp()
  const [a, b] = [seat(), seat()]
  await a.ask('work(500, 10, 0)')
  await b.ask('work(300, 10, 0)')
  clock.runUntil(WINDOW_MS - 1)
  expect(a.log).toHaveLength(1)
  clock.runUntil(WINDOW_MS)
  expect(a.log.at(-1)).toMatch(/^crowd: it took 50 %/)
  expect(b.log).toHaveLength(1)
})

test('no timer is left behind by a thread without work', async () => {
  const { clock, seat } = setUp()
  const a = seat()
  await a.ask('work(1, 1, 0)')
  clock.runUntil(10 * WINDOW_MS)
  await a.ask('work(900, 1, 0)')
  expect(a.log).toHaveLength(2)
})

test('a job that fills a whole window has the others sit elsewhere, and its own seat leave', async () => {
  const { clock, seat } = setUp()
  const [a, b] = [seat(), seat()]
  await a.ask('Atomics.store(flags, SEATED, number + 1)')
  b.tell('1')
  await expect.poll(() => b.log).toHaveLength(1)
  clock.runUntil(WINDOW_MS)
  expect(b.log.at(-1)).toBe('stall')
  expect(a.log.at(-1)).toMatch(/^crowd: one of its loads or runs held up/)
  // The next one is on another thread.
  const where = 'require("node:worker_threads").threadId'
  expect(await seat().ask(where)).not.toBe(await b.ask(where))
})

test('the last seat ends the thread', async () => {
  const { threads, seat } = setUp()
  const [a, b] = [seat(), seat()]
  const where = 'require("node:worker_threads").threadId'
  const first = await a.ask(where)
  await a.channel.close()
  expect(await b.ask(where)).toBe(first)
  expect(threads.seatsEach).toBe(1)
  await b.channel.close()
  expect(await seat().ask(where)).not.toBe(first)
})
