/** Operators whose answer for one row depends on the other rows, if they work along the dimension that counts rows. */

import { type Known, normal, numbersOf } from './flow.ts'
import type { GraphNode } from './nodes.ts'

/** Answers that no two runs share. */
const RANDOM: ReadonlySet<string> = new Set(
  ['Bernoulli', 'Multinomial', 'RandomNormal', 'RandomNormalLike', 'RandomUniform', 'RandomUniformLike'].map(
    (op) => `ai.onnx:${op}`,
  ),
)

export const isRandom = (op: string): boolean => RANDOM.has(op)

export const REDUCTIONS: ReadonlySet<string> = new Set(
  ['L1', 'L2', 'LogSum', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'Sum', 'SumSquare'].map((kind) => `ai.onnx:Reduce${kind}`),
)

/** Since then Softmax works along one axis; before along all from it. */
const SOFTMAX_ALONG_ONE = 13
const RECURRENT = /^ai\.onnx:(LSTM|GRU|RNN)$/

/** The dimensions that a reduction removes: all where none are named. `undefined` when the graph computes them. */
export function reducedAxes(node: GraphNode, inputs: readonly Known[]): readonly number[] | undefined {
  const [x] = inputs
  if (!x) return undefined
  const named = node.inputs[1] ? numbersOf(inputs[1]) : (node.ints.get('axes') ?? [])
  if (!named) return undefined
  if (named.length > 0) return named.map((axis) => normal(axis, x.rank))
  return node.ints.get('noop_with_empty_axes')?.[0] === 1 ? [] : Array.from({ length: x.rank }, (_, i) => i)
}

const axisOf = (node: GraphNode, standard: number): number => node.ints.get('axis')?.[0] ?? standard

/** Whether the node lets rows influence each other, for certain. */
export function mixes(node: GraphNode, inputs: readonly Known[], opset: number): boolean {
  const { op } = node
  if (isRandom(op)) return true
  const [x] = inputs
  if (op === 'ai.onnx:Dropout') return numbersOf(inputs[2])?.[0] === 1
  if (!x || x.rows === undefined || !x.data) return false
  const { rank, rows } = x
  const along = (standard: number): boolean => normal(axisOf(node, standard), rank) === rows
  const fromOn = (standard: number): boolean => rows >= normal(axisOf(node, standard), rank)

  if (REDUCTIONS.has(op)) return reducedAxes(node, inputs)?.includes(rows) === true
  if (RECURRENT.test(op)) return rows === 0 && (node.ints.get('layout')?.[0] ?? 0) === 0
  switch (op) {
    case 'ai.onnx:ArgMax':
    case 'ai.onnx:ArgMin':
      return along(0)
    case 'ai.onnx:TopK':
    case 'ai.onnx:LpNormalization':
      return along(-1)
    case 'ai.onnx:Softmax':
    case 'ai.onnx:LogSoftmax':
    case 'ai.onnx:Hardmax':
      return opset >= SOFTMAX_ALONG_ONE ? along(-1) : fromOn(1)
    case 'ai.onnx:LayerNormalization':
    case 'ai.onnx:RMSNormalization':
      return fromOn(-1)
    case 'ai.onnx:CumSum': {
      const axis = numbersOf(inputs[1])?.[0]
      return axis !== undefined && normal(axis, rank) === rows
    }
    case 'ai.onnx:MeanVarianceNormalization':
      return (node.ints.get('axes') ?? [0, 2, 3]).some((axis) => normal(axis, rank) === rows)
    case 'ai.onnx:BatchNormalization':
      return node.ints.get('training_mode')?.[0] === 1 && rows !== 1
    // One scale for all rows: a loud one takes the others' precision.
    case 'ai.onnx:DynamicQuantizeLinear':
    // As many results as the rows together have.
    case 'ai.onnx:NonZero':
      return true
    case 'ai.onnx:NonMaxSuppression':
      return rows === 0
    case 'ai.onnx:Compress':
    case 'ai.onnx:Unique':
      return !node.ints.has('axis') || along(0)
    default:
      return false
  }
}
