/**
 * Decides which models are in memory: unused ones leave it, requested ones come back, and all together stay within a budget. It knows
 * models only as residents that can be loaded and unloaded.
 */

import { ModelmountError } from '../errors.ts'
import type { Clock, Timer } from '../host/clock.ts'

/** A model that is in use all the time keeps its place this long before it must take turns with one that has none. */
const TURN_MS = 1000
const POLL_MS = 25
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

export interface Seat {
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

export interface Residency {
  seat(resident: Resident): Seat
  /** Reserves memory for a while, for something that is no resident; nothing where there is no room for it now. */
  lend(bytes: number): Loan | undefined
}

export interface Loan {
  /** It, and what else is free now. */
  readonly maxBytes: number
  release(): void
}

type Place = 'out' | 'waiting' | 'loading' | 'in' | 'leaving' | 'gone'

interface Entry {
  readonly resident: Resident
  place: Place
  /** When a request last came, or it was loaded. */
  askedAt: number
  /** When it came to its place. */
  since: number
  makeWay(reason: UnloadReason): Promise<void>
}

/** @param budgetBytes `undefined` for no bound */
export function createResidency(clock: Clock, budgetBytes: number | undefined): Residency {
  const budget = budgetBytes ?? Number.POSITIVE_INFINITY
  const entries = new Set<Entry>()
  const watchers = new Set<() => void>()
  /** Claims for room take turns, or two would count on the same free bytes. */
  let turn: Promise<unknown> = Promise.resolve()

  const holds = ({ place }: Entry): boolean => place === 'loading' || place === 'in' || place === 'leaving'

  const bytesOf = (which: (entry: Entry) => boolean): number =>
    [...entries].filter(which).reduce((sum, { resident }) => sum + resident.bytes(), 0)

  let lent = 0
  const used = (): number => bytesOf(holds) + lent

  /** Bytes about to be freed. Models whose unload is stuck do not count. */
  const leavingSoon = (): number => bytesOf(({ place, since }) => place === 'leaving' && clock.now() - since < TURN_MS) + lent

  const lastUse = ({ resident, askedAt }: Entry): number => Math.max(askedAt, resident.usedAt())

  function move(entry: Entry, place: Place): void {
    if (entry.place === 'gone') return
    entry.place = place
    entry.since = clock.now()
    for (const watcher of watchers) watcher()
  }

  /** Something moved, or some time went by. */
  function changed(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        watchers.delete(done)
        timer.cancel()
        resolve()
      }
      const timer = clock.after(POLL_MS, done)
      watchers.add(done)
    })
  }

  // ---------------------------------------------------------------- room

  const idleOnes = (candidates: readonly Entry[]): Entry[] =>
    candidates.filter(({ resident }) => !resident.busy()).sort((a, b) => lastUse(a) - lastUse(b))

  const unloadable = (): Entry[] => [...entries].filter(({ place, resident }) => place === 'in' && resident.settled())

  /** The idle one that was not used for longest; with none idle, the one that has been in for longest makes way for a while. */
  function victim(): Entry | undefined {
    const candidates = unloadable()
    const now = clock.now()
    const longest = candidates.filter(({ since }) => now - since >= TURN_MS).sort((a, b) => a.since - b.since)
    return idleOnes(candidates)[0] ?? longest[0]
  }

  function inTurn<T>(action: () => Promise<T>): Promise<T> {
    const mine = turn.then(action)
    turn = mine.catch(() => {})
    return mine
  }

  /** @param stillWanted false when the load is no longer worth waiting for; then there is no room, and the answer is false */
  async function makeRoom(entry: Entry, needBytes: number, stillWanted: () => boolean): Promise<boolean> {
    while (entry.place === 'waiting' && used() + needBytes > budget) {
      if (!stillWanted()) return false
      if (used() - leavingSoon() + needBytes > budget) void victim()?.makeWay('memory')
      await changed()
    }
    if (entry.place === 'gone')
      throw new ModelmountError('MODEL_LOAD_FAILED', 'the model was unloaded while it waited for memory')
    move(entry, 'loading')
    return true
  }

  /** The measured memory may exceed the estimate. */
  async function keepWithin(latest: Entry): Promise<void> {
    const isOver = (): boolean => used() - lent > budget
    for (let over = isOver(); over; over = isOver()) {
      const leaver = idleOnes(unloadable()).find((entry) => entry !== latest)
      if (!leaver) return
      await leaver.makeWay('memory')
    }
  }

  function seat(resident: Resident): Seat {
    const entry: Entry = { resident, place: 'out', askedAt: clock.now(), since: clock.now(), makeWay }
    let idleTimer: Timer | undefined
    let refusal: ModelmountError | undefined
    let refusedUntil = 0
    let retryMs = FIRST_RETRY_MS
    entries.add(entry)

    /** False when it was given up before there was room. */
    async function bringIn(needBytes: number, stillWanted: () => boolean): Promise<boolean> {
      move(entry, 'waiting')
      try {
        if (!(await inTurn(() => makeRoom(entry, needBytes, stillWanted)))) {
          move(entry, 'out')
          return false
        }
        await resident.load()
      } catch (error) {
        move(entry, 'out')
        throw error
      }
      move(entry, 'in')
      // Loaded for a reason: that counts like a request.
      entry.askedAt = entry.since
      watchIdle()
      return true
    }

    async function makeWay(reason: UnloadReason): Promise<void> {
      idleTimer?.cancel()
      idleTimer = undefined
      move(entry, 'leaving')
      // Whatever goes wrong, the workers are gone.
      await resident.unload().catch(() => {})
      if (entry.place !== 'leaving') return
      move(entry, 'out')
      resident.moved(false, reason)
      // Those who came while it was leaving.
      if (resident.busy()) demand()
    }

    async function enter(): Promise<void> {
      const needBytes = resident.bytes()
      if (needBytes > budget)
        throw new ModelmountError(
          'MODEL_LOAD_FAILED',
          `the model needs about ${needBytes} bytes of memory (${resident.size()}), more than memory.budgetBytes (${budget})`,
          { details: { neededBytes: needBytes, budgetBytes: budget } },
        )
      const until = clock.now() + resident.loadTimeoutMs
      if (!(await bringIn(needBytes, () => clock.now() < until)))
        throw new ModelmountError('MODEL_LOAD_FAILED', 'other models were in use for too long to make room in memory')
      void keepWithin(entry)
    }

    function demand(): void {
      // Once it has been in memory it may come back, even if it turned out larger than the whole budget.
      bringIn(Math.min(resident.bytes(), budget), () => resident.busy()).then(onBack, onRefused)
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
      void keepWithin(entry)
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
      fits: (moreBytes) => used() + moreBytes <= budget,
      leave() {
        idleTimer?.cancel()
        move(entry, 'gone')
        entries.delete(entry)
      },
    }
  }

  function lend(bytes: number): Loan | undefined {
    const free = budget - used()
    if (bytes > free) return undefined
    let out = bytes
    lent += out
    return {
      maxBytes: free,
      release() {
        lent -= out
        out = 0
        for (const watcher of watchers) watcher()
      },
    }
  }

  return { seat, lend }
}
