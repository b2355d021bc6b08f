/** Finds the worker threads of the thread tier, and stops them. Import it before the first server starts. */

import { syncBuiltinESMExports } from 'node:module'
import { basename } from 'node:path'
import type { MessagePort, TransferListItem, Worker } from 'node:worker_threads'
import { onTestFinished } from 'vitest'
import { SEATED } from '../../src/core/engine/messages.ts'

/** A thread, and the ports of its sessions. */
type Sender = Pick<MessagePort, 'postMessage'>

const watched = new Map<Worker, Set<Sender>>()
/** The flags of threads with several sessions. */
const flags = new WeakMap<Worker, Int32Array>()
/** The host's end of each channel, by the other one. */
const ends = new WeakMap<object, MessagePort>()

const threads = process.getBuiltinModule('node:worker_threads')
const { Worker: OriginalWorker, MessageChannel: OriginalChannel } = threads

class WatchedWorker extends OriginalWorker {
  constructor(...args: ConstructorParameters<typeof OriginalWorker>) {
    super(...args)
    if (basename(String(args[0])) !== 'worker.cjs') return
    watched.set(this, new Set([this]))
    const data = args[1]?.workerData as { readonly flags: Int32Array; readonly meters?: unknown } | undefined
    if (data?.meters) flags.set(this, data.flags)
    this.once('exit', () => watched.delete(this))
  }

  override postMessage(message: unknown, transfer: readonly TransferListItem[] = []): void {
    for (const item of transfer) {
      const end = ends.get(item as object)
      if (end) watched.get(this)?.add(end)
    }
    super.postMessage(message, transfer)
  }
}

function WatchedChannel(): InstanceType<typeof OriginalChannel> {
  const channel = new OriginalChannel()
  ends.set(channel.port2, channel.port1)
  return channel
}

Object.assign(threads, { Worker: WatchedWorker, MessageChannel: WatchedChannel })
syncBuiltinESMExports()

/** Living threads that run models. */
export const workerThreads = (): Worker[] => [...watched.keys()]

/** Keeps messages from idle threads, on any machine and for any wait of the test. @returns lets them go on */
export function holdThreads(held: readonly Worker[] = workerThreads()): () => void {
  const releases = held.flatMap((worker) => [...(watched.get(worker) ?? [])].map(keep))
  let isHeld = true
  const release = (): void => {
    if (isHeld) for (const each of releases) each()
    isHeld = false
  }
  onTestFinished(release)
  return release
}

/** Keeps messages back from here on. @returns delivers them */
function keep(sender: Sender): () => void {
  const kept: Parameters<Sender['postMessage']>[] = []
  const { postMessage } = sender
  sender.postMessage = (...message: Parameters<Sender['postMessage']>) => void kept.push(message)
  return () => {
    sender.postMessage = postMessage
    for (const message of kept) sender.postMessage(...message)
  }
}

/** Ends threads with several sessions. */
export const endThread = {
  has: (worker: Worker): boolean => flags.has(worker),
  /** One that is between jobs: a job is over a moment after its answer has come. */
  async whenIdle(worker: Worker): Promise<void> {
    const shared = flags.get(worker)
    while (shared && Atomics.load(shared, SEATED) !== 0) await new Promise((resolve) => setImmediate(resolve))
    await worker.terminate()
  },
  /** An idle one, as if it had been doing a job of a seat. */
  inTheMiddleOf(worker: Worker | undefined, seat: number): void {
    const shared = worker && flags.get(worker)
    if (!shared) throw new Error('this thread has no seats')
    Atomics.store(shared, SEATED, seat + 1)
    void worker.terminate()
  },
}
