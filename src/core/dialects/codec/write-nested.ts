/** Tensors as nested JSON arrays, as TensorFlow Serving and MLflow write them. */

import { codeOf, DTYPES, type Kind, type KindArrays, product } from '../../tensor/index.ts'
import type { Tensor } from '../../tensor/types.ts'
import { shortest } from './float-text.ts'
import { isOneStretch, type Steps, type TextSink } from './write-json.ts'

/**
 * How elements are spelled. Both dialects write whole floats with `.0` and not-a-number as the bare tokens that Python reads and JSON does not
 * have: their clients are Python.
 */
export interface NestedStyle {
  /** A float32 as the shortest text that is that float32 (0.2), not as the double that it widens to (0.20000000298023224). */
  readonly shortFloats: boolean
  /** The text for a string. */
  text(value: string): string
  /** The same for a long one. */
  longText(value: string, sink: TextSink): Steps<void>
}

/** Rows up to here are written without a stop. */
const SHORT_ROW = 1024

/** The whole tensor, or what is at one index of its first dimension. */
export function* writeNested(tensor: Tensor, sink: TextSink, style: NestedStyle, index?: number): Steps<void> {
  const dims = index === undefined ? tensor.dims : tensor.dims.slice(1)
  const start = index === undefined ? 0 : index * product(dims)
  const strides = dims.map((_, depth) => product(dims.slice(depth + 1)))
  const spell = speller(tensor, style)
  const rowDepth = dims.length - 1
  const isText = tensor.type === 'string'

  function* write(depth: number, at: number): Steps<void> {
    const [size, stride] = [dims[depth] as number, strides[depth] as number]
    sink.write('[')
    for (let i = 0; i < size; i++) {
      if (i > 0) sink.write(',')
      if (depth === rowDepth) {
        if (isText) yield* writeText(at + i)
        else sink.write(spell(at + i))
      } else if (!isText && depth + 1 === rowDepth && (dims[rowDepth] as number) <= SHORT_ROW) writeRow(at + i * stride)
      else yield* write(depth + 1, at + i * stride)
      const slice = sink.due()
      if (slice > 0) yield slice
    }
    sink.write(']')
  }

  function* writeText(at: number): Steps<void> {
    const value = tensor.data[at] as string
    if (isOneStretch(value)) sink.write(style.text(value))
    else yield* style.longText(value, sink)
  }

  /** One of many that are short. */
  function writeRow(at: number): void {
    const size = dims[rowDepth] as number
    sink.write('[')
    for (let i = 0; i < size; i++) sink.write(i > 0 ? `,${spell(at + i)}` : spell(at))
    sink.write(']')
  }

  if (dims.length === 0) {
    if (isText) yield* writeText(start)
    else sink.write(spell(start))
  } else yield* write(0, start)
}

type Spell = (at: number) => string

/** By kind. Each gives the function that spells the element at an index of `data`. */
const SPELLERS: { readonly [K in Kind]: (data: KindArrays[K], tensor: Tensor, style: NestedStyle) => Spell } = {
  float: (data, { type }, { shortFloats }) =>
    shortFloats && type === 'float32' ? (at) => spellFloat(shortest(data[at] as number)) : (at) => spellFloat(data[at] as number),
  coded(data, { type }) {
    const { toNumber } = codeOf(type)
    return (at) => spellFloat(toNumber(data[at] as number))
  },
  integer: (data) => (at) => `${data[at]}`,
  long: (data) => (at) => `${data[at]}`,
  bool: (data) => (at) => (data[at] === 0 ? 'false' : 'true'),
  string: (data) => (at) => `${data[at]}`,
}

const speller = (tensor: Tensor, style: NestedStyle): Spell =>
  SPELLERS[DTYPES[tensor.type].kind](tensor.data as never, tensor, style)

function spellFloat(value: number): string {
  if (Object.is(value, -0)) return '-0.0'
  const spelled = String(value)
  return Number.isInteger(value) && !spelled.includes('e') ? `${spelled}.0` : spelled
}
