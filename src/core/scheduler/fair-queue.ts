/**
 * Shares out the waiting requests: priorities by weight, tenants of a priority evenly, requests of a tenant in order of arrival.
 * It is start-time fair queueing (Goyal, Vin, Cheng 1996) on rows: the least served flow is next, and idle flows save nothing up.
 * Requests that must run apart share no run with others and get a fixed share of the runs, whatever their priority.
 */

import { type Flow, type Flowing, isNext, type Level, newestOf, oldestOf, type Spot, spotIn } from './flow.ts'
import { charge, createLevel, enter, flowOf, type IdleBounds, leave, wake } from './level.ts'
import type { Priority } from './types.ts'

/** Shares of the priorities while all of them have work. */
export const WEIGHTS: Readonly<Record<Priority, number>> = { high: 8, normal: 3, low: 1 }
/** One of this many runs goes to requests that run apart, while both wait. */
export const APART_EVERY = 8

export interface Queued<T> extends Flowing {
  readonly priority: Priority
  /** '' for callers without one. */
  readonly tenant: string
  readonly bucket: string
  /** Shares runs only with others that run apart. */
  readonly apart: boolean
  readonly rows: number
  readonly bytes: number
  /** Its current or last place in the queue, kept here to save a look-up at every step. */
  spot: Spot<T>
}

/** The place of requests that have not been in the queue. */
export const OUTSIDE: Spot<never> = spotIn(flowOf<never>(createLevel(1), ''), '')

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
  /** True if no request of another flow waits, nor one that runs apart. */
  holdsOnly(priority: Priority, tenant: string): boolean
  /** Rows waiting in the entry's own bucket, its own included. */
  rowsBeside(entry: T): number
  /** The next entry that may share a run with `entry`: same bucket, same separation, and same tenant unless tenants mix. It stays. */
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

export function createFairQueue<T extends Queued<T>>(bounds?: IdleBounds): FairQueue<T> {
  const levels: Readonly<Record<Priority, Level<T>>> = {
    high: createLevel(WEIGHTS.high, bounds),
    normal: createLevel(WEIGHTS.normal, bounds),
    low: createLevel(WEIGHTS.low, bounds),
  }
  const byRank = [levels.high, levels.normal, levels.low]
  const apart = createLevel<T>(1, bounds)
  const onlyApart = [apart]
  const all = [...byRank, apart]
  /** Runs since the last one of requests that run apart. */
  let runsSince = 0
  let count = 0
  let rows = 0
  let bytes = 0
  /** `served` of the level that was picked last. */
  let now = 0

  const levelOf = (entry: T): Level<T> => (entry.apart ? apart : levels[entry.priority])

  /** Into its flow; the caller puts it into the bucket. */
  function add(entry: T, flow: Flow<T>): Spot<T> {
    const spot = spotIn(flow, entry.bucket)
    entry.waits = true
    entry.spot = spot
    enter(flow, entry.rows)
    spot.bucket.rows += entry.rows
    count++
    rows += entry.rows
    bytes += entry.bytes
    return spot
  }

  /** The bucket has lost it already, or forgets it by and by. */
  function remove(entry: T): void {
    const { flow, bucket } = entry.spot
    entry.waits = false
    leave(flow, entry.rows)
    bucket.rows -= entry.rows
    count--
    rows -= entry.rows
    bytes -= entry.bytes
    // The usual bucket is empty between bursts all the time; only others are worth forgetting.
    if (bucket.rows === 0 && flow.buckets.size > 1) flow.buckets.delete(entry.bucket)
  }

  const owesApart = (): boolean => runsSince >= APART_EVERY - 1

  function levelInTurn(): Level<T> | undefined {
    if (apart.count > 0 && (apart.count === count || owesApart())) return apart
    let best: Level<T> | undefined
    for (const level of byRank) if (level.count > 0 && (!best || level.served < best.served)) best = level
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
      const flow = flowOf(levelOf(entry), entry.tenant)
      wake(flow, now)
      const { bucket } = add(entry, flow)
      if (atHead) bucket.unshift(entry)
      else bucket.push(entry)
    },
    peek() {
      const flow = levelInTurn()?.active.first()
      return flow && oldestOf(flow)
    },
    holdsOnly(priority, tenant) {
      const level = levels[priority]
      return count === 0 || (level.count === count && level.active.size === 1 && level.active.first()?.tenant === tenant)
    },
    rowsBeside: ({ spot }) => spot.bucket.rows,
    peekBeside(entry, mixTenants) {
      const { flow, bucket } = entry.spot
      // Higher priorities first.
      for (const level of entry.apart ? onlyApart : byRank) {
        if (level.count === 0) continue
        // A single flow, the usual case.
        const isOnly = level.active.size === 1 && flow.level === level && flow.count > 0
        const head = isOnly ? bucket.peek() : headBeside(entry, level, mixTenants)
        if (head) return head
      }
      return undefined
    },
    take(entry, begins = false) {
      if (!entry.waits) return
      if (begins) runsSince = entry.apart ? 0 : runsSince + 1
      const { flow, bucket } = entry.spot
      const { level } = flow
      bucket.shift()
      level.now = Math.max(level.now, flow.served)
      if (level !== apart) now = level.served
      // Charged first: an idle flow may be forgotten.
      charge(flow, entry.rows)
      remove(entry)
    },
    putBack(entry) {
      charge(entry.spot.flow, -entry.rows)
      add(entry, flowOf(levelOf(entry), entry.tenant)).bucket.unshift(entry)
    },
    refund: ({ spot, rows }) => charge(spot.flow, -rows),
    leave(entry) {
      if (!entry.waits) return
      entry.waits = false
      entry.spot.bucket.forget()
      remove(entry)
    },
    rowsAhead(newcomer) {
      // Entries after the first go before it, too.
      if (newcomer.apart) return rows
      const level = levelOf(newcomer)
      const before = level.flows.get(newcomer.tenant)?.rows ?? 0
      const weights = byRank.reduce((sum, other) => sum + (other.count > 0 || other === level ? other.weight : 0), 0)
      return Math.min(rows, (before * level.active.size * weights) / level.weight)
    },
    countOf(tenant) {
      return all.reduce((sum, level) => sum + (level.flows.get(tenant)?.count ?? 0), 0)
    },
    newestBelow(newcomer) {
      const level = levelOf(newcomer)
      for (let at = all.length - 1; all[at] !== level; at--) {
        const below = all[at] as Level<T>
        if (below.count > 0) return newestOf(below.active)
      }
      return undefined
    },
  }
}

/** Of the flow whose turn it is, among those of a level that may share a run with the entry. */
function headBeside<T extends Queued<T>>(entry: T, level: Level<T>, mixTenants: boolean): T | undefined {
  let best: Flow<T> | undefined
  let bestHead: T | undefined
  for (const flow of mixTenants ? level.active : [level.flows.get(entry.tenant)]) {
    if (!flow || flow.count === 0 || (best && !isNext(flow, best))) continue
    const head = flow.buckets.get(entry.bucket)?.bucket.peek()
    if (!head) continue
    best = flow
    bestHead = head
  }
  return bestHead
}
