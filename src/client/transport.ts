/** One call over `fetch`: within its deadline, with retries if they are safe. */

import { isModelmountError, ModelmountError } from '../core/errors.ts'
import { onAbort } from '../core/host/abort.ts'
import { readBody } from './body.ts'
import { fromAnswer, fromFetch, mayRetry, tooLong } from './failure.ts'

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
  /** Of an answer, after unpacking. */
  readonly maxBytes: number
}

export interface Reply {
  readonly headers: Headers
  readonly body: Uint8Array
}

export type Transport = (call: Call, limits: CallLimits) => Promise<Reply>

/** Most bytes of an error's answer; a longer one is some other page. */
const MOST_ERROR_BYTES = 64 * 1024

/** Wait before the first retry if the server names no time; doubled for each further one. */
const FIRST_PAUSE_MS = 50

export function createTransport(deps: {
  readonly url: string
  readonly retries: number
  readonly fetch: typeof fetch
  headers(): Promise<Readonly<Record<string, string>>> | Readonly<Record<string, string>>
}): Transport {
  return async (call, limits) => {
    const end = createEnd(limits)
    try {
      return await attempts(call, limits, end)
    } finally {
      end.dismiss()
    }
  }

  async function attempts(call: Call, { timeoutMs, signal, isIdempotent, maxBytes }: CallLimits, end: End): Promise<Reply> {
    const endsAt = performance.now() + timeoutMs
    for (let attempt = 0; ; attempt++) {
      try {
        return await once(call, maxBytes, end.signal, endsAt)
      } catch (error) {
        if (signal?.aborted) throw new ModelmountError('ABORTED', 'the call was aborted', { cause: signal.reason })
        if (end.signal.aborted) throw overdue(timeoutMs)
        if (!isModelmountError(error) || attempt >= deps.retries || !mayRetry(error, isIdempotent)) throw error
        const pauseMs = error.retryAfterS === undefined ? FIRST_PAUSE_MS * 2 ** attempt : 1000 * error.retryAfterS
        // No time is left for another answer: the refusal is more useful than an expired deadline.
        if (performance.now() + pauseMs >= endsAt) throw error
        // Clients that were refused together must not return together.
        await pause(pauseMs * (1 + Math.random() / 4), end.signal)
      }
    }
  }

  async function once(
    { method, path, headers, body }: Call,
    maxBytes: number,
    signal: AbortSignal,
    endsAt: number,
  ): Promise<Reply> {
    const url = deps.url + path
    const own = await before(signal, deps.headers())
    const remainingMs = Math.max(1, Math.ceil(endsAt - performance.now()))
    const sent = { ...own, ...headers, 'x-request-timeout-ms': String(Math.min(remainingMs, 3_600_000)) }
    let response: Response
    let read: Uint8Array | undefined
    try {
      response = await deps.fetch(url, { method, headers: sent, body, signal, redirect: 'error' })
      read = response.ok ? await readBody(response, maxBytes) : await readBody(response, MOST_ERROR_BYTES).catch(nothing)
    } catch (cause) {
      throw fromFetch(cause, url)
    }
    const { ok, status, headers: got } = response
    if (!ok) throw fromAnswer(status, got, new TextDecoder().decode(read))
    if (!read) throw tooLong(maxBytes)
    return { headers: got, body: read }
  }
}

/** An error whose sentence does not arrive is still an error. */
const nothing = (): undefined => undefined

/** When a call is over, for all code that waits for it. */
interface End {
  /** Fires at the deadline, or with the caller's signal. */
  readonly signal: AbortSignal
  /** The call has ended: stop its timer, and release the caller's signal. */
  dismiss(): void
}

function createEnd({ timeoutMs, signal }: CallLimits): End {
  const end = new AbortController()
  const abort = (): void => end.abort(signal?.reason)
  const timer = setTimeout(() => end.abort(overdue(timeoutMs)), timeoutMs)
  if (signal?.aborted) abort()
  const leave = signal && onAbort(signal, abort)
  return {
    signal: end.signal,
    dismiss() {
      clearTimeout(timer)
      leave?.()
    },
  }
}

const overdue = (timeoutMs: number): ModelmountError =>
  new ModelmountError('DEADLINE_EXCEEDED', `no answer within ${timeoutMs} ms`)

/** Waits for a result of the app, but no longer than the call lasts. */
async function before<T>(signal: AbortSignal, value: Promise<T> | T): Promise<T> {
  let leave = (): void => {}
  const over = new Promise<never>((_, reject) => {
    leave = onAbort(signal, () => reject(signal.reason))
  })
  try {
    return await Promise.race([value, over])
  } finally {
    leave()
  }
}

/** Ends early, without an error, if the signal fires: the next attempt will report why. */
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
