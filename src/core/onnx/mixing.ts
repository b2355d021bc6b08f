/** Operators whose answer for one row depends on the other rows, if they work along the dimension that counts rows: one line for each. */

import { type Known, normal, numbersOf, ROWS } from './flow.ts'
import type { GraphNode } from './nodes.ts'

/** A node as the trail of the rows has come to it. */
export interface Seen {
  readonly node: GraphNode
  readonly inputs: readonly Known[]
  /** Whether values of the request's rows went into an input, also where it is not known which of its dimensions counts them. */
  readonly fromRows: readonly boolean[]
  readonly opset: number
}

type Rule = (seen: Seen) => boolean

/** Since then Softmax works along one axis; before along all from it. */
const SOFTMAX_ALONG_ONE = 13
/** An end that stands for "to the last". */
const TO_THE_LAST = 2 ** 31 - 1

const axisOf = (node: GraphNode, standard: number): number => node.ints.get('axis')?.[0] ?? standard

/** The first input where its rows are known and of the request. */
function rowsIn({ inputs: [x] }: Seen): { readonly rank: number; readonly rows: number } | undefined {
  return x?.rows !== undefined && x.data ? { rank: x.rank, rows: x.rows } : undefined
}

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
/** Mixes whatever there is, along whichever dimension it lies. */
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

/** The dimensions that a reduction removes: all where none are named. `undefined` when the graph computes them. */
export function reducedAxes(node: GraphNode, inputs: readonly Known[]): readonly number[] | undefined {
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
  const axes = x && reducedAxes(seen.node, seen.inputs)
  return x !== undefined && (axes === undefined || axes.includes(x.rows))
}

const softmax: Rule = (seen) => (seen.opset >= SOFTMAX_ALONG_ONE ? along(-1) : fromOn(1))(seen)

/** In its usual layout the sequence comes first, the rows second. */
const recurrent: Rule = (seen) => rowsIn(seen)?.rows === 0 && (seen.node.ints.get('layout')?.[0] ?? 0) === 0

/** Of a product of matrices, the dimension that is summed over. */
const summed: Rule = ({ inputs: [a, b] }) => {
  if (a?.data && a.rows !== undefined && a.rank >= 2 && a.rows === a.rank - 1) return true
  return b?.data === true && b.rows !== undefined && b.rank >= 2 && b.rows === b.rank - 2
}
const gemm: Rule = ({ node, inputs: [a, b] }) => {
  const isFlipped = (name: string): boolean => node.ints.get(name)?.[0] === 1
  if (a?.data && a.rows === (isFlipped('transA') ? 0 : 1)) return true
  return b?.data === true && b.rows === (isFlipped('transB') ? 1 : 0)
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

const einsum: Rule = ({ node, inputs }) => {
  const [terms = '', result] = (node.texts.get('equation') ?? '').replaceAll(' ', '').split('->')
  if (result === undefined || terms.includes('.')) return false
  return terms.split(',').some((term, i) => {
    const x = inputs[i]
    return x?.data === true && x.rows !== undefined && !result.includes(term[x.rows] ?? result)
  })
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
  ...rule('Dropout', ({ inputs }) => numbersOf(inputs[2])?.[0] === 1),
  ...[...REDUCTIONS].map((name) => [name, reduction] as const),
  ...rule('ArgMax ArgMin', along(0)),
  ...rule('TopK LpNormalization', along(-1)),
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
    'Conv ConvInteger ConvTranspose',
    where((rows) => rows >= 1),
  ),
  ...rule(
    'AveragePool LpPool MaxPool GlobalAveragePool GlobalMaxPool GlobalLpPool',
    where((rows) => rows >= 2),
  ),
  ...rule('LSTM GRU RNN', recurrent),
  ...rule('MatMul MatMulInteger com.microsoft:MatMulIntegerToFloat', summed),
  ...rule('Gemm', gemm),
  ...rule('Einsum', einsum),
  // Some row in the place of others, of which nothing honest is known.
  ...rule('Gather GatherElements ScatterElements Scatter Split SplitToSequence', along(0)),
  ...rule('Slice', slice),
  ...rule('ReverseSequence', (seen) => rowsIn(seen)?.rows === (seen.node.ints.get('time_axis')?.[0] ?? 0)),
  ...rule('com.microsoft:Trilu Trilu', (seen) => {
    const x = rowsIn(seen)
    return x !== undefined && x.rows >= x.rank - 2
  }),
  // One scale for all rows: a loud one takes the others' precision.
  ...rule('DynamicQuantizeLinear com.microsoft:DynamicQuantizeMatMul com.microsoft:DynamicQuantizeLSTM', whole),
  // As many results as the rows together have.
  ...rule('NonZero com.microsoft:Unique', whole),
  ...rule(
    'NonMaxSuppression',
    where((rows) => rows === 0),
  ),
  ...rule('Compress Unique', (seen) => (seen.node.ints.has('axis') ? along(0)(seen) : whole(seen))),
  // As long as the longest of the rows.
  ...rule('StringSplit com.microsoft:Tokenizer', whole),
  // They end when all rows have ended, and fill the others up.
  ...rule('com.microsoft:BeamSearch com.microsoft:GreedySearch com.microsoft:Sampling com.microsoft:WhisperBeamSearch', whole),
])

/** Whether the node lets rows influence each other, for certain. */
export const mixes = (seen: Seen): boolean => MIXING.get(seen.node.op)?.(seen) === true
