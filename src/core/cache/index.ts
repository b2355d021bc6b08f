/**
 * Keeps results by content, for one load of one model version: a replaced model starts with an empty cache.
 * The cache is bounded in bytes, runs equal concurrent requests once, and hands out copies only.
 */

import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { AbortSignalLike } from '../host/abort.ts'
import type { Priority } from '../scheduler/types.ts'
import type { Trace } from '../telemetry/index.ts'
import type { Tensor } from '../tensor/types.ts'
import { aborted, createFlights, type Flight } from './flights.ts'
import { bytesOf, copyOutputs, type Kept, keep, type Outputs } from './kept.ts'
import { identityBytes, keyOf } from './key.ts'
import { createShared, derivedKey, type Shared, type SharedDeps } from './shared.ts'
import type { CacheInfo, CacheOptions } from './types.ts'
import { createWaiters } from './waiters.ts'

export { contentId } from './content.ts'

/** Terms of one request; `run()` of the model takes them. */
export interface CallOptions {
  readonly fetches: readonly string[]
  /** Arrival time of the request, on the clock. */
  readonly at: number
  readonly timeoutMs: number | undefined
  readonly signal: AbortSignalLike | undefined
  /** False keeps the request out of shared runs. */
  readonly shareable: boolean
  readonly priority: Priority | undefined
  readonly tenant: string | undefined
  /** The connection of the request; `undefined` if it has none. */
  readonly connection?: symbol | undefined
  readonly trace?: Trace | undefined
}

export interface RunResult {
  readonly outputs: Outputs
  readonly queueMs: number
  readonly inferMs: number
  readonly batchSize: number
  /** Time of the answer, on the clock. */
  readonly endedAt: number
}

export interface Answer extends RunResult {
  /** Set if this request needed no run: milliseconds since the result was computed. */
  readonly ageMs?: number
}

type Inputs = Readonly<Record<string, Tensor>>
type RunModel<C extends CallOptions> = (inputs: Inputs, call: C) => Promise<RunResult>

export interface ResultCache {
  /**
   * The result of an equal request, kept or under way; otherwise that of `run`, which then owns the inputs.
   * @throws ModelmountError `ABORTED`, `DEADLINE_EXCEEDED`, `QUEUE_FULL`, and the errors of `run`
   */
  getOrRun<C extends CallOptions>(inputs: Inputs, call: C, run: RunModel<C>): Promise<Answer>
  info(): CacheInfo
  /** Drops every entry. Runs under way are answered but not kept. @returns how many entries there were */
  purge(): number
  /** True if results are shared with other processes once `share()` has received the model's content. */
  readonly shares: boolean
  /** @param content equal in every process that loaded the same bytes */
  share(content: string): void
  /** Purges for good; later requests run. @returns a promise to await before the model stops taking runs, if there is any */
  close(): Promise<unknown> | undefined
}

export interface CacheSettings {
  readonly name: string
  readonly version: string
  readonly cache: CacheOptions
  /** Default request timeout. */
  readonly timeoutMs: number
  /** Most bytes of input that may wait for the runs of equal requests. */
  readonly maxQueueBytes: number
}

/** Outcome of a flight: the leader's own result, and a private copy for each other waiter. */
type Landing = { readonly own: RunResult; readonly kept: Kept | undefined } | { readonly own: undefined; readonly kept: Kept }

/** No one outside this process can compute a key, or tell from one what was asked. */
const PROCESS_SECRET = createSecretKey(randomBytes(32))

export function createResultCache(settings: CacheSettings, deps: SharedDeps): ResultCache {
  const { name: model, version, cache, timeoutMs, maxQueueBytes } = settings
  const { maxBytes, ttlMs, store } = cache
  const { clock } = deps
  const lru = new LRUCache<string, Kept>({
    maxSize: maxBytes,
    sizeCalculation: ({ bytes }) => bytes,
    // Exact to the millisecond without timers of its own, and on our clock.
    ...(ttlMs === undefined ? {} : { ttl: ttlMs, ttlResolution: 0, perf: { now: () => clock.now() } }),
  })
  const flights = createFlights<Landing>(clock)
  const waiters = createWaiters({ flights, clock, maxBytes: maxQueueBytes })
  /** Look-ups in the shared level that may still start a run. */
  const lookUps = new Set<Promise<unknown>>()
  let secret = PROCESS_SECRET
  let identity = identityBytes({ model, version, load: randomUUID() })
  let shared: Shared | undefined
  let closed = false
  let hits = 0
  let misses = 0

  async function getOrRun<C extends CallOptions>(inputs: Inputs, call: C, run: RunModel<C>): Promise<Answer> {
    if (call.signal?.aborted) throw aborted(call.signal)
    const key = keyOf(secret, identity, { inputs, ...call })
    const deadline = call.at + (call.timeoutMs ?? timeoutMs)
    while (!closed) {
      const kept = lru.get(key)
      if (kept) return hit(kept, call)
      const flight = flights.get(key)
      if (!flight) return lead(key, inputs, call, deadline, run)
      const landing = await waiters.join(flight, inputs, call.signal, deadline)
      if (landing?.kept) return hit(landing.kept, call)
      // Its leader had less time than this request, so it must run again.
    }
    return run(inputs, restarted(call, deadline))
  }

  /** The same call with its remaining time. */
  function restarted<C extends CallOptions>(call: C, deadline: number): C {
    const at = clock.now()
    return { ...call, at, timeoutMs: deadline - at }
  }

  function hit({ outputs, at }: Kept, { fetches }: CallOptions): Answer {
    hits++
    const now = clock.now()
    return {
      outputs: copyOutputs(outputs, fetches),
      queueMs: 0,
      inferMs: 0,
      batchSize: 0,
      endedAt: now,
      ageMs: Math.max(0, now - at),
    }
  }

  // ---------------------------------------------------------------- one run for all

  async function lead<C extends CallOptions>(
    key: string,
    inputs: Inputs,
    call: C,
    deadline: number,
    run: RunModel<C>,
  ): Promise<Answer> {
    const go = (flight: Flight<Landing>): Promise<RunResult> => {
      if (flight.signal?.aborted) throw aborted(flight.signal)
      misses++
      return run(inputs, { ...restarted(call, deadline), signal: flight.signal })
    }
    const flight = flights.start(key, call.signal !== undefined, (flight) => fly(key, flight, go, deadline))
    // The run has this request's deadline, as it would without a cache: that is how a hung child is detected.
    const { own, kept } = await flights.wait(flight, call.signal, undefined)
    return own ?? hit(kept, call)
  }

  async function fly(
    key: string,
    flight: Flight<Landing>,
    go: (flight: Flight<Landing>) => Promise<RunResult>,
    deadline: number,
  ): Promise<Landing> {
    const level = shared
    if (!level) return land(key, flight, await go(flight), undefined)
    // The run starts in the turn of the answer, so that close() knows when all have started.
    const lookUp = level.get(key, deadline - clock.now()).then((found) => (found ? { found } : { running: go(flight) }))
    lookUps.add(lookUp)
    const { found, running } = await lookUp.finally(() => lookUps.delete(lookUp))
    if (running) return land(key, flight, await running, level)
    const kept: Kept = { outputs: found.outputs, bytes: bytesOf(found.outputs), at: clock.now() - found.ageMs }
    if (flights.current(key, flight)) lru.set(key, kept, { start: kept.at })
    return { own: undefined, kept }
  }

  function land(key: string, flight: Flight<Landing>, own: RunResult, level: Shared | undefined): Landing {
    const fits = flights.current(key, flight) && bytesOf(own.outputs) <= maxBytes
    // The copy is made before the leader gets its result, because the leader may change it at once.
    const kept = fits || flight.joined > 1 ? keep(own.outputs, clock.now()) : undefined
    if (kept && fits) {
      lru.set(key, kept)
      level?.set(key, kept.outputs)
    }
    return { own, kept }
  }

  // ---------------------------------------------------------------- dropping

  function purge(): number {
    const entries = lru.size
    lru.clear()
    flights.forget()
    shared?.forget()
    return entries
  }

  return {
    getOrRun,
    info: () => ({ hits, misses, entries: lru.size, bytes: lru.calculatedSize }),
    purge,
    shares: store !== undefined,
    share(content) {
      if (!store) return
      secret = derivedKey(store.secret, 'key')
      identity = identityBytes({ model, version, load: content })
      shared = createShared({ store, ttlMs, maxBytes, prefix: `modelmount/${model}/${version}/` }, deps)
    },
    close() {
      purge()
      closed = true
      if (lookUps.size === 0) return undefined
      shared?.hurry()
      return Promise.allSettled(lookUps)
    },
  }
}
