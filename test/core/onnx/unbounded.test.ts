/** Graphs whose work depends on values of a request, and those that only look like it. */

import { expect, test } from 'vitest'
import { findUnbounded, readOnnx } from '../../../src/core/onnx/index.ts'
import { attr, type NodePart, node, tensor, value, writeModel } from '../../../tools/onnx-writer.mjs'

const longs = (name: string, values: readonly number[]) =>
  tensor(name, 'int64', [values.length], BigInt64Array.from(values, BigInt))

/** x float32 [N, 4] and k int64 [1] -> y, by the nodes. */
async function reasonOf(nodes: readonly NodePart[]): Promise<string | undefined> {
  const source = writeModel({
    opset: 17,
    opsets: { '': 17, 'ai.onnx.ml': 1, vendor: 1 },
    graph: {
      name: 'g',
      inputs: [value('x', 'float', ['N', 4]), value('k', 'int64', [1])],
      outputs: [value('y', 'float', undefined)],
      nodes: [...nodes],
      initializers: [longs('two', [2]), longs('pads', [0, 0, 0, 2]), longs('repeats', [1, 2]), longs('zero', [0])],
    },
  })
  return findUnbounded(source, await readOnnx(source))
}

test.each<[string, readonly NodePart[]]>([
  ['arithmetic', [node('Mul', ['x', 'x'], ['y'])]],
  ['sizes in the file', [node('Tile', ['x', 'repeats'], ['t']), node('Pad', ['t', 'pads'], ['y'])]],
  ['sizes of the rows', [node('Shape', ['x'], ['s']), node('Expand', ['x', 's'], ['y'])]],
  [
    'counted from the rows',
    [node('Shape', ['x'], ['s']), node('Add', ['s', 'zero'], ['t']), node('ConstantOfShape', ['t'], ['y'])],
  ],
  ['a constant number of the greatest', [node('TopK', ['x', 'two'], ['y', 'places'])]],
  ['trees', [node('Normalizer', ['x'], ['y'], { norm: attr.string('L2') }, { domain: 'ai.onnx.ml' })]],
])('nothing against %s', async (_, nodes) => {
  expect(await reasonOf(nodes)).toBeUndefined()
})

test.each<[string, readonly NodePart[], string]>([
  ['a foreign operator', [node('Cast', ['x'], ['y'], {}, { domain: 'vendor' })], 'operator vendor:Cast is not one of'],
  ['elements that are not zero', [node('NonZero', ['x'], ['y'])], 'operator NonZero gives as many elements'],
  ['a size that is sent', [node('ConstantOfShape', ['k'], ['y'])], 'operator ConstantOfShape'],
  ['a size that is sent and changed', [node('Mul', ['k', 'two'], ['s']), node('Expand', ['x', 's'], ['y'])], 'operator Expand'],
  ['how many of the greatest', [node('TopK', ['x', 'k'], ['y', 'places'])], 'operator TopK'],
  [
    'sizes of values',
    [node('Cast', ['x'], ['c'], { to: attr.int(7) }), node('Range', ['zero', 'c', 'two'], ['y'])],
    'operator Range',
  ],
])('%s', async (_, nodes, reason) => {
  expect(await reasonOf(nodes)).toContain(reason)
})
