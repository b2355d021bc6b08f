/** Made-up inputs stay small, whatever the signature, and only the trial runs them. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Run, RunOutcome } from '../../../src/core/engine/run.ts'
import { ModelmountError } from '../../../src/core/errors.ts'
import type { Dim, ModelSignature } from '../../../src/core/tensor/types.ts'
import { MAX_MADE_UP } from '../../../src/core/trial/rows.ts'
import { tryOut } from '../../../src/core/trial/try.ts'

const SETTINGS = {
  maxSize: 64,
  maxRunMs: 50,
  maxElements: 2 ** 30,
  maxDelayMs: 0,
  mixTenants: false,
  axes: {},
  ragged: undefined,
  independentRows: false,
}
const TYPES = ['float32', 'float16', 'int64', 'bool', 'uint8', 'string'] as const

const dims = fc.array(fc.oneof(fc.constantFrom<Dim>(null, 'A', 'B', 'C'), fc.constantFrom(1, 3, 4, 224, 1024, 100_000)), {
  minLength: 0,
  maxLength: 8,
})
const signatures = fc
  .array(fc.record({ dims, type: fc.constantFrom(...TYPES), named: fc.boolean() }), { minLength: 1, maxLength: 3 })
  .map((inputs): ModelSignature => {
    const infos = inputs.map(({ dims, type }, i) => ({
      name: `x${i}`,
      type,
      declaredType: type,
      dims: ['N' as Dim, ...dims].slice(0, 8),
    }))
    return { inputs: infos, outputs: [{ name: 'y', type: 'float32', declaredType: 'float32', dims: ['N'] }] }
  })

const elementsOf = ({ inputs }: Run): number => Object.values(inputs).reduce((sum, { data }) => sum + data.length, 0)

/** The model takes what is not refused, at random, and answers one number a row. */
const modelThat = (refuses: (elements: number) => boolean, ran: number[]) => async (runs: readonly Run[]) =>
  runs.map((run): RunOutcome => {
    const elements = elementsOf(run)
    ran.push(elements)
    if (refuses(elements)) return { error: new ModelmountError('INPUT_REJECTED', 'no'), inferMs: 0 }
    const rows = run.inputs.x0?.dims[0] ?? 1
    return { outputs: { y: { type: 'float32', dims: [rows], data: new Float32Array(rows) } }, inferMs: 0 }
  })

test('no run that is made up has more than 2^20 elements, over all inputs and rows', async () => {
  await fc.assert(
    fc.asyncProperty(signatures, fc.integer({ min: 0, max: 2 ** 21 }), async (signature, least) => {
      const ran: number[] = []
      const runAll = modelThat((elements) => elements < least, ran)
      const found = await tryOut({ signature, settings: SETTINGS, given: [] }, { fetches: ['y'], runAll })
      expect(Math.max(0, ...ran)).toBeLessThanOrEqual(MAX_MADE_UP)
      // The instance may run only inputs that ran here.
      const row = found.rows[0]
      if (row) expect(ran).toContain(elementsOf({ inputs: row, fetches: [] }))
    }),
    { numRuns: 60 },
  )
})

test('a row that is too large is told, and nothing is run', async () => {
  const ran: number[] = []
  const image: ModelSignature = {
    inputs: [{ name: 'x0', type: 'float32', declaredType: 'float32', dims: ['N', 3, 1024, 1024] }],
    outputs: [{ name: 'y', type: 'float32', declaredType: 'float32', dims: ['N'] }],
  }
  const found = await tryOut(
    { signature: image, settings: SETTINGS, given: [] },
    { fetches: ['y'], runAll: modelThat(() => false, ran) },
  )
  expect(found).toMatchObject({ rows: [], lack: expect.stringContaining('give the model samples in warmup') })
  expect(ran).toEqual([])
})

test('a size at which the model answers with very much, or takes very long, is the last', async () => {
  const signature: ModelSignature = {
    inputs: [{ name: 'x0', type: 'float32', declaredType: 'float32', dims: ['N', 2] }],
    outputs: [{ name: 'y', type: 'float32', declaredType: 'float32', dims: ['N', null] }],
  }
  const wide = (inferMs: number, width: number) => async (runs: readonly Run[]) =>
    runs.map((run): RunOutcome => {
      const rows = run.inputs.x0?.dims[0] ?? 1
      return {
        outputs: { y: { type: 'float32', dims: [rows, width], data: new Float32Array(rows * width) } },
        inferMs: inferMs * rows,
      }
    })
  const sizesOf = async (inferMs: number, width: number) =>
    (await tryOut({ signature, settings: SETTINGS, given: [] }, { fetches: ['y'], runAll: wide(inferMs, width) })).sizes
  expect(await sizesOf(0, 1)).toEqual([1, 2, 4, 8, 16, 32, 64])
  expect(await sizesOf(0, 2 ** 20)).toEqual([1, 2, 4, 8])
  expect(await sizesOf(30, 1)).toEqual([1, 2])
})
