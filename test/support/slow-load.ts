/** A small file whose load takes long: ONNX Runtime multiplies its constants while it loads. */

import { attr, node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'

export function slowLoadModel(matmuls: number, size = 1024): Uint8Array {
  const nodes = [
    node('ConstantOfShape', ['shape'], ['m0'], { value: attr.tensor(tensor('value', 'float', [1], Float32Array.of(0.001))) }),
    ...Array.from({ length: matmuls }, (_, i) => node('MatMul', [`m${i}`, 'm0'], [`m${i + 1}`])),
    node('MatMul', ['x', `m${matmuls}`], ['y']),
  ]
  return writeModel({
    graph: {
      name: 'slow-load',
      inputs: [value('x', 'float', ['batch', size])],
      outputs: [value('y', 'float', ['batch', size])],
      nodes,
      initializers: [tensor('shape', 'int64', [2], BigInt64Array.of(BigInt(size), BigInt(size)))],
    },
  })
}
