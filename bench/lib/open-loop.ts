/**
 * Requests that come when they come, whether or not the earlier ones are answered, as from many clients that do not know of each other
 * (Poisson arrivals). Each counts from the moment it was due, so that a host that is late to take it cannot hide that.
 */

import { hrtime } from 'node:process'
import { Worker } from 'node:worker_threads'

export interface Outcome {
  /** 'OK', or the code of the error. */
  readonly code: string
  /** Since the request was due. */
  readonly ms: number
  /** How late it was sent: the host, or the generator, had no core to run on. */
  readonly lateMs: number
}

export interface OpenLoop {
  /**
   * Resolves when all requests of `ms` milliseconds are answered.
   * @param call is told by how many milliseconds it comes late, because a deadline, too, counts from the moment the request was due
   */
  run(perSecond: number, ms: number, call: (index: number, lateMs: number) => Promise<unknown>): Promise<readonly Outcome[]>
  stop(): Promise<unknown>
}

const nowMs = (): number => Number(hrtime.bigint()) / 1e6

export function startOpenLoop(): OpenLoop {
  const worker = new Worker(new URL('../threads/arrivals.mjs', import.meta.url), { execArgv: [] })
  return {
    async run(perSecond, ms, call) {
      const outcomes: Outcome[] = []
      const answers: Promise<void>[] = []
      const send = (due: number): Promise<void> => {
        const lateMs = nowMs() - due
        const note = (code: string): void => void outcomes.push({ code, ms: nowMs() - due, lateMs })
        return call(answers.length, lateMs).then(
          () => note('OK'),
          (error: { code?: string }) => note(error.code ?? String(error)),
        )
      }
      await new Promise<void>((resolve) => {
        worker.on('message', function take(message: 'end' | readonly number[]) {
          if (message === 'end') {
            worker.off('message', take)
            resolve()
          } else for (const due of message) answers.push(send(due))
        })
        worker.postMessage({ perSecond, ms })
      })
      await Promise.all(answers)
      return outcomes
    },
    stop: () => worker.terminate(),
  }
}
