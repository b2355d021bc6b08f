/** The shorter way of `predict()`: no call object, and one promise, for calls that no extension has to see. */

import type { Registry } from '../registry/registry.ts'
import type { RequestObserver } from '../telemetry/index.ts'
import type { Ledger } from './ledger.ts'
import { resultOf } from './result.ts'
import type { Served, Sink } from './served.ts'
import type { PredictInputs, PredictOptions, PredictResult } from './types.ts'

/** @returns `undefined` for a call that has to take the long way */
export type Short = (name: string, inputs: PredictInputs, opts: PredictOptions, at: number) => Promise<PredictResult> | undefined

interface Deps {
  readonly registry: Pick<Registry<Served>, 'defaultOf'>
  readonly observer: RequestObserver | undefined
  readonly ledger: Ledger
  newId(): string
}

export function createShort({ registry, observer, ledger, newId }: Deps): Short {
  const sinks = new WeakMap<Served, Sink>()
  let last: Served | undefined
  let lastSink: Sink | undefined

  function sinkFor(served: Served): Sink {
    if (served === last && lastSink) return lastSink
    const sink = sinks.get(served) ?? sinkOf(served)
    sinks.set(served, sink)
    last = served
    lastSink = sink
    return sink
  }

  function sinkOf(served: Served): Sink {
    const { name, version, statistics } = served
    return {
      answered(finished, { enqueuedAt, id, trace }) {
        statistics.succeeded(finished.endedAt - enqueuedAt, finished.queueMs, false)
        observer?.answered(served, enqueuedAt, finished, trace)
        return resultOf(id ?? newId(), name, version, enqueuedAt, finished)
      },
      failed(error, { enqueuedAt: at, trace }) {
        const account = { progress: { servable: served, at, trace } }
        ledger.failed({ model: name, version: undefined, label: undefined, codec: undefined, at, account }, error)
        return error
      },
    }
  }

  return (name, inputs, opts, at) => {
    const served = registry.defaultOf(name)
    const lean = served?.cache ? undefined : served?.lean
    const rows = lean ? lean.offer(inputs, at, opts) : 0
    if (!served || !lean || rows === 0) return undefined
    const trace = observer?.begin(served, at, opts, undefined)
    return lean.commit(rows, at, opts, trace, sinkFor(served)) as Promise<PredictResult>
  }
}
