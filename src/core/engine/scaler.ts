/**
 * How many instances a model should have, between two bounds. Up within a fraction of a second when requests stand in line, down one by one
 * when the rest could have done the work with ease. Decides only; the pool starts and ends instances.
 */

import type { Clock, Timer } from '../host/clock.ts'

/**
 * The wait must be too long for this long without a break. A line that is worked off within that time is what a queue is for; one that
 * stands is a shortage (the idea of CoDel, Nichols and Jacobson 2012).
 */
const SUSTAIN_MS = 250
const TICK_MS = 10
/** After an instance could not be added: no CPU, no memory, or a failed load. */
const RETRY_MS = 1000
const MAX_RETRY_MS = 30_000
/** One instance less must have been at most this busy. */
const LOW_LOAD = 0.5
/** Having to grow soon after shrinking makes the next shrinking this many times slower at most. */
const MAX_PATIENCE = 8

export interface ScalerSettings {
  readonly min: number
  readonly max: number
  /** Waiting this long is fine. */
  readonly targetDelayMs: number
  /** Time of little load after which one instance goes. */
  readonly idleMs: number
}

/** What there is now. */
export interface Load {
  /** Age of the request that waits longest; 0 when none does. */
  readonly oldestWaitMs: number
  /** Instances that there should be. */
  readonly target: number
  readonly ready: number
  /** True while one loads or warms up. */
  readonly starting: boolean
  /** True when every ready instance has something to do. */
  readonly allBusy: boolean
  /** Milliseconds that instances have been busy since the beginning, summed. */
  readonly busyMs: number
}

interface Deps {
  readonly clock: Clock
  look(): Load
  /** Starts up to that many more; returns how many it may. */
  grow(count: number): number
  /** Ends one. */
  shrink(): void
}

export interface Scaler {
  /** The queue was looked at. */
  check(): void
  /** Instances that were promised could not be started. */
  failed(): void
  /** Stops deciding until the next `check()`; what was seen so far no longer counts. */
  pause(): void
  close(): void
}

export function createScaler({ min, max, targetDelayMs, idleMs }: ScalerSettings, { clock, look, grow, shrink }: Deps): Scaler {
  let overSince: number | undefined
  let growAfter = Number.NEGATIVE_INFINITY
  let retryMs = RETRY_MS
  /** When the line was last too long for too long. */
  let pressedAt = Number.NEGATIVE_INFINITY
  let shrankAt: number | undefined
  let patience = 1
  let tick: Timer | undefined
  /** The period that decides about shrinking; open while there are more instances than `min`. */
  let period: { readonly from: number; readonly busyMs: number; readonly timer: Timer } | undefined
  let closed = false

  function check(): void {
    if (closed) return
    const now = clock.now()
    const load = look()
    overSince = load.oldestWaitMs > targetDelayMs && load.allBusy ? (overSince ?? now) : undefined
    // Those on their way may be enough.
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
    // Twice as many each time: a burst is met in few steps, whatever its size.
    const added = grow(Math.min(max - load.target, Math.max(1, load.target)))
    if (added === 0) {
      growAfter = now + RETRY_MS
      return
    }
    overSince = now
    closePeriod()
    if (shrankAt === undefined) return
    patience = now - shrankAt < idleMs * patience ? Math.min(MAX_PATIENCE, patience * 2) : 1
    shrankAt = undefined
  }

  // ---------------------------------------------------------------- shrinking

  function openPeriod(): void {
    const timer = clock.after(idleMs * patience, endPeriod)
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
    // One that is on its way can neither be spared nor taken back.
    if (!load.starting && load.target > min && pressedAt < ended.from && meanBusy <= LOW_LOAD * (load.target - 1)) {
      shrink()
      shrankAt = clock.now()
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
