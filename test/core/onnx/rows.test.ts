/** Where the rows of a request go in a graph, checked against ONNX Runtime; and which operators let them influence each other. */

import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { findMixing, readOnnx } from '../../../src/core/onnx/index.ts'
import { readNodes } from '../../../src/core/onnx/nodes.ts'
import { followRows } from '../../../src/core/onnx/rows.ts'
import { bytesSource } from '../../../src/core/onnx/source.ts'
import { createReader, drive } from '../../../src/core/onnx/wire.ts'
import { addModel, encoderModel, gatherModel, matmulChainModel, mlpModel } from '../../../tools/models.mjs'
import { attr, node, tensor, value, writeModel } from '../../../tools/onnx-writer.mjs'

type Node = ReturnType<typeof node>

const ints = (name: string, values: readonly number[], dims: readonly number[] = [values.length]) =>
  tensor(name, 'int64', dims, BigInt64Array.from(values, BigInt))
const zeros = (name: string, dims: readonly number[]) =>
  tensor(name, 'float', dims, new Float32Array(dims.reduce((a, b) => a * b, 1)))

/** x float32 [N, 4, 6], ids int64 [N, 4], flat [N], and constants that the nodes below may use. */
function model(nodes: readonly Node[], outputs: readonly string[], opset = 17): Uint8Array {
  return writeModel({
    opset,
    graph: {
      inputs: [value('x', 'float', ['N', 4, 6]), value('ids', 'int64', ['N', 4]), value('flat', 'float', ['N'])],
      outputs: outputs.map((name) => value(name, 'float', undefined)),
      nodes: [...nodes],
      initializers: [
        ints('zero', [0]),
        ints('one', [1]),
        ints('two', [2]),
        ints('minus_one', [-1]),
        ints('first', [0], []),
        ints('second', [1], []),
        ints('keep', [0, 24]),
        ints('fold', [-1, 24]),
        ints('repeats', [1, 2, 1]),
        ints('depth', [3], []),
        ints('top', [2]),
        ints('pair', [0, 2]),
        zeros('unit', []),
        zeros('w', [6, 5]),
        zeros('w24', [24, 5]),
        zeros('table', [3, 7]),
        zeros('kernel', [2, 4, 3]),
        zeros('scale4', [4]),
        zeros('scale6', [6]),
        zeros('off_on', [2]),
        zeros('lstm_w', [1, 12, 6]),
        zeros('lstm_r', [1, 12, 3]),
        tensor('yes', 'bool', [], [1]),
      ],
    },
  })
}

async function follow(source: Uint8Array, rows: Readonly<Record<string, number>> = { x: 0, ids: 0, flat: 0 }) {
  const from = bytesSource(source)
  const reader = createReader(from.size)
  const { inputs } = await readOnnx(source)
  return followRows(await drive(reader, from, readNodes(reader)), inputs, rows)
}

const mixingIn = async (source: Uint8Array, rows: Readonly<Record<string, number>> = { x: 0, ids: 0, flat: 0 }) =>
  findMixing(source, (await readOnnx(source)).inputs, rows)

/** Dimensions of an output for so many rows. */
async function dimsOf(source: Uint8Array, output: string, rows: number): Promise<readonly number[]> {
  const session = await InferenceSession.create(source, { logSeverityLevel: 4 })
  const feeds = {
    x: new OrtTensor('float32', new Float32Array(rows * 24).fill(0.5), [rows, 4, 6]),
    ids: new OrtTensor('int64', new BigInt64Array(rows * 4), [rows, 4]),
    flat: new OrtTensor('float32', new Float32Array(rows), [rows]),
  }
  const { [output]: result } = await session.run(feeds, [output])
  await session.release()
  return result?.dims ?? []
}

const SHAPE = [
  node('Shape', ['x'], ['shape']),
  node('Gather', ['shape', 'first'], ['n']),
  node('Unsqueeze', ['n', 'zero'], ['n1']),
]

describe('the trail of the rows', () => {
  test.each<[string, readonly Node[], number?]>([
    ['elementwise', [node('Sigmoid', ['x'], ['h']), node('Mul', ['h', 'unit'], ['y'])]],
    [
      'broadcast to a higher rank',
      [node('Unsqueeze', ['flat', 'one'], ['u']), node('Unsqueeze', ['u', 'two'], ['v']), node('Add', ['x', 'v'], ['y'])],
    ],
    [
      'broadcast from the right',
      [node('Transpose', ['x'], ['t'], { perm: attr.ints([1, 2, 0]) }), node('Add', ['t', 'flat'], ['y'])],
    ],
    ['Transpose without perm', [node('Transpose', ['x'], ['y'])]],
    ['Unsqueeze in front', [node('Unsqueeze', ['x', 'zero'], ['y'])]],
    ['Unsqueeze at the end', [node('Unsqueeze', ['x', 'minus_one'], ['y'])]],
    ['Unsqueeze by attribute', [node('Unsqueeze', ['x'], ['y'], { axes: attr.ints([0, 2]) })], 11],
    ['Squeeze', [node('Unsqueeze', ['x', 'zero'], ['u']), node('Squeeze', ['u', 'zero'], ['y'])]],
    ['MatMul with weights', [node('MatMul', ['x', 'w'], ['y'])]],
    ['MatMul of two', [node('Transpose', ['x'], ['t'], { perm: attr.ints([0, 2, 1]) }), node('MatMul', ['x', 't'], ['y'])]],
    [
      'MatMul with rows last',
      [
        node('Flatten', ['x'], ['f']),
        node('Transpose', ['f'], ['t']),
        node('Transpose', ['w24'], ['v']),
        node('MatMul', ['v', 't'], ['y']),
      ],
    ],
    ['Flatten and Gemm', [node('Flatten', ['x'], ['f']), node('Gemm', ['f', 'w24'], ['y'])]],
    [
      'Gemm of a transposed',
      [
        node('Flatten', ['x'], ['f']),
        node('Transpose', ['f'], ['t']),
        node('Gemm', ['t', 'w24'], ['y'], { transA: attr.int(1) }),
      ],
    ],
    ['Conv', [node('Conv', ['x', 'kernel'], ['c']), node('GlobalAveragePool', ['c'], ['y'])]],
    ['embedding', [node('Gather', ['table', 'ids'], ['y'])]],
    ['embedding along another axis', [node('Gather', ['table', 'ids'], ['y'], { axis: attr.int(1) })]],
    ['one position of each row', [node('Gather', ['x', 'first'], ['y'], { axis: attr.int(1) })]],
    ['several positions of each row', [node('Gather', ['x', 'pair'], ['y'], { axis: attr.int(1) })]],
    [
      'Gather behind the rows',
      [node('Transpose', ['x'], ['t'], { perm: attr.ints([1, 0, 2]) }), node('Gather', ['t', 'top'], ['y'])],
    ],
    ['reduced, kept', [node('ReduceMean', ['x'], ['y'], { axes: attr.ints([-1]) })]],
    [
      'reduced, not kept',
      [
        node('Transpose', ['x'], ['t'], { perm: attr.ints([1, 0, 2]) }),
        node('ReduceSum', ['t', 'zero'], ['y'], { keepdims: attr.int(0) }),
      ],
    ],
    ['ReduceMax of opset 18', [node('ReduceMax', ['x', 'one'], ['y'], { keepdims: attr.int(0) })], 18],
    [
      'ArgMax',
      [
        node('ArgMax', ['x'], ['a'], { axis: attr.int(2), keepdims: attr.int(0) }),
        node('Cast', ['a'], ['y'], { to: attr.int(1) }),
      ],
    ],
    ['TopK', [node('TopK', ['x', 'top'], ['y', 'i'])]],
    ['Split', [node('Split', ['x'], ['y', 'z'], { axis: attr.int(1) })]],
    ['Slice', [node('Slice', ['x', 'zero', 'top', 'one'], ['y'])]],
    ['Concat', [node('Concat', ['x', 'x'], ['y'], { axis: attr.int(-1) })]],
    ['Reshape that copies the rows', [node('Reshape', ['x', 'keep'], ['y'])]],
    [
      'Reshape by a computed shape',
      [...SHAPE, node('Concat', ['n1', 'minus_one'], ['to'], { axis: attr.int(0) }), node('Reshape', ['x', 'to'], ['y'])],
    ],
    [
      'Expand by a computed shape',
      [
        ...SHAPE,
        node('Concat', ['n1', 'one', 'one'], ['to'], { axis: attr.int(0) }),
        node('Expand', ['unit', 'to'], ['e']),
        node('Add', ['e', 'x'], ['y']),
      ],
    ],
    [
      'a piece of a shape',
      [
        node('Shape', ['x'], ['shape']),
        node('Slice', ['shape', 'zero', 'one'], ['n1']),
        node('Concat', ['n1', 'one'], ['to'], { axis: attr.int(0) }),
        node('ConstantOfShape', ['to'], ['y']),
      ],
    ],
    ['OneHot', [node('OneHot', ['ids', 'depth', 'off_on'], ['y'])]],
    ['OneHot in front', [node('OneHot', ['ids', 'depth', 'off_on'], ['y'], { axis: attr.int(0) })]],
    ['Tile', [node('Tile', ['x', 'repeats'], ['y'])]],
    [
      'LSTM',
      [
        node('Transpose', ['x'], ['t'], { perm: attr.ints([1, 0, 2]) }),
        node('LSTM', ['t', 'lstm_w', 'lstm_r'], ['y', 'y_h'], { hidden_size: attr.int(3) }),
      ],
    ],
    [
      'LSTM, its last state',
      [
        node('Transpose', ['x'], ['t'], { perm: attr.ints([1, 0, 2]) }),
        node('LSTM', ['t', 'lstm_w', 'lstm_r'], ['all', 'y'], { hidden_size: attr.int(3) }),
      ],
    ],
    [
      'DynamicQuantizeLinear apart from the rows',
      [node('DynamicQuantizeLinear', ['w'], ['q', 's', 'p']), node('Mul', ['x', 's'], ['y'])],
    ],
  ])('%s', async (_, nodes, opset) => {
    const source = model(nodes, ['y'], opset)
    const { flows, mixing } = await follow(source)
    expect(mixing).toBeUndefined()
    const [three, five] = [await dimsOf(source, 'y', 3), await dimsOf(source, 'y', 5)]
    const rows = three.flatMap((dim, i) => (dim === 3 && five[i] === 5 ? [i] : []))
    expect(flows.get('y')).toMatchObject({ rank: three.length, rows: rows[0] })
    expect(rows).toHaveLength(1)
  })

  const lost: readonly Node[] = [node('Unsqueeze', ['x', 'one'], ['u']), node('Squeeze', ['u'], ['y'])]

  test('is lost where a shape depends on the sizes, and nothing is claimed of what works along another dimension', async () => {
    const { flows, mixing } = await follow(model([...lost, node('ReduceMean', ['y'], ['z'], { axes: attr.ints([1]) })], ['z']))
    expect(mixing).toBeUndefined()
    expect(flows.get('y')).toBeUndefined()
  })

  test.each<[string, readonly Node[]]>([
    ['rows folded with something else', [node('Reshape', ['x', 'fold'], ['y'])]],
    ['rows joined', [node('Concat', ['x', 'x'], ['y'], { axis: attr.int(0) })]],
    ['an equation', [node('Einsum', ['x', 'x'], ['y'], { equation: attr.string('nij,nkj->nik') })]],
    ['a shape that depends on the sizes', lost],
  ])('what works along the first dimension goes across the rows behind %s', async (_, nodes) => {
    const { mixing } = await follow(model([...nodes, node('ReduceMean', ['y'], ['z'], { axes: attr.ints([0]) })], ['z']))
    expect(mixing).toBe("operator ReduceMean of 'z' works across the rows")
  })

  test.each<[string, readonly Node[]]>([
    ['MatMul', [node('Flatten', ['x'], ['f']), node('Transpose', ['f'], ['t']), node('MatMul', ['f', 't'], ['y'])]],
    [
      'Sub',
      [node('Unsqueeze', ['flat', 'zero'], ['a']), node('Unsqueeze', ['flat', 'one'], ['b']), node('Sub', ['a', 'b'], ['y'])],
    ],
    ['Einsum', [node('Einsum', ['flat', 'flat'], ['y'], { equation: attr.string('n,m->nm') })]],
  ])('all rows with all: %s', async (op, nodes) => {
    expect(await mixingIn(model(nodes, ['y']))).toBe(`operator ${op} of 'y' works across the rows`)
  })
})

describe('rows influence each other in', () => {
  test.each<[string, readonly Node[], number?]>([
    ['ReduceMean', [node('ReduceMean', ['x'], ['y'], { axes: attr.ints([0]) })]],
    [
      'ReduceSum, counted from the end',
      [node('Constant', [], ['axes'], { value_ints: attr.ints([-3]) }), node('ReduceSum', ['x', 'axes'], ['y'])],
    ],
    ['ReduceMax of everything', [node('ReduceMax', ['x'], ['y'])]],
    ['ReduceMean of opset 18', [node('ReduceMean', ['x', 'zero'], ['y'])], 18],
    ['ArgMax by default', [node('ArgMax', ['x'], ['y'])]],
    ['Softmax', [node('Softmax', ['x'], ['y'], { axis: attr.int(0) })]],
    [
      'Softmax behind a Transpose',
      [node('Transpose', ['x'], ['t'], { perm: attr.ints([1, 2, 0]) }), node('LogSoftmax', ['t'], ['y'])],
    ],
    [
      'Softmax of old, which flattens',
      [node('Transpose', ['x'], ['t'], { perm: attr.ints([1, 2, 0]) }), node('Softmax', ['t'], ['y'])],
      11,
    ],
    ['LayerNormalization', [node('LayerNormalization', ['x', 'scale6'], ['y'], { axis: attr.int(0) })]],
    ['CumSum', [node('CumSum', ['x', 'first'], ['y'])]],
    ['TopK', [node('TopK', ['x', 'top'], ['y', 'i'], { axis: attr.int(0) })]],
    ['NonZero', [node('NonZero', ['x'], ['y'])]],
    ['Unique', [node('Unique', ['x'], ['y'])]],
    ['Compress', [node('Compress', ['x', 'flags'], ['y'])]],
    ['MeanVarianceNormalization', [node('MeanVarianceNormalization', ['x'], ['y'], { axes: attr.ints([0, 2]) })]],
    [
      'BatchNormalization in training',
      [node('BatchNormalization', ['x', 'scale4', 'scale4', 'scale4', 'scale4'], ['y'], { training_mode: attr.int(1) })],
    ],
    ['DynamicQuantizeLinear', [node('DynamicQuantizeLinear', ['x'], ['y', 's', 'p'])]],
    ['LSTM that takes the rows for a sequence', [node('LSTM', ['x', 'lstm_w', 'lstm_r'], ['y'], { hidden_size: attr.int(3) })]],
    ['a random operator', [node('RandomNormalLike', ['x'], ['y'])]],
    ['Dropout in training', [node('Dropout', ['x', '', 'yes'], ['y'])]],
    [
      'a reduction behind attention',
      [
        ...SHAPE,
        node('MatMul', ['x', 'w'], ['q']),
        node('Concat', ['n1', 'minus_one'], ['to'], { axis: attr.int(0) }),
        node('Reshape', ['q', 'to'], ['f']),
        node('ReduceMax', ['f'], ['y'], { axes: attr.ints([0]) }),
      ],
    ],
  ])('%s', async (_, nodes, opset) => {
    expect(await mixingIn(model(nodes, ['y'], opset))).toMatch(
      /^operator \w+ of 'y' (works across the rows|draws random numbers)$/,
    )
  })

  test('not where the dimension is no row, or what is mixed is not what callers sent', async () => {
    const harmless = model(
      [
        node('Softmax', ['x'], ['a'], { axis: attr.int(1) }),
        node('ReduceMean', ['a'], ['b'], { axes: attr.ints([1, 2]) }),
        node('LayerNormalization', ['x', 'scale6'], ['c']),
        node('BatchNormalization', ['x', 'scale4', 'scale4', 'scale4', 'scale4'], ['d']),
        node('Dropout', ['d'], ['e']),
        node('CumSum', ['x', 'second'], ['f']),
        node('ReduceMax', ['w'], ['g']),
        node('ConstantOfShape', ['shape'], ['ones'], { value: attr.tensor(tensor('', 'float', [1], [1])) }),
        node('NonZero', ['ones'], ['arange']),
        node('ReduceSum', ['shape'], ['h']),
      ].flatMap((one, i) => (i === 7 ? [node('Shape', ['flat'], ['shape']), one] : [one])),
      ['b'],
    )
    expect(await mixingIn(harmless)).toBeUndefined()
  })

  test('declared axes count: what mixes along one does not along the other', async () => {
    const source = model([node('ReduceMean', ['x'], ['y'], { axes: attr.ints([0]) })], ['y'])
    expect(await mixingIn(source, { x: 1, ids: 1 })).toBeUndefined()
    expect(await mixingIn(source, { ids: 0 })).toBeUndefined()
  })

  test('a name in the sentence cannot forge a line', async () => {
    const source = model([node('NonZero', ['x'], [`y\n${'z'.repeat(500)}`])], [`y\n${'z'.repeat(500)}`])
    const sentence = (await mixingIn(source)) ?? ''
    expect(sentence).toContain("'y\\x0az")
    expect(sentence.length).toBeLessThan(150)
  })
})

test('ordinary models raise no suspicion', async () => {
  for (const source of [addModel(), mlpModel(), matmulChainModel(), gatherModel(), encoderModel()]) {
    const { inputs } = await readOnnx(source)
    expect(await findMixing(source, inputs, Object.fromEntries(inputs.map(({ name }) => [name, 0])))).toBeUndefined()
  }
})

test('what cannot be read is not held against the model', async () => {
  const { inputs } = await readOnnx(mlpModel())
  expect(await findMixing('/nowhere/model.onnx', inputs, { features: 0 })).toBeUndefined()
  expect(await findMixing(mlpModel().subarray(0, 500), inputs, { features: 0 })).toBeUndefined()
})
