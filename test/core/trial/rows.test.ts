/** Rows for a proof: they differ in every input that could, or the model is not tried. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TensorRecord } from '../../../src/core/engine/frame.ts'
import { ModelmountError } from '../../../src/core/errors.ts'
import type { DType, ModelSignature, Tensor } from '../../../src/core/tensor/types.ts'
import { findMade, inputAlike, type MakeRow, makerOf, type RunAll, rowsFrom, type Trial } from '../../../src/core/trial/rows.ts'

const TYPES: readonly DType[] = [
  'float16',
  'float32',
  'float64',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'bool',
  'string',
]

async function findRows(
  signature: ModelSignature,
  axes: undefined,
  ragged: undefined,
  trial: Trial,
): Promise<MakeRow | undefined> {
  const made = await findMade(signature, axes, ragged, trial)
  // It travels between processes, and to the disk.
  return made && makerOf(signature, axes, ragged, JSON.parse(JSON.stringify(made)))
}

const signatureOf = (types: readonly DType[], width = 1): ModelSignature => ({
  inputs: types.map((type, i) => ({ name: `in${i}`, type, declaredType: type, dims: ['N', width] })),
  outputs: [],
})
const refusal = { error: new ModelmountError('INPUT_REJECTED', 'no'), inferMs: 0 }
/** Takes the rows for which `isTaken` holds. */
const taking =
  (isTaken: (inputs: TensorRecord) => boolean): RunAll =>
  async (runs) =>
    runs.map(({ inputs }) => (isTaken(inputs) ? { outputs: {}, inferMs: 0 } : refusal))
const trialOf = (isTaken: (inputs: TensorRecord) => boolean) => ({ fetches: [], runAll: taking(isTaken) })
const all = trialOf(() => true)
const numbersOf = (tensor: Tensor | undefined): number[] => Array.from((tensor?.data ?? []) as ArrayLike<number>, Number)
const isBelow = (limit: number) => (tensor: Tensor | undefined) => numbersOf(tensor).every((x) => x < limit)

describe('made-up rows', () => {
  test.each(TYPES)('of one %s differ from their neighbours', async (type) => {
    const makeRow = await findRows(signatureOf([type]), undefined, undefined, all)
    expect(makeRow).toBeDefined()
    if (makeRow) expect(inputAlike(makeRow, ['in0'])).toBeUndefined()
  })

  test('go beyond 0 and 1 where the model takes that, and each input has its own range', async () => {
    const makeRow = await findRows(
      signatureOf(['int64', 'int64', 'int32'], 8),
      undefined,
      undefined,
      trialOf(({ in0, in1, in2 }) => isBelow(2)(in0) && isBelow(100)(in1) && isBelow(3)(in2)),
    )
    const rows = [1, 2, 3].map((seed) => makeRow?.(seed, 1) ?? {})
    const largest = (name: string): number => Math.max(...rows.flatMap((row) => numbersOf(row[name])))
    expect([largest('in0'), largest('in1') > 16, largest('in2')]).toEqual([1, true, 2])
    if (makeRow) expect(inputAlike(makeRow, ['in0', 'in1', 'in2'])).toBeUndefined()
  })

  test('of text differ in length and in words', async () => {
    const makeRow = await findRows(signatureOf(['string']), undefined, undefined, all)
    const texts = [1, 2, 3, 4, 5].map((seed) => makeRow?.(seed, 1).in0?.data[0] as string)
    expect(new Set(texts.map((text) => text.length)).size).toBe(5)
    expect(new Set(texts.map((text) => text.split(' ').length)).size).toBe(5)
  })

  test('of text are numbers where the model takes nothing else', async () => {
    const isNumber = ({ in0 }: TensorRecord): boolean => ((in0?.data ?? []) as string[]).every((text) => /^\d+$/.test(text))
    const makeRow = await findRows(signatureOf(['string']), undefined, undefined, trialOf(isNumber))
    if (makeRow) expect(inputAlike(makeRow, ['in0'])).toBeUndefined()
    expect(makeRow).toBeDefined()
  })

  test('that can be zeros only are known to be alike', async () => {
    const makeRow = await findRows(
      signatureOf(['int64']),
      undefined,
      undefined,
      trialOf(({ in0 }) => isBelow(1)(in0)),
    )
    expect(makeRow && inputAlike(makeRow, ['in0'])).toBe('in0')
  })
})

const numericData = fc.oneof(
  fc
    .array(fc.integer({ min: -3, max: 100 }), { minLength: 1, maxLength: 6 })
    .map((data): Tensor => ({ type: 'int32', dims: [1, data.length], data: Int32Array.from(data) })),
  fc
    .array(fc.bigInt({ min: -3n, max: 100n }), { minLength: 1, maxLength: 6 })
    .map((data): Tensor => ({ type: 'int64', dims: [1, data.length], data: BigInt64Array.from(data) })),
  fc
    .array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: 1, maxLength: 6 })
    .map((data): Tensor => ({ type: 'float32', dims: [1, data.length], data: Float32Array.from(data) })),
  fc
    .array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 6 })
    .map((data): Tensor => ({ type: 'bool', dims: [1, data.length], data: Uint8Array.from(data) })),
  fc.array(fc.string(), { minLength: 1, maxLength: 6 }).map((data): Tensor => ({ type: 'string', dims: [1, data.length], data })),
)

describe('given rows', () => {
  test('any one sample is varied until neighbours differ, and the first stays as it is', async () => {
    await fc.assert(
      fc.asyncProperty(numericData, numericData, async (a, b) => {
        const sample = { a, b }
        const makeRow = await rowsFrom([sample], ['a', 'b'], all)
        expect(inputAlike(makeRow, ['a', 'b'])).toBeUndefined()
        expect(makeRow(1, 1)).toEqual(sample)
        for (const seed of [2, 3, 4, 5]) {
          const row = makeRow(seed, 1)
          for (const name of ['a', 'b'] as const) {
            expect(row[name]?.dims).toEqual(sample[name].dims)
            expect(row[name]?.data.constructor).toBe(sample[name].data.constructor)
          }
        }
      }),
    )
  })

  test('that differ are taken as they are', async () => {
    const samples = [1, 5].map((x): TensorRecord => ({ a: { type: 'int32', dims: [1], data: Int32Array.of(x) } }))
    const makeRow = await rowsFrom(samples, ['a'], all)
    expect([1, 2, 3].map((seed) => makeRow(seed, 1))).toEqual([samples[0], samples[1], samples[0]])
  })

  test('that the model takes no variation of stay alike, and are known to be', async () => {
    const sample: TensorRecord = { a: { type: 'int32', dims: [1], data: Int32Array.of(7) } }
    const makeRow = await rowsFrom(
      [sample],
      ['a'],
      trialOf(({ a }) => a?.data[0] === 7),
    )
    expect(inputAlike(makeRow, ['a'])).toBe('a')
  })

  test('get loud like made-up ones', async () => {
    const sample: TensorRecord = { a: { type: 'float32', dims: [1, 2], data: Float32Array.of(1, 2) } }
    const makeRow = await rowsFrom([sample], ['a'], all)
    expect(makeRow(1, -1000).a?.data).toEqual(Float32Array.of(-1000, -2000))
  })
})
