/**
 * Decides which models are in memory: unused ones leave it, requested ones come back, and all together stay within a budget. It knows
 * models only as residents that can be loaded and unloaded.
 */

import { ModelmountError } from '../../errors.ts'
import type { Clock } from '../../host/clock.ts'
import { createSlot, lastUse, type Occupant, type Place, type Resident, type SharedMemory, type Slot } from './slot.ts'

/** A model that is in use all the time keeps its place this long before it must take turns with one that has none. */
const TURN_MS = 1000
const POLL_MS = 25

export interface Residency {
  slot(resident: Resident): Slot
  /** Reserves memory for a while, for something that is no resident; nothing where there is no room for it now. */
  lend(bytes: number): Loan | undefined
}

export interface Loan {
  /** It, and what else is free now. */
  readonly maxBytes: number
  release(): void
}

/** @param budgetBytes `undefined` for no bound */
export function createResidency(clock: Clock, budgetBytes: number | undefined): Residency {
  const budget = budgetBytes ?? Number.POSITIVE_INFINITY
  const entries = new Set<Occupant>()
  const watchers = new Set<() => void>()
  /** Claims for room take turns, or two would count on the same free bytes. */
  let turn: Promise<unknown> = Promise.resolve()

  const holds = ({ place }: Occupant): boolean => place === 'loading' || place === 'in' || place === 'leaving'

  const bytesOf = (which: (entry: Occupant) => boolean): number =>
    [...entries].filter(which).reduce((sum, { resident }) => sum + resident.bytes(), 0)

  let lent = 0
  const used = (): number => bytesOf(holds) + lent

  /** Bytes about to be freed. Models whose unload is stuck do not count. */
  const leavingSoon = (): number => bytesOf(({ place, since }) => place === 'leaving' && clock.now() - since < TURN_MS) + lent

  function move(entry: Occupant, place: Place): void {
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

  const idleOnes = (candidates: readonly Occupant[]): Occupant[] =>
    candidates.filter(({ resident }) => !resident.busy()).sort((a, b) => lastUse(a) - lastUse(b))

  const unloadable = (): Occupant[] => [...entries].filter(({ place, resident }) => place === 'in' && resident.settled())

  /** The idle one that was not used for longest; with none idle, the one that has been in for longest makes way for a while. */
  function victim(): Occupant | undefined {
    const candidates = unloadable()
    const now = clock.now()
    const longest = candidates.filter(({ since }) => now - since >= TURN_MS).sort((a, b) => a.since - b.since)
    return idleOnes(candidates)[0] ?? longest[0]
  }

  function inTurn<T>(action: () => Promise<T>): Promise<T> {
    const done = turn.then(action)
    turn = done.catch(() => {})
    return done
  }

  async function waitForRoom(entry: Occupant, needBytes: number, stillWanted: () => boolean): Promise<boolean> {
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

  async function keepWithin(latest: Occupant): Promise<void> {
    const isOver = (): boolean => used() - lent > budget
    for (let over = isOver(); over; over = isOver()) {
      const leaver = idleOnes(unloadable()).find((entry) => entry !== latest)
      if (!leaver) return
      await leaver.makeWay('memory')
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

  const memory: SharedMemory = {
    budgetBytes: budget,
    used,
    add: (entry) => entries.add(entry),
    remove: (entry) => entries.delete(entry),
    move,
    makeRoom: (entry, needBytes, stillWanted) => inTurn(() => waitForRoom(entry, needBytes, stillWanted)),
    keepWithin,
  }
  return { slot: (resident) => createSlot(resident, clock, memory), lend }
}
