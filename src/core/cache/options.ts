/** Options of keeping results. */

import {
  type Check,
  checkPart,
  type Declared,
  decided,
  falseOr,
  got,
  integer,
  milliseconds,
  object,
  special,
} from '../options/kinds.ts'

/** Keeping results, so that an equal request is answered without a run. */
export interface CacheOptions {
  /** Most memory that the results of one model version take; the least recently used ones go first. */
  readonly maxBytes: number
  /** Age in milliseconds from which a result is not served any more. @default no limit: a model answers the same for ever */
  readonly ttlMs?: number
  /** A second level that several processes share. @default none */
  readonly store?: CacheStore
}

/**
 * A key-value store outside this process. Its errors and delays never fail a request. Values are sealed, so that only those of a process
 * with the same `secret` are trusted; they are not encrypted.
 */
export interface CacheStore {
  /** At least 32 bytes, the same in every process that shares results. Another secret finds nothing. */
  readonly secret: Uint8Array
  /** Longest wait for an answer, in milliseconds. @default 50 */
  readonly timeoutMs?: number
  /** @param key `modelmount/<model>/<version>/<hash>`, at most 320 characters */
  get(key: string): Promise<Uint8Array | null | undefined>
  /** @param ttlMs when to forget it; `undefined` for when there is need of room */
  set(key: string, value: Uint8Array, ttlMs: number | undefined): Promise<unknown>
}

/** Whether results are kept. */
export interface ResultOptions {
  /**
   * Keeping results, for models whose inputs repeat; `false` for none. Given for the whole server it holds for each model version by itself.
   * Not for models that draw random numbers: a kept result is the same every time. Nothing is kept for models with `sequences`.
   * @default false
   */
  readonly cache?: false | CacheOptions
}

export const STORE_TIMEOUT_MS = 50

/** An object of any class, a client's own for example. */
const checkStore: Check = (value, problems) => {
  const store = (typeof value === 'object' ? value : undefined) as Partial<Record<keyof CacheStore, unknown>> | null | undefined
  if (typeof store?.get !== 'function' || typeof store.set !== 'function')
    problems.push((path) => `${path} must have the methods get and set, got ${got(value)}`)
  if (!store) return
  checkPart(store.secret, 'secret', checkSecret, problems)
  if (store.timeoutMs !== undefined) checkPart(store.timeoutMs, 'timeoutMs', milliseconds.check, problems)
}

const checkSecret: Check = (secret, problems) => {
  if (!(secret instanceof Uint8Array)) problems.push((path) => `${path} must be a Uint8Array, got ${got(secret)}`)
  else if (secret.byteLength < 32) problems.push((path) => `${path} must have at least 32 bytes, got ${secret.byteLength}`)
  // A placeholder, or wiped after use while later load() calls still need it.
  else if (secret.every((byte) => byte === 0)) problems.push((path) => `${path} must be random bytes, got zeros`)
}

const BOUNDS = {
  maxBytes: integer(4096, Number.MAX_SAFE_INTEGER).required(),
  ttlMs: integer(1, Number.MAX_SAFE_INTEGER),
} satisfies Declared<Omit<CacheOptions, 'store'>>

const cache = object<CacheOptions>({
  ...BOUNDS,
  store: special<CacheStore>('a store with get(), set() and secret', checkStore),
})

export const RESULT_OPTIONS = { cache: falseOr(cache).default(false) } satisfies Declared<ResultOptions>

/** As `model.json` may say it: a file cannot bring a store. */
export const FILE_CACHE = falseOr(object<Omit<CacheOptions, 'store'>>(BOUNDS)).default(false)

export const resultConfig = (set: ResultOptions) => decided(RESULT_OPTIONS, set)
