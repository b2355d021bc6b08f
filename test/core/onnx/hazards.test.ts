/** Graphs that can end the process by the values of a request, and the many honest ones that only look like it. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { findHazard, readOnnx } from '../../../src/core/onnx/index.ts'
import {
  attr,
  type ElemTypeName,
  type FunctionPart,
  modelFunction,
  node,
  tensor,
  value,
  writeModel,
} from '../../../tools/onnx-writer.mjs'

type Node = ReturnType<typeof node>
const [FLOAT, INT32, INT64] = [1, 6, 7]

const longs = (name: string, values: readonly number[], dims: readonly number[] = [values.length]) =>
  tensor(name, 'int64', dims, BigInt64Array.from(values, BigInt))

interface Options {
  readonly functions?: readonly FunctionPart[]
  readonly opset?: number
}

/** x int64 [N, 4], d int64 [N, 4], i int32 [N], f float [N, 4], flag bool, and constants; the nodes give y. */
function model(nodes: readonly Node[], { functions = [], opset = 17 }: Options = {}): Uint8Array {
  return writeModel({
    opset,
    opsets: { '': opset, local: 1 },
    functions: [...functions],
    graph: {
      inputs: [
        value('x', 'int64', ['N', 4]),
        value('d', 'int64', ['N', 4]),
        value('i', 'int32', ['N']),
        value('f', 'float', ['N', 4]),
        value('flag', 'bool', []),
      ],
      outputs: [value('y', 'int64', undefined)],
      nodes: [...nodes],
      initializers: [
        longs('zero', [0]),
        longs('one', [1]),
        longs('two', [2], []),
        longs('several', [2, 3, 4, 5]),
        longs('mixed', [2, 0, 4, 5]),
        longs(
          'many',
          Array.from({ length: 1000 }, (_, i) => i + 2),
        ),
        longs('flat', [-1]),
        longs('square', [2, 2]),
        tensor('seven', 'int32', [], [7]),
        tensor('half', 'float', [], [0.5]),
        tensor('three', 'float', [], [3]),
      ],
    },
  })
}

const hazardOf = async (source: Uint8Array): Promise<string | undefined> => findHazard(source, await readOnnx(source))
const divide = (by: string, op = 'Div'): Node => node(op, ['x', by], ['y'], {}, { name: 'the division' })
const SIZE = [node('Shape', ['f'], ['shape']), node('Gather', ['shape', 'zero'], ['size'])]
const branch = (nodes: readonly Node[], output: string) => ({
  outputs: [value(output, 'int64', undefined)],
  nodes: [...nodes],
})

describe('found, with operator and node', () => {
  test.each<[string, readonly Node[], Options?]>([
    ['a divisor that the request sends', [divide('d')]],
    ['a remainder', [divide('d', 'Mod')]],
    ['of 32 bits', [node('Div', ['i', 'i'], ['y'], {}, { name: 'the division' })]],
    ['behind other operators', [node('Add', ['d', 'one'], ['e']), node('Reshape', ['e', 'flat'], ['r']), divide('r')]],
    ['floats made integers', [node('Cast', ['f'], ['c'], { to: attr.int(INT64) }), divide('c')]],
    ['a constant or what is sent', [node('Where', ['flag', 'd', 'two'], ['w']), divide('w')]],
    [
      'joined with sizes',
      [...SIZE, node('Reshape', ['d', 'flat'], ['r']), node('Concat', ['size', 'r'], ['c'], { axis: attr.int(0) }), divide('c')],
    ],
    ['a constant that is not harmless', [divide('mixed')]],
    ['a bound that is not enough', [node('Max', ['d', 'zero'], ['m']), divide('m')]],
    [
      'an unknown type',
      [node('Label', ['f'], ['l'], {}, { domain: 'ai.onnx.ml' }), node('Div', ['l', 'l'], ['y'], {}, { name: 'the division' })],
    ],
    [
      'in a branch',
      [
        node('If', ['flag'], ['y'], {
          then_branch: attr.graph(branch([node('Div', ['x', 'd'], ['t'], {}, { name: 'the division' })], 't')),
          else_branch: attr.graph(branch([node('Identity', ['x'], ['e'])], 'e')),
        }),
      ],
    ],
    [
      'behind a branch',
      [
        node('If', ['flag'], ['b'], {
          then_branch: attr.graph(branch([node('Identity', ['two'], ['t'])], 't')),
          else_branch: attr.graph(branch([node('Identity', ['d'], ['e'])], 'e')),
        }),
        divide('b'),
      ],
    ],
    [
      'in a loop that counts down',
      [
        node('Loop', ['two', '', 'two', 'x'], ['left', 'y'], {
          body: attr.graph({
            inputs: [
              value('n', 'int64', []),
              value('go', 'bool', []),
              value('by', 'int64', []),
              value('acc', 'int64', undefined),
            ],
            outputs: [value('on', 'bool', []), value('next', 'int64', []), value('quotient', 'int64', undefined)],
            nodes: [
              node('Identity', ['go'], ['on']),
              node('Sub', ['by', 'one'], ['next']),
              node('Div', ['acc', 'by'], ['quotient'], {}, { name: 'the division' }),
            ],
          }),
        }),
      ],
    ],
    [
      'in a function',
      [node('Share', ['x', 'd'], ['y'], {}, { domain: 'local' })],
      {
        functions: [
          modelFunction({
            domain: 'local',
            name: 'Share',
            inputs: ['a', 'b'],
            outputs: ['c'],
            nodes: [node('Div', ['a', 'b'], ['c'], {}, { name: 'the division' })],
          }),
        ],
      },
    ],
  ])('%s', async (_, nodes, opts) => {
    expect(await hazardOf(model(nodes, opts))).toMatch(
      /^operator (Div|Mod) \(node 'the division'\) divides integers by values of the request$/,
    )
  })

  test('a frame length that is no constant', async () => {
    const nodes = [
      node('Size', ['f'], ['length']),
      node('STFT', ['f', 'two', '', 'length'], ['s'], {}, { name: 'the frames' }),
      node('Identity', ['x'], ['y']),
    ]
    expect(await hazardOf(model(nodes))).toBe(
      "operator STFT (node 'the frames') takes its frame length from values of the request",
    )
  })

  test('a node without a name goes by what it gives', async () => {
    expect(await hazardOf(model([node('Div', ['x', 'd'], ['y'])]))).toBe(
      "operator Div (the node of 'y') divides integers by values of the request",
    )
  })

  test('a graph that calls itself', async () => {
    const itself = modelFunction({
      domain: 'local',
      name: 'F',
      inputs: ['a'],
      outputs: ['c'],
      nodes: [node('F', ['a'], ['b'], {}, { domain: 'local' }), node('Div', ['a', 'b'], ['c'])],
    })
    expect(await hazardOf(model([node('F', ['x'], ['y'], {}, { domain: 'local' })], { functions: [itself] }))).toMatch(
      /cannot be judged/,
    )
  })
})

describe('not found', () => {
  test.each<[string, readonly Node[], Options?]>([
    ['floats', [node('Div', ['f', 'f'], ['g']), node('Cast', ['g'], ['y'], { to: attr.int(INT64) })]],
    [
      'floats behind operators',
      [
        node('Sigmoid', ['f'], ['s']),
        node('ReduceSum', ['s'], ['r']),
        node('Div', ['f', 'r'], ['g']),
        node('Cast', ['g'], ['y'], { to: attr.int(INT64) }),
      ],
    ],
    [
      'integers made floats',
      [
        node('Cast', ['d'], ['c'], { to: attr.int(FLOAT) }),
        node('Div', ['f', 'c'], ['g']),
        node('Cast', ['g'], ['y'], { to: attr.int(INT64) }),
      ],
    ],
    ['a constant', [divide('two')]],
    ['a constant of 32 bits', [node('Div', ['i', 'seven'], ['y'])]],
    ['several constants', [divide('several')]],
    ['a long constant', [divide('many')]],
    ['a Constant node', [node('Constant', [], ['c'], { value_int: attr.int(16) }), divide('c', 'Mod')]],
    ['a Constant in a tensor', [node('Constant', [], ['c'], { value: attr.tensor(longs('', [8], [])) }), divide('c')]],
    [
      'a constant behind operators',
      [
        node('Cast', ['three'], ['c'], { to: attr.int(INT64) }),
        node('Unsqueeze', ['c', 'zero'], ['u']),
        node('Mul', ['u', 'two'], ['m']),
        divide('m'),
      ],
    ],
    [
      'many equal constants',
      [
        node('ConstantOfShape', ['square'], ['c'], { value: attr.tensor(longs('', [3])) }),
        node('Reshape', ['c', 'flat'], ['r']),
        divide('r'),
      ],
    ],
    ['a size', [...SIZE, divide('size')]],
    ['a number of elements', [node('Size', ['f'], ['size']), divide('size')]],
    [
      'sizes behind operators',
      [
        ...SIZE,
        node('Div', ['size', 'two'], ['h']),
        node('Sub', ['h', 'one'], ['s']),
        node('Concat', ['s', 'one'], ['c'], { axis: attr.int(0) }),
        node('ReduceProd', ['c'], ['p']),
        divide('p'),
      ],
    ],
    ['a size by a size', [...SIZE, node('Div', ['size', 'size'], ['y'])]],
    ['a size of something computed', [node('Reshape', ['f', 'flat'], ['r']), node('Shape', ['r'], ['s']), divide('s')]],
    ['what is sent, held above zero', [node('Max', ['d', 'one'], ['m']), divide('m')]],
    ['what is sent, clipped', [node('Clip', ['d', 'two'], ['m']), divide('m')]],
    ['one of two constants', [node('Where', ['flag', 'two', 'several'], ['w']), divide('w')]],
    [
      'one of two branches',
      [
        node('If', ['flag'], ['b'], {
          then_branch: attr.graph(branch([node('Identity', ['two'], ['t'])], 't')),
          else_branch: attr.graph(branch(SIZE, 'size')),
        }),
        divide('b'),
      ],
    ],
    [
      'a function called with a constant',
      [node('Share', ['x', 'two'], ['y'], {}, { domain: 'local' })],
      {
        functions: [
          modelFunction({
            domain: 'local',
            name: 'Share',
            inputs: ['a', 'b'],
            outputs: ['c'],
            nodes: [node('Div', ['a', 'b'], ['c'])],
          }),
        ],
      },
    ],
    ['a constant frame length', [node('STFT', ['f', 'two', '', 'two'], ['s']), node('Identity', ['x'], ['y'])]],
    ['frames without a length', [node('STFT', ['f', 'two', 'f'], ['s']), node('Identity', ['x'], ['y'])]],
  ])('%s', async (_, nodes, opts) => {
    expect(await hazardOf(model(nodes, opts))).toBeUndefined()
  })

  test('a type that is only declared', async () => {
    const source = writeModel({
      graph: {
        inputs: [value('x', 'float', ['N'])],
        outputs: [value('y', 'float', ['N'])],
        nodes: [
          node('Score', ['x'], ['z'], {}, { domain: 'ai.onnx.ml' }),
          node('Cast', ['z'], ['c'], { to: attr.int(FLOAT) }),
          node('Div', ['x', 'c'], ['y']),
        ],
      },
    })
    expect(await hazardOf(source)).toBeUndefined()
  })
})

/** Operators that keep elements, and those that combine two values. */
const KEEPS = ['Identity', 'Abs', 'Neg', 'Squeeze', 'Flatten', 'Transpose']
const COMBINES = ['Add', 'Sub', 'Mul', 'Min', 'Div', 'Pow']

test('whatever way a value takes to a divisor, it is found; whatever sizes and constants take, they are not', async () => {
  const step = fc.oneof(
    fc.constantFrom(...KEEPS).map((op) => (from: string, to: string, _: string) => node(op, [from], [to])),
    fc.constantFrom(...COMBINES).map((op) => (from: string, to: string, other: string) => node(op, [from, other], [to])),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 8 }), fc.constantFrom<ElemTypeName>('int32', 'int64'), async (steps, type) => {
      const to = type === 'int32' ? INT32 : INT64
      const chain = (start: readonly Node[], first: string, other: string): Uint8Array =>
        model([
          ...start,
          node('Cast', [first], ['v0'], { to: attr.int(to) }),
          node('Cast', [other], ['other'], { to: attr.int(to) }),
          ...steps.map((make, i) => make(`v${i}`, `v${i + 1}`, 'other')),
          node('Cast', ['x'], ['whole'], { to: attr.int(to) }),
          node('Div', ['whole', `v${steps.length}`], ['y']),
        ])
      expect(await hazardOf(chain([], 'd', 'two'))).toMatch(/divides integers/)
      expect(await hazardOf(chain(SIZE, 'size', 'two'))).toBeUndefined()
    }),
  )
})
