/**
 * Triton's statistics, in its exact shape: tools subtract two readings.
 * https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_statistics.md
 */

import type { StatisticsSnapshot } from '../../model/statistics.ts'
import type { ModelInfo } from '../../model/types.ts'

interface Duration {
  readonly count: number
  readonly ns: number
}

const duration = (count: number, ms: number): Duration => ({ count, ns: Math.round(ms * 1e6) })

export interface ModelStatistics {
  readonly info: ModelInfo
  readonly statistics: StatisticsSnapshot
}

export function encodeStatistics(models: readonly ModelStatistics[]): Uint8Array {
  return Buffer.from(JSON.stringify({ model_stats: models.map(describe) }), 'utf8')
}

function describe({ info, statistics }: ModelStatistics): object {
  const { success, fail, queueMs, hits, batches, rows, runs, inputMs, inferMs, outputMs, lastRunAt } = statistics
  // Those that had a run of their own, or their part in one.
  const computed = success.count - hits.count
  return {
    name: info.name,
    version: info.version,
    last_inference: lastRunAt,
    inference_count: rows,
    execution_count: runs,
    inference_stats: {
      success: duration(success.count, success.ms),
      fail: duration(fail.count, fail.ms),
      queue: duration(success.count, queueMs),
      compute_input: duration(computed, inputMs),
      compute_infer: duration(computed, inferMs),
      compute_output: duration(computed, outputMs),
      cache_hit: duration(hits.count, hits.ms),
      // A look-up that finds nothing takes no time worth a clock.
      cache_miss: duration(info.cache ? computed : 0, 0),
    },
    response_stats: {},
    batch_stats: batches.map((batch) => ({
      batch_size: batch.rows,
      compute_input: duration(batch.runs, batch.inputMs),
      compute_infer: duration(batch.runs, batch.inferMs),
      compute_output: duration(batch.runs, batch.outputMs),
    })),
    memory_usage: memoryOf(info),
  }
}

function memoryOf({ memory, instances, resident }: ModelInfo): object[] {
  if (!memory || !resident) return []
  return [{ type: 'CPU', id: 0, byte_size: Math.round(memory.perInstanceBytes * instances.ready) }]
}
