/**
 * Follows row dimensions through operators: for those that models use, the origin of each output dimension. Unknown operators end
 * the trail.
 */

import { einsumOutput } from './einsum.ts'
import { broadcast, type Flow, fixed, type Int, intsOf, type MaybeFlow, normal, numbersOf, ROWS, SIZE, shaped } from './flow.ts'
import { PAIRING, REDUCTIONS, reducedAxes } from './mixing.ts'
import type { GraphNode } from './nodes.ts'

type Rule = (node: GraphNode, inputs: readonly MaybeFlow[]) => readonly MaybeFlow[]

/** All outputs have the shape of the first input. */
const SAME =
  'Abs Acos Acosh Asin Asinh Atan Atanh BatchNormalization BitwiseNot Cast CastLike Ceil Celu Clip Cos Cosh CumSum DequantizeLinear ' +
  'Dropout Elu Erf Exp Floor Gelu GroupNormalization HardSigmoid HardSwish Hardmax InstanceNormalization IsInf IsNaN LRN ' +
  'LayerNormalization LeakyRelu Log LogSoftmax LpNormalization MeanVarianceNormalization Mish Neg Not Pad QuantizeLinear ' +
  'RMSNormalization Reciprocal Relu Resize ReverseSequence Round ScatterElements ScatterND Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign ' +
  'Sqrt Swish Tan Tanh ThresholdedRelu TopK Trilu Upsample com.microsoft:BiasGelu com.microsoft:FastGelu com.microsoft:Gelu ' +
  'com.microsoft:QuickGelu ai.onnx.ml:ArrayFeatureExtractor'
/** Samples first, channels second, then space. */
const SPATIAL =
  'AveragePool Conv ConvInteger ConvTranspose DepthToSpace GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool SpaceToDepth'

const RULES = new Map<string, Rule>()
const define = (names: string, rule: Rule): void => {
  for (const name of names.split(' ')) RULES.set(name.includes(':') ? name : `ai.onnx:${name}`, rule)
}

const all = (node: GraphNode, flow: MaybeFlow): readonly MaybeFlow[] => node.outputs.map(() => flow)
const axisOf = (node: GraphNode, standard: number): number => node.ints.get('axis')?.[0] ?? standard
/** Axes or similar lists: an attribute in old operator sets, an input since. */
const listed = (node: GraphNode, inputs: readonly MaybeFlow[], name: string, at: number): readonly number[] | undefined =>
  node.ints.get(name) ?? numbersOf(inputs[at])

define(SAME, (node, [x]) => all(node, x && shaped(x)))
define(PAIRING, (node, inputs) => all(node, broadcast(inputs)))
define(SPATIAL, (node, [x]) => all(node, x?.rows === 0 ? shaped(x) : undefined))
define('Identity', (_, [x]) => [x])
// Shapes stay shapes when their integer type changes.
define('Cast', (_, [x]) => [x])
define('Constant', ({ constant }) => [constant && fixed(constant.rank, constant.ints)])
define('DynamicQuantizeLinear', (_, [x]) => [x && shaped(x), fixed(0), fixed(0)])
define('Range', () => [fixed(1)])
define('Size', () => [fixed(0)])

define('Shape', (node, [x]) => {
  const sizes = x && Array.from({ length: x.rank }, (_, i): Int => (i === x.rows ? ROWS : SIZE))
  return [fixed(1, sizes?.slice(node.ints.get('start')?.[0], node.ints.get('end')?.[0]))]
})

/** Of a computed shape: it has one dimension per element. */
function ofShape(shape: readonly Int[] | undefined, data: boolean): MaybeFlow {
  if (!shape) return undefined
  const rows = shape.indexOf(ROWS)
  return { rank: shape.length, rows: rows < 0 ? undefined : rows, data }
}
define('ConstantOfShape', (_, [shape]) => [ofShape(shape?.ints, false)])
define('Expand', (_, [x, shape]) => [x && broadcast([x, ofShape(shape?.ints, false)])])

define('Reshape', (node, [x, shape]) => {
  const ints = shape?.ints ?? node.ints.get('shape')
  if (!x || !ints) return [undefined]
  if (x.rows === undefined) return [ints.includes(ROWS) ? undefined : { rank: ints.length, rows: undefined, data: x.data }]
  const rows = rowsWithin(ints, x.rows, node.ints.get('allowzero')?.[0] !== 1)
  return [rows === undefined ? undefined : { rank: ints.length, rows, data: x.data }]
})
/**
 * The dimension of a new shape that counts the rows. It may count parts of each row as well, such as tokens.
 * An operator that works along it crosses rows in any case.
 * @param zeroKeeps whether a 0 stands for the previous size
 */
function rowsWithin(ints: readonly Int[], rows: number, zeroKeeps: boolean): number | undefined {
  const keeps = (int: Int): boolean => int === 0 && zeroKeeps
  // Leading dimensions stay, or are added if the rows came first.
  let at = ints.findIndex((int, i) => !(i < rows ? keeps(int) : rows === 0 && int === 1))
  if (at < 0) at = rows
  if (at < rows) return undefined
  const int = ints[at]
  if (int === ROWS || int === -1 || (keeps(int) && at === rows)) return at
  // A size that the graph computes; it contains the number of rows if no other dimension does.
  return int === undefined && !ints.includes(ROWS) && !ints.includes(-1) ? at : undefined
}
define('Flatten', (node, [x]) => {
  if (x?.rows !== 0) return [undefined]
  return [{ rank: 2, rows: normal(axisOf(node, 1), x.rank) === 0 ? 1 : 0, data: x.data }]
})
define('Transpose', (node, [x]) => {
  if (!x) return [undefined]
  const perm = node.ints.get('perm') ?? Array.from({ length: x.rank }, (_, i) => x.rank - 1 - i)
  return [{ rank: x.rank, rows: x.rows === undefined ? undefined : perm.indexOf(x.rows), data: x.data }]
})

define('Unsqueeze', (node, inputs) => {
  const [x] = inputs
  const axes = listed(node, inputs, 'axes', 1)
  if (!x || !axes) return [undefined]
  const rank = x.rank + axes.length
  const added = new Set(axes.map((axis) => normal(axis, rank)))
  const kept = Array.from({ length: rank }, (_, i) => i).filter((i) => !added.has(i))
  const ints = rank <= 1 ? intsOf(x) : undefined
  return [{ rank, rows: x.rows === undefined ? undefined : kept[x.rows], data: x.data, ...(ints ? { ints } : {}) }]
})
/** The shape without some dimensions. */
function without(x: Flow, axes: readonly number[]): MaybeFlow {
  if (x.rows !== undefined && axes.includes(x.rows)) return undefined
  const { rows } = x
  return {
    rank: x.rank - axes.length,
    rows: rows === undefined ? undefined : rows - axes.filter((axis) => axis < rows).length,
    data: x.data,
  }
}
define('Squeeze', (node, inputs) => {
  const [x] = inputs
  const axes = listed(node, inputs, 'axes', 1)
  const squeezed =
    x &&
    axes &&
    without(
      x,
      axes.map((axis) => normal(axis, x.rank)),
    )
  return [squeezed && x?.ints ? { ...squeezed, ints: x.ints } : squeezed]
})
for (const op of REDUCTIONS)
  define(op, (node, inputs) => {
    const [x] = inputs
    const axes = reducedAxes(node, inputs)
    if (!x || !axes || (x.rows !== undefined && axes.includes(x.rows))) return [undefined]
    return [(node.ints.get('keepdims')?.[0] ?? 1) === 1 ? shaped(x) : without(x, axes)]
  })
define('ArgMax ArgMin', (node, [x]) => {
  const axis = x && normal(axisOf(node, 0), x.rank)
  if (!x || axis === undefined || axis === x.rows) return [undefined]
  return [(node.ints.get('keepdims')?.[0] ?? 1) === 1 ? shaped(x) : without(x, [axis])]
})

define('Concat', (_, inputs) => {
  const known = inputs.filter((flow) => flow !== undefined)
  const [first] = known
  if (!first) return [undefined]
  const parts = inputs.map(intsOf)
  if (first.rank === 1 && parts.every((ints) => ints !== undefined)) return [fixed(1, parts.flat())]
  // Parts have the same rank and the same rows, known or not.
  const rows = known.find((flow) => flow.rows !== undefined)?.rows
  const agree = known.every((flow) => flow.rank === first.rank && (flow.rows === undefined || flow.rows === rows))
  if (!agree || rows === undefined) return [undefined]
  return [{ rank: first.rank, rows, data: known.some(({ data }) => data) }]
})
define('Einsum', (node, inputs) => [einsumOutput(node, inputs)])
// Of a sequence: the known facts about its elements.
define('SequenceConstruct', (_, inputs) => [inputs[0] && areAlike(inputs) ? shaped(inputs[0]) : undefined])
define('SequenceAt SequenceInsert SequenceErase Optional OptionalGetElement', (_, [x]) => [x && shaped(x)])
define('ConcatFromSequence', (node, [x]) => [x && node.ints.get('new_axis')?.[0] !== 1 ? shaped(x) : undefined])
const areAlike = (inputs: readonly MaybeFlow[]): boolean =>
  inputs.every((flow) => flow?.rank === inputs[0]?.rank && flow?.rows === inputs[0]?.rows)
define('com.microsoft:CDist', (_, [a]) => [a?.rows === 0 ? { rank: 2, rows: 0, data: a.data } : undefined])

define('Split', (node, [x]) => all(node, x && normal(axisOf(node, 0), x.rank) !== x.rows ? shaped(x) : undefined))
define('Slice', (node, inputs) => {
  const [x] = inputs
  const starts = listed(node, inputs, 'starts', 1)
  const ends = listed(node, inputs, 'ends', 2)
  if (!x) return [undefined]
  if (x.ints && starts && ends && !node.inputs[4]) return [fixed(1, x.ints.slice(starts[0], ends[0]))]
  if (x.rows === undefined) return [shaped(x)]
  // Only a selection of all rows is not held against the model.
  return [shaped(x)]
})
define('Tile', (_, [x, repeats]) => [x && (x.rows === undefined || repeats?.ints?.[x.rows] === 1) ? shaped(x) : undefined])

define('Gather', (node, [x, indices]) => {
  if (!x || !indices) return [undefined]
  const at = numbersOf(indices)
  if (x.ints && at)
    return [
      fixed(
        indices.rank,
        at.map((i) => x.ints?.[normal(i, x.ints.length)]),
      ),
    ]
  const axis = normal(axisOf(node, 0), x.rank)
  const rank = x.rank - 1 + indices.rank
  const data = x.data || indices.data
  if (x.rows === undefined) return [{ rank, rows: indices.rows === undefined ? undefined : axis + indices.rows, data }]
  if (indices.rows !== undefined || axis === x.rows) return [undefined]
  return [{ rank, rows: x.rows < axis ? x.rows : x.rows - 1 + indices.rank, data }]
})
define('OneHot', (node, [x]) => {
  if (!x) return [undefined]
  const axis = normal(axisOf(node, -1), x.rank + 1)
  return [{ rank: x.rank + 1, rows: x.rows === undefined ? undefined : x.rows + (axis <= x.rows ? 1 : 0), data: x.data }]
})

define('Gemm', (node, [a, b]) => {
  if (!a || !b || b.rows !== undefined || a.rank !== 2) return [undefined]
  const flipped = node.ints.get('transA')?.[0] === 1
  return [
    a.rows === undefined || a.rows === (flipped ? 1 : 0)
      ? { rank: 2, rows: a.rows === undefined ? undefined : 0, data: a.data }
      : undefined,
  ]
})
define('MatMul MatMulInteger', (_, [a, b]) => {
  if (!a || !b || a.rank < 2 || b.rank < 2) return [undefined]
  // Of the matrices' own dimensions, the last of the first input is summed over with the last but one of the second.
  const isSummed = a.rows === a.rank - 1 || b.rows === b.rank - 2
  return [isSummed ? undefined : broadcast([a, b])]
})
define('LSTM GRU RNN', (node, [x]) => {
  const isUsual = x?.rank === 3 && x.rows === 1 && (node.ints.get('layout')?.[0] ?? 0) === 0
  return node.outputs.map((_, i) => (isUsual ? { rank: i === 0 ? 4 : 3, rows: i === 0 ? 2 : 1, data: true } : undefined))
})

const rowsFirst =
  (...ranks: readonly number[]): Rule =>
  (node, [x]) =>
    node.outputs.map((_, i) => (x?.rows === 0 ? { rank: ranks[i] ?? 2, rows: 0, data: x.data } : undefined))
define('ai.onnx.ml:Scaler ai.onnx.ml:Imputer ai.onnx.ml:Binarizer ai.onnx.ml:Normalizer ai.onnx.ml:LabelEncoder', (_, [x]) => [
  x && shaped(x),
])
define('ai.onnx.ml:TreeEnsembleRegressor ai.onnx.ml:LinearRegressor ai.onnx.ml:SVMRegressor', rowsFirst(2))
define('ai.onnx.ml:TreeEnsembleClassifier ai.onnx.ml:LinearClassifier ai.onnx.ml:SVMClassifier', rowsFirst(1, 2))

/** The known facts about a node's outputs, given its inputs. */
export function outputsOf(node: GraphNode, inputs: readonly MaybeFlow[]): readonly MaybeFlow[] {
  return RULES.get(node.op)?.(node, inputs) ?? []
}
