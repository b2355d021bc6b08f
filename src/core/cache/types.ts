/** Keeping results. */

/** Keeping results, so that an equal request is answered without a run. */
export interface CacheOptions {
  /** Most memory that the results of one model version take; the least recently used ones go first. */
  readonly maxBytes: number
  /** Age in milliseconds from which a result is not served any more. @default no limit: a model answers the same for ever */
  readonly ttlMs?: number
  /** A second level that several processes share. */
  readonly store?: CacheStore
}

/**
 * A key-value store outside this process. Its errors and delays never fail a request. Values are sealed, so that nothing but what a process with
 * the same `secret` has put there is believed; they are not encrypted.
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

/** The results that one model version keeps in this process. */
export interface CacheInfo {
  /** Requests that were answered without a run of their own: from memory, from the store, or by the run of an equal request. */
  readonly hits: number
  /** Runs that requests had to start. */
  readonly misses: number
  readonly entries: number
  readonly bytes: number
}
