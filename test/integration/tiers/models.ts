/** Models that many cases share. None has control flow, so that each can run in any tier. */

import type { ModelSpec } from 'modelmount'
import { addModel, constantModel, gatherModel, identityModel, mlpModel, scalarModel } from '../../../tools/models.mjs'
import { node, value, writeModel } from '../../../tools/onnx-writer.mjs'
import { mirror, plus, sharedGather } from '../../support/small-models.ts'

export const TYPES = [
  'float32',
  'float64',
  'float16',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'bool',
  'string',
] as const

const MIRROR = mirror({
  float32: 'float',
  float64: 'double',
  float16: 'float16',
  int8: 'int8',
  int16: 'int16',
  int32: 'int32',
  int64: 'int64',
  uint8: 'uint8',
  uint16: 'uint16',
  uint32: 'uint32',
  uint64: 'uint64',
  bool: 'bool',
  string: 'string',
})

/** a, b float32 [N, 4] -> sum, difference, product. */
const THREE = writeModel({
  graph: {
    name: 'three',
    inputs: [value('a', 'float', ['N', 4]), value('b', 'float', ['N', 4])],
    outputs: [value('sum', 'float', ['N', 4]), value('difference', 'float', ['N', 4]), value('product', 'float', ['N', 4])],
    nodes: [node('Add', ['a', 'b'], ['sum']), node('Sub', ['a', 'b'], ['difference']), node('Mul', ['a', 'b'], ['product'])],
  },
})

/** a, b float32 of equal shape [rows, columns] -> sum. */
const OPEN = writeModel({
  graph: {
    name: 'open',
    inputs: [value('a', 'float', ['rows', 'columns']), value('b', 'float', ['rows', 'columns'])],
    outputs: [value('sum', 'float', ['rows', 'columns'])],
    nodes: [node('Add', ['a', 'b'], ['sum'])],
  },
})

export const MODELS: readonly ModelSpec[] = [
  { name: 'mirror', source: MIRROR, batching: false },
  { name: 'identity', source: identityModel('float', ['N']) },
  { name: 'add', source: addModel() },
  { name: 'three', source: THREE },
  { name: 'open', source: OPEN, batching: false },
  { name: 'plus', source: plus(1), batching: false, maxQueue: 8, maxQueuePerTenant: 4 },
  { name: 'scalar', source: scalarModel() },
  { name: 'constant', source: constantModel() },
  { name: 'gather', source: gatherModel(), batching: false },
  { name: 'shared-gather', source: sharedGather() },
  { name: 'mlp', source: mlpModel() },
  {
    name: 'small',
    source: identityModel('float', ['N']),
    batching: false,
    maxElements: 10,
    inputs: { x: { nonFinite: 'reject' } },
  },
]
