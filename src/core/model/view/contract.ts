/** A model as requests see it where its settings say more than its graph: narrower dims, other shapes for the same elements. */

import { ModelmountError } from '../../errors.ts'
import type { ConfigNote } from '../../registry/types.ts'
import { inputFault, product, quote } from '../../tensor/index.ts'
import type { Dim, LeftOutput, ModelSignature, Tensor, ValueInfo } from '../../tensor/types.ts'
import type { ValueSettings } from '../types.ts'
import type { Tensors, View } from './view.ts'

/** Refuses more rows than `maxBatch`. */
export interface Contract extends View {
  /** Tensors look the same on both sides. */
  readonly isPlain: boolean
  /** Settings that the graph does not allow, but can be served without. */
  readonly notes: readonly ConfigNote[]
}

interface Settings {
  readonly inputs: Readonly<Record<string, ValueSettings>>
  readonly outputs: Readonly<Record<string, ValueSettings>>
  readonly labels?: Readonly<Record<string, readonly string[]>>
  readonly maxBatch?: number
}

/** Sizes on either side of a reshape; -1 for any. */
interface Reshape {
  readonly name: string
  readonly from: readonly number[]
  readonly to: readonly number[]
}

/**
 * @param graph the values that can be sent, and those that come back
 * @param preset inputs of the file that always have its value
 * @throws ModelmountError `CONFIG_INVALID` where the settings contradict the graph
 */
export function contractOf(graph: ModelSignature, settings: Settings, preset: readonly string[] = []): Contract {
  const { leftOut = [] } = graph
  const named = Object.keys(settings.inputs)
  const notes: ConfigNote[] = preset.filter((name) => named.includes(name)).map(notSent)
  refuseStrangers('input', settings.inputs, graph.inputs, preset)
  for (const named of [settings.outputs, settings.labels ?? {}]) {
    refuseLeftOut(named, leftOut)
    refuseStrangers('output', named, graph.outputs)
  }

  const declared = (
    values: readonly ValueInfo[],
    own: Readonly<Record<string, ValueSettings>>,
    kind: Kind,
  ): readonly ValueInfo[] =>
    values.map((value) => {
      const setting = Object.hasOwn(own, value.name) ? own[value.name] : undefined
      if (!setting) return value
      if (setting.optional === true && value.optional !== true) notes.push(notOptional(value.name))
      return declare(value, setting, kind)
    })
  const inputs = declared(graph.inputs, settings.inputs, 'input')
  const outputs = declared(graph.outputs, settings.outputs, 'output')
  const into = reshapes(settings.inputs, graph.inputs, (client, inner) => ({ from: client, to: inner }))
  const outOf = reshapes(settings.outputs, graph.outputs, (client, inner) => ({ from: inner, to: client }))
  const { maxBatch } = settings
  return {
    signature: {
      inputs: maxBatch === undefined ? inputs : sameRows(inputs, maxBatch),
      outputs,
      ...(leftOut.length > 0 ? { leftOut } : {}),
    },
    down(tensors) {
      if (maxBatch !== undefined) for (const value of inputs) checkRows(value, tensors, maxBatch)
      return into.length === 0 ? tensors : reshaped(tensors, into)
    },
    isPlain: into.length === 0 && outOf.length === 0,
    up: outOf.length === 0 ? undefined : (tensors) => reshaped(tensors, outOf),
    notes,
  }
}

type Kind = 'input' | 'output'

function refuseLeftOut(named: Readonly<Record<string, unknown>>, leftOut: readonly LeftOutput[]): void {
  const found = leftOut.find(({ name }) => Object.hasOwn(named, name))
  if (found)
    throw contradiction(
      `the settings name an output ${JSON.stringify(found.name)}, which is not served: ${found.reason}`,
      found.name,
    )
}

function refuseStrangers(
  kind: Kind,
  named: Readonly<Record<string, unknown>>,
  values: readonly ValueInfo[],
  more: readonly string[] = [],
): void {
  const stranger = Object.keys(named).find((name) => !values.some((value) => value.name === name) && !more.includes(name))
  if (stranger === undefined) return
  const known = values.map(({ name }) => JSON.stringify(name)).join(', ') || 'none'
  throw contradiction(
    `the settings name an ${kind} ${JSON.stringify(stranger)}, but the ${kind}s of the graph are ${known}`,
    stranger,
  )
}

/** One value as its settings want it. */
function declare(value: ValueInfo, { type, dims, reshape, optional, nonFinite }: ValueSettings, kind: Kind): ValueInfo {
  const name = `${kind} ${JSON.stringify(value.name)}`
  if (type !== undefined && type !== value.type)
    throw contradiction(
      `the settings say that ${name} is ${type}, but the graph says ${value.type ?? value.declaredType}`,
      value.name,
    )
  // Only a default of the graph makes an input optional; a setting can make it required.
  const required = optional === false && value.optional ? { ...value, optional: false } : value
  const shown = nonFinite === 'reject' ? { ...required, nonFinite } : required
  if (!dims) return shown
  const inner = reshape ?? dims
  if (value.dims) refuseOtherDims(name, inner, value, reshape !== undefined)
  if (reshape) refuseOtherSize(name, dims, reshape, value.name)
  const open = reshape ? openDims(reshape, value.dims) : value.dims
  let next = 0
  return {
    ...shown,
    dims: dims.map((dim, i): Dim => {
      if (dim !== -1) return dim
      // The n-th open dim of the request is the n-th of the graph, and keeps its name.
      return reshape ? (open?.[next++] ?? null) : (open?.[i] ?? null)
    }),
  }
}

const openDims = (reshape: readonly number[], dims: readonly Dim[] | undefined): readonly Dim[] =>
  reshape.flatMap((size, i) => (size === -1 ? [dims?.[i] ?? null] : []))

function refuseOtherDims(
  name: string,
  dims: readonly number[],
  { name: field, dims: graph = [] }: ValueInfo,
  isReshape: boolean,
): void {
  const fits = dims.length === graph.length && graph.every((dim, i) => typeof dim !== 'number' || dim === dims[i])
  if (fits) return
  const what = isReshape ? `reshape ${name} to` : `give ${name} the shape`
  throw contradiction(
    `the settings ${what} [${dims}] (-1 for any size), but the graph has [${graph.map((dim) => (typeof dim === 'number' ? dim : -1))}]`,
    field,
  )
}

/** Between open dims, which correspond in order, the elements must be equally many. */
function refuseOtherSize(name: string, dims: readonly number[], reshape: readonly number[], field: string): void {
  const sizes = (shape: readonly number[]): number => product(shape.filter((dim) => dim !== -1))
  const open = (shape: readonly number[]): number => shape.filter((dim) => dim === -1).length
  if (open(dims) === open(reshape) && sizes(dims) === sizes(reshape)) return
  throw contradiction(`the settings reshape ${name} from [${dims}] to [${reshape}], which has other elements`, field)
}

/** The first dimension is left open. */
const countsRows = ({ dims }: ValueInfo): boolean => dims !== undefined && dims.length > 0 && typeof dims[0] !== 'number'

/** Inputs that count rows have as many of them. */
function sameRows(inputs: readonly ValueInfo[], maxBatch: number): readonly ValueInfo[] {
  const first = inputs.find(countsRows)
  if (!first && inputs.some(({ dims }) => dims !== undefined))
    throw contradiction(
      `maxBatch is ${maxBatch}, but the first dimension of every input is fixed: the model takes no batches`,
      'maxBatch',
    )
  const symbol =
    inputs
      .filter(countsRows)
      .map(({ dims }) => dims?.[0])
      .find((dim) => typeof dim === 'string') ?? 'batch'
  return inputs.map((input) => (countsRows(input) ? { ...input, dims: [symbol, ...(input.dims ?? []).slice(1)] } : input))
}

function checkRows(value: ValueInfo, tensors: Tensors, maxBatch: number): void {
  const rows = countsRows(value) ? (tensors[value.name]?.dims[0] ?? 0) : 0
  if (rows <= maxBatch) return
  const [input, expected, got] = [value.name, `at most ${maxBatch} rows`, `${rows}`]
  throw inputFault(`input ${quote(input)}: expected ${expected}, got ${got}`, { input, expected, got })
}

function reshapes(
  settings: Readonly<Record<string, ValueSettings>>,
  values: readonly ValueInfo[],
  direct: (client: readonly number[], inner: readonly number[]) => Pick<Reshape, 'from' | 'to'>,
): readonly Reshape[] {
  return values.flatMap(({ name }) => {
    const { dims, reshape } = (Object.hasOwn(settings, name) ? settings[name] : undefined) ?? {}
    return dims && reshape ? [{ name, ...direct(dims, reshape) }] : []
  })
}

/** New heads for the same elements. */
function reshaped(tensors: Tensors, changes: readonly Reshape[]): Record<string, Tensor> {
  const result: Record<string, Tensor> = Object.assign(Object.create(null), tensors)
  for (const { name, from, to } of changes) {
    const tensor = result[name]
    if (tensor) result[name] = { ...tensor, dims: moved(tensor.dims, from, to) } as Tensor
  }
  return result
}

function moved(dims: readonly number[], from: readonly number[], to: readonly number[]): readonly number[] {
  const open = dims.filter((_, i) => from[i] === -1)
  let next = 0
  const moved = to.map((dim) => (dim === -1 ? (open[next++] ?? 0) : dim))
  // A graph that does not give what it declares: its own shape says more than a wrong one.
  return dims.length === from.length && product(moved) === product(dims) ? moved : dims
}

const notSent = (name: string): ConfigNote => ({
  file: 'settings',
  field: `inputs.${name}`,
  reason: 'it always has the default that the graph gives it, which onnxruntime-node cannot override',
})

const notOptional = (name: string): ConfigNote => ({
  file: 'settings',
  field: `inputs.${name}.optional`,
  reason: 'the graph has no default for it, so requests have to carry it',
})

const contradiction = (sentence: string, field: string): ModelmountError =>
  new ModelmountError('CONFIG_INVALID', sentence, { details: { field } })
