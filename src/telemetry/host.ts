/** What models cost the process that they are mounted in: its event loop and its memory. */

import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { BatchObservableResult, Meter } from '@opentelemetry/api'
import { observables } from './gauges.ts'
import { METRICS } from './names.ts'

const RESOLUTION_MS = 10
const NANOSECONDS = 1e9

/** @returns ends the observation */
export function observeHost(meter: Meter): () => void {
  const { loopUtilization, loopDelayMean, loopDelayP99, loopDelayMax, rss } = METRICS
  const made = observables(meter, { loopUtilization, loopDelayMean, loopDelayP99, loopDelayMax, rss })
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delays.enable()
  let before = performance.eventLoopUtilization()

  /** The monitor measures from timer to timer; what is over its own period is delay. */
  const seconds = (nanoseconds: number): number => Math.max(0, nanoseconds / NANOSECONDS - RESOLUTION_MS / 1000)

  function observe(result: BatchObservableResult): void {
    const now = performance.eventLoopUtilization()
    result.observe(made.loopUtilization, performance.eventLoopUtilization(now, before).utilization)
    before = now
    if (delays.count > 0) {
      result.observe(made.loopDelayMean, seconds(delays.mean))
      result.observe(made.loopDelayP99, seconds(delays.percentile(99)))
      result.observe(made.loopDelayMax, seconds(delays.max))
      delays.reset()
    }
    result.observe(made.rss, process.memoryUsage.rss())
  }

  const all = Object.values(made)
  meter.addBatchObservableCallback(observe, all)
  return () => {
    delays.disable()
    meter.removeBatchObservableCallback(observe, all)
  }
}
