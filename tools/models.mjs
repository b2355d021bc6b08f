/** Small ready-made ONNX models for tests, examples and benchmarks. Same arguments, same bytes. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { attr, node, sequenceValue, tensor, value, writeModel } from './onnx-writer.mjs'

const LOCAL_DOMAIN = 'com.example'

/** Reproducible floats in [-scale, scale): a 32-bit xorshift, because weights must not change from run to run. */
function floats(count, seed, scale = 1) {
  const out = new Float32Array(count)
  let state = (Math.imul(seed + 1, 0x9e3779b1) ^ 0x5bd1e995) | 0 || 1
  for (let i = 0; i < count; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    out[i] = (state / 0x80000000) * scale
  }
  return out
}

/** a, b float32 [N, 4] -> sum. */
export function addModel() {
  return writeModel({
    graph: {
      name: 'add',
      inputs: [value('a', 'float', ['N', 4]), value('b', 'float', ['N', 4])],
      outputs: [value('sum', 'float', ['N', 4])],
      nodes: [node('Add', ['a', 'b'], ['sum'])],
    },
  })
}

/** x -> y unchanged, of any type and shape. */
export function identityModel(elemType = 'float', dims = ['N']) {
  return writeModel({
    graph: {
      name: 'identity',
      inputs: [value('x', elemType, dims)],
      outputs: [value('y', elemType, dims)],
      nodes: [node('Identity', ['x'], ['y'])],
    },
  })
}

/**
 * features float32 [batch, layers[0]] -> scores: Gemm layers with Relu between them. With `groups` a row also has a group, int64 [batch], whose
 * vector is added to its features; a group beyond that number fails the run.
 */
export function mlpModel({ layers = [32, 16, 2], seed = 1, groups = 0 } = {}) {
  const nodes = []
  const initializers = []
  const last = layers.length - 2
  if (groups > 0) {
    initializers.push(tensor('table', 'float', [groups, layers[0]], floats(groups * layers[0], seed + 99, 0.1)))
    nodes.push(node('Gather', ['table', 'group'], ['offset']), node('Add', ['features', 'offset'], ['shifted']))
  }
  for (let i = 0; i <= last; i++) {
    const [rows, columns] = [layers[i], layers[i + 1]]
    initializers.push(tensor(`w${i}`, 'float', [rows, columns], floats(rows * columns, seed + 2 * i, Math.sqrt(3 / rows))))
    initializers.push(tensor(`b${i}`, 'float', [columns], floats(columns, seed + 2 * i + 1, 0.1)))
    const first = groups > 0 ? 'shifted' : 'features'
    const from = i === 0 ? first : `h${i - 1}`
    nodes.push(node('Gemm', [from, `w${i}`, `b${i}`], [i === last ? 'scores' : `g${i}`]))
    if (i < last) nodes.push(node('Relu', [`g${i}`], [`h${i}`]))
  }
  return writeModel({
    metadata: { kind: 'mlp' },
    graph: {
      name: 'mlp',
      inputs: [value('features', 'float', ['batch', layers[0]]), ...(groups > 0 ? [value('group', 'int64', ['batch'])] : [])],
      outputs: [value('scores', 'float', ['batch', layers[layers.length - 1]])],
      nodes,
      initializers,
    },
  })
}

/**
 * x float32 [batch, size] -> y through `count` square MatMuls; weights take count * size * size * 4 bytes. With `length` a request is that
 * many vectors, [batch, length, size].
 */
export function matmulChainModel({ size = 256, count = 4, length, seed = 1 } = {}) {
  const dims = length === undefined ? ['batch', size] : ['batch', length, size]
  const names = Array.from({ length: count }, (_, i) => (i === count - 1 ? 'y' : `h${i}`))
  return writeModel({
    graph: {
      name: 'matmul-chain',
      inputs: [value('x', 'float', dims)],
      outputs: [value('y', 'float', dims)],
      nodes: names.map((name, i) => node('MatMul', [i === 0 ? 'x' : names[i - 1], `w${i}`], [name])),
      initializers: names.map((_, i) =>
        tensor(`w${i}`, 'float', [size, size], floats(size * size, seed + i, Math.sqrt(3 / size))),
      ),
    },
  })
}

/**
 * image float32 [batch, 3, size, size] -> scores [batch, 10]: one convolution after the other, each with twice the channels and half the
 * resolution. Every image costs the same again: a model that gains nothing from batching.
 */
export function convModel({ size = 64, channels = 16, layers = 3, seed = 1 } = {}) {
  const nodes = []
  const initializers = []
  const last = channels * 2 ** (layers - 1)
  for (let i = 0; i < layers; i++) {
    const [from, to] = [i === 0 ? 3 : channels * 2 ** (i - 1), channels * 2 ** i]
    initializers.push(tensor(`w${i}`, 'float', [to, from, 3, 3], floats(to * from * 9, seed + 2 * i, Math.sqrt(6 / (from * 9)))))
    initializers.push(tensor(`b${i}`, 'float', [to], floats(to, seed + 2 * i + 1, 0.1)))
    nodes.push(
      node('Conv', [i === 0 ? 'image' : `h${i - 1}`, `w${i}`, `b${i}`], [`c${i}`], {
        kernel_shape: attr.ints([3, 3]),
        pads: attr.ints([1, 1, 1, 1]),
        strides: attr.ints(i === 0 ? [1, 1] : [2, 2]),
      }),
      node('Relu', [`c${i}`], [`h${i}`]),
    )
  }
  initializers.push(tensor('w', 'float', [last, 10], floats(last * 10, seed + 100, Math.sqrt(3 / last))))
  nodes.push(
    node('GlobalAveragePool', [`h${layers - 1}`], ['pooled']),
    node('Flatten', ['pooled'], ['flat']),
    node('MatMul', ['flat', 'w'], ['scores']),
  )
  return writeModel({
    graph: {
      name: 'conv',
      inputs: [value('image', 'float', ['batch', 3, size, size])],
      outputs: [value('scores', 'float', ['batch', 10])],
      nodes,
      initializers,
    },
  })
}

/**
 * tokens float32 [batch, length, width] -> encoded, the same shape: `blocks` transformer encoder blocks of self-attention and a feed-forward
 * net four times as wide. A sequence is many rows for its matrices already, so that more sequences gain little.
 */
export function attentionModel({ length = 64, width = 128, heads = 4, blocks = 1, seed = 1 } = {}) {
  const nodes = []
  const initializers = [
    tensor('toHeads', 'int64', [4], [0, length, heads, width / heads]),
    tensor('fromHeads', 'int64', [3], [0, length, width]),
    tensor('scale', 'float', [], [1 / Math.sqrt(width / heads)]),
  ]
  let used = seed
  const weights = (name, rows, columns) => {
    initializers.push(tensor(name, 'float', [rows, columns], floats(rows * columns, used++, Math.sqrt(3 / rows))))
    return name
  }
  const norm = (name, input, output) => {
    initializers.push(tensor(`${name}Gain`, 'float', [width], new Float32Array(width).fill(1)))
    initializers.push(tensor(`${name}Bias`, 'float', [width], new Float32Array(width)))
    return node('LayerNormalization', [input, `${name}Gain`, `${name}Bias`], [output], { axis: attr.int(-1) })
  }
  for (let i = 0; i < blocks; i++) {
    const from = i === 0 ? 'tokens' : `block${i - 1}`
    const to = i === blocks - 1 ? 'encoded' : `block${i}`
    const p = (name) => `${name}${i}`
    for (const [part, perm] of [
      ['q', [0, 2, 1, 3]],
      ['k', [0, 2, 3, 1]],
      ['v', [0, 2, 1, 3]],
    ])
      nodes.push(
        node('MatMul', [from, weights(p(`${part}Weights`), width, width)], [p(`${part}Flat`)]),
        node('Reshape', [p(`${part}Flat`), 'toHeads'], [p(`${part}Split`)]),
        node('Transpose', [p(`${part}Split`)], [p(part)], { perm: attr.ints(perm) }),
      )
    nodes.push(
      node('MatMul', [p('q'), p('k')], [p('dots')]),
      node('Mul', [p('dots'), 'scale'], [p('scaled')]),
      node('Softmax', [p('scaled')], [p('attention')], { axis: attr.int(-1) }),
      node('MatMul', [p('attention'), p('v')], [p('mixed')]),
      node('Transpose', [p('mixed')], [p('mixedRows')], { perm: attr.ints([0, 2, 1, 3]) }),
      node('Reshape', [p('mixedRows'), 'fromHeads'], [p('joined')]),
      node('MatMul', [p('joined'), weights(p('outWeights'), width, width)], [p('projected')]),
      node('Add', [p('projected'), from], [p('attended')]),
      norm(p('first'), p('attended'), p('normed')),
      node('MatMul', [p('normed'), weights(p('upWeights'), width, 4 * width)], [p('up')]),
      node('Relu', [p('up')], [p('active')]),
      node('MatMul', [p('active'), weights(p('downWeights'), 4 * width, width)], [p('down')]),
      node('Add', [p('down'), p('normed')], [p('summed')]),
      norm(p('second'), p('summed'), to),
    )
  }
  return writeModel({
    graph: {
      name: 'attention',
      inputs: [value('tokens', 'float', ['batch', length, width])],
      outputs: [value('encoded', 'float', ['batch', length, width])],
      nodes,
      initializers,
    },
  })
}

/**
 * x float32 [batch, size] -> y through `count` square MatMuls of 8-bit integers, each row quantised on the way in: weights take count * size *
 * size bytes.
 */
export function quantizedChainModel({ size = 256, count = 4, seed = 1 } = {}) {
  const nodes = []
  const initializers = [tensor('zero', 'int8', [], [0])]
  for (let i = 0; i < count; i++) {
    const [from, to] = [i === 0 ? 'x' : `h${i - 1}`, i === count - 1 ? 'y' : `h${i}`]
    initializers.push(
      tensor(`w${i}`, 'int8', [size, size], Int8Array.from(floats(size * size, seed + i, 127))),
      // Keeps the values at the size that they have at the beginning.
      tensor(`scale${i}`, 'float', [], [Math.sqrt(3 / size) / 127]),
    )
    nodes.push(
      node('DynamicQuantizeLinear', [from], [`q${i}`, `qScale${i}`, `qZero${i}`]),
      node('MatMulInteger', [`q${i}`, `w${i}`, `qZero${i}`, 'zero'], [`sum${i}`]),
      node('Cast', [`sum${i}`], [`float${i}`], { to: attr.int(1) }),
      node('Mul', [`qScale${i}`, `scale${i}`], [`step${i}`]),
      node('Mul', [`float${i}`, `step${i}`], [to]),
    )
  }
  return writeModel({
    graph: {
      name: 'quantized-chain',
      inputs: [value('x', 'float', ['batch', size])],
      outputs: [value('y', 'float', ['batch', size])],
      nodes,
      initializers,
    },
  })
}

/** No inputs -> y float32 [3] = 1, 2, 3. */
export function constantModel() {
  return writeModel({
    graph: {
      name: 'constant',
      outputs: [value('y', 'float', [3])],
      nodes: [node('Constant', [], ['y'], { value: attr.tensor(tensor('', 'float', [3], [1, 2, 3])) })],
    },
  })
}

/** x float32 scalar -> y = x + 1, also a scalar. */
export function scalarModel() {
  return writeModel({
    graph: {
      name: 'scalar',
      inputs: [value('x', 'float', [])],
      outputs: [value('y', 'float', [])],
      nodes: [node('Add', ['x', 'one'], ['y'])],
      initializers: [tensor('one', 'float', [], [1])],
    },
  })
}

/** The body of a Loop that is worth about a microsecond per trip. */
const SINES = {
  name: 'body',
  inputs: [value('i', 'int64', []), value('go', 'bool', []), value('acc', 'float', [64])],
  outputs: [value('goOn', 'bool', []), value('next', 'float', [64])],
  nodes: [node('Identity', ['go'], ['goOn']), node('Sin', ['acc'], ['next'])],
}

/**
 * Nodes that take some tenths of a millisecond however many rows there are, and give the scalar `zero`: a model that adds it to an output gains
 * from batching on any machine, a busy one too.
 */
export const FIXED_COST = {
  nodes: [
    node('Loop', ['fixedTrips', '', 'zeros'], ['stillZeros'], { body: attr.graph(SINES) }),
    node('ReduceMax', ['stillZeros'], ['zero'], { keepdims: attr.int(0) }),
  ],
  initializers: [tensor('fixedTrips', 'int64', [], [300]), tensor('zeros', 'float', [64], new Float32Array(64))],
}

/** trips int64 scalar -> y float32 [64]: a Loop of that many trips; 1 is instant, 2^40 never ends. */
export function slowLoopModel() {
  return writeModel({
    graph: {
      name: 'slow-loop',
      inputs: [value('trips', 'int64', [])],
      outputs: [value('y', 'float', [64])],
      nodes: [node('Loop', ['trips', '', 'start'], ['y'], { body: attr.graph(SINES) })],
      initializers: [tensor('start', 'float', [64], floats(64, 1))],
    },
  })
}

/** indices int64 [n] -> rows float32 [n, 4] out of an 8x4 table (row r holds 4r .. 4r+3); an index beyond it fails the run. */
export function gatherModel() {
  return writeModel({
    graph: {
      name: 'gather',
      inputs: [value('indices', 'int64', ['n'])],
      outputs: [value('rows', 'float', ['n', 4])],
      nodes: [node('Gather', ['data', 'indices'], ['rows'])],
      initializers: [
        tensor(
          'data',
          'float',
          [8, 4],
          Float32Array.from({ length: 32 }, (_, i) => i),
        ),
      ],
    },
  })
}

/** x float32 [n, 4] -> y (tensor) and pair (sequence of two). */
export function sequenceModel() {
  return writeModel({
    graph: {
      name: 'sequence',
      inputs: [value('x', 'float', ['n', 4])],
      outputs: [value('y', 'float', ['n', 4]), sequenceValue('pair', 'float', ['n', 4])],
      nodes: [node('Identity', ['x'], ['y']), node('SequenceConstruct', ['x', 'x'], ['pair'])],
    },
  })
}

/** xs (sequence of float32) -> y: cannot be served, the input is no tensor. */
export function sequenceInputModel() {
  return writeModel({
    graph: {
      name: 'sequence-input',
      inputs: [sequenceValue('xs', 'float', [null, 4])],
      outputs: [value('y', 'float', [null, 4])],
      nodes: [node('ConcatFromSequence', ['xs'], ['y'], { axis: attr.int(0) })],
    },
  })
}

/** x float32 [N, 4] -> y int4. Running it aborts the process: only ever read it. */
export function int4OutputModel() {
  return writeModel({
    irVersion: 10,
    opset: 21,
    graph: {
      name: 'int4-output',
      inputs: [value('x', 'float', ['N', 4])],
      outputs: [value('y', 'int4', ['N', 4])],
      nodes: [node('Cast', ['x'], ['y'], { to: attr.int(22) })],
    },
  })
}

/** x bfloat16 [N] -> y bfloat16: ONNX Runtime's Node binding refuses to load it. */
export function bf16Model() {
  return identityModel('bfloat16', ['N'])
}

/** A model of an operator set that does not exist yet. */
export function futureOpsetModel() {
  return writeModel({
    opset: 99,
    graph: {
      name: 'future',
      inputs: [value('x', 'float', ['N'])],
      outputs: [value('y', 'float', ['N'])],
      nodes: [node('Identity', ['x'], ['y'])],
    },
  })
}

/** A model with an operator of a domain that no stock ONNX Runtime has. */
export function customOpModel() {
  return writeModel({
    opsets: { '': 17, [LOCAL_DOMAIN]: 1 },
    graph: {
      name: 'custom-op',
      inputs: [value('x', 'float', ['N'])],
      outputs: [value('y', 'float', ['N'])],
      nodes: [node('Foo', ['x'], ['y'], {}, { domain: LOCAL_DOMAIN })],
    },
  })
}

/** Writes model.onnx and weights.bin into `dir`: x float32 [N, 4] -> y = x * w, w = 2 on the diagonal. Returns the model's path. */
export function externalDataModel(dir) {
  const weights = Float32Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? 2 : 0))
  const bytes = writeModel({
    graph: {
      name: 'external-data',
      inputs: [value('x', 'float', ['N', 4])],
      outputs: [value('y', 'float', ['N', 4])],
      nodes: [node('MatMul', ['x', 'w'], ['y'])],
      initializers: [
        tensor('w', 'float', [4, 4], undefined, {
          external: { location: 'weights.bin', offset: 0, length: weights.byteLength },
        }),
      ],
    },
  })
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'weights.bin'), new Uint8Array(weights.buffer))
  const path = join(dir, 'model.onnx')
  writeFileSync(path, bytes)
  return path
}

/** a, b float32 [N, 3] that share the symbol N -> both float32 [N, 6]. */
export function symbolModel() {
  return writeModel({
    graph: {
      name: 'symbol',
      inputs: [value('a', 'float', ['N', 3]), value('b', 'float', ['N', 3])],
      outputs: [value('both', 'float', ['N', 6])],
      nodes: [node('Concat', ['a', 'b'], ['both'], { axis: attr.int(1) })],
    },
  })
}

/**
 * ids, mask int64 [batch, sequence] -> hidden float32 [batch, sequence, width], pooled [batch, width], attention [batch, sequence, sequence]:
 * one head of self-attention over an embedding, with the padding masked out, and its mean over what is not padding. An id beyond the
 * vocabulary fails the run.
 * @param opts.careless leaves the mask out of the mean, so that padding changes `pooled`
 * @param opts.fixedCost see `FIXED_COST`
 */
export function encoderModel({ vocabulary = 32, width = 16, seed = 1, careless = false, fixedCost = false } = {}) {
  const weights = (name, at) => tensor(name, 'float', [width, width], floats(width * width, seed + at, Math.sqrt(3 / width)))
  const ints = (name, values) => tensor(name, 'int64', [values.length], BigInt64Array.from(values, BigInt))
  return writeModel({
    graph: {
      name: 'encoder',
      inputs: [value('ids', 'int64', ['batch', 'sequence']), value('mask', 'int64', ['batch', 'sequence'])],
      outputs: [
        value('hidden', 'float', ['batch', 'sequence', width]),
        value('pooled', 'float', ['batch', width]),
        value('attention', 'float', ['batch', 'sequence', 'sequence']),
      ],
      nodes: [
        node('Gather', ['table', 'ids'], ['embedded']),
        ...['q', 'k', 'v'].map((name) => node('MatMul', ['embedded', `w_${name}`], [name])),
        node('Transpose', ['k'], ['k_t'], { perm: attr.ints([0, 2, 1]) }),
        node('MatMul', ['q', 'k_t'], ['raw']),
        node('Cast', ['mask'], ['kept'], { to: attr.int(1) }),
        node('Unsqueeze', ['kept', 'one'], ['kept_row']),
        node('Sub', ['kept_row', 'unit'], ['lost']),
        node('Mul', ['lost', 'far'], ['penalty']),
        node('Add', ['raw', 'penalty'], ['scores']),
        node('Softmax', ['scores'], ['attention'], { axis: attr.int(-1) }),
        node('MatMul', ['attention', 'v'], ['hidden']),
        node('Unsqueeze', ['kept', 'two'], ['kept_column']),
        node('Mul', ['hidden', 'kept_column'], ['counted']),
        node('ReduceSum', [careless ? 'hidden' : 'counted', 'one'], ['total'], { keepdims: attr.int(0) }),
        node('ReduceSum', ['kept', 'one'], ['count'], { keepdims: attr.int(1) }),
        node('Div', ['total', 'count'], [fixedCost ? 'mean' : 'pooled']),
        ...(fixedCost ? [...FIXED_COST.nodes, node('Add', ['mean', 'zero'], ['pooled'])] : []),
      ],
      initializers: [
        tensor('table', 'float', [vocabulary, width], floats(vocabulary * width, seed)),
        ...['q', 'k', 'v'].map((name, i) => weights(`w_${name}`, 1 + i)),
        ints('one', [1]),
        ints('two', [2]),
        tensor('unit', 'float', [], [1]),
        tensor('far', 'float', [], [10_000]),
        ...(fixedCost ? FIXED_COST.initializers : []),
      ],
    },
  })
}

/** A running total: y = x + s, which is the next s, too. x, s float32 [N, 2]. */
export function totalModel() {
  return writeModel({
    graph: {
      name: 'total',
      inputs: [value('x', 'float', ['N', 2]), value('s', 'float', ['N', 2])],
      outputs: [value('y', 'float', ['N', 2]), value('next', 'float', ['N', 2])],
      nodes: [node('Add', ['x', 's'], ['y']), node('Identity', ['y'], ['next'])],
    },
  })
}

/**
 * Recurrent state with its rows second, as LSTMs have it: h is a weighted mix of what was, y what it comes to.
 * x float32 [batch, 3], h float32 [2, batch, 3] (without names) -> y [batch, 3], hn [2, batch, 3]
 */
export function recurrentModel() {
  const weights = floats(2 * 3 * 3, 7, 0.6)
  return writeModel({
    graph: {
      name: 'recurrent',
      inputs: [value('x', 'float', ['batch', 3]), value('h', 'float', [2, null, 3])],
      outputs: [value('y', 'float', ['batch', 3]), value('hn', 'float', [2, null, 3])],
      initializers: [tensor('w', 'float', [2, 3, 3], weights), tensor('axes', 'int64', [1], [0n])],
      nodes: [
        node('MatMul', ['h', 'w'], ['mixed']),
        node('Unsqueeze', ['x', 'axes'], ['one']),
        node('Add', ['mixed', 'one'], ['sum']),
        node('Tanh', ['sum'], ['hn']),
        node('ReduceSum', ['hn', 'axes'], ['y'], { keepdims: attr.int(0) }),
      ],
    },
  })
}
