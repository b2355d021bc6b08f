/**
 * Shares out the waiting requests: priorities by weight, tenants of a priority evenly, requests of a tenant in order of arrival.
 * It is start-time fair queueing (Goyal, Vin, Cheng 1996) on rows: the least served flow is next, and idle flows save nothing up.
 * Requests that must run apart share no run with others and get a fixed share of the runs, whatever their priority.
 */

import { createHeap, type Heap, type Heaped, OUT } from './heap.ts'
import { createLane, type Lane } from './lane.ts'
import type { Priority } from './types.ts'

/** Shares of the priorities while all of them have work. */
export const WEIGHTS: Readonly<Record<Priority, number>> = { high: 8, normal: 3, low: 1 }
/** One of this many runs goes to requests that run apart, while both wait. */
export const APART_EVERY = 8

export interface Queued<T> {
  readonly priority: Priority
  /** '' for callers without one. */
  readonly tenant: string
  readonly lane: string
  /** Shares runs only with others that run apart. */
  readonly apart: boolean
  readonly rows: number
  readonly bytes: number
  readonly enqueuedAt: number
  /** Maintained by the queue. */
  waits: boolean
  /** Its current or last flow. The queue keeps it here to save a look-up at every step. */
  spot: Spot<T> | undefined
}

interface Spot<T> {
  readonly flow: Flow<T>
  readonly lane: Lane<T>
}

/** The requests of one tenant in one priority. */
interface Flow<T> extends Heaped {
  readonly tenant: string
  readonly level: Level<T>
  served: number
  /** Orders flows that were served alike: the older one is next. */
  turn: number
  count: number
  rows: number
  readonly lanes: Map<string, Spot<T>>
}

interface Level<T> {
  readonly weight: number
  served: number
  /** Never falls: the most that a picked or forgotten flow had been served. A flow that wakes up, or comes back, begins there. */
  now: number
  count: number
  readonly flows: Map<string, Flow<T>>
  /** Flows with waiting requests, least served first. */
  readonly active: Heap<Flow<T>>
  /** The other flows, remembered so that no tenant gains by leaving. */
  readonly idle: Heap<Flow<T>>
}

export interface FairQueue<T extends Queued<T>> {
  readonly count: number
  readonly rows: number
  readonly bytes: number
  /** Known tenants, once per priority: all with waiting requests, and a bounded number of others. */
  readonly remembered: number
  push(entry: T, atHead?: boolean): void
  /** The entry whose turn it is; it stays. */
  peek(): T | undefined
  /** True if the next run belongs to requests that run apart, provided that one waits. */
  readonly owesApart: boolean
  /** Rows waiting in the entry's own lane, its own included. */
  rowsBeside(entry: T): number
  /** The next entry that may share a run with `entry`: same lane, same separation, and same tenant unless tenants mix. It stays. */
  peekBeside(entry: T, mixTenants: boolean): T | undefined
  /**
   * Removes an entry that `peek` or `peekBeside` returned.
   * @param begins a run. @default false
   */
  take(entry: T, begins?: boolean): void
  /** Puts a taken entry back, at the head and at no charge. */
  putBack(entry: T): void
  /** Undoes the charge for a taken entry that will not be served. */
  refund(entry: T): void
  /** Forgets an entry that was settled while it waited. */
  leave(entry: T): void
  /** Rows that will be served before a new entry, at fair shares. */
  rowsAhead(newcomer: T): number
  /** Number of one tenant's entries. */
  countOf(tenant: string): number
  /** The newest of the least important entries below a new entry: those that run apart, then the lowest priority. */
  newestBelow(newcomer: T): T | undefined
}

export interface FairQueueOptions {
  /** Idle flows of a priority that are always kept, because most of them come back soon. @default 64 */
  readonly fewIdle?: number
  /** Most idle flows of a priority. @default 1024 */
  readonly mostIdle?: number
}

const isNext = <T>(a: Flow<T>, b: Flow<T>): boolean => a.served < b.served || (a.served === b.served && a.turn < b.turn)

export function createFairQueue<T extends Queued<T>>({ fewIdle = 64, mostIdle = 1024 }: FairQueueOptions = {}): FairQueue<T> {
  const level = (weight: number): Level<T> => ({
    weight,
    served: 0,
    now: 0,
    count: 0,
    flows: new Map(),
    active: createHeap<Flow<T>>(isNext),
    idle: createHeap<Flow<T>>(isNext),
  })
  const levels: Readonly<Record<Priority, Level<T>>> = {
    high: level(WEIGHTS.high),
    normal: level(WEIGHTS.normal),
    low: level(WEIGHTS.low),
  }
  const byRank = [levels.high, levels.normal, levels.low]
  const apart = level(1)
  const onlyApart = [apart]
  const all = [...byRank, apart]
  /** Runs since the last one of requests that run apart. */
  let runsSince = 0
  let count = 0
  let rows = 0
  let bytes = 0
  let turn = 0
  /** `served` of the level that was picked last. */
  let now = 0

  const levelOf = (entry: T): Level<T> => (entry.apart ? apart : levels[entry.priority])

  function flowOf(entry: T): Flow<T> {
    const { tenant } = entry
    const level = levelOf(entry)
    let flow = level.flows.get(tenant)
    if (!flow) {
      flow = { tenant, level, served: 0, turn: turn++, count: 0, rows: 0, lanes: new Map(), spotInHeap: 0 }
      level.flows.set(tenant, flow)
      level.idle.add(flow)
    }
    return flow
  }

  /**
   * Drops idle flows that would begin at `now` anyway. If too many are ahead of it, `now` catches up with the least of them.
   * All flows that wake up begin there, so that no tenant gains by leaving or by another name.
   */
  function forgetIdle(level: Level<T>): void {
    const { idle, flows } = level
    while (idle.size > fewIdle) {
      const first = idle.first() as Flow<T>
      if (first.served > level.now && idle.size <= mostIdle) return
      level.now = Math.max(level.now, first.served)
      idle.remove(first)
      flows.delete(first.tenant)
    }
  }

  function spotIn(flow: Flow<T>, key: string): Spot<T> {
    let spot = flow.lanes.get(key)
    if (!spot) {
      spot = { flow, lane: createLane<T>((entry) => entry.waits) }
      flow.lanes.set(key, spot)
    }
    return spot
  }

  /** Its lane has just filled or emptied. */
  function swap(flow: Flow<T>): void {
    const { active, idle } = flow.level
    const [from, to] = flow.count > 0 ? [idle, active] : [active, idle]
    from.remove(flow)
    flow.turn = turn++
    to.add(flow)
    if (to === idle) forgetIdle(flow.level)
  }

  function account(entry: T, { flow, lane }: Spot<T>, sign: 1 | -1): void {
    const { level } = flow
    flow.count += sign
    if (flow.count === 0 || (flow.count === 1 && sign > 0)) swap(flow)
    flow.rows += sign * entry.rows
    level.count += sign
    lane.rows += sign * entry.rows
    count += sign
    rows += sign * entry.rows
    bytes += sign * entry.bytes
    // The usual lane is empty between bursts all the time; only others are worth forgetting.
    if (lane.rows === 0 && sign < 0 && flow.lanes.size > 1) flow.lanes.delete(entry.lane)
  }

  function refund({ spot, rows }: T): void {
    if (spot) charge(spot, -rows)
  }

  function charge({ flow }: Spot<T>, rows: number): void {
    const { level } = flow
    flow.served += rows
    level.served += rows / level.weight
    if (flow.spotInHeap !== OUT) (flow.count > 0 ? level.active : level.idle).moved(flow)
  }

  const owesApart = (): boolean => runsSince >= APART_EVERY - 1

  function levelInTurn(): Level<T> | undefined {
    if (apart.count > 0 && (apart.count === count || owesApart())) return apart
    let best: Level<T> | undefined
    for (const level of byRank) if (level.count > 0 && (!best || level.served < best.served)) best = level
    return best
  }

  function oldestIn(flow: Flow<T>): T | undefined {
    let best: T | undefined
    for (const { lane } of flow.lanes.values()) {
      const head = lane.peek()
      if (head && (!best || head.enqueuedAt < best.enqueuedAt)) best = head
    }
    return best
  }

  return {
    get count() {
      return count
    },
    get rows() {
      return rows
    },
    get bytes() {
      return bytes
    },
    get owesApart() {
      return owesApart()
    },
    get remembered() {
      return all.reduce((sum, { flows }) => sum + flows.size, 0)
    },
    push(entry, atHead = false) {
      entry.waits = true
      const flow = flowOf(entry)
      const { level } = flow
      if (level.count === 0) level.served = Math.max(level.served, now)
      if (flow.count === 0) flow.served = Math.max(flow.served, level.now)
      const spot = spotIn(flow, entry.lane)
      entry.spot = spot
      account(entry, spot, 1)
      if (atHead) spot.lane.unshift(entry)
      else spot.lane.push(entry)
    },
    peek() {
      const flow = levelInTurn()?.active.first()
      return flow && oldestIn(flow)
    },
    rowsBeside: (entry) => entry.spot?.lane.rows ?? 0,
    peekBeside(entry, mixTenants) {
      const { spot } = entry
      let best: { head: T; flow: Flow<T> } | undefined
      for (const level of entry.apart ? onlyApart : byRank) {
        if (level.count === 0) continue
        // A single flow, the usual case.
        if (level.active.size === 1 && spot?.flow.level === level && spot.flow.count > 0) {
          const head = spot.lane.peek()
          if (head) return head
          continue
        }
        for (const flow of mixTenants ? level.active : [level.flows.get(entry.tenant)]) {
          const head = flow && flow.count > 0 ? flow.lanes.get(entry.lane)?.lane.peek() : undefined
          // Higher priorities first; within one, the flow whose turn it is.
          if (flow && head && (!best || isNext(flow, best.flow))) best = { head, flow }
        }
        if (best) return best.head
      }
      return undefined
    },
    take(entry, begins = false) {
      const { spot } = entry
      if (!spot) return
      if (begins) runsSince = entry.apart ? 0 : runsSince + 1
      const { flow, lane } = spot
      lane.shift()
      entry.waits = false
      flow.level.now = Math.max(flow.level.now, flow.served)
      if (flow.level !== apart) now = flow.level.served
      // Charged first: an idle flow may be forgotten.
      charge(spot, entry.rows)
      account(entry, spot, -1)
    },
    putBack(entry) {
      refund(entry)
      entry.waits = true
      const spot = spotIn(flowOf(entry), entry.lane)
      entry.spot = spot
      account(entry, spot, 1)
      spot.lane.unshift(entry)
    },
    refund,
    leave(entry) {
      if (!entry.waits || !entry.spot) return
      entry.waits = false
      entry.spot.lane.forget()
      account(entry, entry.spot, -1)
    },
    rowsAhead(newcomer) {
      // Entries after the first go before it, too.
      if (newcomer.apart) return rows
      const own = levelOf(newcomer)
      const mine = own.flows.get(newcomer.tenant)?.rows ?? 0
      const weights = byRank.reduce((sum, level) => sum + (level.count > 0 || level === own ? level.weight : 0), 0)
      return Math.min(rows, (mine * own.active.size * weights) / own.weight)
    },
    countOf(tenant) {
      return all.reduce((sum, level) => sum + (level.flows.get(tenant)?.count ?? 0), 0)
    },
    newestBelow(newcomer) {
      const own = levelOf(newcomer)
      for (const level of [...all].reverse()) {
        if (level === own) return undefined
        if (level.count === 0) continue
        let newest: T | undefined
        for (const flow of level.active)
          for (const { lane } of flow.lanes.values()) {
            const last = lane.last()
            if (last && (!newest || last.enqueuedAt > newest.enqueuedAt)) newest = last
          }
        return newest
      }
      return undefined
    },
  }
}
