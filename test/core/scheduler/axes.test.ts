/** Which dimension of each tensor counts rows. */

import { expect, test } from 'vitest'
import { axesOf, type DeclaredAxes } from '../../../src/core/scheduler/axes.ts'
import type { Dim, ValueInfo } from '../../../src/core/tensor/types.ts'

type Shapes = Readonly<Record<string, readonly Dim[] | undefined>>

const values = (shapes: Shapes): ValueInfo[] =>
  Object.entries(shapes).map(([name, dims]) => ({ name, type: 'float32', declaredType: 'tensor(float)', dims }))
const axes = (inputs: Shapes, outputs: Shapes = { y: ['N'] }, declared: DeclaredAxes = {}) => {
  const found = axesOf({ inputs: values(inputs), outputs: values(outputs) }, declared)
  return typeof found === 'string' ? found : { in: { ...found.inputs }, out: { ...found.outputs }, shared: found.shared }
}

test.each<[string, Shapes, Shapes, Record<string, number>, Record<string, number>, string[]]>([
  ['a table', { x: ['N', 4] }, { y: ['N'] }, { x: 0 }, { y: 0 }, []],
  ['no names at all', { x: [null, 4], z: [null] }, { y: [null] }, { x: 0, z: 0 }, { y: 0 }, []],
  ['one name and none', { x: ['N', 4], z: [null] }, { y: [null] }, { x: 0, z: 0 }, { y: 0 }, []],
  ['another name in the output', { x: ['N', 4] }, { y: ['M', 2] }, { x: 0 }, { y: 0 }, []],
  [
    'outputs declared as anything',
    { x: ['N'] },
    { a: [1], b: [], c: undefined, d: [7, 2] },
    { x: 0 },
    { a: 0, b: 0, c: 0, d: 0 },
    [],
  ],
  [
    'silero VAD, with names',
    { input: ['batch', 'sequence'], state: [2, 'batch', 128], sr: [] },
    { output: ['batch', 1], stateN: [2, 'batch', 128] },
    { input: 0, state: 1 },
    { output: 0, stateN: 1 },
    ['sr'],
  ],
  [
    'gpt2 with its past',
    { input_ids: ['batch', 'sequence'], attention_mask: ['batch', 'total'], past_0: [2, 'batch', 4, 'past', 8] },
    { logits: ['batch', 'sequence', 1000], present_0: [2, 'batch', 4, 'total', 8] },
    { input_ids: 0, attention_mask: 0, past_0: 1 },
    { logits: 0, present_0: 1 },
    [],
  ],
  [
    'an LSTM, time first',
    { X: ['seq', 'batch_size', 8], h: [1, 'batch_size', 8] },
    { Y: ['seq', 1, 'batch_size', 8] },
    { X: 1, h: 1 },
    { Y: 2 },
    [],
  ],
  ['time first alone', { X: ['seq', 'N', 8] }, { Y: ['seq', 'N'] }, { X: 1 }, { Y: 1 }, []],
  [
    'rows named in one input, second in the output',
    { x: ['items', 4], z: [null] },
    { y: ['time', 'items'] },
    { x: 0, z: 0 },
    { y: 1 },
    [],
  ],
  [
    'a name that stands first in one input alone',
    { x: ['time', 'items'], z: ['items', 4] },
    { y: ['items'] },
    { x: 1, z: 0 },
    { y: 0 },
    [],
  ],
  [
    'a batch that one input has, and a name that both have',
    { x: ['time', 'N'], z: ['time', 4] },
    { y: ['time'] },
    { x: 0, z: 0 },
    { y: 0 },
    [],
  ],
  ['the same name twice', { x: ['N', 'N'] }, { y: ['N', 'N'] }, { x: 0 }, { y: 0 }, []],
])('%s', (_, inputs, outputs, ins, outs, shared) => {
  expect(axes(inputs, outputs)).toEqual({ in: ins, out: outs, shared })
})

test.each<[string, Shapes, string]>([
  ['no input', {}, 'the model takes no input'],
  ['scalars alone', { a: [], b: [] }, 'all inputs are scalars or shared'],
  ['a fixed size', { x: [1, 4] }, "the first dimension of 'x' is fixed at 1"],
  ['a fixed size beside rows', { x: ['N', 4], z: [1, 4] }, "the first dimension of 'z' is fixed at 1"],
  ['state without a name', { x: ['N', 4], h: [2, null, 4] }, "the first dimension of 'h' is fixed at 2"],
  ['state of another name', { x: ['N', 4], h: [2, 'M', 4] }, "the first dimension of 'h' is fixed at 2"],
  ['a name that is never first', { x: [1, 'time'], z: [2, 'time'] }, "the first dimension of 'x' is fixed at 1"],
  ['different names', { x: ['A', 4], z: ['B', 4] }, 'the inputs have different names for their rows (A, B)'],
  [
    'different names first, one in common',
    { x: ['A', 'time'], z: ['B', 'time'] },
    'the inputs have different names for their rows (A, B)',
  ],
  [
    'two names, each of them first in one input',
    { x: ['seq', 'items'], z: ['items', 'seq'] },
    'the inputs have different names for their rows (seq, items)',
  ],
  [
    'state of the name, beside an input without names',
    { x: ['items', 4], h: [2, 'items', 4], z: [null] },
    "the first dimension of 'h' is fixed at 2",
  ],
  ['a rank that is not known', { x: undefined }, "the rank of 'x' is unknown"],
])('%s: none', (_, inputs, reason) => {
  expect(axes(inputs)).toBe(reason)
})

test('what is declared goes before what is found', () => {
  const state = { x: ['batch', 4], h: [2, 'batch', null] } as const
  expect(axes(state, { y: ['batch'] }, { h: 2, y: 0 })).toMatchObject({ in: { x: 0, h: 2 } })
  expect(axes({ x: ['N', 4], rate: ['one'] }, { y: ['N'] }, { rate: 'shared' })).toMatchObject({ in: { x: 0 }, shared: ['rate'] })
  expect(axes({ x: ['N', 4] }, { y: ['N'] }, { y: 1 })).toBe("'y' has no dimension 1")
  expect(axes({ x: [] }, { y: ['N'] }, { x: 0 })).toBe("'x' is a scalar")
  expect(axes({ x: ['N'] }, { y: ['N'] }, { x: 1 })).toBe("'x' has no dimension 1")
})
