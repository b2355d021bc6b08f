/** How rows of a model lie in memory, where each row of an input has the same size. */

import { DTYPES } from '../../tensor/index.ts'
import type { ModelSignature, Tensor, ValueInfo } from '../../tensor/types.ts'
import type { ModelAxes } from '../axes.ts'

export type NumericData = Exclude<Tensor['data'], readonly string[]>
export type NumericType = Exclude<Tensor['type'], 'string'>

interface ArrayOf {
  readonly BYTES_PER_ELEMENT: number
  new (buffer: ArrayBuffer, byteOffset: number, length: number): NumericData
}

export interface LeanInput {
  readonly name: string
  readonly type: NumericType
  readonly ArrayOf: ArrayOf
  readonly prototype: object
  /** Of one row. */
  readonly elements: number
  /** Dimensions after the first, which counts rows. */
  readonly rest: readonly number[]
}

export interface LeanLayout {
  readonly inputs: readonly LeanInput[]
  /** All inputs of one row together. */
  readonly rowBytes: number
  /** The names of all outputs, as a run fetches them. */
  readonly fetches: readonly string[]
}

/** Larger rows are copied by themselves, into memory that is given away. */
const MOST_ROW_BYTES = 64 * 1024

/** @returns the layout, or why rows cannot be laid out one behind the other */
export function layoutOf(signature: ModelSignature, axes: ModelAxes): LeanLayout | string {
  if (axes.shared.length > 0) return 'an input is shared by all rows of a run'
  const inputs: LeanInput[] = []
  let rowBytes = 0
  for (const value of signature.inputs) {
    const input = axes.inputs[value.name] === 0 ? inputOf(value) : undefined
    if (!input) return `the rows of input '${value.name}' differ in size, are strings, or do not come first`
    rowBytes += input.elements * DTYPES[input.type].bytes
    inputs.push(input)
  }
  if (signature.outputs.some(({ name }) => axes.outputs[name] !== 0)) return 'the rows of an output do not come first'
  if (rowBytes > MOST_ROW_BYTES) return `a row has more than ${MOST_ROW_BYTES} bytes`
  return { inputs, rowBytes, fetches: Object.freeze(signature.outputs.map(({ name }) => name)) }
}

function inputOf({ name, type, dims, optional }: ValueInfo): LeanInput | undefined {
  if (type === undefined || type === 'string' || dims === undefined || optional === true) return undefined
  const rest = dims.slice(1)
  if (!rest.every((dim) => typeof dim === 'number')) return undefined
  const elements = rest.reduce((product, dim) => product * dim, 1)
  if (elements === 0) return undefined
  const { array } = DTYPES[type]
  return { name, type, ArrayOf: array as unknown as LeanInput['ArrayOf'], prototype: array.prototype as object, elements, rest }
}
