/** The second level: a store of the user's that several processes share. Whatever it does, requests only ever see a hit or a miss. */

import { createHmac, createSecretKey } from 'node:crypto'
import type { Clock } from '../host/clock.ts'
import { typedArrayName } from '../tensor/index.ts'
import type { Outputs } from './kept.ts'
import { type CacheStore, STORE_TIMEOUT_MS } from './options.ts'
import { seal, unseal } from './sealed.ts'

/** After this many failures in a row the store is left alone for a while: a dead one must not cost every request its wait. */
const MAX_FAILURES = 3
const PAUSE_MS = 1000
const WARN_EVERY_MS = 60_000

export interface Found {
  readonly outputs: Outputs
  readonly ageMs: number
}

export interface Shared {
  /** Never rejects, and takes no longer than the store's `timeoutMs` and `withinMs`. */
  get(key: string, withinMs: number): Promise<Found | undefined>
  /** Not waited for. */
  set(key: string, outputs: Outputs): void
  /** Earlier results are misses from here on: a store has no way to delete. */
  forget(): void
  /** Look-ups under way become misses at once. */
  hurry(): void
}

export interface SharedDeps {
  readonly clock: Clock
  /** Milliseconds since 1970: ages are compared across processes. */
  wallNow(): number
  warn(message: string): void
}

interface SharedSettings {
  readonly store: CacheStore
  readonly ttlMs: number | undefined
  /** Larger values are not looked at. */
  readonly maxBytes: number
  /** In front of every key, for people and for deleting by prefix. */
  readonly prefix: string
}

/** One secret serves two purposes, so each gets a key of its own. */
export const derivedKey = (secret: Uint8Array, purpose: 'key' | 'value') =>
  createSecretKey(createHmac('sha256', secret).update(`modelmount cache ${purpose} 1`).digest())

export function createShared({ store, ttlMs, maxBytes, prefix }: SharedSettings, { clock, wallNow, warn }: SharedDeps): Shared {
  const secret = derivedKey(store.secret, 'value')
  const timeoutMs = store.timeoutMs ?? STORE_TIMEOUT_MS
  const waiting = new Set<() => void>()
  let notBefore = Number.NEGATIVE_INFINITY
  let failures = 0
  let pausedUntil = Number.NEGATIVE_INFINITY
  let warnedAt = Number.NEGATIVE_INFINITY

  /** The store's answer, or `undefined` when there is none in time. */
  function bounded<T>(what: 'get' | 'set', withinMs: number, ask: () => Promise<T>): Promise<T | undefined> {
    if (clock.now() < pausedUntil) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      let open = true
      function done(value: T | undefined): boolean {
        const first = open
        open = false
        timer.cancel()
        waiting.delete(hurry)
        resolve(value)
        return first
      }
      const hurry = (): void => void done(undefined)
      const timer = clock.after(Math.min(timeoutMs, withinMs), () => {
        // A caller in a hurry says nothing about the store.
        if (done(undefined) && withinMs >= timeoutMs) failed(what, `no answer within ${timeoutMs} ms`)
      })
      timer.hold(true)
      if (what === 'get') waiting.add(hurry)
      called(ask).then(
        (value) => {
          if (done(value)) failures = 0
        },
        (error: unknown) => {
          if (done(undefined)) failed(what, kindOf(error))
        },
      )
    })
  }

  function failed(what: string, why: string): void {
    const now = clock.now()
    failures++
    if (failures >= MAX_FAILURES) pausedUntil = now + PAUSE_MS
    if (now - warnedAt < WARN_EVERY_MS) return
    warnedAt = now
    warn(`the cache store of ${prefix} failed (${what}: ${why}); requests go on without it`)
  }

  return {
    async get(key, withinMs) {
      const value = await bounded('get', withinMs, () => store.get(prefix + key))
      // By its kind, not its class: a test runner has a Uint8Array of its own.
      if (!value || typedArrayName(value) !== 'Uint8Array' || value.byteLength > maxBytes) return undefined
      const unsealed = unseal(secret, prefix + key, value)
      if (!unsealed || unsealed.wallMs <= notBefore) return undefined
      // Clocks of two machines differ a little; nothing is younger than new.
      const ageMs = Math.max(0, wallNow() - unsealed.wallMs)
      if (ttlMs !== undefined && ageMs > ttlMs) return undefined
      return { outputs: unsealed.outputs, ageMs }
    },
    set(key, outputs) {
      if (clock.now() < pausedUntil) return
      const value = seal(secret, prefix + key, { outputs, wallMs: wallNow() })
      void bounded('set', timeoutMs, () => store.set(prefix + key, value, ttlMs))
    },
    forget() {
      notBefore = wallNow()
    },
    hurry() {
      for (const giveUp of [...waiting]) giveUp()
    },
  }
}

/** A store may throw at once as well as reject. */
const called = async <T>(ask: () => Promise<T>): Promise<T> => ask()

/** Not the message: a client's error may quote the address with its password, or the value. */
function kindOf(error: unknown): string {
  const { name, code } = (typeof error === 'object' && error !== null ? error : {}) as { name?: unknown; code?: unknown }
  return [name, code].filter((part) => typeof part === 'string' && /^\w{1,60}$/.test(part)).join(' ') || 'an error'
}
