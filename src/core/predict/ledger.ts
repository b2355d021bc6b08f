/** Counts every call: in the statistics of the servable that answered it, and for telemetry. Both front doors call it. */

import type { Registry } from '../registry/registry.ts'
import type { RequestObserver } from '../telemetry/index.ts'
import type { Answer, Call } from './call.ts'
import type { Served } from './served.ts'
import { completeStack } from './stack.ts'

export interface Ledger {
  succeeded(call: Call, answer: Answer): void
  failed(call: Call, error: unknown): void
  /** A call ended before it ran, or after its run was counted. An error that was told already is passed over. */
  refused(call: Call, error: unknown): void
}

interface Deps<S extends Served> {
  readonly registry: Pick<Registry<S>, 'defaultOf' | 'versions' | 'get' | 'labels'>
  readonly observer: RequestObserver | undefined
  now(): number
}

export function createLedger<S extends Served>({ registry, observer, now }: Deps<S>): Ledger {
  /** The servable that a refused call names. */
  function meant({ model, version: asked, label }: Call): S | undefined {
    const version = asked ?? (label === undefined ? undefined : registry.labels(model).get(label))
    return version === undefined ? (registry.defaultOf(model) ?? registry.versions(model).at(-1)) : registry.get(model, version)
  }

  return {
    succeeded({ at, account }, answer) {
      const served = account.servable as S | undefined
      // A stage has answered by itself.
      if (!served) return
      const { queueMs, endedAt, ageMs } = answer
      served.statistics.succeeded(endedAt - at, queueMs, ageMs !== undefined)
      observer?.answered(served, at, answer, account.trace)
    },
    failed(call, error) {
      const { at, account } = call
      const served = account.servable as S | undefined
      if (served) {
        served.statistics.failed(now() - at)
        completeStack(error, call)
      }
      observer?.failed(served ?? meant(call), at, error, account.trace)
    },
    refused(call, error) {
      observer?.refused(meant(call), call.at, error)
    },
  }
}
