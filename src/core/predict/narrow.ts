/** The steps of a call. It stays one object of one hidden class: a copy at each step would cost more than the step. */

import type { Trace } from '../telemetry/index.ts'
import type { Account, Call, CheckedCall, RoutedCall, Servable, Tensors, Unchecked } from './call.ts'

/** A call as the front doors and the decoder make it, with room for all that it will have. */
export interface NewCall extends Call, Pick<CheckedCall, 'fetches' | 'trace'> {}

/** A call that the server's own steps may fill in. */
type Open<C> = { -readonly [Member in keyof C]: C[Member] }

export const NO_FETCHES: readonly string[] = Object.freeze([])
const NOT_CHECKED: Unchecked = Object.freeze({ servable: undefined, trace: undefined })

export const newAccount = (): Account => ({ progress: NOT_CHECKED })

export function routed(call: Call, servable: Servable): RoutedCall {
  const narrowed = call as Open<RoutedCall>
  narrowed.servable = servable
  return narrowed
}

export function checked(call: RoutedCall, inputs: Tensors, fetches: readonly string[], trace: Trace | undefined): CheckedCall {
  const narrowed = call as Open<CheckedCall>
  narrowed.inputs = inputs
  narrowed.fetches = fetches
  narrowed.trace = trace
  narrowed.account.progress = narrowed
  return narrowed
}

/** The same call once more. Field by field: Node 20 takes microseconds to spread an object of this size. */
export function copyOf<C extends Call>(call: C): C {
  const { fetches, trace } = call as Call & Partial<NewCall>
  const copy: NewCall = {
    model: call.model,
    version: call.version,
    label: call.label,
    id: call.id,
    outputs: call.outputs,
    shareable: call.shareable,
    cacheable: call.cacheable,
    transfer: call.transfer,
    priority: call.priority,
    sequence: call.sequence,
    timeoutMs: call.timeoutMs,
    at: call.at,
    signal: call.signal,
    connection: call.connection,
    principal: call.principal,
    tenant: call.tenant,
    request: call.request,
    codec: call.codec,
    decoded: call.decoded,
    inputs: call.inputs,
    servable: call.servable,
    fetches: fetches ?? NO_FETCHES,
    trace,
    account: call.account,
  }
  return copy as Call as C
}
