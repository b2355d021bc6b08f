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

/** features float32 [batch, layers[0]] -> scores: Gemm layers with Relu between them. */
export function mlpModel({ layers = [32, 16, 2], seed = 1 } = {}) {
  const nodes = []
  const initializers = []
  const last = layers.length - 2
  for (let i = 0; i <= last; i++) {
    const [rows, columns] = [layers[i], layers[i + 1]]
    initializers.push(tensor(`w${i}`, 'float', [rows, columns], floats(rows * columns, seed + 2 * i, Math.sqrt(3 / rows))))
    initializers.push(tensor(`b${i}`, 'float', [columns], floats(columns, seed + 2 * i + 1, 0.1)))
    const from = i === 0 ? 'features' : `h${i - 1}`
    nodes.push(node('Gemm', [from, `w${i}`, `b${i}`], [i === last ? 'scores' : `g${i}`]))
    if (i < last) nodes.push(node('Relu', [`g${i}`], [`h${i}`]))
  }
  return writeModel({
    metadata: { kind: 'mlp' },
    graph: {
      name: 'mlp',
      inputs: [value('features', 'float', ['batch', layers[0]])],
      outputs: [value('scores', 'float', ['batch', layers[layers.length - 1]])],
      nodes,
      initializers,
    },
  })
}

/** x float32 [batch, size] -> y through `count` square MatMuls; weights take count * size * size * 4 bytes. */
export function matmulChainModel({ size = 256, count = 4, seed = 1 } = {}) {
  const names = Array.from({ length: count }, (_, i) => (i === count - 1 ? 'y' : `h${i}`))
  return writeModel({
    graph: {
      name: 'matmul-chain',
      inputs: [value('x', 'float', ['batch', size])],
      outputs: [value('y', 'float', ['batch', size])],
      nodes: names.map((name, i) => node('MatMul', [i === 0 ? 'x' : names[i - 1], `w${i}`], [name])),
      initializers: names.map((_, i) =>
        tensor(`w${i}`, 'float', [size, size], floats(size * size, seed + i, Math.sqrt(3 / size))),
      ),
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

/** trips int64 scalar -> y float32 [64]: a Loop of that many trips; 1 is instant, 2^40 never ends. */
export function slowLoopModel() {
  const body = {
    name: 'body',
    inputs: [value('i', 'int64', []), value('go', 'bool', []), value('acc', 'float', [64])],
    outputs: [value('goOn', 'bool', []), value('next', 'float', [64])],
    nodes: [node('Identity', ['go'], ['goOn']), node('Sin', ['acc'], ['next'])],
  }
  return writeModel({
    graph: {
      name: 'slow-loop',
      inputs: [value('trips', 'int64', [])],
      outputs: [value('y', 'float', [64])],
      nodes: [node('Loop', ['trips', '', 'start'], ['y'], { body: attr.graph(body) })],
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
