/** Operators whose answer for one row depends on the other rows, if they work along the row dimension: one line for each. */

import { einsumMixes } from './einsum.ts'
import { type MaybeFlow, meet, normal, numbersOf, ROWS } from './flow.ts'
import type { GraphNode } from './nodes.ts'

/** A node as the row analysis reached it. */
export interface Seen {
  readonly node: GraphNode
  readonly inputs: readonly MaybeFlow[]
  /** Whether values of the request's rows went into an input, even if their row dimension is unknown. */
  readonly fromRows: readonly boolean[]
  readonly opset: number
}

type Rule = (seen: Seen) => boolean

/** Since this version Softmax works along one axis; before it, along all from its axis on. */
const SOFTMAX_ALONG_ONE = 13
/** Since this version DFT works along the last but one dimension by default. */
const DFT_FROM_LAST = 20
/** An end that stands for "to the last". */
const TO_THE_LAST = 2 ** 31 - 1

/** Operators on two or more values, element by element. */
export const PAIRING =
  'Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or PRelu Pow Sub ' +
  'Sum Where Xor'

const axisOf = (node: GraphNode, standard: number): number => node.ints.get('axis')?.[0] ?? standard

/** The first input, if its rows are known and come from the request. */
function rowsIn({ inputs: [x] }: Seen): { readonly rank: number; readonly rows: number } | undefined {
  return x?.rows !== undefined && x.data ? { rank: x.rank, rows: x.rows } : undefined
}

/** Values of the rows, at an unknown position: a graph that names the first dimension, or all, most likely means them. */
const isLost = ({ inputs: [x], fromRows: [isOfRows] }: Seen): boolean => x === undefined && isOfRows === true

/** Works along one axis. */
const along =
  (standard: number): Rule =>
  (seen) => {
    const x = rowsIn(seen)
    return x !== undefined && normal(axisOf(seen.node, standard), x.rank) === x.rows
  }
/** Works along all axes from one on. */
const fromOn =
  (standard: number): Rule =>
  (seen) => {
    const x = rowsIn(seen)
    return x !== undefined && x.rows >= normal(axisOf(seen.node, standard), x.rank)
  }
/** Mixes everything, along whichever dimension the rows lie. */
const whole: Rule = ({ fromRows }) => fromRows.includes(true)
const always: Rule = () => true
/** Works along dimensions from this one on. */
const where =
  (isAmong: (rows: number) => boolean): Rule =>
  (seen) => {
    const x = rowsIn(seen)
    return x !== undefined && isAmong(x.rows)
  }

export const REDUCTIONS: ReadonlySet<string> = new Set(
  ['L1', 'L2', 'LogSum', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'Sum', 'SumSquare'].map((kind) => `ai.onnx:Reduce${kind}`),
)

/** The dimensions that a reduction removes: all if none are named. `undefined` if the graph computes them. */
export function reducedAxes(node: GraphNode, inputs: readonly MaybeFlow[]): readonly number[] | undefined {
  const [x] = inputs
  if (!x) return undefined
  const named = node.inputs[1] ? numbersOf(inputs[1]) : (node.ints.get('axes') ?? [])
  if (!named) return undefined
  if (named.length > 0) return named.map((axis) => normal(axis, x.rank))
  return node.ints.get('noop_with_empty_axes')?.[0] === 1 ? [] : Array.from({ length: x.rank }, (_, i) => i)
}

/** Axes that the graph computes could be any. */
const reduction: Rule = (seen) => {
  const x = rowsIn(seen)
  if (isLost(seen)) {
    const { node, inputs } = seen
    const named = node.inputs[1] ? numbersOf(inputs[1]) : (node.ints.get('axes') ?? [])
    return named?.includes(0) === true || (named?.length === 0 && node.ints.get('noop_with_empty_axes')?.[0] !== 1)
  }
  const axes = x && reducedAxes(seen.node, seen.inputs)
  return x !== undefined && (axes === undefined || axes.includes(x.rows))
}

/** The same for operators that only reorder or accumulate along one axis. */
const alongOrFirst =
  (standard: number): Rule =>
  (seen) =>
    isLost(seen) ? axisOf(seen.node, standard) === 0 : along(standard)(seen)

const softmax: Rule = (seen) => (seen.opset >= SOFTMAX_ALONG_ONE ? alongOrFirst(-1) : fromOn(1))(seen)

/** In its usual layout the sequence comes first, the rows second. */
const recurrent: Rule = (seen) => rowsIn(seen)?.rows === 0 && (seen.node.ints.get('layout')?.[0] ?? 0) === 0

const isFlipped = (node: GraphNode, name: string): boolean => node.ints.get(name)?.[0] === 1

/** In a matrix product, the dimension that is summed over; or rows beside other rows in one matrix. */
const summed: Rule = ({ node, inputs: [a, b] }) => {
  const isAt = (flow: MaybeFlow, fromLast: number): boolean =>
    flow?.data === true && flow.rank >= 2 && flow.rows === flow.rank - fromLast
  if (isAt(a, isFlipped(node, 'transA') ? 2 : 1) || isAt(b, isFlipped(node, 'transB') ? 1 : 2)) return true
  return isAt(a, isFlipped(node, 'transA') ? 1 : 2) && isAt(b, isFlipped(node, 'transB') ? 2 : 1)
}
const gemm: Rule = ({ node, inputs: [a, b] }) => {
  if (a?.data && b?.data && a.rows !== undefined && b.rows !== undefined) return true
  if (a?.data && a.rows === (isFlipped(node, 'transA') ? 0 : 1)) return true
  return b?.data === true && b.rows === (isFlipped(node, 'transB') ? 1 : 0)
}

/** Anything but all rows in their order. */
const slice: Rule = (seen) => {
  const { node, inputs } = seen
  const x = rowsIn(seen)
  if (!x) return false
  const starts = node.inputs[1] ? inputs[1]?.ints : node.ints.get('starts')
  const ends = node.inputs[2] ? inputs[2]?.ints : node.ints.get('ends')
  const axes = node.inputs[3] ? numbersOf(inputs[3]) : (node.ints.get('axes') ?? starts?.map((_, i) => i))
  if (!axes) return true
  const at = axes.findIndex((axis) => normal(axis, x.rank) === x.rows)
  if (at < 0) return false
  const [start, end] = [starts?.[at], ends?.[at]]
  const step = node.inputs[4] ? inputs[4]?.ints?.[at] : 1
  return start !== 0 || step !== 1 || !(end === ROWS || (typeof end === 'number' && end >= TO_THE_LAST))
}

/** Rows are left out, or others take their place. */
const pad: Rule = (seen) => {
  const { node, inputs } = seen
  const x = rowsIn(seen)
  const pads = node.inputs[1] ? numbersOf(inputs[1]) : node.ints.get('pads')
  const axes = node.inputs[3] ? numbersOf(inputs[3]) : pads?.slice(pads.length / 2).map((_, i) => i)
  if (!x || !pads || !axes) return false
  return axes.some((axis, i) => normal(axis, x.rank) === x.rows && (pads[i] !== 0 || pads[i + axes.length] !== 0))
}

/** Takes elements by index: those of a certain row. */
const named: Rule = (seen) =>
  rowsIn(seen)?.rows === 0 && (seen.node.ints.get('batch_dims')?.[0] ?? 0) === 0 && numbersOf(seen.inputs[1]) !== undefined

/** Writes rows into places that are not theirs. */
const gathered: Rule = ({ inputs: [x], fromRows }) => x !== undefined && x.rows === undefined && fromRows[2] === true

const dft: Rule = (seen) => {
  const x = rowsIn(seen)
  const axis = seen.node.inputs[2] ? numbersOf(seen.inputs[2])?.[0] : axisOf(seen.node, seen.opset >= DFT_FROM_LAST ? -2 : 1)
  return x !== undefined && axis !== undefined && normal(axis, x.rank) === x.rows
}

const randoms = 'Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike'
/** Answers that no two runs share. */
const RANDOM: ReadonlySet<string> = new Set(randoms.split(' ').map((op) => `ai.onnx:${op}`))
export const isRandom = (op: string): boolean => RANDOM.has(op)

const rule = (names: string, mixes: Rule): readonly (readonly [string, Rule])[] =>
  names.split(' ').map((name) => [name.includes(':') ? name : `ai.onnx:${name}`, mixes] as const)

/** By operator. */
export const MIXING: ReadonlyMap<string, Rule> = new Map([
  ...rule(randoms, always),
  // Drawing is certainly off only if the file says so.
  ...rule('Dropout', ({ node, inputs }) => Boolean(node.inputs[2]) && numbersOf(inputs[2])?.[0] !== 0),
  ...[...REDUCTIONS].map((name) => [name, reduction] as const),
  ...rule('ArgMax ArgMin', alongOrFirst(0)),
  ...rule('TopK LpNormalization', alongOrFirst(-1)),
  ...rule('Softmax LogSoftmax Hardmax', softmax),
  ...rule('LayerNormalization RMSNormalization', fromOn(-1)),
  ...rule('com.microsoft:SkipLayerNormalization com.microsoft:SkipSimplifiedLayerNormalization', fromOn(-1)),
  ...rule('CumSum CumProd', (seen) => {
    const x = rowsIn(seen)
    const axis = numbersOf(seen.inputs[1])?.[0]
    return x !== undefined && (axis === undefined || normal(axis, x.rank) === x.rows)
  }),
  ...rule('MeanVarianceNormalization', (seen) => {
    const x = rowsIn(seen)
    return x !== undefined && (seen.node.ints.get('axes') ?? [0, 2, 3]).some((axis) => normal(axis, x.rank) === x.rows)
  }),
  ...rule('BatchNormalization', (seen) => seen.node.ints.get('training_mode')?.[0] === 1 && where((rows) => rows !== 1)(seen)),
  ...rule(
    'InstanceNormalization',
    where((rows) => rows >= 2),
  ),
  ...rule(
    'GroupNormalization LRN',
    where((rows) => rows >= 1),
  ),
  ...rule(
    'Conv ConvInteger ConvTranspose com.microsoft:FusedConv',
    where((rows) => rows >= 1),
  ),
  ...rule(
    'AveragePool LpPool MaxPool GlobalAveragePool GlobalMaxPool GlobalLpPool',
    where((rows) => rows >= 2),
  ),
  ...rule('LSTM GRU RNN', recurrent),
  ...rule('MatMul MatMulInteger com.microsoft:MatMulIntegerToFloat com.microsoft:FusedMatMul', summed),
  ...rule('Gemm com.microsoft:FusedGemm', gemm),
  ...rule('Einsum', ({ node, inputs }) => einsumMixes(node, inputs)),
  // All rows with all.
  ...rule(PAIRING, ({ inputs }) => meet(inputs)),
  ...rule('com.microsoft:CDist', ({ fromRows: [a, b] }) => a === true && b === true),
  ...rule('DFT', dft),
  ...rule('Pad', pad),
  ...rule('GatherND', named),
  ...rule('ScatterND', (seen) => named(seen) || gathered(seen)),
  ...rule('Scatter ScatterElements', (seen) => along(0)(seen) || gathered(seen)),
  // Without a second dimension these operators take the whole list for one row.
  ...rule('TfIdfVectorizer ai.onnx.ml:Normalizer', ({ inputs: [x] }) => x?.rank === 1 && x.rows === 0),
  ...rule('ai.onnx.ml:ArrayFeatureExtractor', (seen) => {
    const x = rowsIn(seen)
    return x !== undefined && x.rows === x.rank - 1
  }),
  ...rule(
    'NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss',
    (seen) => (seen.node.texts.get('reduction') ?? 'mean') !== 'none' && whole(seen),
  ),
  // Puts some row in the place of others, for no known honest purpose.
  ...rule('Gather GatherElements Split SplitToSequence', along(0)),
  ...rule('Slice', slice),
  ...rule('ReverseSequence', (seen) => rowsIn(seen)?.rows === (seen.node.ints.get('time_axis')?.[0] ?? 0)),
  ...rule('com.microsoft:Trilu Trilu', (seen) => {
    const x = rowsIn(seen)
    return x !== undefined && x.rows >= x.rank - 2
  }),
  // One scale for all rows: a large one takes the precision of the others.
  ...rule('DynamicQuantizeLinear com.microsoft:DynamicQuantizeMatMul com.microsoft:DynamicQuantizeLSTM', whole),
  // As many results as all rows together have.
  ...rule('NonZero com.microsoft:Unique', whole),
  ...rule(
    'NonMaxSuppression',
    where((rows) => rows === 0),
  ),
  ...rule('Compress Unique', (seen) => (seen.node.ints.has('axis') ? along(0)(seen) : whole(seen))),
  // As long as the longest of the rows.
  ...rule('StringSplit com.microsoft:Tokenizer', whole),
  // These end when all rows have ended, and pad the others.
  ...rule('com.microsoft:BeamSearch com.microsoft:GreedySearch com.microsoft:Sampling com.microsoft:WhisperBeamSearch', whole),
])

/** Whether the node certainly lets rows influence each other. */
export const mixes = (seen: Seen): boolean => MIXING.get(seen.node.op)?.(seen) === true
