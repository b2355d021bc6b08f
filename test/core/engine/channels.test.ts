/** The two tiers by themselves, with real threads and children whose scripts do as told: messages, the names of their ends, and remains. */

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Channel, ChannelEvents } from '../../../src/core/engine/channel.ts'
import type { FromWorker } from '../../../src/core/engine/messages.ts'
import { openProcess } from '../../../src/core/engine/process.ts'
import { openThread } from '../../../src/core/engine/thread.ts'
import { isAlive } from '../../support/children.ts'
import { LINUX } from '../../support/needs.ts'
import { treeFor } from '../../support/tree.ts'

const script = vi.hoisted(() => ({ path: '' }))
vi.mock('../../../src/core/host/scripts.ts', async (original) => ({
  ...(await original<typeof import('../../../src/core/host/scripts.ts')>()),
  scriptPath: () => script.path,
}))

/** Answers with what a piece of code gives for each thing it is sent; `undefined` is no answer. */
const OBEDIENT = `
const { parentPort, workerData } = require('node:worker_threads')
const answer = (code) => {
  const text = eval(code)
  if (text !== undefined) send({ kind: 'digested', digests: [String(text)] })
}
const send = parentPort ? (message) => parentPort.postMessage(message) : (message) => process.send(message)
const receive = ({ kind, files }) => (kind === 'digest' ? answer(files[0]) : send({ kind: 'released' }))
if (parentPort) parentPort.on('message', receive)
else process.on('message', receive)
`

const TIERS = { thread: () => openThread, process: () => openProcess({ maxMemoryBytes: undefined }) }

/** Opens a channel to a worker that runs some code. */
function opened(tier: keyof typeof TIERS | ReturnType<typeof openProcess>, code = OBEDIENT) {
  script.path = join(treeFor({ 'worker.cjs': code }), 'worker.cjs')
  const lines: string[] = []
  const exits: string[] = []
  const answers: FromWorker[] = []
  let waiting: (() => void) | undefined
  const noteIn =
    <T>(list: T[]) =>
    (item: T): void => {
      list.push(item)
      waiting?.()
    }
  const events: ChannelEvents = { onMessage: noteIn(answers), onExit: noteIn(exits), onLine: noteIn(lines) }
  const channel: Channel = (typeof tier === 'string' ? TIERS[tier]() : tier)(events)
  onTestFinished(() => channel.close())
  const until = async (isThere: () => boolean): Promise<void> => {
    while (!isThere()) await new Promise<void>((resolve) => (waiting = resolve))
  }
  return {
    channel,
    answers,
    lines,
    exits,
    until,
    tell: (what: string): void => channel.post({ kind: 'digest', files: [what] }, []),
    /** Sends a piece of code and returns what it gave. */
    async ask(what: string): Promise<string> {
      const { length } = answers
      channel.post({ kind: 'digest', files: [what] }, [])
      await until(() => answers.length > length)
      const answer = answers[length]
      return answer?.kind === 'digested' ? (answer.digests[0] ?? '') : `${answer?.kind}`
    },
    /** The name of its end. */
    async end(): Promise<string | undefined> {
      await until(() => exits.length > 0)
      return exits[0]
    },
  }
}

/** Children that keep this process running; Node does not report threads. */
const held = (): string[] => process.getActiveResourcesInfo().filter((what) => what.startsWith('Process'))

describe.each(['thread', 'process'] as const)('a %s', (tier) => {
  test('that fails to start says why, once', async () => {
    const { end, exits, channel } = opened(tier, "throw new TypeError('no such thing')")
    expect(await end()).toContain('no such thing')
    await channel.close()
    expect(exits).toHaveLength(1)
  })

  test('that leaves with a code is told with it', async () => {
    const { ask, tell, end } = opened(tier)
    expect(await ask('1 + 1')).toBe('2')
    tell('process.exit(3)')
    expect(await end()).toMatch(/^the (worker thread|child process) exited with code 3$/)
  })

  test('is ended without news of that, however often', async () => {
    const { ask, channel, exits } = opened(tier)
    await ask('0')
    await Promise.all([channel.close(), channel.close()])
    await channel.close()
    expect(exits).toEqual([])
  })
})

test('a thread sees what is due before it can begin with it, but for its release', async () => {
  const { ask, channel, until, answers } = opened('thread')
  const due = 'Atomics.load(workerData.flags, 0)'
  expect(await ask(due)).toBe('1')
  expect(await ask(due)).toBe('2')
  channel.post({ kind: 'release' }, [])
  expect(await ask(due)).toBe('released')
  await until(() => answers.length > 3)
  expect(answers[3]).toEqual({ kind: 'digested', digests: ['3'] })
})

describe('a child process', () => {
  test('keeps its host running while an answer is due, and no longer', async () => {
    const { channel, ask, tell, answers, until } = opened('process')
    const unused = held().length
    const answered = ask('0')
    expect(held().length).toBeGreaterThan(unused)
    await answered
    const idle = held().length
    tell('1')
    tell('undefined')
    await until(() => answers.length > 1)
    // The other one is never answered.
    expect(held().length).toBeGreaterThan(idle)
    await channel.close()
  })

  test('is killed for the first reason given, which its end is called by', async () => {
    const { ask, channel, end } = opened('process')
    await ask('0')
    channel.kill?.('it hangs')
    channel.kill?.('it still hangs')
    expect(await end()).toBe('it hangs')
  })

  test('that is killed before its first answer is told with the reason alone', async () => {
    const { channel, end } = opened('process', "console.error('Error: of its own'); setInterval(() => {}, 1000)")
    channel.kill?.('loading took too long')
    expect(await end()).toBe('loading took too long')
  })

  test('that dies of a signal is told with its name', async () => {
    const { ask, tell, end } = opened('process')
    await ask('0')
    tell("process.kill(process.pid, 'SIGABRT')")
    expect(await end()).toBe('the child process was killed by SIGABRT')
  })

  test('that could not start is told with the first error that it wrote, and nothing else that it wrote', async () => {
    const said = ['a line', 'TypeError: the first', 'RangeError: the second'].join('\\n')
    const { end } = opened('process', `process.stderr.write('${said}\\n', () => process.exit(7))`)
    expect(await end()).toBe('the child process exited with code 7: TypeError: the first')
  })

  test('has its errors as lines, not in its end, once it has answered', async () => {
    const { ask, tell, end, lines, until } = opened('process')
    await ask('0')
    tell("process.stderr.write('Error: late\\n', () => process.exit(7))")
    expect(await end()).toBe('the child process exited with code 7')
    await until(() => lines.length > 0)
    expect(lines).toEqual(['Error: late'])
  })

  test('that cannot even be made is told as such', async () => {
    const { execPath } = process
    onTestFinished(() => {
      process.execPath = execPath
    })
    process.execPath = '/nowhere/node'
    const { end } = opened('process')
    expect(await end()).toMatch(/^the child process failed: .*ENOENT/)
  })

  test('sees of the environment only what native libraries need, and works in an empty folder of its own', async () => {
    vi.stubEnv('SECRET_TOKEN', 'hush')
    vi.stubEnv('LD_LIBRARY_PATH', '/opt/lib')
    vi.stubEnv('TZ', 'Europe/Vienna')
    vi.stubEnv('ORT_DISABLE_TELEMETRY', '1')
    onTestFinished(() => void vi.unstubAllEnvs())
    const { ask, channel } = opened('process')
    const env = JSON.parse(await ask('JSON.stringify(process.env)')) as Record<string, string>
    expect(env).toMatchObject({ LD_LIBRARY_PATH: '/opt/lib', TZ: 'Europe/Vienna', ORT_DISABLE_TELEMETRY: '1' })
    expect(Object.keys(env)).not.toContain('SECRET_TOKEN')
    if (process.platform !== 'win32') expect(Object.keys(env)).not.toContain('PATH')
    // By default glibc keeps tens of megabytes that were freed.
    expect(env).toMatchObject({ MALLOC_MMAP_THRESHOLD_: '4194304', MALLOC_TRIM_THRESHOLD_: '8388608' })
    const folder = await ask('process.cwd()')
    expect(await ask('process.argv[2]')).toBe(folder)
    expect(folder).not.toBe(process.cwd())
    expect(readdirSync(folder)).toEqual([])
    await channel.close()
    expect(existsSync(folder)).toBe(false)
  })

  test('reports no telemetry where nothing is said of it, and has bounds of malloc that its host was given', async () => {
    vi.stubEnv('ORT_DISABLE_TELEMETRY', undefined)
    vi.stubEnv('MALLOC_TRIM_THRESHOLD_', '1000')
    onTestFinished(() => void vi.unstubAllEnvs())
    const { ask } = opened('process')
    expect(await ask('process.env.ORT_DISABLE_TELEMETRY')).toBe('1')
    expect(await ask('process.env.MALLOC_TRIM_THRESHOLD_')).toBe('1000')
  })

  test('writes a thousand lines and no more to the log, each cut and escaped', async () => {
    const { ask, lines, until } = opened('process')
    await ask("process.stdout.write('a\\u001b[31m' + 'b'.repeat(3000) + '\\n'), 0")
    await until(() => lines.length > 0)
    expect(lines[0]).toHaveLength(2000)
    expect(lines[0]).not.toContain('\u001b')
    await ask("process.stdout.write('line\\n'.repeat(1500)), process.stderr.write('the other\\n'), 0")
    await until(() => lines.length >= 1001)
    expect(lines.filter((line) => line === 'line')).toHaveLength(999)
    expect(lines).toContain('the other')
  })

  test('over its cap of memory is killed, and says how much it had', LINUX, async () => {
    const { end } = opened(openProcess({ maxMemoryBytes: 2 ** 20 }))
    const told = /^it used (\d+) bytes of memory, over maxMemoryBytes$/.exec((await end()) ?? '')
    expect(Number(told?.[1])).toBeGreaterThan(2 ** 20)
  })

  test('within its cap goes on; its memory is known while it lives', LINUX, async () => {
    const { ask, channel } = opened(openProcess({ maxMemoryBytes: 2 ** 32 }))
    const pid = Number(await ask('process.pid'))
    const before = channel.memoryBytes?.() ?? 0
    expect(before).toBeGreaterThan(2 ** 20)
    await ask('globalThis.kept = Buffer.alloc(64 * 2 ** 20, 1), 0')
    expect(channel.memoryBytes?.()).toBeGreaterThan(before + 48 * 2 ** 20)
    await channel.close()
    expect(isAlive(pid)).toBe(false)
    expect(channel.memoryBytes?.()).toBeUndefined()
  })
})
