/** `check`: inputs and outputs held against the signature, once it is known what answers. */

import { ModelmountError } from '../errors.ts'
import type { RequestObserver } from '../telemetry/index.ts'
import type { Predict, Servable } from './call.ts'
import type { Served } from './served.ts'
import type { Stage } from './stage.ts'

export const createCheck =
  (observer: Pick<RequestObserver, 'begin'> | undefined): Stage =>
  (next: Predict) =>
  (call) => {
    const served = call.servable as Served
    const { decoded } = call
    if (decoded === undefined || decoded.of !== served || decoded.inputs !== call.inputs) call.inputs = served.intake(call.inputs)
    if (observer) call.account.trace = call.trace = observer.begin(served, call.at, call, call.request?.headers)
    call.fetches = outputNames(served, call.outputs)
    call.account.servable = served
    return next(call)
  }

/** All outputs, or the ones asked for. The full list is one shared array, so that equal selections are recognised by identity. */
const allOutputs = new WeakMap<Servable, readonly string[]>()

function outputNames(servable: Servable, wanted: readonly string[] | undefined): readonly string[] {
  let all = allOutputs.get(servable)
  if (!all) {
    all = servable.signature.outputs.map((output) => output.name)
    allOutputs.set(servable, all)
  }
  if (wanted === undefined || wanted.length === 0) return all
  for (const name of wanted) if (!all.includes(name)) throw unknownOutput(servable, name, all)
  return [...new Set(wanted)]
}

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
