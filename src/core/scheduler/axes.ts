/** Finds the dimension of each input and output that counts rows: by its symbol, or as declared. */

import type { ModelSignature, ValueInfo } from '../tensor/types.ts'
import type { BatchAxes } from './batch.ts'

/** Declared axes by tensor name; `'shared'` for an input that all rows of a run have in common, such as a sampling rate. */
export type DeclaredAxes = Readonly<Record<string, number | 'shared'>>

export interface ModelAxes {
  readonly inputs: BatchAxes
  readonly outputs: BatchAxes
  /** Inputs that must be equal for requests to share a run. */
  readonly shared: readonly string[]
}

/**
 * Without a declaration, the dimension with the symbol of the rows, else the first. An input's must be dynamic. An output's may be declared
 * as anything, since some exporters write 1 for any number of rows; the trial shows whether rows come out. Scalars are shared.
 * @returns the axes, or why there are none
 */
export function axesOf(signature: ModelSignature, declared: DeclaredAxes): ModelAxes | string {
  if (signature.inputs.length === 0) return 'the model takes no input'
  const isDeclared = ({ name }: ValueInfo): boolean => Object.hasOwn(declared, name)
  const shared = signature.inputs.filter((value) => (isDeclared(value) ? declared[value.name] === 'shared' : isScalar(value)))
  const batched = signature.inputs.filter((value) => !shared.includes(value))
  if (batched.length === 0) return 'all inputs are scalars or shared'
  const symbol = symbolOfRows(batched.filter((value) => !isDeclared(value)))
  const axisOf = (value: ValueInfo): number => (isDeclared(value) ? (declared[value.name] as number) : placeOf(symbol, value))

  const symbols = new Set<string>()
  const inputs: Record<string, number> = Object.create(null)
  for (const value of batched) {
    const axis = axisOf(value)
    const reason = whyFixed(value, axis)
    if (reason) return reason
    const dim = value.dims?.[axis]
    if (typeof dim === 'string') symbols.add(dim)
    inputs[value.name] = axis
  }
  if (symbols.size > 1) return `the inputs have different names for their rows (${[...symbols].join(', ')})`
  const outputs: Record<string, number> = Object.create(null)
  for (const value of signature.outputs) {
    const axis = axisOf(value)
    if (isDeclared(value) && value.dims && value.dims.length <= axis) return `'${value.name}' has no dimension ${axis}`
    outputs[value.name] = axis
  }
  return { inputs, outputs, shared: shared.map(({ name }) => name) }
}

const isScalar = ({ dims }: ValueInfo): boolean => dims?.length === 0

function whyFixed({ name, dims }: ValueInfo, axis: number): string | undefined {
  if (!dims) return `the rank of '${name}' is unknown`
  const dim = dims[axis]
  if (dim === undefined) return dims.length === 0 ? `'${name}' is a scalar` : `'${name}' has no dimension ${axis}`
  if (typeof dim !== 'number') return undefined
  return `the ${axis === 0 ? 'first dimension' : `dimension ${axis}`} of '${name}' is fixed at ${dim}`
}

/** Usual names for the number of rows. */
const BATCH = /^(?:n|bs|batch(?:[ _-]?size)?)$/i

/**
 * The symbol that all of these inputs have in one dimension each. A symbol named like a batch comes first.
 * Else, if not every input can have its rows first, one that stands first in some of them.
 * The layout of recurrent state has rows second: `[layers, batch, width]`.
 */
function symbolOfRows(inputs: readonly ValueInfo[]): string | undefined {
  const first = new Set(inputs.flatMap(({ dims }) => (typeof dims?.[0] === 'string' ? [dims[0]] : [])))
  const own = inputs.map(({ dims = [] }) =>
    dims.filter((dim, i) => typeof dim === 'string' && dims.indexOf(dim) === i && dims.lastIndexOf(dim) === i),
  )
  const common = (own[0] ?? []).filter((dim): dim is string => own.every((symbols) => symbols.includes(dim)))
  const called = common.filter((symbol) => BATCH.test(symbol))
  if (called.length === 1) return called[0]
  const isUsual = inputs.every(({ dims }) => dims !== undefined && typeof dims[0] !== 'number') && first.size <= 1
  if (isUsual) return [...first][0]
  const candidates = common.filter((symbol) => first.has(symbol))
  return candidates.length === 1 ? candidates[0] : undefined
}

/** The one dimension of that name, else the first. */
function placeOf(symbol: string | undefined, { dims = [] }: ValueInfo): number {
  const places = dims.flatMap((dim, i) => (dim === symbol ? [i] : []))
  return places.length === 1 ? (places[0] as number) : 0
}
