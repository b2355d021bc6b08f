/**
 * Matches a model's declared state with its graph: the signature for requests, the inputs that the server adds, and the outputs
 * that it keeps.
 */

import { ModelmountError } from '../errors.ts'
import { allocate, checkInputs, DTYPES, inputFault, product, quote } from '../tensor/index.ts'
import type { DType, ModelSignature, Tensor, ValueInfo } from '../tensor/types.ts'
import type { SequenceCall } from './call.ts'
import type { SequenceSettings } from './options.ts'
import { createRows, type Rows, type Sizes } from './sizes.ts'
import type { SequenceControl, SequenceState } from './types.ts'

type Tensors = Readonly<Record<string, Tensor>>
type NumericData = Exclude<Tensor['data'], readonly string[]>

export interface SequencePlan {
  /** The graph without the parts that the server fills in and keeps. */
  readonly visible: ModelSignature
  /** Of state and controls, and of the outputs with the next state: the dimension that counts rows, if known. */
  readonly axes: Readonly<Record<string, number>>
  /** Outputs to fetch in any case. */
  readonly outputs: readonly string[]
  /** First state of a sequence that a request with these inputs starts. */
  fresh(inputs: Tensors): Tensors
  /** Its size in bytes, known before it exists. */
  freshBytes(inputs: Tensors): number
  /** @throws ModelmountError `INPUT_INVALID` if the inputs and the state differ in their rows */
  check(inputs: Tensors, state: Tensors): void
  /** @throws ModelmountError `INPUT_INVALID` for an id that the model's input cannot hold */
  controls(inputs: Tensors, call: SequenceCall): Tensors
  /**
   * The state after a run, which shares no memory with anything else.
   * @throws ModelmountError `INFERENCE_FAILED` if the model returns a state that it would not accept
   */
  next(outputs: Tensors, before: Tensors): Tensors
}

interface State extends SequenceState {
  readonly input: ValueInfo
  readonly sizes: Sizes
  /** One row of the first state; one element if all are the same. */
  readonly row: Tensor['data']
}

interface Control extends SequenceControl {
  readonly input: ValueInfo
  readonly sizes: Sizes
  /** One element for no and one for yes. */
  readonly words: readonly Tensor['data'][]
}

/**
 * @param graph with all of its inputs and outputs
 * @param axes of the batching options
 * @throws ModelmountError `CONFIG_INVALID` if the declaration contradicts the graph
 */
export function planSequences(
  graph: ModelSignature,
  { state, controls }: Pick<SequenceSettings, 'state' | 'controls'>,
  axes: Readonly<Record<string, number | 'shared'>>,
): SequencePlan {
  const filled = new Set([...state.keys(), ...controls.keys()])
  const hidden = new Set([...state.values()].filter(({ returned }) => !returned).map(({ output }) => output))
  const visible = {
    inputs: graph.inputs.filter(({ name }) => !filled.has(name)),
    outputs: graph.outputs.filter(({ name }) => !hidden.has(name)),
  }
  if (visible.outputs.length === 0)
    throw contradiction(
      'sequences.state',
      'sequences.state keeps every output of the graph to itself; say returned: true of those that requests get too',
    )
  const rows = createRows(visible.inputs, axes)
  const states = [...state].map(([name, declared]) => stateOf(graph, name, declared, rows))
  const told = [...controls].map(([name, declared]) => controlOf(graph, name, declared, rows))
  const found: Record<string, number> = Object.create(null)
  for (const { input, sizes } of [...states, ...told]) if (sizes.rowAxis !== undefined) found[input.name] = sizes.rowAxis
  for (const { output, sizes } of states) {
    const dims = graph.outputs.find(({ name }) => name === output)?.dims
    if (sizes.rowAxis !== undefined && dims && typeof dims[sizes.rowAxis] !== 'number') found[output] = sizes.rowAxis
  }

  return {
    visible,
    axes: found,
    outputs: [...new Set(states.map(({ output }) => output))],
    fresh: (inputs) => record(states.map((one) => [one.input.name, begin(one, inputs)])),
    freshBytes: (inputs) => states.reduce((sum, { input, sizes }) => sum + product(sizes.of(inputs)) * bytesPerElement(input), 0),
    check(inputs, state) {
      for (const { input, sizes } of states) {
        const { rowAxis } = sizes
        if (rowAxis === undefined) continue
        const [expected, got] = [state[input.name]?.dims[rowAxis], rows.of(inputs)]
        if (expected === got) continue
        const message = `the sequence began with ${expected} rows, and this request has ${got}`
        throw inputFault(message, { input: visible.inputs[0]?.name ?? '', expected: `${expected} rows`, got: `${got}` })
      }
    },
    controls: (inputs, call) => record(told.map((one) => [one.input.name, tell(one, inputs, call)])),
    next: (outputs, before) =>
      record(states.map((one) => [one.input.name, kept(one, outputs[one.output], before[one.input.name])])),
  }
}

/** Strings count by an estimate. */
const BYTES_PER_STRING = 64

const bytesPerElement = ({ type = 'float32' }: ValueInfo): number =>
  type === 'string' ? BYTES_PER_STRING : allocate(type, 0).BYTES_PER_ELEMENT

/** For tensors that are kept. */
export const bytesOf = (tensors: Tensors): number =>
  Object.values(tensors).reduce(
    (sum, { type, data }) => sum + (type === 'string' ? data.length * BYTES_PER_STRING : data.byteLength),
    0,
  )

const record = (entries: readonly (readonly [string, Tensor])[]): Tensors => {
  const tensors: Record<string, Tensor> = Object.create(null)
  for (const [name, tensor] of entries) tensors[name] = tensor
  return tensors
}

// ---------------------------------------------------------------- state

function stateOf(graph: ModelSignature, name: string, declared: SequenceState, rows: Rows): State {
  const field = `sequences.state.${name}`
  const input = namedIn('input', graph.inputs, name, field)
  const output = namedIn('output', graph.outputs, declared.output, field)
  const [a, b] = [input.dims, output.dims]
  const clash =
    a && b && (a.length !== b.length || a.some((dim, i) => typeof dim === 'number' && typeof b[i] === 'number' && dim !== b[i]))
  if (input.type !== output.type || clash)
    throw contradiction(
      field,
      `${field}: the output ${quote(output.name)} (${shown(output)}) does not fit the input (${shown(input)})`,
    )
  const sizes = rows.sizesFor(input, declared.dims, `${field}.dims`)
  const row = rowFor(input, declared.initial ?? 0, `${field}.initial`)
  if (typeof declared.initial === 'object' && sizes.perRow !== row.length)
    throw contradiction(
      `${field}.initial`,
      `${field}.initial has ${row.length} elements, and one row of the state has ${sizes.perRow ?? 'no fixed number'}`,
    )
  return { ...declared, input, sizes, row }
}

const shown = ({ declaredType, dims }: ValueInfo): string => `${declaredType} ${dims ? JSON.stringify(dims) : 'of any shape'}`

/** Elements in the input's representation. */
function rowFor({ name, type, declaredType }: ValueInfo, initial: number | readonly number[], field: string): Tensor['data'] {
  const elements = typeof initial === 'number' ? [initial] : initial
  if (type === 'string') {
    if (elements.some((element) => element !== 0))
      throw contradiction(field, `${field} cannot be numbers: ${quote(name)} holds strings`)
    return elements.map(() => '')
  }
  const info = { name, type, declaredType, dims: [elements.length] }
  try {
    // A bool takes true and false.
    const values = type === 'bool' ? elements.map((element) => element !== 0) : elements
    const read = checkInputs({ inputs: [info], outputs: [] }, { [name]: values }, { maxElements: elements.length })
    return (read[name] as Tensor).data
  } catch (cause) {
    throw contradiction(field, `${field} does not fit ${quote(name)}, which is ${declaredType}`, cause)
  }
}

function begin({ input, sizes, row, initial }: State, inputs: Tensors): Tensor {
  const dims = sizes.of(inputs)
  const { rowAxis } = sizes
  const rows = rowAxis === undefined ? 1 : (dims[rowAxis] as number)
  const length = product(dims)
  if (input.type === 'string') return { type: 'string', dims, data: Array.from({ length }, () => '') }
  const data = allocate(input.type ?? 'float32', length) as NumericData
  const one = row as NumericData
  if (typeof initial !== 'object') data.fill(one[0] as never)
  else if (rows > 0) {
    const inner = product(dims.slice((rowAxis ?? -1) + 1))
    for (let at = 0, from = 0; at < length; from += inner)
      for (let n = 0; n < rows; n++, at += inner) data.set(one.subarray(from, from + inner) as never, at)
  }
  return { type: input.type, dims, data } as Tensor
}

/** Copied if others see the memory, too: that of a whole batch, a message, or the caller's result. */
function kept({ input, output, sizes, returned }: State, after: Tensor | undefined, before: Tensor | undefined): Tensor {
  const { rowAxis } = sizes
  const fits =
    after !== undefined &&
    after.type === input.type &&
    (input.dims === undefined ||
      (after.dims.length === input.dims.length &&
        input.dims.every((dim, i) => typeof dim !== 'number' || dim === after.dims[i]))) &&
    (rowAxis === undefined || after.dims[rowAxis] === before?.dims[rowAxis])
  if (!fits)
    throw new ModelmountError(
      'INFERENCE_FAILED',
      `the model's output ${quote(output)} is no state that its input ${quote(input.name)} takes`,
    )
  if (after.type === 'string') return { ...after, data: [...after.data] }
  const { data } = after
  return returned || data.byteLength !== data.buffer.byteLength ? ({ ...after, data: data.slice() } as Tensor) : after
}

// ---------------------------------------------------------------- controls

/** The largest id that a type holds; 0 for types that hold none. */
const largestId = (type: DType): bigint => (DTYPES[type].isInteger && DTYPES[type].bytes >= 4 ? BigInt(DTYPES[type].max) : 0n)

function controlOf(graph: ModelSignature, name: string, declared: SequenceControl, rows: Rows): Control {
  const field = `sequences.controls.${name}`
  const input = namedIn('input', graph.inputs, name, field)
  const isId = declared.is === 'id'
  if (isId ? input.type !== 'string' && (input.type === undefined || largestId(input.type) === 0n) : input.type === 'string')
    throw contradiction(field, `${field} is ${quote(declared.is)}, which an input of ${input.declaredType} cannot hold`)
  const words = isId ? [] : (declared.values ?? [0, 1]).map((value) => rowFor(input, value, `${field}.values`))
  return { ...declared, input, words, sizes: rows.sizesFor(input, undefined, field) }
}

function tell({ is, words, input, sizes }: Control, inputs: Tensors, call: SequenceCall): Tensor {
  const dims = sizes.of(inputs)
  const { type = 'float32' } = input
  const length = product(dims)
  if (is !== 'id') {
    const isSo = is === 'ready' || (is === 'start' ? call.start : call.end) === true
    const data = allocate(type, length) as NumericData
    return { type, dims, data: data.fill(words[isSo ? 1 : 0]?.[0] as never) } as Tensor
  }
  if (type === 'string') return { type, dims, data: Array.from({ length }, () => String(call.id)) }
  const id = typeof call.id === 'string' ? undefined : BigInt(call.id)
  if (id === undefined || id > largestId(type))
    throw inputFault(`this model takes the id of a sequence as a number of type ${type}`, {
      input: input.name,
      expected: type,
      got: typeof call.id,
    })
  const data = allocate(type, length) as NumericData
  return { type, dims, data: data.fill((type.endsWith('64') ? id : Number(id)) as never) } as Tensor
}

// ---------------------------------------------------------------- names

function namedIn(kind: 'input' | 'output', values: readonly ValueInfo[], name: string, field: string): ValueInfo {
  const found = values.find((value) => value.name === name)
  if (found?.type !== undefined) return found
  const known = values.map((value) => quote(value.name)).join(', ') || 'none'
  throw contradiction(field, `${field} names an ${kind} ${quote(name)}, but the ${kind}s of the graph are ${known}`)
}

const contradiction = (field: string, sentence: string, cause?: unknown): ModelmountError =>
  new ModelmountError('CONFIG_INVALID', sentence, { details: { field }, cause })
