/** The instances of one model version: start, hand out, replace after a crash with back-off, and stop trying when crashes do not end. */

import type { Clock, Timer } from '../clock.ts'
import { ModelmountError } from '../errors.ts'
import type { OpenChannel } from './channel.ts'
import { createInstance, type Instance, type LoadRequest } from './instance.ts'
import type { Loaded } from './messages.ts'

/** Consecutive losses without one successful run in between that open the breaker. */
const BREAKER_CRASHES = 5
const FIRST_BACKOFF_MS = 100
const MAX_BACKOFF_MS = 30_000

export type PoolEvent =
  | { readonly type: 'worker-lost'; readonly reason: string; readonly restartInMs: number }
  | { readonly type: 'worker-ready'; readonly loadMs: number }
  | { readonly type: 'breaker'; readonly state: 'open' | 'closed'; readonly crashes: number }
  | { readonly type: 'worker-output'; readonly line: string }

export interface Pool {
  /** Starts every instance; rejects when the first one cannot load. */
  start(): Promise<Loaded>
  /** Ready instances, the least busy first in scan order. */
  readonly instances: readonly Instance[]
  readonly target: number
  /** True when more than one instance may exist and be killed alone. */
  readonly killable: boolean
  /** Set while the breaker is open: milliseconds until the next attempt. */
  readonly unavailableForMs: number | undefined
  /** A run succeeded: crashes before it no longer count. */
  succeeded(): void
  /** Waits for what is in flight and ends the workers. */
  close(): Promise<void>
  /** Ends the workers at once where the tier can. */
  kill(): void
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
}

export function createPool(request: LoadRequest, target: number, deps: Deps): Pool {
  const instances = new Set<Instance>()
  const restarts = new Set<Timer>()
  let crashes = 0
  let breakerUntil: number | undefined
  let closed = false

  function add(): Promise<Loaded> {
    const instance = createInstance(request, {
      open: deps.open,
      clock: deps.clock,
      onLost: (reason) => lost(instance, reason),
      onLine: (line) => deps.emit({ type: 'worker-output', line }),
    })
    instances.add(instance)
    return instance.loaded.catch((error: unknown) => {
      instances.delete(instance)
      throw error
    })
  }

  const backoffMs = (): number => (crashes <= 1 ? 0 : Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (crashes - 2)))

  function lost(instance: Instance | undefined, reason: string): void {
    if (instance) instances.delete(instance)
    if (closed) return
    crashes++
    const restartInMs = backoffMs()
    deps.emit({ type: 'worker-lost', reason, restartInMs })
    if (crashes >= BREAKER_CRASHES) {
      const wasOpen = breakerUntil !== undefined
      breakerUntil = deps.clock.now() + restartInMs
      if (!wasOpen) deps.emit({ type: 'breaker', state: 'open', crashes })
    }
    const timer = deps.clock.after(restartInMs, () => {
      restarts.delete(timer)
      void restart()
    })
    restarts.add(timer)
    deps.onChange()
  }

  async function restart(): Promise<void> {
    try {
      await deps.checkSource()
      if (closed) return
      const { loadMs } = await add()
      deps.emit({ type: 'worker-ready', loadMs })
      deps.onChange()
    } catch (error) {
      lost(undefined, error instanceof Error ? error.message : String(error))
    }
  }

  const ready = (): Instance[] => [...instances].filter((instance) => instance.ready)

  return {
    target,
    killable: deps.killable,
    get instances() {
      return ready()
    },
    get unavailableForMs() {
      // With an instance up again the breaker is half open: requests are its probe.
      if (breakerUntil === undefined || ready().length > 0) return undefined
      return Math.max(0, breakerUntil - deps.clock.now())
    },
    async start() {
      // The first one proves the model before memory is spent on the others.
      const first = await add()
      const others = await Promise.allSettled(Array.from({ length: target - 1 }, add))
      const failed = others.find((result) => result.status === 'rejected')
      if (failed) {
        await this.close()
        throw failed.reason
      }
      if (closed) throw new ModelmountError('SERVER_CLOSED', 'the server is closing')
      return first
    },
    succeeded() {
      crashes = 0
      if (breakerUntil === undefined) return
      breakerUntil = undefined
      deps.emit({ type: 'breaker', state: 'closed', crashes: 0 })
    },
    async close() {
      closed = true
      for (const timer of restarts) timer.cancel()
      await Promise.all([...instances].map((instance) => instance.close()))
      instances.clear()
    },
    kill() {
      closed = true
      for (const instance of instances) instance.kill('the server is closing')
    },
  }
}
