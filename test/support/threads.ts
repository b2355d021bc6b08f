/** Finds the worker threads of the thread tier, stops them, and takes them away. Import it before the first server starts. */

import { basename } from 'node:path'
import type { TransferListItem, Worker } from 'node:worker_threads'
import { onTestFinished } from 'vitest'

/** By thread: keeps messages back from here on, and returns how to deliver them. */
const watched = new Map<Worker, () => () => void>()

// The product asks for the class each time it starts a thread.
const threads = process.getBuiltinModule('node:worker_threads')
const { Worker: Original } = threads

class WatchedWorker extends Original {
  private kept: (() => void)[] | undefined

  constructor(...args: ConstructorParameters<typeof Original>) {
    super(...args)
    if (basename(String(args[0])) !== 'worker.cjs') return
    watched.set(this, () => this.keep())
    this.once('exit', () => watched.delete(this))
  }

  private keep(): () => void {
    this.kept = []
    return () => {
      const due = this.kept ?? []
      this.kept = undefined
      for (const send of due) send()
    }
  }

  override postMessage(message: unknown, transfer?: readonly TransferListItem[]): void {
    const send = (): void => super.postMessage(message, transfer)
    if (this.kept) this.kept.push(send)
    else send()
  }
}

Object.assign(threads, { Worker: WatchedWorker })

/** Living threads that run models. */
export const workerThreads = (): Worker[] => [...watched.keys()]

/** Keeps messages from idle threads, on any machine and for any wait of the test. @returns lets them go on */
export function holdThreads(held: readonly Worker[] = workerThreads()): () => void {
  const deliver = held.map((worker) => watched.get(worker)?.())
  let isHeld = true
  const release = (): void => {
    if (isHeld) for (const each of deliver) each?.()
    isHeld = false
  }
  onTestFinished(release)
  return release
}
