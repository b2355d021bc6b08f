/** Counts every call once: in the statistics of the servable that answered it, and for telemetry. Both front doors call it, at the end. */

import type { Registry } from '../registry/registry.ts'
import type { RequestObserver } from '../telemetry/index.ts'
import type { Answer, Call } from './call.ts'
import type { Served } from './served.ts'
import { completeStack } from './stack.ts'

export interface Ledger {
  succeeded(call: Call, answer: Answer): void
  failed(call: Pick<Call, 'model' | 'version' | 'label' | 'codec' | 'at' | 'account'>, error: unknown): void
}

interface Deps<S extends Served> {
  readonly registry: Pick<Registry<S>, 'defaultOf' | 'versions' | 'get' | 'labels'>
  readonly observer: RequestObserver | undefined
  now(): number
}

export function createLedger<S extends Served>({ registry, observer, now }: Deps<S>): Ledger {
  /** The servable that a refused call names. */
  function meant({ model, version: asked, label }: Pick<Call, 'model' | 'version' | 'label'>): S | undefined {
    const version = asked ?? (label === undefined ? undefined : registry.labels(model).get(label))
    return version === undefined ? (registry.defaultOf(model) ?? registry.versions(model).at(-1)) : registry.get(model, version)
  }

  return {
    succeeded(call, answer) {
      const { progress } = call.account
      // Without a checked call, a stage has answered by itself.
      const served = progress.servable ? (progress.servable as Served) : meant(call)
      if (!served) return
      const at = progress.servable ? progress.at : call.at
      const { queueMs, endedAt, ageMs } = answer
      served.statistics.succeeded(endedAt - at, queueMs, ageMs !== undefined)
      observer?.answered(served, at, answer, progress.trace)
    },
    failed(call, error) {
      const { progress } = call.account
      if (progress.servable) {
        const served = progress.servable as Served
        served.statistics.failed(now() - progress.at)
        completeStack(error, call)
        observer?.failed(served, progress.at, error, progress.trace)
      } else observer?.failed(meant(call), call.at, error, progress.trace)
    },
  }
}
