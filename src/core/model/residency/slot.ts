/** The place of one model in memory: it comes in, leaves when it is idle or must make way, and comes back on demand. */

import { ModelmountError } from '../../errors.ts'
import type { Clock, Timer } from '../../host/clock.ts'

const FIRST_RETRY_MS = 1000
const MAX_RETRY_MS = 30_000

export type UnloadReason = 'idle' | 'memory'

export interface Resident {
  /** Milliseconds without a request after which it leaves; `undefined` for never. */
  readonly idleUnloadMs: number | undefined
  /** Longest time that its first load waits for memory. */
  readonly loadTimeoutMs: number
  /** Bytes that it takes now, or would take when loaded. */
  bytes(): number
  /** How `bytes()` comes about, for errors. */
  size(): string
  /** True while requests wait or run. */
  busy(): boolean
  /** False while it cannot be unloaded: instances start or restart. */
  settled(): boolean
  /** When it was last used, on the clock; the time of the last request is known without it. */
  usedAt(): number
  load(): Promise<void>
  unload(): Promise<void>
  /** It left, or came back because it was asked for. */
  moved(resident: boolean, reason: UnloadReason | 'demand'): void
  /** It was requested and cannot be loaded: requests must not wait for it. */
  failed(error: ModelmountError): void
}

export interface Slot {
  readonly resident: boolean
  /** Set shortly after a request for it has failed. */
  readonly refusal: ModelmountError | undefined
  /** First load, once there is room. @throws ModelmountError `MODEL_LOAD_FAILED` when it cannot fit, and what `load()` throws */
  enter(): Promise<void>
  /** A request was queued: loads the resident if it is not there. All callers share one load. */
  touch(): void
  /** True when there is room for that many bytes more. */
  fits(moreBytes: number): boolean
  /** The resident is gone for good. */
  leave(): void
}

export type Place = 'out' | 'waiting' | 'loading' | 'in' | 'leaving' | 'gone'

/** A resident, and where it is. */
export interface Occupant {
  readonly resident: Resident
  place: Place
  /** When a request last came, or it was loaded. */
  askedAt: number
  /** When it came to its place. */
  since: number
  makeWay(reason: UnloadReason): Promise<void>
}

export const lastUse = ({ resident, askedAt }: Occupant): number => Math.max(askedAt, resident.usedAt())

/** The memory that all models share. */
export interface SharedMemory {
  /** Infinite where there is no bound. */
  readonly budgetBytes: number
  used(): number
  add(occupant: Occupant): void
  remove(occupant: Occupant): void
  move(occupant: Occupant, place: Place): void
  /**
   * Waits, in turn, until it fits; others make way.
   * @param stillWanted false when the load is no longer worth waiting for; then there is no room, and the answer is false
   */
  makeRoom(occupant: Occupant, needBytes: number, stillWanted: () => boolean): Promise<boolean>
  /** The measured memory may exceed the estimate: idle models leave until the rest fits. */
  keepWithin(latest: Occupant): Promise<void>
}

export function createSlot(resident: Resident, clock: Clock, memory: SharedMemory): Slot {
  const { budgetBytes } = memory
  const entry: Occupant = { resident, place: 'out', askedAt: clock.now(), since: clock.now(), makeWay }
  let idleTimer: Timer | undefined
  let refusal: ModelmountError | undefined
  let refusedUntil = 0
  let retryMs = FIRST_RETRY_MS
  memory.add(entry)

  /** False when it was given up before there was room. */
  async function bringIn(needBytes: number, stillWanted: () => boolean): Promise<boolean> {
    memory.move(entry, 'waiting')
    try {
      if (!(await memory.makeRoom(entry, needBytes, stillWanted))) {
        memory.move(entry, 'out')
        return false
      }
      await resident.load()
    } catch (error) {
      memory.move(entry, 'out')
      throw error
    }
    memory.move(entry, 'in')
    // Loaded for a reason: that counts like a request.
    entry.askedAt = entry.since
    watchIdle()
    return true
  }

  async function makeWay(reason: UnloadReason): Promise<void> {
    idleTimer?.cancel()
    idleTimer = undefined
    memory.move(entry, 'leaving')
    // The workers are gone even where the unload fails.
    await resident.unload().catch(() => {})
    if (entry.place !== 'leaving') return
    memory.move(entry, 'out')
    resident.moved(false, reason)
    // Requests may have come while it was leaving.
    if (resident.busy()) demand()
  }

  async function enter(): Promise<void> {
    const needBytes = resident.bytes()
    if (needBytes > budgetBytes)
      throw new ModelmountError(
        'MODEL_LOAD_FAILED',
        `the model needs about ${needBytes} bytes of memory (${resident.size()}), more than memory.budgetBytes (${budgetBytes})`,
        { details: { neededBytes: needBytes, budgetBytes } },
      )
    const until = clock.now() + resident.loadTimeoutMs
    if (!(await bringIn(needBytes, () => clock.now() < until)))
      throw new ModelmountError('MODEL_LOAD_FAILED', 'other models were in use for too long to make room in memory')
    void memory.keepWithin(entry)
  }

  function demand(): void {
    // Once it has been in memory it may come back, even if it turned out larger than the whole budget.
    bringIn(Math.min(resident.bytes(), budgetBytes), () => resident.busy()).then(onBack, onRefused)
  }

  function onBack(isIn: boolean): void {
    if (!isIn) {
      // All requests after the last one had given up.
      if (resident.busy()) demand()
      return
    }
    refusal = undefined
    retryMs = FIRST_RETRY_MS
    resident.moved(true, 'demand')
    void memory.keepWithin(entry)
  }

  function onRefused(cause: unknown): void {
    if (entry.place === 'gone') return
    const reason = cause instanceof Error ? cause.message : String(cause)
    refusal = new ModelmountError('MODEL_UNAVAILABLE', `the model could not be loaded again: ${reason}`, {
      cause,
      retryAfterS: Math.ceil(retryMs / 1000),
    })
    refusedUntil = clock.now() + retryMs
    retryMs = Math.min(MAX_RETRY_MS, retryMs * 2)
    resident.failed(refusal)
  }

  function watchIdle(): void {
    const { idleUnloadMs } = resident
    if (idleUnloadMs === undefined || idleTimer || entry.place !== 'in') return
    const leftMs = resident.busy() || !resident.settled() ? idleUnloadMs : lastUse(entry) + idleUnloadMs - clock.now()
    if (leftMs <= 0) {
      void makeWay('idle')
      return
    }
    idleTimer = clock.after(leftMs, () => {
      idleTimer = undefined
      watchIdle()
    })
  }

  return {
    get resident() {
      return entry.place === 'in' || entry.place === 'loading'
    },
    get refusal() {
      return refusal && clock.now() < refusedUntil ? refusal : undefined
    },
    enter,
    touch() {
      entry.askedAt = clock.now()
      if (entry.place === 'out' && resident.busy()) demand()
    },
    fits: (moreBytes) => memory.used() + moreBytes <= budgetBytes,
    leave() {
      idleTimer?.cancel()
      memory.move(entry, 'gone')
      memory.remove(entry)
    },
  }
}
