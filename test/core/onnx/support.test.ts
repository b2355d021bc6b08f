import { InferenceSession } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { MAX_OPSET, readOnnx, servableOutputs, unsupportedReason } from '../../../src/core/onnx/index.ts'
import * as models from '../../../tools/models.mjs'
import {
  type ElemTypeName,
  modelFunction,
  node,
  optionalValue,
  sequenceValue,
  type,
  typedValue,
  untypedValue,
  type ValuePart,
  value,
  writeModel,
} from '../../../tools/onnx-writer.mjs'

const x = value('x', 'float', ['N'])
const y = value('y', 'float', ['N'])
const identity = (inputs: readonly ValuePart[], outputs: readonly ValuePart[]) =>
  writeModel({ graph: { inputs, outputs, nodes: [node('Identity', ['x'], ['y'])] } })

const reason = async (bytes: Uint8Array) => unsupportedReason(await readOnnx(bytes))
const load = (bytes: Uint8Array) => InferenceSession.create(bytes, { logSeverityLevel: 4 }).then((session) => session.release())

describe('outputs', () => {
  const unusual: ElemTypeName[] = [
    'bfloat16',
    'float8e4m3fn',
    'float8e4m3fnuz',
    'float8e5m2',
    'float8e5m2fnuz',
    'uint4',
    'int4',
    'float4e2m1',
    'float8e8m0',
    'uint2',
    'int2',
    'complex64',
    'complex128',
  ]
  test.each(unusual)('one of %s refuses the model as its file is', async (type) => {
    expect(await reason(identity([x], [y, value('z', type, ['N'])]))).toBe(
      `output "z" is of type tensor(${type}), which cannot be returned`,
    )
  })

  test('an element type from the future', async () => {
    expect(await reason(identity([x], [y, value('z', 77, ['N'])]))).toBe(
      'output "z" is of type tensor(type 77), which cannot be returned',
    )
  })

  test('a type that is not declared is left to ONNX Runtime', async () => {
    expect(await reason(identity([x], [untypedValue('y')]))).toBeUndefined()
  })

  test.each([
    ['sequence', sequenceValue('z', 'int64', ['N']), 'seq(tensor(int64))'],
    ['optional', optionalValue('z', 'float', ['N']), 'optional(tensor(float))'],
    ['map', typedValue('z', type.map('int64', type.tensor('float', []))), 'map(int64,tensor(float))'],
    [
      'sequence of maps',
      typedValue('z', type.sequence(type.map('string', type.tensor('float', [])))),
      'seq(map(string,tensor(float)))',
    ],
  ])('a %s is left out', async (_, z, declaredType) => {
    const facts = await readOnnx(identity([x], [y, z]))
    expect(facts.outputs[1]).toMatchObject({ name: 'z', type: undefined, declaredType, dims: undefined })
    expect(unsupportedReason(facts)).toBeUndefined()
    expect(servableOutputs(facts).map(({ name }) => name)).toEqual(['y'])
    expect(await reason(identity([x], [z]))).toMatch(/^its only output, "z", is .*, which onnxruntime-node cannot carry: /)
  })

  test('an output named __proto__ would be lost on its way back', async () => {
    const bytes = writeModel({
      graph: {
        inputs: [value('x', 'float', ['N'])],
        outputs: [value('__proto__', 'float', ['N'])],
        nodes: [node('Identity', ['x'], ['__proto__'])],
      },
    })
    expect(unsupportedReason(await readOnnx(bytes))).toBe('an output named "__proto__" cannot be returned')
  })

  test('a sparse tensor is no container', async () => {
    expect(await reason(identity([x], [typedValue('y', type.sparseTensor('float', [4]))]))).toContain('sparse_tensor(float)')
  })
})

describe('inputs', () => {
  test.each([
    [sequenceValue('x', 'float', ['N']), 'seq(tensor(float))'],
    [value('x', 'int4', ['N']), 'tensor(int4)'],
    [value('x', 'bfloat16', ['N']), 'tensor(bfloat16)'],
    [optionalValue('x', 'float', ['N']), 'optional(tensor(float))'],
  ])('%# that cannot be passed', async (input, declaredType) => {
    expect(await reason(identity([input], [y]))).toBe(`input "x" is of type ${declaredType}, which cannot be passed`)
  })
})

describe('versions and operators', () => {
  test('the highest opset is the highest that ONNX Runtime loads', async () => {
    const of = (opset: number) =>
      writeModel({ irVersion: 11, opset, graph: { inputs: [x], outputs: [y], nodes: [node('Identity', ['x'], ['y'])] } })
    expect(await reason(of(MAX_OPSET))).toBeUndefined()
    await load(of(MAX_OPSET))
    expect(await reason(of(MAX_OPSET + 1))).toBe(
      'it uses operator set 27 of ai.onnx; the highest supported is 26: export it with that one or a lower one',
    )
    await expect(load(of(MAX_OPSET + 1))).rejects.toThrow('opset')
    expect(await reason(models.futureOpsetModel())).toContain('operator set 99')
  })

  test('the highest IR version is the highest that ONNX Runtime loads', async () => {
    const of = (irVersion: number) =>
      writeModel({ irVersion, graph: { inputs: [x], outputs: [y], nodes: [node('Identity', ['x'], ['y'])] } })
    expect(await reason(of(13))).toBeUndefined()
    await load(of(13))
    expect(await reason(of(15))).toBe('it has IR version 15; the highest supported is 13: export it with ir_version=10')
    await expect(load(of(14))).rejects.toThrow()
  })

  test('no opset', async () => {
    const bytes = writeModel({ opsets: {}, graph: { inputs: [x], outputs: [y], nodes: [node('Identity', ['x'], ['y'])] } })
    expect(await reason(bytes)).toBe('it does not say which operator sets it uses')
    await expect(load(bytes)).rejects.toThrow()
  })

  test('a custom operator', async () => {
    expect(await reason(models.customOpModel())).toBe('custom operator com.example:Foo needs a library that is not loaded')
    await expect(load(models.customOpModel())).rejects.toThrow()
  })

  test('a vendor binary', async () => {
    const nodes = [node('EPContext', ['x'], ['y'], {}, { domain: 'com.microsoft' })]
    expect(
      await reason(writeModel({ opsets: { '': 17, 'com.microsoft': 1 }, graph: { inputs: [x], outputs: [y], nodes } })),
    ).toContain('EPContext')
  })

  test('names in a reason cannot forge a line', async () => {
    const nodes = [node('F\n\x1b[2K\u202e', ['x'], ['y'], {}, { domain: 'evil' })]
    expect(await reason(writeModel({ graph: { inputs: [x], outputs: [y], nodes } }))).toContain(
      'evil:F\\x0a\\x1b[2K\\u{202e} needs',
    )
  })
})

describe('local functions', () => {
  const withFunctions = (...functions: Parameters<typeof modelFunction>[0][]) =>
    writeModel({
      opsets: { '': 17, mine: 1 },
      functions: functions.map(modelFunction),
      graph: { inputs: [x], outputs: [y], nodes: [node('Outer', ['x'], ['y'], {}, { domain: 'mine' })] },
    })
  const calls = (name: string, op: string, domain: string) => ({
    domain: 'mine',
    name,
    inputs: ['a'],
    outputs: ['b'],
    opsets: { '': 17, [domain]: domain === '' ? 17 : 1 },
    nodes: [node(op, ['a'], ['b'], {}, { domain })],
  })

  test('define their own domain', async () => {
    const bytes = withFunctions(calls('Outer', 'Inner', 'mine'), calls('Inner', 'Relu', ''))
    const facts = await readOnnx(bytes)
    expect(facts.operators).toEqual(['ai.onnx:Relu'])
    expect(unsupportedReason(facts)).toBeUndefined()
    await load(bytes)
  })

  test('that call custom operators are refused', async () => {
    expect(await reason(withFunctions(calls('Outer', 'Foo', 'com.example')))).toContain('com.example:Foo')
  })

  test('that nobody calls do not matter', async () => {
    const bytes = withFunctions(calls('Outer', 'Relu', ''), calls('Unused', 'Foo', 'com.example'))
    expect(await reason(bytes)).toBeUndefined()
    await load(bytes)
  })

  test('that call each other in a circle end', async () => {
    expect((await readOnnx(withFunctions(calls('Outer', 'Inner', 'mine'), calls('Inner', 'Outer', 'mine')))).operators).toEqual(
      [],
    )
  })
})
