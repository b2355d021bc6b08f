/** Which dimension of each input and output counts rows: read from the signature, or declared. */

import type { ModelSignature, ValueInfo } from '../types.ts'
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
 * The first dimension where nothing is declared. It must be dynamic, and one symbol over all inputs where it has a name.
 * @returns the axes, or why there are none
 */
export function axesOf(signature: ModelSignature, declared: DeclaredAxes): ModelAxes | string {
  const symbols = new Set<string>()
  const inputs: Record<string, number> = Object.create(null)
  const outputs: Record<string, number> = Object.create(null)
  const shared: string[] = []

  const find = (value: ValueInfo, found: Record<string, number>): string | undefined => {
    const { name, dims } = value
    const axis = Object.hasOwn(declared, name) ? (declared[name] as number) : 0
    if (!dims) return `the rank of '${name}' is unknown`
    if (dims.length === 0) return `'${name}' is a scalar`
    const dim = dims[axis]
    if (dim === undefined) return `'${name}' has no dimension ${axis}`
    if (typeof dim === 'number')
      return `the ${axis === 0 ? 'first dimension' : `dimension ${axis}`} of '${name}' is fixed at ${dim}`
    if (dim !== null && found === inputs) symbols.add(dim)
    found[name] = axis
    return undefined
  }

  if (signature.inputs.length === 0) return 'the model takes no input'
  for (const value of signature.inputs) {
    if (Object.hasOwn(declared, value.name) && declared[value.name] === 'shared') shared.push(value.name)
    else {
      const reason = find(value, inputs)
      if (reason) return reason
    }
  }
  if (symbols.size > 1) return `the inputs have different names for their rows (${[...symbols].join(', ')})`
  if (Object.keys(inputs).length === 0) return 'all inputs are shared'
  for (const value of signature.outputs) {
    const reason = find(value, outputs)
    if (reason) return reason
  }
  return { inputs, outputs, shared }
}
