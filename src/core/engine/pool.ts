/**
 * The instances of one model version: start, hand out, as many as the load wants, replace after a crash with back-off, stop trying when
 * crashes do not end, and all of them away while nobody needs the model.
 */

import type { Clock, Timer } from '../clock.ts'
import { ModelmountError } from '../errors.ts'
import type { BalanceStrategy } from '../types.ts'
import { type Balancer, createBalancer } from './balance.ts'
import type { OpenChannel } from './channel.ts'
import { type Footprint, measureFootprint } from './footprint.ts'
import { createInstance, type Instance, type LoadRequest } from './instance.ts'
import type { Loaded } from './messages.ts'
import { createScaler, type ScalerSettings } from './scaler.ts'

/** Consecutive losses without one successful run in between that open the breaker. */
const BREAKER_CRASHES = 5
const FIRST_BACKOFF_MS = 100
const MAX_BACKOFF_MS = 30_000

export type PoolEvent =
  | { readonly type: 'worker-lost'; readonly reason: string; readonly restartInMs: number }
  | { readonly type: 'worker-ready'; readonly loadMs: number }
  | { readonly type: 'breaker'; readonly state: 'open' | 'closed'; readonly crashes: number }
  | { readonly type: 'worker-output'; readonly line: string }
  | {
      readonly type: 'scaled'
      readonly instances: number
      readonly reason: 'queue' | 'idle' | 'failed'
      readonly detail?: string
    }

export interface Pool {
  /** Starts the least number of instances; rejects when the first one cannot load. */
  start(): Promise<Loaded>
  /** Ready instances. */
  readonly instances: readonly Instance[]
  /** Instances that there should be now. */
  readonly target: number
  readonly balancer: Balancer<Instance>
  /** True when more than one instance may exist and be killed alone. */
  readonly killable: boolean
  /** Set while the breaker is open: milliseconds until the next attempt. */
  readonly unavailableForMs: number | undefined
  /** False while an instance is started or waits for its restart. */
  readonly settled: boolean
  /** When a run last succeeded, on the pool's clock. */
  readonly usedAt: number
  /** What the instances were last measured at, where they can be. */
  readonly footprint: Footprint | undefined
  /** A run succeeded: crashes before it no longer count. */
  succeeded(): void
  /** The queue was looked at: time to see whether there are enough instances. */
  queueChanged(): void
  /** Ends all instances for the time being, after what is in flight. What waits goes on waiting. */
  park(): Promise<void>
  /** Starts the least number of instances again. */
  resume(): Promise<void>
  /** Waits for what is in flight and ends the workers. */
  close(): Promise<void>
  /** Ends the workers at once where the tier can. */
  kill(): void
}

export interface PoolSettings extends ScalerSettings {
  readonly balance: BalanceStrategy
}

interface Deps {
  readonly open: OpenChannel
  readonly clock: Clock
  readonly killable: boolean
  /** Throws when the model's files are no longer the ones that were loaded first. */
  checkSource(): Promise<void>
  emit(event: PoolEvent): void
  /** An instance became ready, or the breaker opened: look at the queue. */
  onChange(): void
  /** Age of the request that waits longest; 0 when none does. */
  oldestWaitMs(): number
  /** Reserves CPU and memory for that many instances in all; returns how many there may be, never less than the minimum. */
  claim(instances: number): number
}

export function createPool(request: LoadRequest, settings: PoolSettings, deps: Deps): Pool {
  const { clock } = deps
  const { min, max } = settings
  const instances = new Set<Instance>()
  const restarts = new Set<Timer>()
  /** Instances that the load no longer needs, until they are gone. */
  const leaving = new Map<Instance, Promise<void>>()
  const balancer = createBalancer<Instance>(settings.balance, { clock, recheck: () => deps.onChange() })
  const scaler = min < max ? createScaler(settings, { clock, look, grow, shrink }) : undefined
  let nextId = 1
  let target = min
  let restarting = 0
  let crashes = 0
  let breakerUntil: number | undefined
  let usedAt = clock.now()
  let measured: Footprint | undefined
  let parked = false
  let closed = false

  const ready = (): Instance[] => [...instances].filter((instance) => instance.ready)
  const stopped = (): boolean => closed || parked

  function add(): Promise<Loaded> {
    const instance = createInstance(request, {
      id: nextId++,
      open: deps.open,
      clock,
      onLost: (reason) => lost(instance, reason),
      onLine: (line) => deps.emit({ type: 'worker-output', line }),
    })
    instances.add(instance)
    return instance.loaded.catch((error: unknown) => {
      instances.delete(instance)
      throw error
    })
  }

  /** The first one proves the model before memory is spent on the others. */
  async function startAll(): Promise<Loaded> {
    refuseClosed()
    target = min
    deps.claim(target)
    const first = await add()
    // What is started after the end would never be ended.
    refuseClosed()
    const others = await Promise.allSettled(Array.from({ length: min - 1 }, add))
    const failed = others.find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
    refuseClosed()
    return first
  }

  function refuseClosed(): void {
    if (closed) throw new ModelmountError('SERVER_CLOSED', 'the server is closing')
  }

  // ---------------------------------------------------------------- crashes

  const backoffMs = (): number => (crashes <= 1 ? 0 : Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (crashes - 2)))

  function lost(instance: Instance | undefined, reason: string): void {
    if (instance) instances.delete(instance)
    if (stopped()) return
    crashes++
    const restartInMs = backoffMs()
    deps.emit({ type: 'worker-lost', reason, restartInMs })
    if (crashes >= BREAKER_CRASHES) {
      const wasOpen = breakerUntil !== undefined
      breakerUntil = clock.now() + restartInMs
      if (!wasOpen) deps.emit({ type: 'breaker', state: 'open', crashes })
    }
    const timer = clock.after(restartInMs, () => {
      restarts.delete(timer)
      void restart()
    })
    restarts.add(timer)
    deps.onChange()
  }

  async function restart(): Promise<void> {
    restarting++
    try {
      await deps.checkSource()
      if (stopped()) return
      const { loadMs } = await add()
      if (stopped()) return
      deps.emit({ type: 'worker-ready', loadMs })
      deps.onChange()
    } catch (error) {
      lost(undefined, messageOf(error))
    } finally {
      restarting--
    }
  }

  // ---------------------------------------------------------------- scaling

  function look() {
    const all = ready()
    return {
      oldestWaitMs: deps.oldestWaitMs(),
      target,
      ready: all.length,
      allBusy: balancer.useful(all).every((instance) => instance.bursts > 0),
      busyMs: balancer.busyMs(),
    }
  }

  function grow(count: number): number {
    const added = stopped() ? 0 : deps.claim(target + count) - target
    if (added <= 0) return 0
    target += added
    deps.emit({ type: 'scaled', instances: target, reason: 'queue' })
    for (let i = 0; i < added; i++) void growByOne()
    return added
  }

  async function growByOne(): Promise<void> {
    try {
      await deps.checkSource()
      if (stopped()) return
      const { loadMs } = await add()
      if (stopped()) return
      deps.emit({ type: 'worker-ready', loadMs })
      deps.onChange()
    } catch (error) {
      if (stopped()) return
      // The others go on: what cannot be added is no loss.
      scaler?.failed()
      target = Math.max(min, target - 1)
      deps.claim(target)
      deps.emit({ type: 'scaled', instances: target, reason: 'failed', detail: messageOf(error) })
    }
  }

  function shrink(): void {
    target--
    deps.claim(target)
    deps.emit({ type: 'scaled', instances: target, reason: 'idle' })
    const [pending] = restarts
    if (pending) {
      pending.cancel()
      restarts.delete(pending)
      return
    }
    const instance = balancer.leastUseful(ready())
    if (!instance) return
    instances.delete(instance)
    leaving.set(
      instance,
      instance.close().finally(() => leaving.delete(instance)),
    )
  }

  // ---------------------------------------------------------------- all of them

  async function endAll(): Promise<void> {
    scaler?.pause()
    balancer.close()
    for (const timer of restarts) timer.cancel()
    restarts.clear()
    await Promise.all([...[...instances].map((instance) => instance.close()), ...leaving.values()])
    instances.clear()
  }

  function measure(): void {
    measured = measureFootprint(ready()) ?? measured
  }

  async function close(): Promise<void> {
    closed = true
    scaler?.close()
    await endAll()
  }

  return {
    balancer,
    killable: deps.killable,
    get target() {
      return parked ? 0 : target
    },
    get instances() {
      return ready()
    },
    get unavailableForMs() {
      // With an instance up again the breaker is half open: requests are its probe.
      if (breakerUntil === undefined || ready().length > 0) return undefined
      return Math.max(0, breakerUntil - clock.now())
    },
    get settled() {
      return restarts.size === 0 && restarting === 0 && ready().length >= target
    },
    get usedAt() {
      return usedAt
    },
    get footprint() {
      measure()
      return measured
    },
    async start() {
      try {
        return await startAll()
      } catch (error) {
        if (instances.size > 0) await close()
        throw error
      }
    },
    succeeded() {
      usedAt = clock.now()
      crashes = 0
      if (breakerUntil === undefined) return
      breakerUntil = undefined
      deps.emit({ type: 'breaker', state: 'closed', crashes: 0 })
    },
    queueChanged() {
      if (!stopped()) scaler?.check()
    },
    async park() {
      measure()
      parked = true
      await endAll()
      deps.claim(0)
    },
    async resume() {
      try {
        await deps.checkSource()
        parked = false
        const { loadMs } = await startAll()
        deps.emit({ type: 'worker-ready', loadMs })
        deps.onChange()
      } catch (error) {
        parked = true
        await endAll()
        deps.claim(0)
        throw error
      }
    },
    close,
    kill() {
      closed = true
      for (const instance of [...instances, ...leaving.keys()]) instance.kill('the server is closing')
    },
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
