/** A clock that is moved by hand, a model that answers when told, and a store that can be made to fail. */

import { type CallOptions, createResultCache, type ResultCache, type RunResult } from '../../../src/core/cache/index.ts'
import type { CacheOptions, CacheStore } from '../../../src/core/cache/types.ts'
import { ModelmountError } from '../../../src/core/errors.ts'
import type { Clock } from '../../../src/core/host/clock.ts'
import type { Tensor } from '../../../src/core/tensor/types.ts'

/** Where hand clocks begin. */
const START = 1000

export function handClock(start = START): Clock & { advance(ms: number): void; pending(): number } {
  let now = start
  const timers = new Set<{ at: number; callback: () => void }>()
  return {
    now: () => now,
    /** Timers that have neither fired nor been cancelled. */
    pending: () => timers.size,
    after(ms, callback) {
      const timer = { at: now + ms, callback }
      timers.add(timer)
      return { cancel: () => timers.delete(timer), hold() {} }
    },
    advance(ms) {
      now += ms
      for (const timer of [...timers].sort((a, b) => a.at - b.at)) {
        if (timer.at > now || !timers.delete(timer)) continue
        timer.callback()
      }
    },
  }
}

export type HandClock = ReturnType<typeof handClock>

export const floats = (...values: number[]): Tensor => ({
  type: 'float32',
  dims: [values.length],
  data: Float32Array.from(values),
})

export const call = (opts: Partial<CallOptions> = {}): CallOptions => ({
  fetches: ['y'],
  at: START,
  timeoutMs: undefined,
  signal: undefined,
  shareable: true,
  priority: 'normal',
  tenant: undefined,
  ...opts,
})

export const answerOf = (...values: number[]): RunResult => ({
  outputs: Object.assign(Object.create(null), { y: floats(...values) }),
  queueMs: 1,
  inferMs: 2,
  batchSize: 4,
  endedAt: 3,
})

export interface Run {
  readonly inputs: Readonly<Record<string, Tensor>>
  readonly call: CallOptions
  answer(...values: number[]): void
  fail(error: unknown): void
}

/** Runs wait to be answered; a deadline or an abort settles them as the scheduler would. */
export function handModel(clock: Clock) {
  const runs: Run[] = []
  return {
    runs,
    run: (inputs: Readonly<Record<string, Tensor>>, call: CallOptions): Promise<RunResult> =>
      new Promise((resolve, reject) => {
        runs.push({ inputs, call, answer: (...values) => resolve(answerOf(...values)), fail: reject })
        clock.after(call.timeoutMs ?? 30_000, () => reject(new ModelmountError('DEADLINE_EXCEEDED', 'too late')))
        call.signal?.addEventListener('abort', () => reject(new ModelmountError('ABORTED', 'the request was aborted')))
      }),
  }
}

export interface Setup {
  readonly clock: HandClock
  readonly cache: ResultCache
  readonly warnings: string[]
}

export function setUp(
  options: Partial<CacheOptions> = {},
  opts: { readonly clock?: HandClock; readonly content?: string; readonly name?: string; readonly maxQueueBytes?: number } = {},
): Setup {
  const { clock = handClock(), content = 'bytes of the model', name = 'm', maxQueueBytes = 2 ** 30 } = opts
  const warnings: string[] = []
  const cache = createResultCache(
    { name, version: '1', cache: { maxBytes: 2 ** 20, ...options }, timeoutMs: 30_000, maxQueueBytes },
    { clock, wallNow: () => 1_700_000_000_000 + clock.now(), warn: (message) => warnings.push(message) },
  )
  if (cache.shares) cache.share(content)
  return { clock, cache, warnings }
}

/** Lets every promise that can settle do so. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export const SECRET = Uint8Array.from({ length: 32 }, (_, i) => i + 1)

export function mapStore(secret: Uint8Array = SECRET) {
  const values = new Map<string, Uint8Array>()
  const ttls: (number | undefined)[] = []
  const store: CacheStore = {
    secret,
    get: async (key) => values.get(key),
    set: async (key, value, ttlMs) => {
      values.set(key, value)
      ttls.push(ttlMs)
    },
  }
  return { values, ttls, store }
}

const numbersOf = (answer: { readonly outputs: Readonly<Record<string, Tensor>> }): Float32Array =>
  (answer.outputs.y as Tensor).data as Float32Array

export const dataOf = (answer: Parameters<typeof numbersOf>[0]): number[] => Array.from(numbersOf(answer))

/** How many different buffers the answers have. */
export const buffersOf = (answers: readonly Parameters<typeof numbersOf>[0][]): number =>
  new Set(answers.map((answer) => numbersOf(answer).buffer)).size
