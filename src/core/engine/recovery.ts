/** Starts instances again that crashed or were refused: after a back-off that grows, and behind a breaker when crashes do not end. */

import type { Clock, Timer } from '../host/clock.ts'

/** Consecutive losses without a successful run in between that open the breaker. */
const BREAKER_CRASHES = 5
const FIRST_BACKOFF_MS = 100
const MAX_BACKOFF_MS = 30_000
/** After a refused start: files being exchanged are right again in a moment, others need a person. */
const FIRST_LOOK_MS = 1000

export type RecoveryEvent =
  | { readonly type: 'worker-lost'; readonly reason: string; readonly restartInMs: number }
  | { readonly type: 'start-refused'; readonly reason: string; readonly retryInMs: number }
  | { readonly type: 'breaker'; readonly state: 'open' | 'closed'; readonly crashes: number }

export interface Recovery {
  /** False while an instance is started or waits for its restart. */
  readonly settled: boolean
  /** When the next attempt is made, after a refusal or while the breaker is open. */
  readonly until: number | undefined
  /** Why there is none before that, as the rest of a sentence about the model. */
  readonly because: string | undefined
  /**
   * A worker went away; another one is started after the back-off.
   * @param isInnocent by no fault of the model: that does not count as a crash, and another one is started at once
   */
  lost(reason: string, isInnocent?: boolean): void
  /** A start was refused: it does not count as a crash, and is retried until the files are right. @returns when, in milliseconds */
  refused(error: unknown): number
  /** An instance has loaded: the files are right. */
  started(): void
  /** A run succeeded: earlier crashes no longer count. */
  succeeded(): void
  /** Starts one now, and again later when that fails. */
  restart(): Promise<void>
  /** Takes back one restart that waits. @returns false when none does */
  spareOne(): boolean
  /** Takes all of them back, and forgets the refusal. */
  cancel(): void
}

interface Deps {
  readonly clock: Clock
  /** The model takes no more instances. */
  isStopped(): boolean
  /** One more for a model that serves already. */
  start(): Promise<void>
  isRefusal(error: unknown): boolean
  emit(event: RecoveryEvent): void
  /** There is news for those who wait. */
  onChange(): void
}

export function createRecovery({ clock, isStopped, start, isRefusal, emit, onChange }: Deps): Recovery {
  const restarts = new Set<Timer>()
  let restarting = 0
  let crashes = 0
  let breakerUntil: number | undefined
  /** Why the last start was refused, until one succeeds. */
  let refusal: { readonly reason: string; readonly until: number; readonly lookMs: number } | undefined

  const backoffMs = (): number => (crashes <= 1 ? 0 : Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (crashes - 2)))

  function lost(reason: string, isInnocent = false): void {
    if (isStopped()) return
    if (!isInnocent) crashes++
    const restartInMs = isInnocent ? 0 : backoffMs()
    emit({ type: 'worker-lost', reason, restartInMs })
    if (!isInnocent && crashes >= BREAKER_CRASHES) {
      const wasOpen = breakerUntil !== undefined
      breakerUntil = clock.now() + restartInMs
      if (!wasOpen) emit({ type: 'breaker', state: 'open', crashes })
    }
    restartIn(restartInMs)
  }

  function restartIn(ms: number): void {
    if (isStopped()) return
    const timer = clock.after(ms, () => {
      restarts.delete(timer)
      void restart()
    })
    restarts.add(timer)
    onChange()
  }

  function refused(error: unknown): number {
    const reason = messageOf(error)
    const isNews = refusal?.reason !== reason
    const now = clock.now()
    // Several pending starts are refused together.
    if (refusal && now < refusal.until) return refusal.until - now
    const lookMs = refusal ? Math.min(MAX_BACKOFF_MS, 2 * refusal.lookMs) : FIRST_LOOK_MS
    refusal = { reason, until: now + lookMs, lookMs }
    if (isNews && !isStopped()) emit({ type: 'start-refused', reason, retryInMs: lookMs })
    return lookMs
  }

  async function restart(): Promise<void> {
    restarting++
    try {
      await start()
    } catch (error) {
      if (isRefusal(error)) restartIn(refused(error))
      else lost(messageOf(error))
    } finally {
      restarting--
    }
  }

  return {
    get settled() {
      return restarts.size === 0 && restarting === 0
    },
    get until() {
      return refusal?.until ?? breakerUntil
    },
    get because() {
      if (refusal) return `cannot be started again: ${refusal.reason}`
      return breakerUntil === undefined ? undefined : 'crashed repeatedly and is restarted with back-off'
    },
    lost,
    refused,
    started() {
      refusal = undefined
    },
    succeeded() {
      crashes = 0
      if (breakerUntil === undefined) return
      breakerUntil = undefined
      emit({ type: 'breaker', state: 'closed', crashes: 0 })
    },
    restart,
    spareOne() {
      const [pending] = restarts
      if (!pending) return false
      pending.cancel()
      return restarts.delete(pending)
    },
    cancel() {
      for (const timer of restarts) timer.cancel()
      restarts.clear()
      refusal = undefined
    },
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
