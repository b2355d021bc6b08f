/** The cost of models for their host process: its event loop and its memory. */

import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { Instruments, Observe } from './instruments.ts'
import { METRICS } from './names.ts'

const RESOLUTION_MS = 10
const NANOSECONDS = 1e9

/** @returns a function that ends the observation */
export function observeHost(instruments: Instruments): () => void {
  const { loopUtilization, loopDelayMean, loopDelayP99, loopDelayMax, rss } = METRICS
  const metrics = { loopUtilization, loopDelayMean, loopDelayP99, loopDelayMax, rss }
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delays.enable()
  let before = performance.eventLoopUtilization()

  /** The monitor measures from timer to timer; the excess over its own period is delay. */
  const seconds = (nanoseconds: number): number => Math.max(0, nanoseconds / NANOSECONDS - RESOLUTION_MS / 1000)

  function read(observe: Observe<keyof typeof metrics>): void {
    const now = performance.eventLoopUtilization()
    observe('loopUtilization', performance.eventLoopUtilization(now, before).utilization)
    before = now
    if (delays.count > 0) {
      observe('loopDelayMean', seconds(delays.mean))
      observe('loopDelayP99', seconds(delays.percentile(99)))
      observe('loopDelayMax', seconds(delays.max))
      delays.reset()
    }
    observe('rss', process.memoryUsage.rss())
  }

  const end = instruments.observe(metrics, read)
  return () => {
    delays.disable()
    end()
  }
}
