/** Writes the model repository that the interop scripts ask: `node test/interop/repository.mjs DIR`. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { identityModel, totalModel } from '../../tools/models.mjs'
import { node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'

/** INPUT0, INPUT1 int32 [N, 16] -> their sum and their difference: the model of Triton's own examples. */
function sumAndDifference(shift = 0) {
  const row = ['N', 16]
  return writeModel({
    graph: {
      name: 'simple',
      inputs: [value('INPUT0', 'int32', row), value('INPUT1', 'int32', row)],
      outputs: [value('OUTPUT0', 'int32', row), value('OUTPUT1', 'int32', row)],
      nodes: [
        node('Add', ['INPUT0', 'INPUT1'], ['sum']),
        node('Add', ['sum', 'shift'], ['OUTPUT0']),
        node('Sub', ['INPUT0', 'INPUT1'], ['OUTPUT1']),
      ],
      initializers: [tensor('shift', 'int32', [], [shift])],
    },
  })
}

/** features float32 [N, 4] -> scores = features * 2. */
function doubled() {
  return writeModel({
    graph: {
      name: 'doubled',
      inputs: [value('features', 'float', ['N', 4])],
      outputs: [value('scores', 'float', ['N', 4])],
      nodes: [node('Add', ['features', 'features'], ['scores'])],
    },
  })
}

/** age int64 [N, 1], city string [N, 1], both unchanged: one column for each feature, as converters of tabular models write them. */
function table() {
  const column = ['N', 1]
  return writeModel({
    graph: {
      name: 'table',
      inputs: [value('age', 'int64', column), value('city', 'string', column)],
      outputs: [value('age_out', 'int64', column), value('city_out', 'string', column)],
      nodes: [node('Identity', ['age'], ['age_out']), node('Identity', ['city'], ['city_out'])],
    },
  })
}

const [, , directory] = process.argv
if (directory === undefined) throw new Error('usage: node test/interop/repository.mjs DIR')

const files = {
  'simple/1/model.onnx': sumAndDifference(),
  'simple/2/model.onnx': sumAndDifference(1000),
  'total/model.json': JSON.stringify({ sequences: { state: { s: 'next' } } }),
  'total/1/model.onnx': totalModel(),
  'text/1/model.onnx': identityModel('string', ['N']),
  'words/1/model.onnx': identityModel('string', ['N', 1]),
  'table/1/model.onnx': table(),
  'half/1/model.onnx': identityModel('float16', ['N']),
  'long/1/model.onnx': identityModel('int64', ['N']),
  'bool/1/model.onnx': identityModel('bool', ['N']),
  'doubled/1/model.onnx': doubled(),
}
for (const [path, bytes] of Object.entries(files)) {
  mkdirSync(join(directory, path, '..'), { recursive: true })
  writeFileSync(join(directory, path), bytes)
}
