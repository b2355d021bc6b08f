/** The cost of an element type: its name and array in `types.ts`, its facts in `dtypes.ts`, and the code of its bits. All else follows. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from 'vitest'
import { DTYPES } from '../../../src/core/tensor/dtypes.ts'
import type { FloatCode } from '../../../src/core/tensor/float16.ts'
import type { DType, Tensor, ValueInfo } from '../../../src/core/tensor/types.ts'

const SRC = fileURLToPath(new URL('../../../src', import.meta.url))

/** Where the names of element types may stand in quotes, `float32` apart: it is the default, and floats of single precision have ways of their own. */
const PLACES = new Map([
  ['core/tensor/types.ts', 'declares them'],
  ['core/tensor/dtypes.ts', 'holds their facts'],
  ['core/onnx/element-types.ts', 'numbers of ONNX, with ONNX’s names'],
  ['core/registry/triton/fields.ts', 'scalars of Protocol Buffers'],
])
const NAMES = /(?<!format: )'(?:float16|float64|u?int(?:8|16|32|64))'/

test('no other source asks for an element type by its name', () => {
  const files = (readdirSync(SRC, { recursive: true }) as string[]).filter((file) => file.endsWith('.ts'))
  const asking = files
    .filter((file) => NAMES.test(readFileSync(join(SRC, file), 'utf8')))
    .map((file) => file.replaceAll('\\', '/'))
  expect(asking.filter((file) => !PLACES.has(file))).toEqual([])
})

/** The upper half of a float32. */
const word = new DataView(new ArrayBuffer(4))
const BRAIN: FloatCode = {
  toBits: (value) => {
    word.setFloat32(0, value)
    return word.getUint16(0)
  },
  toNumber: (bits) => {
    word.setUint32(0, bits * 65536)
    return word.getFloat32(0)
  },
  isFinite: (bits) => (bits & 0x7f80) !== 0x7f80,
}

const TYPE = 'bfloat16' as DType
const MAX = 3.3895313892515355e38
const tensorOf = (...values: number[]): Tensor =>
  ({ type: TYPE, dims: [values.length], data: Uint16Array.from(values, BRAIN.toBits) }) as Tensor
const INPUT: ValueInfo = { name: 'x', type: TYPE, declaredType: 'tensor(bfloat16)', dims: ['n'] }
const SIGNATURE = { inputs: [INPUT], outputs: [INPUT] }

beforeAll(() => {
  const facts = { kind: 'coded', code: BRAIN, bytes: 2, array: Uint16Array, wire: 'BF16', tf: 'DT_BFLOAT16', onnx: 'bfloat16' }
  // In front of all modules that make tables of their own from these facts: they are imported below.
  Object.assign(DTYPES, { [TYPE]: { ...facts, isInteger: false, min: -MAX, max: MAX } })
})

test('a type that is added to the table is checked, written, padded, made up and compared like the others', async () => {
  const { fillRow } = await import('../../../src/core/tensor/elements.ts')
  const { firstNonFinite } = await import('../../../src/core/tensor/finite.ts')
  const { exampleForms, exampleOf, exampleTensors } = await import('../../../src/core/tensor/example.ts')
  const { filled } = await import('../../../src/core/scheduler/padding.ts')
  const { sampleInputs } = await import('../../../src/core/trial/samples.ts')
  const { scaleFloats, VARIATIONS } = await import('../../../src/core/trial/vary.ts')
  const { sameWithin } = await import('../../../src/core/trial/compare.ts')
  const { atOnce, createTextSink, writeElements } = await import('../../../src/core/dialects/codec/write-json.ts')
  const { writeNested } = await import('../../../src/core/dialects/codec/write-nested.ts')
  const { inputSchema } = await import('../../../src/core/openapi/tensors.ts')
  const { elementDType } = await import('../../../src/core/onnx/element-types.ts')

  const json = { json: true, bigIntegerAdvice: '' }
  const target = new Uint16Array(3)
  expect(fillRow(TYPE, target as never, 0, [1.5, null, '-Infinity'], json)).toBe(-1)
  expect(Array.from(target, BRAIN.toNumber)).toEqual([1.5, Number.NaN, Number.NEGATIVE_INFINITY])
  expect(fillRow(TYPE, target as never, 0, ['1.5'], json)).toBe(0)
  expect(firstNonFinite(tensorOf(1, Number.NaN))).toBe(1)
  expect(firstNonFinite(tensorOf(1, 2))).toBe(-1)

  const written = createTextSink()
  atOnce(writeElements(tensorOf(0.5, Number.NaN), written))
  atOnce(writeNested(tensorOf(0.5, 2), written, { shortFloats: true, text: String, longText: function* () {} }))
  expect(Buffer.concat(written.finish()).toString()).toBe('[0.5,"NaN"][0.5,2.0]')

  expect(filled(TYPE as 'float16', [2], 1.5)).toEqual(tensorOf(1.5, 1.5))
  const [form = { size: 1, whole: 0 }] = exampleForms([INPUT])
  const example = exampleTensors(exampleOf([INPUT], form) ?? []).x
  expect(new Set(Array.from(example?.data ?? [], Number))).toEqual(new Set([BRAIN.toBits(0.5)]))
  const made = sampleInputs(SIGNATURE, { seed: 1, scale: 1, free: 4, rangeOf: () => 2, axes: undefined }).x as Tensor
  for (const bits of made.data) expect(BRAIN.toNumber(Number(bits))).toBeLessThan(1)
  expect(scaleFloats({ x: tensorOf(1, -2) }, ['x'], 2).x).toEqual(tensorOf(2, -4))
  expect(VARIATIONS[1]?.(tensorOf(1, 1), 4)).toEqual(tensorOf(2, 2).data)
  expect(sameWithin(tensorOf(1, 2), tensorOf(1, 2))).toBe(true)
  expect(sameWithin(tensorOf(1, 2), tensorOf(1, 3))).toBe(false)

  expect(JSON.stringify(inputSchema(INPUT))).toContain('"NaN"')
  expect(elementDType(16)).toBe(TYPE)
})
