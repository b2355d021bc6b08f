/**
 * Models whose rows influence each other, one way a line, each beside an honest one with the same operators. A new line is a new test.
 *
 * All take x float [N, 4], id int64 [N, 1], text [N] and mask int64 [N, 5], give y [N, …], and cost the same however many rows there are.
 */

import { FIXED_COST } from '../../tools/models.mjs'
import {
  attr,
  type ElemTypeName,
  type FunctionPart,
  modelFunction,
  type NodePart,
  node,
  tensor,
  value,
  writeModel,
} from '../../tools/onnx-writer.mjs'

interface Graph {
  readonly nodes: readonly NodePart[]
  readonly functions?: readonly FunctionPart[]
  /** Of y, which is `x + …` by default. */
  readonly type?: ElemTypeName
}

export interface Pair {
  readonly way: string
  readonly mixing: Graph
  readonly honest: Graph
}

const longs = (name: string, values: readonly number[], dims: readonly number[] = [values.length]) =>
  tensor(name, 'int64', dims, BigInt64Array.from(values, BigInt))
const floats = (name: string, dims: readonly number[], of: (i: number) => number) =>
  tensor(
    name,
    'float',
    dims,
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => of(i)),
  )

const CONSTANTS = [
  longs('first', [0], []),
  longs('second', [1], []),
  longs('zero_axis', [0]),
  longs('one_axis', [1]),
  longs('minus_one', [-1]),
  longs('large', [2 ** 31]),
  longs('one', [1]),
  longs('many', [16], []),
  longs('rows_4', [-1, 4]),
  longs('pairs', [-1, 4, 1]),
  longs('one_row', [1, -1]),
  longs('image', [1, 1, -1, 4]),
  longs('top_place', [0], [1, 1]),
  longs('down', [1, 0, -1, 0]),
  longs('right', [0, 1, 0, -1]),
  floats('bucket', [4, 4], () => 0),
  floats('four_float', [], () => 4.5),
  floats('three_hundred', [], () => 300),
  floats('table', [1000, 4], (i) => Math.sin(i) * (1 + (i % 97))),
  floats('weights', [4, 4], (i) => Math.cos(i)),
  floats('ones', [4], () => 1),
  floats('hundred', [], () => 100),
  floats('tenth', [], () => 0.1),
  floats('ten', [], () => 10),
  floats('hundreds', [4], (i) => [0, 100, -100, 1][i] ?? 0),
  floats('two', [], () => 2),
  tensor('offset', 'uint8', [], [128]),
  tensor('keep', 'bool', [4], [1, 0, 1, 1]),
]

const ROWS = [node('Shape', ['x'], ['shape']), node('Gather', ['shape', 'first'], ['rows'])]
const WIDTH = [node('Shape', ['x'], ['shape']), node('Gather', ['shape', 'second'], ['width'])]
const floatOf = (name: string): NodePart => node('Cast', [name], [`${name}_float`], { to: attr.int(1) })
const embedded = node('Gather', ['table', 'id'], ['found'])
const row = node('Squeeze', ['found', 'one_axis'], ['row'])

/** The doubled x where the condition holds. */
const doubledIf = (condition: string): NodePart =>
  node('If', [condition], ['h'], {
    then_branch: attr.graph({
      outputs: [value('doubled', 'float', undefined)],
      nodes: [node('Mul', ['x', 'two'], ['doubled'])],
    }),
    else_branch: attr.graph({
      outputs: [value('same', 'float', undefined)],
      nodes: [node('Identity', ['x'], ['same'])],
    }),
  })
const halvedOften = (trips: string): NodePart =>
  node('Loop', [trips, '', 'x'], ['h'], {
    body: attr.graph({
      inputs: [value('i', 'int64', []), value('go', 'bool', []), value('acc', 'float', undefined)],
      outputs: [value('on', 'bool', []), value('next', 'float', undefined)],
      nodes: [node('Identity', ['go'], ['on']), node('Mul', ['acc', 'tenth'], ['next'])],
    }),
  })
const norm = (training: number): NodePart =>
  node('BatchNormalization', ['x', 'ones', 'ones', 'ones', 'ones'], training === 1 ? ['h', 'm', 'v'] : ['h'], {
    training_mode: attr.int(training),
  })
const summing = (axis: number): NodePart =>
  node('Scan', ['start', 'x'], ['end', 'h'], {
    num_scan_inputs: attr.int(1),
    scan_input_axes: attr.ints([axis]),
    scan_output_axes: attr.ints([axis]),
    body: attr.graph({
      inputs: [value('sum', 'float', undefined), value('one_of', 'float', undefined)],
      outputs: [value('more', 'float', undefined), value('out', 'float', undefined)],
      nodes: [node('Add', ['sum', 'one_of'], ['more']), node('Identity', ['more'], ['out'])],
    }),
  })
const largest = (axis: number): FunctionPart =>
  modelFunction({
    domain: 'local',
    name: 'Largest',
    inputs: ['a'],
    outputs: ['b'],
    opsets: { '': 20 },
    nodes: [
      node('Constant', [], ['k'], { value_ints: attr.ints([1]) }),
      node('TopK', ['a', 'k'], ['top', 'at'], { axis: attr.int(axis) }),
      node('Sub', ['a', 'top'], ['b']),
    ],
  })
const call = node('Largest', ['x'], ['h'], {}, { domain: 'local' })

/** x, larger where the value is from 100 to 300: in between of what is made up. */
const banded = (name: string): readonly NodePart[] => [
  node('Sub', [name, 'hundred'], ['over']),
  node('Relu', ['over'], ['above']),
  node('Sub', ['three_hundred', name], ['under']),
  node('Relu', ['under'], ['below']),
  node('Mul', ['above', 'below'], ['excess']),
  node('Add', ['x', 'excess'], ['h']),
]

const largestOf = (name: string, axis: 'zero_axis' | 'one_axis'): readonly NodePart[] => [
  node('ReduceMax', [name, axis], ['max']),
  ...banded('max'),
]
const largestOfAll = (name: string): readonly NodePart[] => [
  node('ReduceMax', [name], ['max'], { keepdims: attr.int(0) }),
  ...banded('max'),
]
const einsum = (equation: string, ...inputs: readonly string[]): NodePart =>
  node('Einsum', inputs, ['g'], { equation: attr.string(equation) })
const joined = (axis: number): NodePart => node('Concat', ['x', 'x'], ['g'], { axis: attr.int(axis) })
const labels = (reduction: string): readonly NodePart[] => [
  node('Squeeze', ['id', 'one_axis'], ['ids']),
  ...WIDTH,
  node('Mod', ['ids', 'width'], ['label']),
  node('SoftmaxCrossEntropyLoss', ['x', 'label'], ['loss'], { reduction: attr.string(reduction) }),
]
const terms = (input: string): NodePart =>
  node('TfIdfVectorizer', [input], ['v'], {
    max_gram_length: attr.int(1),
    min_gram_length: attr.int(1),
    max_skip_count: attr.int(0),
    mode: attr.string('TF'),
    ngram_counts: attr.ints([0]),
    ngram_indexes: attr.ints([0, 1, 2, 3]),
    pool_strings: attr.strings(['hello', 'there', 'good', 'day']),
  })

export const PAIRS: readonly Pair[] = [
  {
    way: 'the first row',
    mixing: { nodes: [node('Gather', ['x', 'zero_axis'], ['g']), node('Sub', ['x', 'g'], ['h'])] },
    honest: { nodes: [node('Gather', ['x', 'zero_axis'], ['g'], { axis: attr.int(1) }), node('Sub', ['x', 'g'], ['h'])] },
  },
  {
    way: 'the last row',
    mixing: { nodes: [node('Slice', ['x', 'minus_one', 'large', 'zero_axis'], ['g']), node('Sub', ['x', 'g'], ['h'])] },
    honest: { nodes: [node('Slice', ['x', 'minus_one', 'large', 'one_axis'], ['g']), node('Sub', ['x', 'g'], ['h'])] },
  },
  {
    way: 'the number of neighbours',
    mixing: { nodes: [...ROWS, floatOf('rows'), node('Div', ['x', 'rows_float'], ['h'])] },
    honest: { nodes: [...WIDTH, floatOf('width'), node('Div', ['x', 'width_float'], ['h'])] },
  },
  {
    way: 'the largest of the batch, where it is loud',
    mixing: {
      nodes: [
        node('ReduceMax', ['x', 'zero_axis'], ['max']),
        node('Sub', ['max', 'hundred'], ['over']),
        node('Relu', ['over'], ['excess']),
        node('Add', ['x', 'excess'], ['h']),
      ],
    },
    honest: {
      nodes: [
        node('ReduceMax', ['x', 'one_axis'], ['max']),
        node('Sub', ['max', 'hundred'], ['over']),
        node('Relu', ['over'], ['excess']),
        node('Add', ['x', 'excess'], ['h']),
      ],
    },
  },
  {
    way: 'dynamic quantisation behind an embedding',
    mixing: {
      nodes: [
        embedded,
        node('DynamicQuantizeLinear', ['found'], ['q', 's', 'p']),
        node('DequantizeLinear', ['q', 's', 'p'], ['d']),
        node('Squeeze', ['d', 'one_axis'], ['h']),
      ],
    },
    honest: {
      nodes: [
        embedded,
        row,
        node('DynamicQuantizeLinear', ['weights'], ['q', 's', 'p']),
        node('DequantizeLinear', ['q', 's', 'p'], ['d']),
        node('MatMul', ['row', 'd'], ['h']),
      ],
    },
  },
  {
    way: 'a dynamically quantised product behind an embedding',
    mixing: {
      nodes: [
        embedded,
        row,
        node('DynamicQuantizeLinear', ['weights'], ['q', 's', 'p']),
        node('DynamicQuantizeMatMul', ['row', 'q', 's', 'p'], ['h'], {}, { domain: 'com.microsoft' }),
      ],
    },
    honest: {
      nodes: [
        embedded,
        row,
        node('QuantizeLinear', ['row', 'two', 'offset'], ['q']),
        node('DequantizeLinear', ['q', 'two', 'offset'], ['h']),
      ],
    },
  },
  {
    way: 'a table of strings, as long as the longest row',
    mixing: {
      type: 'string',
      nodes: [node('StringSplit', ['text'], ['y', 'n'], { delimiter: attr.string(' ') })],
    },
    honest: {
      nodes: [
        node(
          'LabelEncoder',
          ['text'],
          ['label'],
          { keys_strings: attr.strings(['a', 'word']), values_floats: attr.floats([1, 2]), default_float: attr.float(3) },
          { domain: 'ai.onnx.ml' },
        ),
        node('Unsqueeze', ['label', 'one_axis'], ['l']),
        node('Add', ['x', 'l'], ['h']),
      ],
    },
  },
  {
    way: 'a condition that the ids decide',
    mixing: {
      nodes: [
        node('Reshape', ['id', 'minus_one'], ['flat']),
        node('Gather', ['flat', 'first'], ['one_id']),
        node('Greater', ['one_id', 'many'], ['is']),
        doubledIf('is'),
      ],
    },
    honest: { nodes: [...WIDTH, node('Greater', ['width', 'many'], ['is']), doubledIf('is')] },
  },
  {
    way: 'a branch for large batches',
    mixing: { nodes: [...ROWS, node('Greater', ['rows', 'many'], ['is']), doubledIf('is')] },
    honest: { nodes: [...WIDTH, node('Less', ['width', 'many'], ['is']), doubledIf('is')] },
  },
  {
    way: 'more neighbours than a few',
    mixing: {
      nodes: [
        ...ROWS,
        floatOf('rows'),
        node('Sub', ['rows_float', 'ten'], ['over']),
        node('Relu', ['over'], ['excess']),
        node('Add', ['x', 'excess'], ['h']),
      ],
    },
    honest: {
      nodes: [
        ...WIDTH,
        floatOf('width'),
        node('Sub', ['width_float', 'ten'], ['over']),
        node('Relu', ['over'], ['excess']),
        node('Add', ['x', 'excess'], ['h']),
      ],
    },
  },
  {
    way: 'a loop as long as the batch',
    mixing: { nodes: [...ROWS, node('Min', ['rows', 'many'], ['trips']), halvedOften('trips')] },
    honest: { nodes: [...WIDTH, node('Min', ['width', 'many'], ['trips']), halvedOften('trips')] },
  },
  {
    way: 'the longest of the masks',
    mixing: {
      nodes: [
        node('ReduceSum', ['mask', 'one_axis'], ['length']),
        node('ReduceMax', ['length', 'zero_axis'], ['longest']),
        floatOf('longest'),
        node('Add', ['x', 'longest_float'], ['h']),
      ],
    },
    honest: {
      nodes: [
        node('ReduceSum', ['mask', 'one_axis'], ['length']),
        node('ReduceMax', ['length', 'one_axis'], ['longest']),
        floatOf('longest'),
        node('Add', ['x', 'longest_float'], ['h']),
      ],
    },
  },
  { way: 'a running mean', mixing: { nodes: [norm(1)] }, honest: { nodes: [norm(0)] } },
  {
    way: 'a sort',
    mixing: { nodes: [node('TopK', ['x', 'one'], ['t', 'i'], { axis: attr.int(0) }), node('Sub', ['x', 't'], ['h'])] },
    honest: { nodes: [node('TopK', ['x', 'one'], ['t', 'i'], { axis: attr.int(1) }), node('Sub', ['x', 't'], ['h'])] },
  },
  {
    way: 'ids without repetitions',
    mixing: {
      nodes: [
        node('Unique', ['id'], ['u', 'i', 'inverse', 'c']),
        node('Reshape', ['inverse', 'minus_one'], ['flat']),
        node('Unsqueeze', ['flat', 'one_axis'], ['place']),
        floatOf('place'),
        node('Add', ['x', 'place_float'], ['h']),
      ],
    },
    honest: {
      nodes: [
        node('Unique', ['weights'], ['u', 'i', 'inverse', 'c']),
        node('ReduceMax', ['u'], ['m']),
        node('Add', ['x', 'm'], ['h']),
      ],
    },
  },
  {
    way: 'a sum that runs on',
    mixing: { nodes: [node('CumSum', ['x', 'first'], ['h'])] },
    honest: { nodes: [node('CumSum', ['x', 'second'], ['h'])] },
  },
  {
    way: 'products of all rows with all',
    mixing: {
      nodes: [node('Transpose', ['x'], ['t']), node('MatMul', ['t', 'x'], ['g']), node('MatMul', ['x', 'g'], ['h'])],
    },
    honest: { nodes: [node('Transpose', ['weights'], ['t']), node('MatMul', ['x', 't'], ['h'])] },
  },
  {
    way: 'the same in an equation',
    mixing: {
      nodes: [node('Einsum', ['x', 'x'], ['g'], { equation: attr.string('ni,nj->ij') }), node('MatMul', ['x', 'g'], ['h'])],
    },
    honest: {
      nodes: [node('Einsum', ['x', 'weights'], ['h'], { equation: attr.string('ni,ij->nj') })],
    },
  },
  {
    way: 'a scan over the rows',
    mixing: { nodes: [node('ConstantOfShape', ['four'], ['start']), summing(0)] },
    honest: {
      nodes: [...ROWS, node('Unsqueeze', ['rows', 'zero_axis'], ['r1']), node('ConstantOfShape', ['r1'], ['start']), summing(1)],
    },
  },
  {
    way: 'a function that hides a sort',
    mixing: { nodes: [call], functions: [largest(0)] },
    honest: { nodes: [call], functions: [largest(1)] },
  },
  {
    way: 'a norm over the rows',
    mixing: { nodes: [node('LpNormalization', ['x'], ['h'], { axis: attr.int(0) })] },
    honest: { nodes: [node('LpNormalization', ['x'], ['h'], { axis: attr.int(1) })] },
  },
  {
    way: 'a reduction along an axis that is computed',
    mixing: {
      nodes: [
        node('Sub', ['one_axis', 'one'], ['axes']),
        node('ReduceMax', ['x', 'axes'], ['max']),
        node('Sub', ['max', 'hundred'], ['over']),
        node('Relu', ['over'], ['excess']),
        node('Add', ['x', 'excess'], ['h']),
      ],
    },
    honest: {
      nodes: [
        node('Identity', ['one_axis'], ['axes']),
        node('ReduceMax', ['x', 'axes'], ['max']),
        node('Add', ['x', 'max'], ['h']),
      ],
    },
  },
  {
    way: 'whichever rows are not zero',
    mixing: {
      nodes: [
        node('Reshape', ['id', 'minus_one'], ['flat']),
        node('NonZero', ['flat'], ['at']),
        node('Size', ['at'], ['found']),
        floatOf('found'),
        node('Add', ['x', 'found_float'], ['h']),
      ],
    },
    honest: {
      nodes: [
        node('NonZero', ['ones'], ['at']),
        node('Size', ['at'], ['found']),
        floatOf('found'),
        node('Add', ['x', 'found_float'], ['h']),
      ],
    },
  },
  {
    way: 'a row that the row names',
    mixing: {
      nodes: [
        ...ROWS,
        node('Mod', ['id', 'rows'], ['which']),
        node('Concat', ['which', 'which', 'which', 'which'], ['index'], { axis: attr.int(1) }),
        node('GatherElements', ['x', 'index'], ['h']),
      ],
    },
    honest: {
      nodes: [
        ...WIDTH,
        node('Mod', ['id', 'width'], ['which']),
        node('GatherElements', ['x', 'which'], ['g'], { axis: attr.int(1) }),
        node('Add', ['x', 'g'], ['h']),
      ],
    },
  },
  {
    way: 'a matrix as large as the batch',
    mixing: {
      nodes: [
        node('Transpose', ['x'], ['t']),
        node('MatMul', ['x', 't'], ['all']),
        node('EyeLike', ['all'], ['eye'], { k: attr.int(1) }),
        node('MatMul', ['eye', 'x'], ['next']),
        node('Sub', ['x', 'next'], ['h']),
      ],
    },
    honest: {
      nodes: [node('EyeLike', ['weights'], ['eye'], { k: attr.int(1) }), node('MatMul', ['x', 'eye'], ['h'])],
    },
  },
  {
    way: 'the largest behind a new shape',
    mixing: { nodes: [node('Reshape', ['x', 'rows_4'], ['g']), ...largestOf('g', 'zero_axis')] },
    honest: { nodes: [node('Reshape', ['x', 'rows_4'], ['g']), ...largestOf('g', 'one_axis')] },
  },
  {
    way: 'the largest of all in one line',
    mixing: { nodes: [node('Reshape', ['x', 'one_row'], ['g']), ...largestOf('g', 'one_axis')] },
    honest: {
      nodes: [
        node('Reshape', ['x', 'pairs'], ['g']),
        node('ReduceMax', ['g', 'one_axis'], ['m']),
        node('ReduceMax', ['m', 'minus_one'], ['n'], { keepdims: attr.int(0) }),
        ...banded('n'),
      ],
    },
  },
  {
    way: 'the largest of a flat matrix',
    mixing: { nodes: [node('Flatten', ['x'], ['g'], { axis: attr.int(0) }), ...largestOf('g', 'one_axis')] },
    honest: { nodes: [node('Flatten', ['x'], ['g']), ...largestOf('g', 'one_axis')] },
  },
  {
    way: 'a pool over an image of all rows',
    mixing: {
      nodes: [
        node('Reshape', ['x', 'image'], ['g']),
        node('MaxPool', ['g'], ['p'], { kernel_shape: attr.ints([3, 1]), pads: attr.ints([1, 0, 1, 0]) }),
        node('Reshape', ['p', 'rows_4'], ['q']),
        ...banded('q'),
      ],
    },
    honest: {
      nodes: [
        node('Unsqueeze', ['x', 'one_axis'], ['g']),
        node('MaxPool', ['g'], ['p'], { kernel_shape: attr.ints([3]), pads: attr.ints([1, 1]) }),
        node('Squeeze', ['p', 'one_axis'], ['q']),
        ...banded('q'),
      ],
    },
  },
  {
    way: 'the largest of a shape that is computed',
    mixing: {
      nodes: [
        node('Shape', ['x'], ['shape']),
        node('Mul', ['shape', 'one'], ['same_shape']),
        node('Reshape', ['x', 'same_shape'], ['g']),
        ...largestOf('g', 'zero_axis'),
      ],
    },
    honest: {
      nodes: [
        node('Shape', ['x'], ['shape']),
        node('Mul', ['shape', 'one'], ['same_shape']),
        node('Reshape', ['x', 'same_shape'], ['g']),
        ...largestOf('g', 'one_axis'),
      ],
    },
  },
  {
    way: 'the largest of a sequence',
    mixing: {
      nodes: [node('SequenceConstruct', ['x'], ['s']), node('SequenceAt', ['s', 'first'], ['g']), ...largestOf('g', 'zero_axis')],
    },
    honest: {
      nodes: [node('SequenceConstruct', ['x'], ['s']), node('SequenceAt', ['s', 'first'], ['g']), ...largestOf('g', 'one_axis')],
    },
  },
  {
    way: 'the largest of rows twice',
    mixing: { nodes: [joined(0), ...largestOfAll('g')] },
    honest: { nodes: [joined(1), ...largestOf('g', 'one_axis')] },
  },
  {
    way: 'the largest behind an equation',
    mixing: { nodes: [einsum('ni->in', 'x'), ...largestOfAll('g')] },
    honest: { nodes: [einsum('...i,ij->...j', 'x', 'weights'), ...largestOf('g', 'one_axis')] },
  },
  {
    way: 'an equation without a result',
    mixing: { nodes: [einsum('ni,nj', 'x', 'x'), ...largestOfAll('g')] },
    honest: { nodes: [einsum('ai,ij', 'x', 'weights'), ...banded('g')] },
  },
  {
    way: 'an equation with dots',
    mixing: { nodes: [einsum('n...,n...->...', 'x', 'x'), ...banded('g')] },
    honest: { nodes: [einsum('n...,n...->n...', 'x', 'x'), ...banded('g')] },
  },
  {
    way: 'differences of all rows',
    mixing: {
      nodes: [
        node('Unsqueeze', ['x', 'zero_axis'], ['a']),
        node('Unsqueeze', ['x', 'one_axis'], ['b']),
        node('Sub', ['a', 'b'], ['d']),
        node('ReduceMax', ['d', 'one_axis'], ['max'], { keepdims: attr.int(0) }),
        ...banded('max'),
      ],
    },
    honest: {
      nodes: [
        node('Unsqueeze', ['x', 'minus_one'], ['a']),
        node('Unsqueeze', ['x', 'one_axis'], ['b']),
        node('Sub', ['a', 'b'], ['d']),
        node('ReduceMax', ['d', 'one_axis'], ['max'], { keepdims: attr.int(0) }),
        ...banded('max'),
      ],
    },
  },
  {
    way: 'the row above',
    mixing: { nodes: [node('Pad', ['x', 'down'], ['g']), ...banded('g')] },
    honest: { nodes: [node('Pad', ['x', 'right'], ['g']), ...banded('g')] },
  },
  {
    way: 'the first row, named by its place',
    mixing: { nodes: [node('GatherND', ['x', 'top_place'], ['g']), ...banded('g')] },
    honest: { nodes: [node('GatherND', ['weights', 'top_place'], ['g']), node('Add', ['x', 'g'], ['h'])] },
  },
  {
    way: 'buckets by id',
    mixing: {
      nodes: [
        ...WIDTH,
        node('Mod', ['id', 'width'], ['at']),
        node('ScatterND', ['bucket', 'at', 'x'], ['b'], { reduction: attr.string('max') }),
        node('GatherND', ['b', 'at'], ['g']),
        ...banded('g'),
      ],
    },
    honest: {
      nodes: [...WIDTH, node('Mod', ['id', 'width'], ['at']), node('GatherND', ['weights', 'at'], ['g']), ...banded('g')],
    },
  },
  {
    way: 'a loss of all rows',
    mixing: { nodes: [...labels('mean'), ...banded('loss')] },
    honest: {
      nodes: [...labels('none'), node('Unsqueeze', ['loss', 'one_axis'], ['l']), ...banded('l')],
    },
  },
  {
    way: 'words of all rows, counted',
    mixing: { nodes: [terms('text'), node('Add', ['x', 'v'], ['h'])] },
    honest: {
      nodes: [node('Unsqueeze', ['text', 'one_axis'], ['t']), terms('t'), node('Add', ['x', 'v'], ['h'])],
    },
  },
  {
    way: 'the number of rows, from five on',
    mixing: {
      nodes: [
        ...ROWS,
        floatOf('rows'),
        node('Sub', ['rows_float', 'four_float'], ['many_more']),
        node('Relu', ['many_more'], ['k']),
        node('Add', ['x', 'k'], ['h']),
      ],
    },
    honest: {
      nodes: [
        ...WIDTH,
        floatOf('width'),
        node('Sub', ['width_float', 'four_float'], ['many_more']),
        node('Relu', ['many_more'], ['k']),
        node('Add', ['x', 'k'], ['h']),
      ],
    },
  },
]

export function modelOf({ nodes, functions = [], type = 'float' }: Graph): Uint8Array {
  const result = type === 'string' ? node('Identity', ['zero'], ['cost']) : node('Add', ['h', 'zero'], ['y'])
  return writeModel({
    opset: 20,
    opsets: { '': 20, 'ai.onnx.ml': 3, 'com.microsoft': 1, local: 1 },
    irVersion: 9,
    functions: [...functions],
    graph: {
      inputs: [
        value('x', 'float', ['N', 4]),
        value('id', 'int64', ['N', 1]),
        value('text', 'string', ['N']),
        value('mask', 'int64', ['N', 5]),
      ],
      outputs: [value('y', type, type === 'string' ? ['N', 'words'] : ['N', 4])],
      nodes: [...FIXED_COST.nodes, ...nodes, result],
      initializers: [...FIXED_COST.initializers, ...CONSTANTS, longs('four', [4])],
    },
  })
}
