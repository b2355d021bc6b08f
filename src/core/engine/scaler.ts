/**
 * Decides how many instances a model should have, between two bounds. It adds them within a fraction of a second if requests stand in line,
 * and drops them one by one if the rest could have done the work with ease. The pool starts and ends them.
 */

import type { Clock, Timer } from '../host/clock.ts'
import { createPatience } from './patience.ts'

/**
 * The wait must stay too long for this long without a break. Queues exist for lines that clear within that time.
 * A standing line is a shortage (the idea of CoDel, Nichols and Jacobson 2012).
 */
const SUSTAIN_MS = 250
const TICK_MS = 10
/** After an instance could not be added: no CPU, no memory, or a failed load. */
const RETRY_MS = 1000
const MAX_RETRY_MS = 30_000
/** Largest load that one instance fewer would have had. */
const LOW_LOAD = 0.5

export interface ScalerSettings {
  readonly min: number
  readonly max: number
  /** Waiting this long is fine. */
  readonly targetDelayMs: number
  /** Time of little load after which one instance goes. */
  readonly idleMs: number
}

/** The current state. */
export interface Load {
  /** Age of the longest waiting request; 0 if none waits. */
  readonly oldestWaitMs: number
  /** Desired number of instances. */
  readonly target: number
  readonly ready: number
  /** True while one loads or warms up. */
  readonly starting: boolean
  /** True if every ready instance has work. */
  readonly allBusy: boolean
  /** Milliseconds that instances have been busy since the beginning, summed. */
  readonly busyMs: number
}

interface Deps {
  readonly clock: Clock
  look(): Load
  /** Starts up to that many more; returns the permitted number. */
  grow(count: number): number
  /** Ends one. */
  shrink(): void
}

export interface Scaler {
  /** The queue was looked at. */
  check(): void
  /** Promised instances could not be started. */
  failed(): void
  /** Stops deciding until the next `check()`; earlier observations no longer count. */
  pause(): void
  close(): void
}

export function createScaler({ min, max, targetDelayMs, idleMs }: ScalerSettings, { clock, look, grow, shrink }: Deps): Scaler {
  let overSince: number | undefined
  let growAfter = Number.NEGATIVE_INFINITY
  let retryMs = RETRY_MS
  /** When the line was last too long for too long. */
  let pressedAt = Number.NEGATIVE_INFINITY
  const patience = createPatience(idleMs)
  let tick: Timer | undefined
  /** The period that decides about shrinking; open while there are more instances than `min`. */
  let period: { readonly from: number; readonly busyMs: number; readonly timer: Timer } | undefined
  let closed = false

  function check(): void {
    if (closed) return
    const now = clock.now()
    const load = look()
    overSince = load.oldestWaitMs > targetDelayMs && load.allBusy ? (overSince ?? now) : undefined
    // Starting instances may be enough.
    if (overSince !== undefined && load.ready < load.target) overSince = now
    if (overSince !== undefined && now - overSince >= SUSTAIN_MS) stretch(load, now)
    if (load.oldestWaitMs > 0 && load.target < max) tickAfter(overSince === undefined ? targetDelayMs - load.oldestWaitMs : 0)
    if (look().target > min && !period) openPeriod()
  }

  function tickAfter(ms: number): void {
    tick ??= clock.after(Math.max(TICK_MS, ms), () => {
      tick = undefined
      check()
    })
  }

  function stretch(load: Load, now: number): void {
    pressedAt = now
    if (load.target >= max || now < growAfter) return
    // Doubles each time: a burst is met in few steps, whatever its size.
    const added = grow(Math.min(max - load.target, Math.max(1, load.target)))
    if (added === 0) {
      growAfter = now + RETRY_MS
      return
    }
    overSince = now
    closePeriod()
    patience.grew(now)
  }

  // ---------------------------------------------------------------- shrinking

  function openPeriod(): void {
    const timer = clock.after(patience.idleMs, endPeriod)
    period = { from: clock.now(), busyMs: look().busyMs, timer }
  }

  function closePeriod(): void {
    period?.timer.cancel()
    period = undefined
  }

  function endPeriod(): void {
    const ended = period
    period = undefined
    if (!ended || closed) return
    const load = look()
    const meanBusy = (load.busyMs - ended.busyMs) / Math.max(1, clock.now() - ended.from)
    // A starting instance can be neither spared nor taken back.
    if (!load.starting && load.target > min && pressedAt < ended.from && meanBusy <= LOW_LOAD * (load.target - 1)) {
      shrink()
      patience.shrank(clock.now())
      retryMs = RETRY_MS
    }
    if (look().target > min) openPeriod()
  }

  return {
    check,
    failed() {
      growAfter = clock.now() + retryMs
      retryMs = Math.min(MAX_RETRY_MS, retryMs * 2)
    },
    pause() {
      overSince = undefined
      tick?.cancel()
      tick = undefined
      closePeriod()
    },
    close() {
      closed = true
      tick?.cancel()
      closePeriod()
    },
  }
}
