/** One call over `fetch`: within its deadline, again where that is safe. */

import { isModelmountError, ModelmountError } from '../core/errors.ts'
import { fromAnswer, fromFetch, mayRetry } from './failure.ts'

export interface Call {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array<ArrayBuffer>
}

export interface CallLimits {
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly isIdempotent: boolean
}

export interface Reply {
  readonly headers: Headers
  readonly body: Uint8Array
}

export type Transport = (call: Call, limits: CallLimits) => Promise<Reply>

/** Waits before the first retry where the server names no time, doubled for each further one. */
const FIRST_PAUSE_MS = 50

export function createTransport(deps: {
  readonly url: string
  readonly retries: number
  readonly fetch: typeof fetch
  headers(): Promise<Readonly<Record<string, string>>> | Readonly<Record<string, string>>
}): Transport {
  return async (call, { timeoutMs, signal, isIdempotent }) => {
    const endsAt = performance.now() + timeoutMs
    const deadline = AbortSignal.timeout(timeoutMs)
    const either = signal ? AbortSignal.any([signal, deadline]) : deadline
    for (let attempt = 0; ; attempt++) {
      try {
        return await once(call, either, endsAt)
      } catch (error) {
        if (signal?.aborted) throw new ModelmountError('ABORTED', 'the call was aborted', { cause: signal.reason })
        if (deadline.aborted) throw overdue(timeoutMs)
        if (!isModelmountError(error) || attempt >= deps.retries || !mayRetry(error, isIdempotent)) throw error
        const pauseMs = error.retryAfterS === undefined ? FIRST_PAUSE_MS * 2 ** attempt : 1000 * error.retryAfterS
        // No time left to hear the next answer: the refusal is worth more than a deadline that is over.
        if (performance.now() + pauseMs >= endsAt) throw error
        // Clients that were refused together do not come back together.
        await pause(pauseMs * (1 + Math.random() / 4), either)
      }
    }
  }

  async function once({ method, path, headers, body }: Call, signal: AbortSignal, endsAt: number): Promise<Reply> {
    const url = deps.url + path
    const own = await deps.headers()
    const remainingMs = Math.max(1, Math.ceil(endsAt - performance.now()))
    const sent = { ...own, ...headers, 'x-request-timeout-ms': String(Math.min(remainingMs, 3_600_000)) }
    let response: Response
    try {
      response = await deps.fetch(url, { method, headers: sent, body, signal, redirect: 'error' })
      if (response.ok) return { headers: response.headers, body: new Uint8Array(await response.arrayBuffer()) }
    } catch (cause) {
      throw fromFetch(cause, url)
    }
    throw fromAnswer(response.status, response.headers, await response.text().catch(() => ''))
  }
}

const overdue = (timeoutMs: number): ModelmountError =>
  new ModelmountError('DEADLINE_EXCEEDED', `no answer within ${timeoutMs} ms`)

/** Ends early, without an error, when the signal fires: the next attempt will say why. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
