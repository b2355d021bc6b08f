/** Infers element types of operators' outputs from those of their inputs: numbers of TensorProto.DataType, 0 if unknown. */

import type { GraphNode } from './nodes.ts'

const [FLOAT, UINT8, INT32, INT64, BOOL] = [1, 2, 6, 7, 9]

interface Typed {
  readonly type: number
}

const named = (names: string): ReadonlySet<string> => new Set(names.split(' ').map((name) => `ai.onnx:${name}`))

export const FIXED_TYPES = {
  shapes: named('Shape Size'),
  int64: named('ArgMax ArgMin NonZero NonMaxSuppression'),
  bool: named('And Equal Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Not Or RegexFullMatch Xor'),
  int32: named('ConvInteger MatMulInteger'),
  float: new Set([
    'ai.onnx:TfIdfVectorizer',
    'ai.onnx.ml:LinearRegressor',
    'ai.onnx.ml:Normalizer',
    'ai.onnx.ml:Scaler',
    'ai.onnx.ml:SVMRegressor',
    'ai.onnx.ml:TreeEnsembleRegressor',
  ]),
  /** Integers or text, by their attributes. */
  unknown: named('ImageDecoder Multinomial Optional SequenceEmpty StringSplit'),
} as const

/** Operators of other domains whose outputs have the type of their inputs. */
const KEEPERS: ReadonlySet<string> = new Set(['ai.onnx.ml:ArrayFeatureExtractor', 'ai.onnx.ml:Binarizer', 'ai.onnx.ml:Imputer'])

/** These take sizes and return numbers. */
const WINDOWS = named('BlackmanWindow HammingWindow HannWindow MelWeightMatrix')

/** Operators whose outputs have the type of another input than the first. */
const LIKE: Readonly<Record<string, number>> = {
  'ai.onnx:Where': 1,
  'ai.onnx:OneHot': 2,
  'ai.onnx:CastLike': 1,
  'ai.onnx:DequantizeLinear': 1,
}

/** Outputs after the first that have a type of their own. */
const FURTHER: Readonly<Record<string, readonly number[]>> = {
  'ai.onnx.ml:LinearClassifier': [FLOAT],
  'ai.onnx.ml:SVMClassifier': [FLOAT],
  'ai.onnx.ml:TreeEnsembleClassifier': [FLOAT],
  'ai.onnx:TopK': [INT64],
  'ai.onnx:MaxPool': [INT64],
  'ai.onnx:Unique': [INT64, INT64, INT64],
  'ai.onnx:Dropout': [BOOL],
  'ai.onnx:DynamicQuantizeLinear': [FLOAT, UINT8],
}

export function resultTypes(node: GraphNode, inputs: readonly (Typed | undefined)[]): readonly number[] {
  const further = FURTHER[node.op]
  const first = firstType(node, inputs)
  return node.outputs.map((_, i) => (i === 0 ? first : (further?.[i - 1] ?? first)))
}

function firstType(node: GraphNode, inputs: readonly (Typed | undefined)[]): number {
  const { op, ints } = node
  if (op === 'ai.onnx:Cast') return ints.get('to')?.[0] ?? 0
  if (op === 'ai.onnx:Constant') return node.constant?.type ?? 0
  if (op === 'ai.onnx:ConstantOfShape') return node.constant?.type ?? FLOAT
  if (op === 'ai.onnx:DynamicQuantizeLinear') return UINT8
  if (op === 'ai.onnx:BitCast') return ints.get('to')?.[0] ?? 0
  if (op === 'ai.onnx:QuantizeLinear') return inputs[2]?.type || ints.get('output_dtype')?.[0] || UINT8
  if (WINDOWS.has(op)) return ints.get('output_datatype')?.[0] ?? FLOAT
  if (op.startsWith('ai.onnx:Random')) return ints.get('dtype')?.[0] ?? FLOAT
  if (op === 'ai.onnx:EyeLike' && ints.has('dtype')) return ints.get('dtype')?.[0] ?? 0
  if (FIXED_TYPES.shapes.has(op) || FIXED_TYPES.int64.has(op)) return INT64
  if (FIXED_TYPES.bool.has(op)) return BOOL
  if (FIXED_TYPES.int32.has(op)) return INT32
  if (FIXED_TYPES.float.has(op)) return FLOAT
  // Operators of other domains need not keep the type of their inputs: classifiers take floats and return labels.
  if (FIXED_TYPES.unknown.has(op) || !(op.startsWith('ai.onnx:') || KEEPERS.has(op))) return 0
  return inputs[LIKE[op] ?? 0]?.type ?? inputs.find((input) => input && input.type !== 0)?.type ?? 0
}
