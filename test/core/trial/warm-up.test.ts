/** What an instance runs before requests get to it, and what comes of runs that fail or hang. */

import { expect, test } from 'vitest'
import type { Done, Instance, Run, RunOutcome } from '../../../src/core/engine/instance.ts'
import { ModelmountError } from '../../../src/core/errors.ts'
import { checkInputs } from '../../../src/core/tensor/index.ts'
import { getAcquainted, rehearse } from '../../../src/core/trial/warm-up.ts'
import type { ModelSignature, PredictInputs } from '../../../src/core/types.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'

const signature: ModelSignature = {
  inputs: [{ name: 'x', type: 'float32', dims: [null, 2] }],
  outputs: [{ name: 'y', type: 'float32', dims: [null, 2] }],
} as unknown as ModelSignature

const batching = {
  maxSize: 8,
  maxRunMs: 50,
  maxElements: 1000,
  maxDelayMs: 0,
  mixTenants: false,
  axes: {},
  ragged: undefined,
}
const rowsOf = ({ inputs }: Run): number | undefined => inputs.x?.dims[0]

/** Takes a millisecond per run, however many rows, and answers with the inputs. */
const answer = (run: Run): RunOutcome => ({ outputs: { y: run.inputs.x as never }, inferMs: 1 })

function instanceThat(answerAll: (runs: readonly Run[], done: Done) => void): Instance & { readonly ran: Run[][] } {
  const ran: Run[][] = []
  return {
    ran,
    ready: true,
    run(runs: readonly Run[], done: Done) {
      ran.push([...runs])
      queueMicrotask(() => answerAll(runs, done))
    },
  } as unknown as Instance & { readonly ran: Run[][] }
}
const willing = () => instanceThat((runs, done) => done(runs.map(answer)))

const depsWith = (config: { batching?: typeof batching | false; warmup?: Record<string, unknown>[] } = {}) => ({
  clock: createSimulatedClock(),
  signature,
  config: { batching, warmup: [], loadTimeoutMs: 1000, ...config } as never,
  take: (sample: PredictInputs) => checkInputs(signature, sample, { maxElements: 1000 }),
  findMixing: async () => undefined,
})

test('further instances run one row and as many as a run may have, once each, and the samples that were given', async () => {
  const deps = depsWith({
    warmup: [
      { x: [[1, 2]] },
      {
        x: [
          [1, 2],
          [3, 4],
          [5, 6],
        ],
      },
    ],
  })
  const known = await getAcquainted(willing(), deps)
  expect(known.batching.cap).toBe(8)
  const next = willing()
  expect(await rehearse(next, known, deps)).toBeUndefined()
  // In one message: nothing is posted to an instance that was closed meanwhile.
  expect(next.ran.map((runs) => runs.map(rowsOf))).toEqual([[1, 3, 1, 8]])
  // Samples outlive the runs that give their memory away.
  const tensors = next.ran[0]?.map(({ inputs }) => inputs.x)
  expect(Array.from(tensors?.[0]?.data as Float32Array)).toEqual([1, 2])
  expect(new Set(tensors?.map((tensor) => tensor && (tensor.data as Float32Array).buffer)).size).toBe(4)
  await rehearse(next, known, deps)
  expect(next.ran[1]?.map(({ inputs }) => inputs.x?.data)).toEqual(next.ran[0]?.map(({ inputs }) => inputs.x?.data))
})

test('without batching one row is enough', async () => {
  const deps = depsWith({ batching: false })
  const known = await getAcquainted(willing(), deps)
  const next = willing()
  await rehearse(next, known, deps)
  expect(next.ran.map((runs) => runs.map(rowsOf))).toEqual([[1]])
})

test('a run that fails is told and costs nothing; a lost worker is told the same way', async () => {
  const deps = depsWith()
  const known = await getAcquainted(willing(), deps)
  const error = new ModelmountError('INFERENCE_FAILED', 'out of memory')
  const failing = instanceThat((runs, done) => done(runs.map((run, i) => (i === 0 ? answer(run) : { error, inferMs: 1 }))))
  expect(await rehearse(failing, known, deps)).toBe('out of memory')
  const dying = instanceThat((_, done) => done('lost'))
  expect(await rehearse(dying, known, deps)).toMatch(/lost/)
})

test('a model that takes no made-up inputs has nothing to rehearse', async () => {
  const deps = depsWith()
  const error = new ModelmountError('INPUT_REJECTED', 'no')
  const picky = instanceThat((runs, done) => done(runs.map(() => ({ error, inferMs: 0 }))))
  const known = await getAcquainted(picky, deps)
  const next = willing()
  expect(await rehearse(next, known, deps)).toBeUndefined()
  expect(next.ran).toEqual([])
})

test.each(['first', 'further'] as const)('a %s instance that hangs is given up after loadTimeoutMs', async (which) => {
  const deps = depsWith()
  const known = which === 'further' ? await getAcquainted(willing(), deps) : undefined
  const hanging = instanceThat(() => {})
  const warm = known ? rehearse(hanging, known, deps) : getAcquainted(hanging, deps)
  const refused = expect(warm).rejects.toMatchObject({
    code: 'MODEL_LOAD_FAILED',
    message: expect.stringContaining('loadTimeoutMs (1000 ms)'),
  })
  deps.clock.runUntil(1001)
  await refused
})
