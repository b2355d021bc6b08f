/**
 * Look-ups in result caches, added up over servers. Each cache counts for itself and disappears with its load or its server. Its counts
 * must stay, because a counter that falls reads as one that began anew.
 */

import type { ModelInfo } from '../core/model/types.ts'
import type { TelemetrySource } from '../core/telemetry/index.ts'
import type { Metrics, Series } from './metrics.ts'

interface Seen {
  readonly hits: number
  readonly misses: number
}

/** Adds the caches' counts since the last call. @param models of the server, now */
export type CacheTally = (source: TelemetrySource, models: readonly ModelInfo[]) => void

export function createCacheTally(metrics: Metrics): CacheTally {
  const bySource = new WeakMap<TelemetrySource, WeakMap<Series, Seen>>()

  /** A cache with a lower count than before is another one. */
  const since = (now: number, before = 0): number => (now >= before ? now - before : now)

  return (source, models) => {
    const seen = bySource.get(source) ?? new WeakMap<Series, Seen>()
    bySource.set(source, seen)
    for (const { name, version, state, cache } of models) {
      if (!cache || state === 'unloaded') continue
      const series = metrics.seriesOf(name, version)
      const before = seen.get(series)
      series.cache.hits += since(cache.hits, before?.hits)
      series.cache.misses += since(cache.misses, before?.misses)
      seen.set(series, { hits: cache.hits, misses: cache.misses })
    }
  }
}
