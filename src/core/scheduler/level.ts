/** The flows of one priority: which one is next, what each has been served, and how long idle ones are remembered. */

import { createFlow, type Flow, isNext, type Level } from './flow.ts'
import { createHeap, type Heap, OUT } from './heap.ts'

export interface IdleBounds {
  /** Idle flows of a priority that are always kept, because most of them come back soon. @default 64 */
  readonly fewIdle?: number
  /** Most idle flows of a priority. @default 1024 */
  readonly mostIdle?: number
}

export const createLevel = <T>(weight: number, { fewIdle = 64, mostIdle = 1024 }: IdleBounds = {}): Level<T> => ({
  weight,
  fewIdle,
  mostIdle,
  served: 0,
  now: 0,
  turn: 0,
  count: 0,
  flows: new Map(),
  active: createHeap<Flow<T>>(isNext),
  idle: createHeap<Flow<T>>(isNext),
})

/** The flow of a tenant, which may be new. */
export function flowOf<T>(level: Level<T>, tenant: string): Flow<T> {
  let flow = level.flows.get(tenant)
  if (!flow) {
    flow = createFlow(tenant, level)
    level.flows.set(tenant, flow)
    level.idle.add(flow)
  }
  return flow
}

/** A request is about to enter: a flow, or a level, in which none waits saves nothing up. @param present least that the level was served */
export function wake<T>(flow: Flow<T>, present: number): void {
  const { level } = flow
  if (level.count === 0) level.served = Math.max(level.served, present)
  if (flow.count === 0) flow.served = Math.max(flow.served, level.now)
}

export function enter<T>(flow: Flow<T>, rows: number): void {
  const { level } = flow
  level.count++
  flow.rows += rows
  if (++flow.count === 1) move(flow, level.idle, level.active)
}

export function leave<T>(flow: Flow<T>, rows: number): void {
  const { level } = flow
  level.count--
  flow.rows -= rows
  if (--flow.count > 0) return
  move(flow, level.active, level.idle)
  forgetIdle(level)
}

function move<T>(flow: Flow<T>, from: Heap<Flow<T>>, to: Heap<Flow<T>>): void {
  from.remove(flow)
  flow.turn = flow.level.turn++
  to.add(flow)
}

/**
 * Drops idle flows that would begin at `now` anyway. If too many are ahead of it, `now` catches up with the least of them.
 * All flows that wake up begin there, so that no tenant gains by leaving or by another name.
 */
function forgetIdle<T>(level: Level<T>): void {
  const { idle, flows, fewIdle, mostIdle } = level
  while (idle.size > fewIdle) {
    const first = idle.first() as Flow<T>
    if (first.served > level.now && idle.size <= mostIdle) return
    level.now = Math.max(level.now, first.served)
    idle.remove(first)
    flows.delete(first.tenant)
  }
}

/** @param rows below 0 to give them back */
export function charge<T>(flow: Flow<T>, rows: number): void {
  const { level } = flow
  flow.served += rows
  level.served += rows / level.weight
  if (flow.spotInHeap !== OUT) (flow.count > 0 ? level.active : level.idle).moved(flow)
}
