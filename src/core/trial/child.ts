/** The process in which models are tried: one question at a time, with a limit on each. */

import type { OpenChannel } from '../engine/channel.ts'
import type { FromWorker, ToWorker } from '../engine/messages.ts'
import type { Packet } from '../engine/wire/format.ts'
import { ModelmountError } from '../errors.ts'
import type { Clock, Timer } from '../host/clock.ts'
import { hostProblem } from '../host/problems.ts'

/** How often its memory is looked at. */
const POLL_MS = 25

export interface Limit {
  readonly ms: number
  readonly late: string
  /** Keeps this process running until the answer: its caller waits, and nothing else may. @default false */
  readonly hold?: boolean
}

export interface Child {
  /** False once it is gone, or about to go. */
  readonly alive: boolean
  /** Rejects if it goes away before it answers. @param limit the time at which it is killed, and the message for that */
  ask(message: ToWorker | Packet, limit: Limit, transfer?: ArrayBuffer[]): Promise<FromWorker | Packet>
  /** Kills it once it has more private memory. Until the returned function is called. */
  bound(maxBytes: number): () => void
  kill(reason: string): void
  /** Resolves once it is gone. */
  end(): Promise<void>
}

/** @param onLine a line that native code wrote there */
export function openChild(open: OpenChannel, clock: Clock, onLine: (line: string) => void): Child {
  let lost: ModelmountError | undefined
  let waiting: { resolve(answer: FromWorker | Packet): void; reject(error: ModelmountError): void } | undefined

  function lose(reason: string): void {
    lost ??= hostProblem(reason) ?? new ModelmountError('MODEL_LOAD_FAILED', reason)
    waiting?.reject(lost)
    waiting = undefined
  }

  const channel = open({
    onMessage(message) {
      waiting?.resolve(message)
      waiting = undefined
    },
    onExit: lose,
    onLine,
  })

  function kill(reason: string): void {
    lose(reason)
    channel.kill?.(reason)
  }

  return {
    get alive() {
      return lost === undefined
    },
    async ask(message, limit, transfer = []) {
      if (lost) throw lost
      const answered = new Promise<FromWorker | Packet>((resolve, reject) => {
        waiting = { resolve, reject }
      })
      const timer = clock.after(limit.ms, () => kill(limit.late))
      if (limit.hold) timer.hold(true)
      try {
        channel.post(message, transfer)
        return await answered
      } finally {
        timer.cancel()
      }
    },
    bound(maxBytes) {
      let timer: Timer | undefined
      const look = (): void => {
        const bytes = channel.memoryBytes?.()
        if (bytes !== undefined && bytes > maxBytes)
          kill(`it used ${bytes} bytes of memory, more than the ${maxBytes} for a trial`)
        else if (!lost) timer = clock.after(POLL_MS, look)
      }
      look()
      return () => timer?.cancel()
    },
    kill,
    async end() {
      lose('its trial is over')
      await channel.close()
    },
  }
}
