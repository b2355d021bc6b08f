/**
 * Everything that is counted and read for the servers of one meter, put together: each family and each series appears once, for any number
 * of servers and telemetries. Shared versions add up; the host and its GPUs appear once.
 */

import type { Meter } from '@opentelemetry/api'
import type { ServerEvent } from '../core/model/events.ts'
import type { ModelInfo } from '../core/model/types.ts'
import type { TelemetrySource } from '../core/telemetry/index.ts'
import { VERSION } from '../core/version.ts'
import { createCacheTally } from './cache-tally.ts'
import { type Checks, createChecks } from './checks.ts'
import { observeModels } from './gauges.ts'
import { observeGpus } from './gpu.ts'
import { observeHost } from './host.ts'
import type { Instruments } from './instruments.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { once } from './once.ts'
import { observeAsTriton } from './triton.ts'
import { has, type Version, versionsOf } from './versions.ts'

/** Observations of a server beside its models. */
export interface Wanted {
  readonly host: boolean
  readonly gpu: boolean | 'auto'
  readonly tritonNames: boolean
}

export interface Watching {
  readonly metrics: Metrics
  readonly checks: Checks
  /** A server begins. @returns a function to call at its end */
  watch(source: TelemetrySource, wanted: Wanted): () => void
}

const ON_NVIDIA: Readonly<Record<NonNullable<ModelInfo['executionProvider']>, boolean>> = {
  cpu: false,
  cuda: true,
  tensorrt: true,
  dml: false,
  coreml: false,
  webgpu: false,
}

export function createWatching(instruments: Instruments): Watching {
  const metrics = createMetrics(instruments)
  const checks = createChecks()
  const sources = new Set<TelemetrySource>()
  const tally = createCacheTally(metrics)

  function modelsOf(source: TelemetrySource): readonly ModelInfo[] {
    const found = source.models()
    tally(source, found)
    return found
  }
  const versions = (): Version[] => versionsOf([...sources].flatMap(modelsOf))

  const models = once(() => observeModels(instruments, versions, metrics))
  const looks = once(() => checks.observe(instruments))
  const host = once(() => observeHost(instruments))
  const triton = once(() => observeAsTriton(instruments, versions, metrics))
  const gpus = once(() => observeGpus(instruments))

  function saw(source: TelemetrySource, event: ServerEvent): void {
    checks.saw(event)
    if (event.type === 'worker-lost') metrics.seriesOf(event.model, event.version).restarts++
    if (event.type !== 'model') return
    // Before a cache disappears whose counts are added to another server's. Reading all models at each event of each would cost too much.
    if (sources.size > 1 && event.state === 'draining') modelsOf(source)
    if (event.state !== 'unloaded' || event.replaced) return
    const { model, version } = event
    if (![...sources].some((other) => other !== source && has(other, model, version))) metrics.forget(model, version)
  }

  return {
    metrics,
    checks,
    watch(source, wanted) {
      sources.add(source)
      const ends = [models(), looks()]
      if (wanted.host) ends.push(host())
      if (wanted.tritonNames) ends.push(triton())
      if (wanted.gpu === true) ends.push(gpus())
      let hasGpu = wanted.gpu !== 'auto'
      const unsubscribe = source.subscribe((event) => {
        saw(source, event)
        if (event.type !== 'worker-ready' || hasGpu) return
        hasGpu = source.models().some(({ executionProvider }) => executionProvider !== undefined && ON_NVIDIA[executionProvider])
        if (hasGpu) ends.push(gpus())
      })
      return () => {
        unsubscribe()
        modelsOf(source)
        sources.delete(source)
        for (const end of ends) end()
      }
    },
  }
}

/** One for the process: the package may be loaded as an ES module and as CommonJS, with one SDK behind both. */
const WATCHINGS = Symbol.for(`modelmount.watchings@${VERSION}`)

/** One for each meter: instruments of one name from two telemetries are the same to a meter, and would overwrite each other. */
export function watchingOf(meter: Meter, instruments: () => Instruments): Watching {
  const known = globalThis as { [WATCHINGS]?: WeakMap<Meter, Watching> }
  const watchings = known[WATCHINGS] ?? new WeakMap<Meter, Watching>()
  known[WATCHINGS] = watchings
  const watching = watchings.get(meter) ?? createWatching(instruments())
  watchings.set(meter, watching)
  return watching
}
