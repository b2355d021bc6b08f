/** Cuts the outputs of a run into the rows of each request. */

import type { TensorRecord } from '../../engine/frame.ts'
import type { Tensor } from '../../tensor/types.ts'
import type { LeanRequest } from './request.ts'

/** No names but its own. Unlike objects without a prototype, those with this one have a hidden class: reading one is ten times cheaper. */
const NO_NAMES: object = Object.freeze(Object.create(null))

export type RecordOf = new () => Record<string, Tensor>

/** A class for the outputs of one model. */
export function recordClass(): RecordOf {
  function Outputs(): void {}
  Outputs.prototype = NO_NAMES
  return Outputs as unknown as RecordOf
}

/** Elements up to which a loop beats `slice()`. */
const FEW = 24

type NumericData = Exclude<Tensor['data'], readonly string[]>

/**
 * Every piece owns its memory: a view would keep the whole run alive and expose its neighbours' rows. A request alone in its run gets all of it.
 * @returns `undefined` if an output lacks the rows that went in
 */
export function splitRows(
  outputs: TensorRecord,
  names: readonly string[],
  requests: readonly LeanRequest[],
  total: number,
  Outputs: RecordOf,
): readonly TensorRecord[] | undefined {
  const pieces: Record<string, Tensor>[] = []
  if (requests.length === 1) return [Object.assign(new Outputs(), outputs)]
  for (let index = 0; index < requests.length; index++) pieces.push(new Outputs())
  for (const name of names) {
    const whole = outputs[name]
    if (!whole || whole.dims[0] !== total) return undefined
    const { type, data } = whole
    const width = data.length / total
    const rest = whole.dims.slice(1)
    const oneRow = Object.freeze([1, ...rest])
    let from = 0
    for (let index = 0; index < requests.length; index++) {
      const { rows } = requests[index] as LeanRequest
      const to = from + rows * width
      const dims = rows === 1 ? oneRow : [rows, ...rest]
      ;(pieces[index] as Record<string, Tensor>)[name] = { type, dims, data: copyOf(data, from, to) } as Tensor
      from = to
    }
  }
  return pieces
}

function copyOf(data: Tensor['data'], from: number, to: number): Tensor['data'] {
  if (to - from > FEW || !ArrayBuffer.isView(data)) return data.slice(from, to)
  const copy = new (data.constructor as new (length: number) => NumericData)(to - from)
  for (let index = from; index < to; index++) copy[index - from] = data[index] as never
  return copy
}
