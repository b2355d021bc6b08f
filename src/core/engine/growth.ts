/** How many instances there should be now, and the steps to get there: as many as the load wants, within what CPU and memory allow. */

import type { Clock } from '../host/clock.ts'
import type { Balancer } from './balance.ts'
import type { Instance } from './instance.ts'
import { createScaler, type ScalerSettings } from './scaler.ts'

export interface ScaledEvent {
  readonly type: 'scaled'
  readonly instances: number
  readonly reason: 'queue' | 'idle' | 'failed'
  readonly detail?: string
}

export interface Growth {
  /** Desired number of instances. */
  readonly target: number
  /** Begins with the least number. */
  begin(): void
  /** The queue was looked at: time to see whether there are enough. */
  check(): void
  /** Stops deciding until the next `check()`. */
  pause(): void
  close(): void
}

interface Deps {
  readonly clock: Clock
  readonly balancer: Balancer<Instance>
  /** The model takes no more instances. */
  isStopped(): boolean
  ready(): Instance[]
  /** True while one loads or warms up. */
  isStarting(): boolean
  /** One more for a model that serves already. */
  start(): Promise<void>
  /** One less. */
  dropOne(): void
  /** Age of the longest waiting request; 0 if none waits. */
  oldestWaitMs(): number
  /** Reserves CPU and memory for that many instances in all; returns the permitted number, at least the minimum. */
  claim(instances: number): number
  emit(event: ScaledEvent): void
}

export function createGrowth(settings: ScalerSettings, deps: Deps): Growth {
  const { min, max } = settings
  const { balancer, claim, emit } = deps
  const scaler = min < max ? createScaler(settings, { clock: deps.clock, look, grow, shrink }) : undefined
  let target = min

  function look() {
    const all = deps.ready()
    return {
      oldestWaitMs: deps.oldestWaitMs(),
      target,
      ready: all.length,
      starting: deps.isStarting(),
      allBusy: balancer.useful(all).every((instance) => instance.bursts > 0),
      busyMs: balancer.busyMs(),
    }
  }

  function grow(count: number): number {
    const added = deps.isStopped() ? 0 : claim(target + count) - target
    if (added <= 0) return 0
    target += added
    emit({ type: 'scaled', instances: target, reason: 'queue' })
    for (let i = 0; i < added; i++) void growByOne()
    return added
  }

  async function growByOne(): Promise<void> {
    try {
      await deps.start()
    } catch (error) {
      if (deps.isStopped()) return
      // The others continue: a failed addition is no loss.
      scaler?.failed()
      target = Math.max(min, target - 1)
      claim(target)
      emit({
        type: 'scaled',
        instances: target,
        reason: 'failed',
        detail: error instanceof Error ? error.message : String(error),
      })
    }
  }

  function shrink(): void {
    target--
    claim(target)
    emit({ type: 'scaled', instances: target, reason: 'idle' })
    deps.dropOne()
  }

  return {
    get target() {
      return target
    },
    begin() {
      target = min
      claim(target)
    },
    check: () => scaler?.check(),
    pause: () => scaler?.pause(),
    close: () => scaler?.close(),
  }
}
