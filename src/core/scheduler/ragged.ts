/**
 * Rows of different lengths in one run: shorter ones are padded, a mask shows the model where, and the answers are cut back.
 * Requests are sorted into classes by length. Each class is so narrow that padding wastes no more than allowed, whichever requests
 * meet.
 */

import type { BufferPool } from '../engine/buffer-pool.ts'
import type { TensorRecord } from '../engine/frame.ts'
import { ModelmountError } from '../errors.ts'
import { DTYPES } from '../tensor/index.ts'
import type { ModelSignature, Tensor, ValueInfo } from '../tensor/types.ts'
import type { ModelAxes } from './axes.ts'
import { axesIn, sizeAlong, split } from './batch.ts'
import { copySome, join } from './join.ts'
import type { RaggedSettings } from './options.ts'
import { axesInEach, joinPadded, type RaggedAxes, splitPadded } from './padded.ts'
import { filled, shorten } from './padding.ts'

export interface Ragged {
  /** Name of the input that marks padding. */
  readonly mask: string
  readonly inputs: RaggedAxes
  /** The inputs with a mask, added if missing. @throws ModelmountError `INPUT_INVALID` if the others do not determine its shape */
  complete(inputs: TensorRecord): TensorRecord
  /** The length of a request's rows; `undefined` if its inputs disagree, or it has none. */
  lengthOf(inputs: TensorRecord): number | undefined
  /** Requests of equal class may be padded to the longest of them. */
  classOf(length: number): number
  /** Joins them, padded to the same length. Shares no memory with them. */
  join(requests: readonly TensorRecord[], buffers?: BufferPool): TensorRecord
  /** How many elements a request gains when padded to that length. */
  growthOf(inputs: TensorRecord, length: number): number
  /** How many elements of padding `join` adds. */
  paddingOf(requests: readonly TensorRecord[]): number
  /**
   * The rows of each of those requests, without padding, in memory of their own.
   * @returns `undefined` if an output lacks the rows or the length that went in
   */
  split(outputs: TensorRecord, rows: readonly number[], requests: readonly TensorRecord[]): readonly TensorRecord[] | undefined
  /** The first elements of each row. */
  shorten(inputs: TensorRecord, length: number): TensorRecord
}

/** Finds the dimensions, starting from the mask's, or explains why it cannot. */
export function raggedOf(signature: ModelSignature, axes: ModelAxes, settings: RaggedSettings): Ragged | string {
  const { mask: maskName } = settings
  const mask = signature.inputs.find(({ name }) => name === maskName)
  if (!mask) return `the model has no input '${maskName}' to be the mask`
  const { type, dims } = mask
  if (type === undefined || type === 'string') return `the mask '${maskName}' is of type ${mask.declaredType}`
  if (!dims || axes.inputs[maskName] === undefined) return `the mask '${maskName}' has no rows`

  const symbol = symbolOf(mask, axes.inputs, settings.axes)
  const found = findAxes(signature.inputs, symbol, axes.inputs, settings.axes)
  if (typeof found === 'string') return found
  const inputs: RaggedAxes = found
  const outputs = findAxes(signature.outputs, symbol, axes.outputs, settings.axes)
  if (typeof outputs === 'string') return outputs
  if (!inputs[maskName]) return `the length of the mask '${maskName}' has no name in the file: name the dimensions in ragged.axes`
  const known = new Set([...signature.inputs, ...signature.outputs].map(({ name }) => name))
  const unknown = Object.keys(settings.axes).find((name) => !known.has(name))
  if (unknown !== undefined) return `the model has nothing called '${unknown}'`
  if (Object.keys(inputs).length < 2) return `no input but the mask has its length: name their dimensions in ragged.axes`
  const own = [axes.inputs[maskName], ...inputs[maskName]]
  const open = dims.findIndex((dim, i) => typeof dim !== 'number' && !own.includes(i))
  if (open >= 0) return `dimension ${open} of the mask '${maskName}' is open, too`

  const fills: Record<string, number> = Object.create(null)
  for (const info of signature.inputs) {
    const fill = fillOf(info, settings)
    if (!fits(info, fill)) return `${fill} is no value of '${info.name}', which is ${info.declaredType}`
    fills[info.name] = fill
  }

  const rowAxes = axesIn(axes.inputs).filter(({ name }) => name !== maskName)
  const lengthAxes = axesInEach(inputs)
  const otherLengths = lengthAxes.filter(({ name }) => name !== maskName)
  const classOf = createClasses(settings)

  function complete(given: TensorRecord): TensorRecord {
    if (given[maskName]) return given
    const [rows, length] = [sizeAlong(given, rowAxes), sizeAlong(given, otherLengths)]
    if (rows === undefined || length === undefined)
      throw new ModelmountError('INPUT_INVALID', `input '${maskName}' is missing, and the others do not agree on its shape`, {
        details: { input: maskName, field: maskName, expected: mask?.declaredType ?? 'a mask', got: 'nothing' },
      })
    const shape = (dims ?? []).map((dim, i) => (i === axes.inputs[maskName] ? rows : typeof dim === 'number' ? dim : length))
    return { ...given, [maskName]: filled(type as 'bool', shape, 1) }
  }

  function lengthOf(given: TensorRecord): number | undefined {
    const length = sizeAlong(given, lengthAxes)
    return length === 0 ? undefined : length
  }

  /** The length of the padded requests; `undefined` if there is nothing to pad. */
  function goalOf(requests: readonly TensorRecord[]): number | undefined {
    let [longest, shortest] = [0, Number.POSITIVE_INFINITY]
    for (let i = 0; i < requests.length; i++) {
      const length = lengthOf(requests[i] as TensorRecord)
      if (length === undefined) return undefined
      if (length > longest) longest = length
      if (length < shortest) shortest = length
    }
    const goal = roundUp(longest, settings.multipleOf)
    return shortest === goal ? undefined : goal
  }

  return {
    mask: maskName,
    inputs,
    lengthOf,
    complete,
    classOf,
    join(requests, buffers) {
      const goal = goalOf(requests)
      if (goal === undefined) return join(requests, axes, buffers)
      const joined = joinPadded(requests, goal, { rows: axes.inputs, lengths: inputs, fills }, buffers)
      return axes.shared.length === 0 ? joined : { ...joined, ...copySome(requests[0] ?? {}, axes.shared, buffers) }
    },
    growthOf: (given, length) => growth(given, inputs, length),
    paddingOf(requests) {
      const goal = goalOf(requests)
      return goal === undefined ? 0 : requests.reduce((sum, request) => sum + growth(request, inputs, goal), 0)
    },
    split(whole, rows, requests) {
      const goal = goalOf(requests)
      if (goal === undefined) return split(whole, rows, axes.outputs)
      const lengths = requests.map((request) => lengthOf(request) ?? goal)
      return splitPadded(whole, rows, { goal, lengths }, { rows: axes.outputs, lengths: outputs })
    },
    shorten(given, length) {
      const shorter: Record<string, Tensor> = Object.assign(Object.create(null), given)
      for (const { name, axis } of lengthAxes) if (shorter[name]) shorter[name] = shorten(shorter[name], axis, length)
      return shorter
    },
  }
}

/** Dimensions that were named, or that have the mask's symbol. */
function findAxes(
  values: readonly ValueInfo[],
  symbol: string | undefined,
  rows: Readonly<Record<string, number>>,
  declared: RaggedSettings['axes'],
): RaggedAxes | string {
  const found: Record<string, readonly number[]> = Object.create(null)
  for (const { name, dims } of values) {
    if (rows[name] === undefined) continue
    if (Object.hasOwn(declared, name)) {
      const axis = declared[name] as number
      const dim = dims?.[axis]
      if (dim === undefined) return `'${name}' has no dimension ${axis}`
      if (axis === rows[name]) return `dimension ${axis} of '${name}' counts rows`
      if (typeof dim === 'number') return `dimension ${axis} of '${name}' is fixed at ${dim}`
      found[name] = [axis]
    } else if (symbol !== undefined) {
      const same = (dims ?? []).flatMap((dim, i) => (dim === symbol && i !== rows[name] ? [i] : []))
      if (same.length > 0) found[name] = same
    }
  }
  return found
}

/** The name of the mask's length: the declared one, or the only one besides its rows. */
function symbolOf(mask: ValueInfo, rows: Readonly<Record<string, number>>, declared: RaggedSettings['axes']): string | undefined {
  const dims = mask.dims ?? []
  const own = Object.hasOwn(declared, mask.name) ? declared[mask.name] : undefined
  const open = own === undefined ? dims.filter((dim, i) => typeof dim !== 'number' && i !== rows[mask.name]) : [dims[own]]
  return open.length === 1 && typeof open[0] === 'string' ? open[0] : undefined
}

function fillOf({ name }: ValueInfo, { mask, padValue }: RaggedSettings): number {
  if (name === mask) return 0
  if (typeof padValue === 'number') return padValue
  return Object.hasOwn(padValue, name) ? (padValue[name] as number) : 0
}

function fits({ type }: ValueInfo, value: number): boolean {
  if (value === 0 || type === undefined || type === 'string') return true
  const { isInteger, min, max } = DTYPES[type]
  return (!isInteger && type !== 'bool' ? true : Number.isInteger(value)) && value >= min && value <= max
}

/** Elements added by the new size. */
function growth(record: TensorRecord, axes: RaggedAxes, size: number): number {
  let elements = 0
  for (const name in axes) {
    const own = axes[name] as readonly number[]
    const dims = record[name]?.dims ?? []
    let [before, after] = [1, 1]
    for (let i = 0; i < dims.length; i++) {
      const dim = dims[i] as number
      before *= dim
      after *= own.includes(i) ? size : dim
    }
    elements += after - before
  }
  return elements
}

const roundUp = (length: number, multipleOf: number): number => Math.ceil(length / multipleOf) * multipleOf

/**
 * Lengths in classes that grow with them: in a class from `low` to `high`, `1 - low / high` stays within `maxWaste`.
 * A class is named by its longest length. Rounding up to a multiple comes on top.
 */
function createClasses({ multipleOf, maxWaste }: RaggedSettings): (length: number) => number {
  const highs: number[] = [0]
  return (length) => {
    for (let last = highs.at(-1) as number; last < length; last = highs.at(-1) as number) {
      const low = last + 1
      highs.push(Math.max(roundUp(low, multipleOf), Math.floor(low / (1 - maxWaste) / multipleOf) * multipleOf))
    }
    let [from, to] = [0, highs.length - 1]
    while (from < to) {
      const middle = (from + to) >> 1
      if ((highs[middle] as number) < length) from = middle + 1
      else to = middle
    }
    return highs[from] as number
  }
}
