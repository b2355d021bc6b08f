/** Thread tier: a worker thread in the host's process. Fast, shares the host's fate, can never be interrupted. */

import { scriptPath, startThread } from '../host/scripts.ts'
import type { Channel, OpenChannel } from './channel.ts'
import { guardThread } from './exit-guard.ts'
import { type FromWorker, PENDING } from './messages.ts'
import { openSpare, type Spare } from './prestart.ts'
import { isPacket, type Packet } from './wire/format.ts'

const startWorker: OpenChannel = (events): Channel => {
  const flags = new Int32Array(new SharedArrayBuffer(8))
  const worker = startThread(scriptPath('worker'), { name: 'modelmount', workerData: { flags } })
  const unguard = guardThread(flags)
  let closed = false
  let lastError = ''

  // An idle worker must not keep a script alive; a busy one must, because its caller waits.
  worker.unref()
  let answersDue = 0
  const answered = (): void => {
    if (--answersDue === 0) worker.unref()
  }

  const gone = (reason: string): void => {
    unguard()
    if (closed) return
    closed = true
    events.onExit(reason)
  }
  worker.on('message', (message: FromWorker | Packet) => {
    answered()
    events.onMessage(message)
  })
  worker.on('error', (error) => {
    lastError = error instanceof Error ? error.message : String(error)
  })
  worker.on('exit', (code) => gone(lastError || `the worker thread exited with code ${code}`))

  return {
    post(message, transfer) {
      if (answersDue++ === 0) worker.ref()
      // Raised by the sender, before the message leaves: a posted run that has not started yet counts too.
      if (isPacket(message) || message.kind !== 'release') Atomics.add(flags, PENDING, 1)
      worker.postMessage(message, transfer)
    },
    async close() {
      if (closed) return
      closed = true
      await worker.terminate()
    },
  }
}

let spare: Spare | undefined

/** Starts a thread for whatever is opened next. @returns ends it if it was not needed */
export function startSpareThread(): () => void {
  try {
    spare ??= openSpare(startWorker)
  } catch {
    // The load itself will meet and report the same failure.
  }
  const mine = spare
  return () => {
    if (!mine || mine !== spare) return
    spare = undefined
    mine.end()
  }
}

export const openThread: OpenChannel = (events) => {
  const started = spare
  spare = undefined
  return started?.take(events) ?? startWorker(events)
}
