/**
 * The instances of one model version: starts them, hands them out, scales to the load, and replaces crashed ones with back-off.
 * It stops after repeated crashes, and unloads all of them while the model is unused.
 */

import { ModelmountError } from '../errors.ts'
import type { Timer } from '../host/clock.ts'
import { type Balancer, createBalancer } from './balance.ts'
import { measurePrivateBytes } from './footprint.ts'
import type { Instance, LoadRequest } from './instance.ts'
import { createLauncher, type LaunchDeps, type Launched, type SharedForm } from './launch.ts'
import type { Loaded } from './messages.ts'
import { createScaler, type ScalerSettings } from './scaler.ts'
import type { BalanceStrategy } from './types.ts'

/** Consecutive losses without a successful run in between that open the breaker. */
const BREAKER_CRASHES = 5
const FIRST_BACKOFF_MS = 100
const MAX_BACKOFF_MS = 30_000
/** After a refused start: files being exchanged are right again in a moment, others need a person. */
const FIRST_LOOK_MS = 1000

export type PoolEvent =
  | { readonly type: 'worker-lost'; readonly reason: string; readonly restartInMs: number }
  | { readonly type: 'start-refused'; readonly reason: string; readonly retryInMs: number }
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
   * Starts the least number of instances; rejects if one of them cannot load.
   * @param opts.form the form that they load instead of the model itself
   * @param opts.count fewer than that; `fill()` or `adopt()` starts the others
   */
  start(opts?: { readonly form?: SharedForm | undefined; readonly count?: number | undefined }): Promise<Loaded>
  /** Starts the instances that `start()` left out. */
  fill(): Promise<void>
  /** Moves all instances to another form, one by one: a new one is ready before an old one drains. */
  adopt(form: SharedForm): Promise<void>
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
  /** A run succeeded: earlier crashes no longer count. */
  succeeded(): void
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
  const { clock } = deps
  const { min, max } = settings
  const instances = new Set<Instance>()
  const restarts = new Set<Timer>()
  const forms = new WeakMap<Instance, SharedForm | undefined>()
  /** Surplus instances, until they are gone. */
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
  /** Why the last start was refused, until one succeeds. */
  let refusal: { readonly reason: string; readonly until: number; readonly lookMs: number } | undefined
  let exchangeAgain: Timer | undefined
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

  /** One more. It may be gone again already, and is then replaced like any other. */
  async function add(): Promise<Launched> {
    const launched = await launcher.launch()
    refusal = undefined
    forms.set(launched.instance, launched.form)
    if (launched.lost === undefined) instances.add(launched.instance)
    else lost(launched.lost)
    // It was starting when the others moved to the shared form.
    if (launcher.form && launched.form !== launcher.form) void exchange()
    return launched
  }

  /** One more for a model that serves already. */
  async function addToServe(): Promise<void> {
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
    // An instance started after the end would never be ended.
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
    restartIn(restartInMs)
  }

  function restartIn(ms: number): void {
    if (stopped()) return
    const timer = clock.after(ms, () => {
      restarts.delete(timer)
      void restart()
    })
    restarts.add(timer)
    deps.onChange()
  }

  /** Nothing has crashed: it does not count as a crash, and is retried until the files are right. Returns when. */
  function refused(error: unknown): number {
    const reason = messageOf(error)
    const isNews = refusal?.reason !== reason
    const now = clock.now()
    // Several pending starts are refused together.
    if (refusal && now < refusal.until) return refusal.until - now
    const lookMs = refusal ? Math.min(MAX_BACKOFF_MS, 2 * refusal.lookMs) : FIRST_LOOK_MS
    refusal = { reason, until: now + lookMs, lookMs }
    if (isNews && !stopped()) deps.emit({ type: 'start-refused', reason, retryInMs: lookMs })
    return lookMs
  }

  async function restart(): Promise<void> {
    restarting++
    try {
      await addToServe()
    } catch (error) {
      if (launcher.isRefusal(error)) restartIn(refused(error))
      else lost(messageOf(error))
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
      // The others continue: a failed addition is no loss.
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

  /** One less: the least needed one, or one that does not even exist yet. */
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
    // A failed start is retried like a crashed instance.
    await Promise.all(Array.from({ length: count }, restart))
  }

  /** Replaces instances that have not loaded the current form, one by one: the old one serves until the new one is ready. */
  async function exchange(): Promise<void> {
    if (exchanging) return
    exchanging = true
    try {
      await fill()
      for (let old = outdated(); old && !stopped(); old = outdated()) {
        const launched = await launcher.launch()
        refusal = undefined
        // Keep the old instance rather than lose capacity.
        if (launched.lost !== undefined) return
        forms.set(launched.instance, launched.form)
        instances.add(launched.instance)
        announce(launched)
        // The old one may have crashed or been dropped meanwhile.
        if (instances.has(old)) retire(old)
        else dropOne()
      }
    } catch (error) {
      // The existing instances continue. The reason why the shared form cannot be loaded was reported already.
      if (launcher.isRefusal(error)) exchangeIn(refused(error))
    } finally {
      exchanging = false
    }
  }

  function exchangeIn(ms: number): void {
    if (stopped()) return
    exchangeAgain?.cancel()
    exchangeAgain = clock.after(ms, () => void exchange())
  }

  const outdated = (): Instance | undefined =>
    launcher.form && [...instances].find((instance) => forms.get(instance) !== launcher.form)

  // ---------------------------------------------------------------- all of them

  async function endAll(): Promise<void> {
    scaler?.pause()
    balancer.close()
    for (const timer of restarts) timer.cancel()
    restarts.clear()
    exchangeAgain?.cancel()
    refusal = undefined
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
      const until = refusal?.until ?? breakerUntil
      // With an instance up again the breaker is half open: requests are its probe.
      if (until === undefined || ready().length > 0) return undefined
      return Math.max(0, until - clock.now())
    },
    get unavailableBecause() {
      if (ready().length > 0) return undefined
      if (refusal) return `cannot be started again: ${refusal.reason}`
      return breakerUntil === undefined ? undefined : 'crashed repeatedly and is restarted with back-off'
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
        parked = false
        const { loadMs } = await startAll(min)
        deps.emit({ type: 'worker-ready', loadMs })
        deps.onChange()
      } catch (error) {
        parked = true
        await endAll()
        deps.claim(0)
        if (launcher.isRefusal(error) || closed) throw error
        throw new ModelmountError('MODEL_LOAD_FAILED', 'the log of the server says why', { cause: error })
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
