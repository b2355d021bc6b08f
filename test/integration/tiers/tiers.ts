/** The tiers that a model can run in. Every case of the table holds in each of them. */

import type { Worker } from 'node:worker_threads'
import type { ModelInfo, ModelSettings } from 'modelmount'
import { hold, workerPids } from '../../support/children.ts'
import { LINUX, type Needs, needs } from '../../support/needs.ts'
import { holdThreads, workerThreads } from '../../support/threads.ts'

/** Workers that are held. Work that they get is in flight until they are released, and lost if they crash. */
export interface Held {
  release(): void
  crash(): void
}

export interface Tier {
  readonly name: ModelInfo['tier']['name']
  /** Settings that bring models there. */
  readonly settings: Partial<ModelSettings>
  readonly isolation: ModelInfo['isolation']
  readonly needs: Needs
  /** Living workers: threads, or numbers of processes. */
  workers(): readonly unknown[]
  /** Stops idle workers. */
  hold(workers: readonly unknown[]): Held
}

const threads = {
  isolation: 'thread',
  needs: needs('threads', true),
  workers: workerThreads,
  hold(workers: readonly unknown[]): Held {
    const held = workers as readonly Worker[]
    const release = holdThreads(held)
    return {
      release,
      crash() {
        for (const worker of held) void worker.terminate()
      },
    }
  },
} as const

const processes = {
  isolation: 'process',
  needs: LINUX,
  workers: () => workerPids(),
  hold(workers: readonly unknown[]): Held {
    const pids = workers as readonly number[]
    const release = hold(pids)
    return {
      release,
      crash() {
        for (const pid of pids) process.kill(pid, 'SIGKILL')
      },
    }
  },
} as const

export const TIERS: readonly Tier[] = [
  { name: 'worker', settings: { isolation: 'thread', sharedWorker: false }, ...threads },
  { name: 'shared', settings: { isolation: 'thread', sharedWorker: 'auto' }, ...threads },
  { name: 'process', settings: { isolation: 'process' }, ...processes },
]
