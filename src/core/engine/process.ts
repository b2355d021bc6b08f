/** Process tier: a child process. It survives a native crash, can be killed at a deadline, and has a memory cap. */

import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { printable } from '../host/printable.ts'
import { refusedByHost } from '../host/problems.ts'
import { scriptArgs, scriptPath } from '../host/scripts.ts'
import type { Channel, ChannelEvents, OpenChannel } from './channel.ts'
import { makeEmptyFolder } from './empty-folder.ts'
import { guardChild } from './exit-guard.ts'
import { privateBytes, watchMemory } from './memory.ts'
import type { FromWorker } from './messages.ts'
import { isPacket, type Packet, withoutRoom } from './wire/format.ts'

/**
 * The part of the host's environment that a child may see: enough for native libraries to be found and to find their devices, no
 * secrets.
 */
const PASSED_ENV = [
  'LD_LIBRARY_PATH',
  'CUDA_VISIBLE_DEVICES',
  'CUDA_HOME',
  'NVIDIA_VISIBLE_DEVICES',
  'LANG',
  'LC_ALL',
  'LOCPATH',
  'TZ',
  'MALLOC_MMAP_THRESHOLD_',
  'MALLOC_TRIM_THRESHOLD_',
  'SystemRoot',
  'PATH',
]

/**
 * Freed memory of a load or a large run should go back to the system, as with the arena off. By default glibc keeps up to tens of
 * megabytes per child. These bounds are never reached by small runs, which therefore pay nothing.
 */
const MALLOC_ENV = { MALLOC_MMAP_THRESHOLD_: String(4 * 2 ** 20), MALLOC_TRIM_THRESHOLD_: String(8 * 2 ** 20) }

/** A hostile model can make native code write without end. */
const MAX_LINES_PER_CHILD = 1000
/** Longest kept output of a child before its first answer. */
const MAX_LINES_KEPT = 50

function childEnv(): Record<string, string> {
  const env: Record<string, string> = { ...MALLOC_ENV, ORT_DISABLE_TELEMETRY: process.env.ORT_DISABLE_TELEMETRY ?? '1' }
  for (const name of PASSED_ENV) {
    const value = process.env[name]
    // Windows searches PATH for libraries; elsewhere a child has no use for it.
    if (value !== undefined && (name !== 'PATH' || process.platform === 'win32')) env[name] = value
  }
  return env
}

function forwardLines(stream: Readable | null, onLine: (line: string) => void): void {
  if (!stream) return
  let lines = 0
  createInterface({ input: stream }).on('line', (line) => {
    if (lines++ < MAX_LINES_PER_CHILD) onLine(printable(line).slice(0, 2000))
  })
}

/** A pipe, which keeps this process running or does not. */
const holder = (stream: Readable | null): { ref?(): void; unref?(): void } => (stream ?? {}) as { ref?(): void; unref?(): void }

/** The line with the error, from Node's output about a failed script. */
const errorOf = (said: readonly string[]): string[] => said.filter((line) => /^\w*Error\b/.test(line)).slice(0, 1)

/** @returns the child, and a function that removes its folder if the child has not */
function start(): { readonly child: ChildProcess; leave(): void } {
  const folder = makeEmptyFolder()
  try {
    // Not imported, for the reason that threads are not: see host/scripts.ts.
    const { fork } = process.getBuiltinModule('node:child_process')
    const child = fork(scriptPath('worker'), [folder.path], {
      cwd: folder.path,
      env: childEnv(),
      execArgv: scriptArgs(),
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    return { child, leave: folder.remove }
  } catch (error) {
    folder.remove()
    throw refusedByHost(error)
  }
}

interface ProcessOptions {
  /** Private memory at which the child is killed; Linux only. */
  readonly maxMemoryBytes: number | undefined
  /** Whether an answer that is due keeps this process running. @default true */
  readonly holds?: boolean
}

/** Makes a child per call. */
export function openProcess(opts: ProcessOptions): OpenChannel {
  const { holds = true } = opts
  return (events: ChannelEvents): Channel => {
    const { child, leave } = start()
    let closed = false
    let reported = false
    let killReason = ''
    const kill = (reason: string): void => {
      killReason ||= reason
      child.kill('SIGKILL')
    }
    const unguard = guardChild(() => {
      kill('the host exits')
      leave()
    })
    const stopWatching = watchMemory(child.pid, opts.maxMemoryBytes, (bytes) =>
      kill(`it used ${bytes} bytes of memory, over maxMemoryBytes`),
    )

    child.unref()
    // Bun has a channel that holds nothing, and neither of the two functions.
    child.channel?.unref?.()
    let answersDue = 0
    let hasAnswered = false
    const said: string[] = []
    for (const stream of [child.stdout, child.stderr]) {
      holder(stream).unref?.()
      forwardLines(stream, (line) => {
        if (!hasAnswered && said.length < MAX_LINES_KEPT) said.push(line)
        events.onLine(line)
      })
    }

    const exited = new Promise<void>((resolve) => {
      const gone = (reason: string): void => {
        if (reported) return
        reported = true
        unguard()
        stopWatching()
        leave()
        resolve()
        if (!closed) events.onExit(killReason || reason)
      }
      child.on('exit', (code, signal) => {
        const reason = signal ? `the child process was killed by ${signal}` : `the child process exited with code ${code}`
        if (hasAnswered || closed || killReason) return gone(reason)
        // It could not even start. Its output about that arrives after the news of its end.
        for (const stream of [child.stdout, child.stderr]) holder(stream).ref?.()
        child.once('close', () => gone([reason, ...errorOf(said)].join(': ')))
      })
      child.on('error', (error) => gone(`the child process failed: ${error.message}`))
    })
    child.on('message', (message: FromWorker | Packet) => {
      hasAnswered = true
      if (--answersDue === 0) {
        child.channel?.unref?.()
        child.unref()
      }
      events.onMessage(message)
    })

    return {
      post(message) {
        // The child too: its channel closes before its exit is reported, and an unreferenced process would be gone in between.
        if (answersDue++ === 0 && holds) {
          child.channel?.ref?.()
          child.ref()
        }
        // A child that just died reports through 'exit'; a failed write is the same news.
        child.send(isPacket(message) ? withoutRoom(message) : message, () => {})
      },
      kill,
      memoryBytes: () => (child.pid === undefined ? undefined : privateBytes(child.pid)),
      async close() {
        if (closed) return exited
        closed = true
        // Keep the process alive until the child has exited, so that callers which await it can settle.
        child.ref()
        child.kill('SIGKILL')
        await exited
      },
    }
  }
}
