/** `check`: inputs and outputs held against the signature, once it is known what answers. */

import { ModelmountError } from '../errors.ts'
import type { RequestObserver } from '../telemetry/index.ts'
import type { CheckedCall, Predict, RoutedCall, Servable } from './call.ts'
import { checked } from './narrow.ts'
import type { Served } from './served.ts'

export const createCheck =
  (observer: Pick<RequestObserver, 'begin'> | undefined) =>
  (next: Predict<CheckedCall>): Predict<RoutedCall> =>
  (call) => {
    const served = call.servable as Served
    const { decoded } = call
    const isDecoded = decoded !== undefined && decoded.of === served && decoded.inputs === call.inputs
    const inputs = isDecoded ? decoded.inputs : served.intake(call.inputs)
    const trace = observer?.begin(served, call.at, call, call.request?.headers)
    const unknown = call.outputs && unknownIn(served, call.outputs)
    if (unknown !== undefined) {
      // Its trace has begun, and is ended by the refusal.
      call.account.progress = { servable: undefined, trace }
      throw unknownOutput(served, unknown, namesOf(served))
    }
    return next(checked(call, inputs, fetchesOf(served, call.outputs), trace))
  }

/** All outputs, or the ones asked for. The full list is one shared array, so that equal selections are recognised by identity. */
const allOutputs = new WeakMap<Servable, readonly string[]>()

function namesOf(servable: Servable): readonly string[] {
  const known = allOutputs.get(servable)
  if (known) return known
  const all = Object.freeze(servable.signature.outputs.map((output) => output.name))
  allOutputs.set(servable, all)
  return all
}

/** No closure in the check itself: each call would pay for it. */
const unknownIn = (servable: Servable, wanted: readonly string[]): string | undefined =>
  wanted.find((name) => !namesOf(servable).includes(name))

const fetchesOf = (servable: Servable, wanted: readonly string[] | undefined): readonly string[] =>
  wanted === undefined || wanted.length === 0 ? namesOf(servable) : [...new Set(wanted)]

function unknownOutput({ name: model, signature }: Servable, name: string, all: readonly string[]): ModelmountError {
  const got = name.slice(0, 100)
  const left = signature.leftOut?.find((output) => output.name === name)
  return left
    ? new ModelmountError('OUTPUT_NOT_FOUND', `model '${model}' does not serve its output '${got}': ${left.reason}`, {
        details: { field: 'outputs', got, type: left.declaredType },
      })
    : new ModelmountError(
        'OUTPUT_NOT_FOUND',
        `model '${model}' has no output '${got}'; it has ${all.map((known) => `'${known}'`).join(', ')}`,
        { details: { field: 'outputs', got } },
      )
}
