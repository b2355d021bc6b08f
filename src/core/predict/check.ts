/** `check`: inputs and outputs held against the signature, once it is known what answers. */

import { ModelmountError } from '../errors.ts'
import type { RequestObserver } from '../telemetry/index.ts'
import type { CheckedCall, Predict, RoutedCall, Servable } from './call.ts'
import { checked } from './narrow.ts'
import { createSelections, type Selections } from './selections.ts'
import type { Served } from './served.ts'

export const createCheck =
  (observer: Pick<RequestObserver, 'begin'> | undefined) =>
  (next: Predict<CheckedCall>): Predict<RoutedCall> =>
  (call) => {
    const served = call.servable as Served
    const { decoded } = call
    const isDecoded = decoded !== undefined && decoded.of === served && decoded.inputs === call.inputs
    const fetches = selectionsOf(served).of(call.outputs)
    // A refused call takes no memory.
    const inputs = isDecoded ? decoded.inputs : served.intake(call.inputs, call.transfer && fetches !== undefined)
    const trace = observer?.begin(served, call.at, call, call.request?.headers)
    if (!fetches) {
      // Its trace has begun, and is ended by the refusal.
      call.account.progress = { servable: undefined, trace }
      throw unknownOutput(served, call.outputs ?? [])
    }
    return next(checked(call, inputs, fetches, trace))
  }

const selections = new WeakMap<Servable, Selections>()

function selectionsOf(servable: Servable): Selections {
  const known = selections.get(servable)
  if (known) return known
  const made = createSelections(servable.signature.outputs.map(({ name }) => name))
  selections.set(servable, made)
  return made
}

function unknownOutput(servable: Servable, wanted: readonly string[]): ModelmountError {
  const { name: model, signature } = servable
  const { all } = selectionsOf(servable)
  const name = wanted.find((name) => !all.includes(name)) ?? ''
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
