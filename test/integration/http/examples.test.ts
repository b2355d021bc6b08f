/** Each example of the OpenAPI document is answered when it is sent, whatever the model; where none is known to be, none is given. */

import fc from 'fast-check'
import type { ModelSpec, OpenApiDocument } from 'modelmount'
import { expect, test } from 'vitest'
import { gatherModel, recurrentModel, totalModel } from '../../../tools/models.mjs'
import { attr, type DimSpec, type ElemTypeName, node, tensor, value, writeModel } from '../../../tools/onnx-writer.mjs'
import { callerOf } from '../../support/mount.ts'
import { provedServerFor } from '../../support/server.ts'
import { constantOf } from '../../support/small-models.ts'

const TYPES: readonly ElemTypeName[] = [
  'float',
  'double',
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
]
const SHAPES: readonly (readonly DimSpec[] | undefined)[] = [
  undefined,
  [],
  ['N'],
  [null],
  [3],
  [1],
  [0],
  ['N', 2],
  ['N', 'M'],
  [null, null],
  [2, 3],
  [0, 2],
  [2, 0],
  ['N', 0],
  ['N', 1, 1, 2],
  [1, 4097],
]

/** Gives back what it gets. */
const mirrorOf = (inputs: readonly (readonly [ElemTypeName, readonly DimSpec[] | undefined])[]): Uint8Array =>
  writeModel({
    graph: {
      inputs: inputs.map(([type, dims], i) => value(`in ${i}_bytes`, type, dims)),
      outputs: inputs.map(([type, dims], i) => value(`out ${i}_bytes`, type, dims)),
      nodes: inputs.map((_, i) => node('Identity', [`in ${i}_bytes`], [`out ${i}_bytes`])),
    },
  })

const any = fc.array(fc.tuple(fc.constantFrom(...TYPES), fc.constantFrom(...SHAPES)), { minLength: 1, maxLength: 4 })

const shifted = (by: number): Uint8Array =>
  writeModel({
    graph: {
      inputs: [value('index', 'int64', ['N'])],
      outputs: [value('y', 'float', ['N'])],
      nodes: [node('Sub', ['index', 'by'], ['at']), node('Gather', ['table', 'at'], ['y'])],
      initializers: [tensor('by', 'int64', [], [BigInt(by)]), tensor('table', 'float', [2], [5, 6])],
    },
  })

/** Knows two words and refuses all others. */
const encoder = writeModel({
  opsets: { '': 17, 'ai.onnx.ml': 3 },
  graph: {
    inputs: [value('word', 'string', ['N', 1])],
    outputs: [value('y', 'float', ['N', 1, 2])],
    nodes: [
      node(
        'OneHotEncoder',
        ['word'],
        ['y'],
        { cats_strings: attr.strings(['red', 'green']), zeros: attr.int(0) },
        { domain: 'ai.onnx.ml' },
      ),
    ],
  },
})

/** Needs images of some size. */
const pooling = writeModel({
  graph: {
    inputs: [value('image', 'float', ['N', 1, 'height', 'width'])],
    outputs: [value('y', 'float', ['N', 1, 'h', 'w'])],
    nodes: [node('MaxPool', ['image'], ['y'], { kernel_shape: attr.ints([4, 4]) })],
  },
})

const sum = (a: readonly DimSpec[], b: readonly DimSpec[]): Uint8Array =>
  writeModel({
    graph: {
      inputs: [value('a', 'float', a), value('b', 'float', b)],
      outputs: [value('y', 'float')],
      nodes: [node('Add', ['a', 'b'], ['y'])],
    },
  })

const division = writeModel({
  graph: {
    inputs: [value('x', 'int64', ['N']), value('d', 'int64', ['N'])],
    outputs: [value('y', 'int64', ['N'])],
    nodes: [node('Div', ['x', 'd'], ['y'])],
  },
})

const masked = writeModel({
  graph: {
    inputs: [value('ids', 'int64', ['batch', 'length']), value('mask', 'int64', ['batch', 'length'])],
    outputs: [value('y', 'int64', ['batch', 'length'])],
    nodes: [node('Mul', ['ids', 'mask'], ['y'])],
  },
})

const SPECIAL: readonly (readonly [name: string, spec: Omit<ModelSpec, 'name'>, isGiven: boolean])[] = [
  ['nothing', { source: constantOf(1) }, true],
  ['index', { source: gatherModel() }, true],
  ['index-from-one', { source: shifted(1) }, true],
  ['index-from-a-thousand', { source: shifted(1000) }, false],
  ['index-sampled', { source: shifted(1000), warmup: [{ index: [1000] }, { index: [1001] }] }, false],
  ['words', { source: encoder }, false],
  ['pooling', { source: pooling }, true],
  ['never', { source: shifted(-2) }, false],
  ['agreeing', { source: sum(['N', 3], ['N', 3]) }, true],
  ['broadcast', { source: sum(['N', 'A'], ['M', 3]) }, true],
  ['hazard', { source: division }, false],
  ['state', { source: totalModel(), sequences: { state: { s: 'next' } } }, true],
  ['recurrent', { source: recurrentModel() }, true],
  ['masked', { source: masked, batching: { ragged: { mask: 'mask' } } }, true],
  ['reshaped', { source: sum(['N', 4], ['N', 4]), inputs: { a: { dims: [-1, 2, 2], reshape: [-1, 4] } } }, true],
  ['unasked', { source: sum(['N'], ['N']), batching: false }, false],
]

const GENERATED = fc
  .sample(any, { seed: 13, numRuns: 30 })
  .map((inputs, i): ModelSpec => ({ name: `generated-${i}`, source: mirrorOf(inputs) }))
const EACH = SHAPES.map(
  (dims, i): ModelSpec => ({ name: `shape-${i}`, source: mirrorOf(TYPES.map((type) => [type, dims] as const)) }),
)

type Example = readonly [path: string, example: unknown]

function examplesOf({ paths }: OpenApiDocument): Example[] {
  return Object.entries(paths).flatMap(([path, methods]): Example[] => {
    const post = methods.post as { requestBody: { content: Record<string, { example?: unknown }> } } | undefined
    const example = post?.requestBody.content['application/json']?.example
    return example === undefined ? [] : [[path, example]]
  })
}

async function check(models: readonly ModelSpec[]): Promise<string[]> {
  const server = await provedServerFor({ strict: true, models: [...models] })
  const answered: string[] = []
  for (const model of models) {
    const mount = { dialects: ['open-inference', 'tf-serving', 'mlflow'], mlflow: { model: model.name } } as const
    const { post } = callerOf(server.http.mount(mount))
    const own = examplesOf(server.openapi(mount)).filter(([path]) => path === '/invocations' || path.includes(`/${model.name}`))
    for (const [path, example] of own) {
      const { status, text } = await post(path, example, { 'content-type': 'application/json' })
      expect({ model: model.name, path, status, text: status === 200 ? '' : text }).toEqual({
        model: model.name,
        path,
        status: 200,
        text: '',
      })
      answered.push(`${model.name} ${path}`)
    }
  }
  return answered
}

test('of every type in every shape', { timeout: 120_000 }, async () => {
  const answered = await check([...EACH, ...GENERATED])
  // All but those too long to print.
  expect(new Set(answered.map((path) => path.split(' ')[0])).size).toBeGreaterThan(EACH.length + GENERATED.length - 8)
})

test('of models that take some values only, that can end their process, that keep state', { timeout: 120_000 }, async () => {
  const answered = await check(SPECIAL.map(([name, spec]) => ({ name, ...spec })))
  for (const [name, , isGiven] of SPECIAL)
    expect([name, answered.includes(`${name} /v2/models/${name}/infer`)]).toEqual([name, isGiven])
})
