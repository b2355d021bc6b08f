/** Bounds of a value's elements, as far as they follow from the operators that made it. */

import type { GraphNode } from './nodes.ts'
import type { Range } from './ranges.ts'

export type { Range } from './ranges.ts'

interface Ranged {
  readonly type: number
  readonly range: Range | undefined
}
type Inputs = readonly (Ranged | undefined)[]
type Rule = (node: GraphNode, inputs: Inputs, type: number) => Range | undefined

const [FLOAT, INT32, INT64] = [1, 6, 7]
/** Types that are small enough to be a range by themselves. */
const BY_TYPE: Readonly<Record<number, Range>> = {
  2: [0, 2 ** 8 - 1],
  3: [-128, 127],
  4: [0, 2 ** 16 - 1],
  5: [-32768, 32767],
  9: [0, 1],
}
/** Beyond these bounds a sum or product may wrap round. */
const BOUNDS: Readonly<Record<number, number>> = { [INT32]: 2 ** 31 - 1, [INT64]: Number.MAX_SAFE_INTEGER }

export const rangeOfType = (type: number): Range | undefined => BY_TYPE[type]

/** From the lowest to the highest of all; `undefined` if one is unknown. */
export function hull(ranges: readonly (Range | undefined)[]): Range | undefined {
  let result: Range | undefined
  for (const range of ranges) {
    if (!range) return undefined
    result = result ? [Math.min(result[0], range[0]), Math.max(result[1], range[1])] : range
  }
  return result
}

const RULES = new Map<string, Rule>()
const define = (names: string, rule: Rule): void => {
  for (const name of names.split(' ')) RULES.set(`ai.onnx:${name}`, rule)
}

/** Elements of the first input, in other places. */
define(
  'Expand Flatten Gather GatherElements GatherND Identity Reshape ReverseSequence Slice Split Squeeze Tile Transpose Unsqueeze',
  (_, [x]) => x?.range,
)
define('Concat', (_, inputs) => hull(inputs.map((input) => input?.range)))
define('Where', (_, [, a, b]) => hull([a?.range, b?.range]))
define('Constant', ({ constant }) => constant?.range)
define('ConstantOfShape', ({ constant }) => (constant ? constant.range : [0, 0]))
define('Shape Size', () => [0, Number.MAX_SAFE_INTEGER])
define('Cast', (_, [x], type) => {
  const range = x?.range
  if (!range || type === FLOAT) return range
  return within([Math.trunc(range[0]), Math.trunc(range[1])], type)
})
define('Add', (_, [a, b], type) => combined(a, b, type, (x, y) => x + y))
define('Sub', (_, [a, b], type) => combined(a, b, type, (x, y) => x - y))
define('Mul', (_, [a, b], type) => combined(a, b, type, (x, y) => x * y))
define('Neg', (_, [x], type) => x?.range && within([-x.range[1], -x.range[0]], type))
define('Floor Ceil Round', (node, [x]) => {
  const round = node.op.endsWith('Floor') ? Math.floor : node.op.endsWith('Ceil') ? Math.ceil : Math.round
  return x?.range && [round(x.range[0]), round(x.range[1])]
})
define('Abs', (_, [x]) => {
  if (!x?.range) return undefined
  const [low, high] = x.range
  return [low > 0 ? low : high < 0 ? -high : 0, Math.max(Math.abs(low), Math.abs(high))]
})
// One bound is enough: the maximum of a request's value and 1 is at least 1.
define('Max', (_, inputs, type) =>
  limited(
    inputs.flatMap((input) => (input?.range ? [input.range[0]] : [])),
    type,
    'low',
  ),
)
define('Min', (_, inputs, type) =>
  limited(
    inputs.flatMap((input) => (input?.range ? [input.range[1]] : [])),
    type,
    'high',
  ),
)
define('Clip', (_, [x, low, high], type) => {
  const bounds: Range | undefined = low?.range && [
    low.range[0],
    high?.range ? Math.max(high.range[1], low.range[0]) : highest(type),
  ]
  return bounds ?? (high?.range && x?.range ? [x.range[0], high.range[1]] : undefined)
})
define('Relu', (_, [x], type) => [0, x?.range ? Math.max(0, x.range[1]) : highest(type)])

const highest = (type: number): number => BOUNDS[type] ?? Number.POSITIVE_INFINITY

function limited(bounds: readonly number[], type: number, end: 'low' | 'high'): Range | undefined {
  if (bounds.length === 0) return undefined
  return end === 'low' ? [Math.max(...bounds), highest(type)] : [-highest(type) - 1, Math.min(...bounds)]
}

function combined(
  a: Ranged | undefined,
  b: Ranged | undefined,
  type: number,
  of: (x: number, y: number) => number,
): Range | undefined {
  if (!a?.range || !b?.range) return undefined
  const ends = a.range.flatMap((x) => (b.range ?? []).map((y) => of(x, y)))
  return within([Math.min(...ends), Math.max(...ends)], type)
}

/** `undefined` if the type may not hold it. */
function within([low, high]: Range, type: number): Range | undefined {
  const own = BY_TYPE[type]
  if (own) return low >= own[0] && high <= own[1] ? [low, high] : own
  const bound = highest(type)
  return Number.isFinite(low) && Number.isFinite(high) && low >= -bound && high <= bound ? [low, high] : undefined
}

/** Of the first output. */
export function rangeOfResult(node: GraphNode, inputs: Inputs, type: number): Range | undefined {
  return RULES.get(node.op)?.(node, inputs, type)
}
