/** Kept results. */

export type { CacheOptions, CacheStore } from './options.ts'

/** The results that one model version keeps in this process. */
export interface CacheInfo {
  /** Requests that were answered without a run of their own: from memory, from the store, or by the run of an equal request. */
  readonly hits: number
  /** Runs that requests had to start. */
  readonly misses: number
  readonly entries: number
  readonly bytes: number
}
