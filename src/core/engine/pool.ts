/**
 * The instances of one model version: starts them, hands them out, scales to the load, and replaces crashed ones with back-off.
 * It stops after repeated crashes, and unloads all of them while the model is unused.
 */

import { ModelmountError } from '../errors.ts'
import { type Balancer, createBalancer } from './balance.ts'
import { createCrew } from './crew.ts'
import { createExchange } from './exchange.ts'
import { createGrowth, type ScaledEvent } from './growth.ts'
import type { Instance, LoadRequest } from './instance.ts'
import { createIntake, type ReadyEvent } from './intake.ts'
import { createLauncher, type LaunchDeps, type SharedForm } from './launch.ts'
import type { Loaded } from './messages.ts'
import { createRecovery, type RecoveryEvent } from './recovery.ts'
import type { ScalerSettings } from './scaler.ts'
import type { BalanceStrategy } from './types.ts'

export type PoolEvent = RecoveryEvent | ScaledEvent | ReadyEvent | { readonly type: 'worker-output'; readonly line: string }

export interface Pool {
  /**
   * Starts the least number of instances; rejects if one of them cannot load.
   * @param opts.form the form that they load instead of the model itself
   * @param opts.count fewer than that; `fill()` or `adopt()` starts the others
   */
  start(opts?: { readonly form?: SharedForm | undefined; readonly count?: number | undefined }): Promise<Loaded>
  /** Starts the instances that `start()` left out. */
  fill(): Promise<void>
  /** Moves all instances to another form, one by one: a new one is ready before an old one drains. */
  adopt(form: SharedForm): Promise<void>
  /** Moves instances that are stale to where new ones are opened, in the same way. */
  move(): Promise<void>
  /** Ready instances. */
  readonly instances: readonly Instance[]
  /** Desired number of instances. */
  readonly target: number
  readonly balancer: Balancer<Instance>
  /** True if more than one instance may exist and be killed alone. */
  readonly killable: boolean
  /** Set while there is no instance and none may be started, or the breaker is open: milliseconds until the next attempt. */
  readonly unavailableForMs: number | undefined
  /** The reason, worded as the rest of a sentence about the model. */
  readonly unavailableBecause: string | undefined
  /** False while an instance is started or waits for its restart. */
  readonly settled: boolean
  /** Time of the last successful run, on the pool's clock. */
  readonly usedAt: number
  /** Last measured private memory of an instance, if it can be measured. */
  readonly privateBytes: number | undefined
  /** A run succeeded there: earlier crashes no longer count, unless it was on the host. */
  succeeded(at: Pick<Instance, 'tier'>): void
  /** The queue was looked at: time to check the number of instances. */
  queueChanged(): void
  /** Ends all instances for the time being, after their running work. Waiting requests keep waiting. */
  park(): Promise<void>
  /**
   * Starts the least number of instances again. Rejects with a reason for callers if the files have changed.
   * If they could not be loaded, the cause of the error is for the log.
   */
  resume(): Promise<void>
  /** Waits for running work and ends the workers. */
  close(): Promise<void>
  /** Ends the workers at once if the tier can. */
  kill(): void
}

export interface PoolSettings extends ScalerSettings {
  readonly balance: BalanceStrategy
}

interface Deps extends Pick<LaunchDeps, 'open' | 'clock' | 'buffers' | 'checkSource' | 'prepare' | 'onSharedLost'> {
  readonly killable: boolean
  emit(event: PoolEvent): void
  /** An instance became ready, or the breaker opened: look at the queue. */
  onChange(): void
  /** Age of the longest waiting request; 0 if none waits. */
  oldestWaitMs(): number
  /** Reserves CPU and memory for that many instances in all; returns the permitted number, at least the minimum. */
  claim(instances: number): number
}

export function createPool(request: LoadRequest, settings: PoolSettings, deps: Deps): Pool {
  const { clock, emit, onChange, oldestWaitMs, claim } = deps
  const { min } = settings
  let parked = false
  let closed = false
  let usedAt = clock.now()

  const isStopped = (): boolean => closed || parked
  const crew = createCrew()
  const { ready } = crew
  const balancer = createBalancer<Instance>(settings.balance, { clock, recheck: () => onChange() })
  const launcher = createLauncher(request, {
    ...deps,
    onLost: (instance, reason, isInnocent) => void (crew.lose(instance) && recovery.lost(reason, isInnocent)),
    onLine: (line) => emit({ type: 'worker-output', line }),
  })
  const intake = createIntake({
    min,
    crew,
    launcher,
    isStopped,
    isClosed: () => closed,
    recovery: () => recovery,
    begin: () => growth.begin(),
    exchange: () => exchange.run(),
    emit,
    onChange,
  })
  const { fill, announce, another: start } = intake
  const recovery = createRecovery({ clock, isStopped, start, isRefusal: launcher.isRefusal, emit, onChange })
  const exchange = createExchange({ clock, crew, launcher, recovery, isStopped, fill, announce, dropOne })
  const move = async (): Promise<void> => void (isStopped() || (await exchange.run()))
  const isStarting = (): boolean => launcher.busy
  const growth = createGrowth(settings, {
    clock,
    balancer,
    isStopped,
    ready,
    isStarting,
    start,
    dropOne,
    oldestWaitMs,
    claim,
    emit,
  })

  /** One less: one that does not even exist yet, or the least needed one. */
  function dropOne(): void {
    if (recovery.spareOne()) return
    const instance = balancer.leastUseful(ready())
    if (instance) crew.retire(instance)
  }

  async function resume(): Promise<void> {
    try {
      parked = false
      const { loadMs } = await intake.first(min)
      emit({ type: 'worker-ready', loadMs })
      onChange()
    } catch (error) {
      await park()
      if (launcher.isRefusal(error) || closed) throw error
      throw new ModelmountError('MODEL_LOAD_FAILED', 'the log of the server says why', { cause: error })
    }
  }

  async function park(): Promise<void> {
    parked = true
    await endAll()
    claim(0)
  }

  async function close(): Promise<void> {
    closed = true
    growth.close()
    await endAll()
  }

  async function endAll(): Promise<void> {
    growth.pause()
    balancer.close()
    recovery.cancel()
    exchange.cancel()
    await Promise.all([crew.endAll(), launcher.end()])
    crew.clear()
  }

  return {
    balancer,
    killable: deps.killable,
    get target() {
      return parked ? 0 : growth.target
    },
    get instances() {
      return ready()
    },
    get unavailableForMs() {
      const { until } = recovery
      // With an instance up again the breaker is half open: requests are its probe.
      if (until === undefined || ready().length > 0) return undefined
      return Math.max(0, until - clock.now())
    },
    get unavailableBecause() {
      return ready().length > 0 ? undefined : recovery.because
    },
    get settled() {
      return recovery.settled && !exchange.busy && ready().length >= growth.target
    },
    get usedAt() {
      return usedAt
    },
    get privateBytes() {
      return crew.measure()
    },
    async start({ form, count = min } = {}) {
      if (form) launcher.use(form)
      try {
        return await intake.first(count)
      } catch (error) {
        if (crew.size > 0) await close()
        throw error
      }
    },
    fill,
    adopt(form) {
      launcher.use(form)
      return move()
    },
    move,
    succeeded({ tier }) {
      usedAt = clock.now()
      if (tier !== 'inline') recovery.succeeded()
    },
    queueChanged() {
      if (!isStopped()) growth.check()
    },
    park() {
      crew.measure()
      return park()
    },
    resume,
    close,
    kill() {
      closed = true
      crew.kill('the server is closing')
      launcher.kill('the server is closing')
    },
  }
}
