/**
 * The instances of one model version: start, hand out, as many as the load wants, replace after a crash with back-off, stop trying when
 * crashes do not end, and all of them away while nobody needs the model.
 */

import type { Timer } from '../clock.ts'
import { ModelmountError } from '../errors.ts'
import type { BalanceStrategy } from '../types.ts'
import { type Balancer, createBalancer } from './balance.ts'
import { measurePrivateBytes } from './footprint.ts'
import type { Instance, LoadRequest } from './instance.ts'
import { createLauncher, type LaunchDeps, type Launched, type SharedForm } from './launch.ts'
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
  /**
   * Starts the least number of instances; rejects when one of them cannot load.
   * @param opts.form what they load instead of the model itself
   * @param opts.count fewer than that; `fill()` or `adopt()` starts the others
   */
  start(opts?: { readonly form?: SharedForm | undefined; readonly count?: number | undefined }): Promise<Loaded>
  /** Starts the instances that `start()` left out. */
  fill(): Promise<void>
  /** Moves all instances to another form, one by one: a new one is ready before an old one drains. */
  adopt(form: SharedForm): Promise<void>
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
  /** Private memory of an instance, as last measured where that is possible. */
  readonly privateBytes: number | undefined
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

interface Deps extends Pick<LaunchDeps, 'open' | 'clock' | 'buffers' | 'prepare' | 'onSharedLost'> {
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
  const forms = new WeakMap<Instance, SharedForm | undefined>()
  /** Instances that are no longer needed, until they are gone. */
  const leaving = new Map<Instance, Promise<void>>()
  const balancer = createBalancer<Instance>(settings.balance, { clock, recheck: () => deps.onChange() })
  const scaler = min < max ? createScaler(settings, { clock, look, grow, shrink }) : undefined
  let target = min
  let restarting = 0
  /** Part of the target, and left out at the start. */
  let missing = 0
  let exchanging = false
  let crashes = 0
  let breakerUntil: number | undefined
  let usedAt = clock.now()
  let measured: number | undefined
  let parked = false
  let closed = false

  const launcher = createLauncher(request, {
    ...deps,
    onLost(instance, reason) {
      if (instances.delete(instance)) lost(reason)
    },
    onLine: (line) => deps.emit({ type: 'worker-output', line }),
  })

  const ready = (): Instance[] => [...instances].filter((instance) => instance.ready)
  const stopped = (): boolean => closed || parked

  /** One more. It may be gone again already, and is replaced like any other then. */
  async function add(): Promise<Launched> {
    const launched = await launcher.launch()
    forms.set(launched.instance, launched.form)
    if (launched.lost === undefined) instances.add(launched.instance)
    else lost(launched.lost)
    // It was on its way when the others moved to the shared form.
    if (launcher.form && launched.form !== launcher.form) void exchange()
    return launched
  }

  /** One more for a model that serves already. */
  async function addToServe(): Promise<void> {
    await deps.checkSource()
    if (!stopped()) announce(await add())
  }

  function announce({ loaded: { loadMs }, lost }: Launched): void {
    if (stopped() || lost !== undefined) return
    deps.emit({ type: 'worker-ready', loadMs })
    deps.onChange()
  }

  /** The first one proves the model before memory is spent on the others. */
  async function startAll(count: number): Promise<Loaded> {
    refuseClosed()
    target = min
    missing = min - count
    deps.claim(target)
    const { loaded } = await add()
    // What is started after the end would never be ended.
    refuseClosed()
    const others = await Promise.allSettled(Array.from({ length: count - 1 }, add))
    const failed = others.find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
    refuseClosed()
    return loaded
  }

  function refuseClosed(): void {
    if (closed) throw new ModelmountError('SERVER_CLOSED', 'the server is closing')
  }

  // ---------------------------------------------------------------- crashes

  const backoffMs = (): number => (crashes <= 1 ? 0 : Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (crashes - 2)))

  function lost(reason: string): void {
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
      await addToServe()
    } catch (error) {
      lost(messageOf(error))
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
      starting: launcher.busy,
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
      await addToServe()
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
    dropOne()
  }

  /** One less: the one that is wanted least, or one that is not even there. */
  function dropOne(): void {
    const [pending] = restarts
    if (pending) {
      pending.cancel()
      restarts.delete(pending)
      return
    }
    const instance = balancer.leastUseful(ready())
    if (instance) retire(instance)
  }

  function retire(instance: Instance): void {
    instances.delete(instance)
    leaving.set(
      instance,
      instance.close().finally(() => leaving.delete(instance)),
    )
  }

  // ---------------------------------------------------------------- another form of the model

  async function fill(): Promise<void> {
    const count = missing
    missing = 0
    // What cannot be started is tried again like what crashed.
    await Promise.all(Array.from({ length: count }, restart))
  }

  /** Replaces instances that have not loaded the form in use, one by one: the old one serves until the new one is ready. */
  async function exchange(): Promise<void> {
    if (exchanging) return
    exchanging = true
    try {
      await fill()
      for (let old = outdated(); old && !stopped(); old = outdated()) {
        await deps.checkSource()
        const launched = await launcher.launch()
        // Rather one that is as it was than none.
        if (launched.lost !== undefined) return
        forms.set(launched.instance, launched.form)
        instances.add(launched.instance)
        announce(launched)
        // The old one may have crashed or been dropped meanwhile.
        if (instances.has(old)) retire(old)
        else dropOne()
      }
    } catch {
      // It was told why the shared form cannot be loaded, and the instances that are there go on.
    } finally {
      exchanging = false
    }
  }

  const outdated = (): Instance | undefined =>
    launcher.form && [...instances].find((instance) => forms.get(instance) !== launcher.form)

  // ---------------------------------------------------------------- all of them

  async function endAll(): Promise<void> {
    scaler?.pause()
    balancer.close()
    for (const timer of restarts) timer.cancel()
    restarts.clear()
    await Promise.all([...[...instances].map((instance) => instance.close()), ...leaving.values(), launcher.end()])
    instances.clear()
  }

  function measure(): void {
    measured = measurePrivateBytes(ready()) ?? measured
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
      return restarts.size === 0 && restarting === 0 && !exchanging && ready().length >= target
    },
    get usedAt() {
      return usedAt
    },
    get privateBytes() {
      measure()
      return measured
    },
    async start({ form, count = min } = {}) {
      if (form) launcher.use(form)
      try {
        return await startAll(count)
      } catch (error) {
        if (instances.size > 0) await close()
        throw error
      }
    },
    fill,
    async adopt(form) {
      launcher.use(form)
      if (!stopped()) await exchange()
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
        const { loadMs } = await startAll(min)
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
      launcher.kill('the server is closing')
    },
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
