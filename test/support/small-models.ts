/** Models that answer something recognisable. */

import { FIXED_COST } from '../../tools/models.mjs'
import { attr, type ElemTypeName, node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'

/** No inputs -> y float32 [1] = `answer`: tells which file serves. */
export function constantOf(answer: number): Uint8Array {
  return writeModel({
    graph: {
      name: 'constant',
      outputs: [value('y', 'float', [1])],
      nodes: [node('Constant', [], ['y'], { value: attr.tensor(tensor('', 'float', [1], [answer])) })],
    },
  })
}

/** x float32 [N] -> y = x + `term`. */
export function plus(term: number): Uint8Array {
  return writeModel({
    graph: {
      name: 'plus',
      inputs: [value('x', 'float', ['N'])],
      outputs: [value('y', 'float', ['N'])],
      nodes: [node('Add', ['x', 'term'], ['y'])],
      initializers: [tensor('term', 'float', [], [term])],
    },
  })
}

/** For each pair: input `in_<key>` of any shape -> output `out_<key>` unchanged. */
export function mirror(types: Readonly<Record<string, ElemTypeName>>): Uint8Array {
  const keys = Object.entries(types)
  return writeModel({
    graph: {
      name: 'mirror',
      inputs: keys.map(([key, type]) => value(`in_${key}`, type)),
      outputs: keys.map(([key, type]) => value(`out_${key}`, type)),
      nodes: keys.map(([key]) => node('Identity', [`in_${key}`], [`out_${key}`])),
    },
  })
}

/** trips int64 scalar, x float32 [N] -> y = x, and z: a Loop of that many trips, a microsecond each. Slow and large at will. */
export function slowEcho(): Uint8Array {
  const body = {
    name: 'body',
    inputs: [value('i', 'int64', []), value('go', 'bool', []), value('acc', 'float', [64])],
    outputs: [value('goOn', 'bool', []), value('next', 'float', [64])],
    nodes: [node('Identity', ['go'], ['goOn']), node('Sin', ['acc'], ['next'])],
  }
  return writeModel({
    graph: {
      name: 'slow-echo',
      inputs: [value('trips', 'int64', []), value('x', 'float', ['N'])],
      outputs: [value('y', 'float', ['N']), value('z', 'float', [64])],
      nodes: [node('Identity', ['x'], ['y']), node('Loop', ['trips', '', 'start'], ['z'], { body: attr.graph(body) })],
      initializers: [tensor('start', 'float', [64], new Float32Array(64).fill(1))],
    },
  })
}

/** x int64 [N] -> y = x + 2^62 + 1: answers beyond 2^53 for any small x. */
export function plusLong(): Uint8Array {
  return writeModel({
    graph: {
      name: 'plus-long',
      inputs: [value('x', 'int64', ['N'])],
      outputs: [value('y', 'int64', ['N'])],
      nodes: [node('Add', ['x', 'term'], ['y'])],
      initializers: [tensor('term', 'int64', [], BigInt64Array.of(2n ** 62n + 1n))],
    },
  })
}

/** x float32 [N, 4] -> y = x, at the same price however many rows there are. */
export function sharedCost(): Uint8Array {
  return writeModel({
    graph: {
      name: 'shared-cost',
      inputs: [value('x', 'float', ['N', 4])],
      outputs: [value('y', 'float', ['N', 4])],
      nodes: [...FIXED_COST.nodes, node('Add', ['x', 'zero'], ['y'])],
      initializers: FIXED_COST.initializers,
    },
  })
}

/** indices int64 [n] -> rows float32 [n, 4] out of an 8x4 table, at the same price however many there are; an index beyond it fails the run. */
export function sharedGather(): Uint8Array {
  const data = Float32Array.from({ length: 32 }, (_, i) => i)
  return writeModel({
    graph: {
      name: 'shared-gather',
      inputs: [value('indices', 'int64', ['n'])],
      outputs: [value('rows', 'float', ['n', 4])],
      nodes: [...FIXED_COST.nodes, node('Gather', ['data', 'indices'], ['found']), node('Add', ['found', 'zero'], ['rows'])],
      initializers: [...FIXED_COST.initializers, tensor('data', 'float', [8, 4], data)],
    },
  })
}
