/** `predict()`: the front door of calls that bring tensors. */

import type { Clock } from '../host/clock.ts'
import type { Answer, Call } from './call.ts'
import type { Ledger } from './ledger.ts'
import { type NewCall, NO_FETCHES, newAccount } from './narrow.ts'
import { checkPredictOptions } from './options.ts'
import type { Pipeline } from './pipeline.ts'
import { resultOf } from './result.ts'
import type { Short } from './short.ts'
import type { PredictInputs, PredictOptions, PredictResult } from './types.ts'
import { whileWaited } from './waited.ts'

const NO_OPTIONS: PredictOptions = {}

interface Deps {
  /** The shorter way of calls that ask for nothing special; `undefined` where extensions have to see each call. */
  readonly short: Short | undefined
  readonly pipeline: Pipeline
  readonly ledger: Ledger
  readonly clock: Clock
  newId(): string
  /** @throws ModelmountError `SERVER_CLOSED` */
  refuseClosed(): void
  /** Asks the guards; `undefined` where there are none. */
  readonly allow: ((call: Call) => void | Promise<void>) | undefined
}

export type Front = (name: string, inputs: PredictInputs, opts?: PredictOptions) => Promise<PredictResult>

export function createFront({ short, pipeline, ledger, clock, newId, refuseClosed, allow }: Deps): Front {
  /** Not an async function: the promises that one makes on its way cost more than all the checks. */
  return (name, inputs, opts = NO_OPTIONS) => {
    const at = clock.now()
    let call: Call | undefined
    try {
      refuseClosed()
      if (opts !== NO_OPTIONS) checkPredictOptions(opts)
      const answered = short?.(name, inputs, opts, at)
      if (answered) return answered
      call = callOf(name, inputs, opts, at)
      return counted(call, allow ? allowed(call, allow) : pipeline.predict(call))
    } catch (error) {
      // A call whose options are none is refused as one without.
      const refused = call ?? callOf(name, inputs, labelledOnly(opts), at)
      return counted(refused, pipeline.refuse(refused, error))
    }
  }

  function allowed(call: Call, allow: NonNullable<Deps['allow']>): Promise<Answer> {
    const later = allow(call)
    if (!later) return pipeline.predict(call)
    return whileWaited(later, call, clock).then(
      () => pipeline.predict(call),
      (error) => pipeline.refuse(call, error),
    )
  }

  function counted(call: Call, answering: Promise<Answer>): Promise<PredictResult> {
    return answering.then(
      (answer) => {
        ledger.succeeded(call, answer)
        // None where a stage has answered by itself.
        const { servable } = call.account.progress
        const model = servable ? servable.name : call.model
        const version = servable ? servable.version : (call.version ?? '')
        return resultOf(call.id ?? newId(), model, version, call.at, answer)
      },
      (error) => {
        ledger.failed(call, error)
        throw error
      },
    )
  }
}

const callOf = (model: string, inputs: PredictInputs, opts: PredictOptions, at: number): NewCall => ({
  model,
  version: opts.version,
  label: opts.label,
  id: opts.id,
  outputs: opts.outputs,
  shareable: opts.batch !== false,
  cacheable: opts.cache !== false,
  transfer: opts.transfer === true,
  priority: opts.priority,
  sequence: opts.sequence,
  timeoutMs: opts.timeoutMs,
  at,
  signal: opts.signal,
  connection: undefined,
  principal: undefined,
  tenant: opts.tenant,
  request: undefined,
  codec: undefined,
  decoded: undefined,
  inputs,
  servable: undefined,
  fetches: NO_FETCHES,
  trace: undefined,
  account: newAccount(),
})

function labelledOnly(opts: unknown): PredictOptions {
  try {
    const { version, label } = (opts ?? {}) as PredictOptions
    return {
      ...(typeof version === 'string' ? { version } : {}),
      ...(typeof label === 'string' ? { label } : {}),
    }
  } catch {
    // A getter of the caller's has thrown.
    return {}
  }
}
