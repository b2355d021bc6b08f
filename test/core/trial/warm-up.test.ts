/** Runs of an instance before requests get to it, and the outcome of runs that fail or hang. */

import { expect, test } from 'vitest'
import type { Instance } from '../../../src/core/engine/instance.ts'
import type { Done } from '../../../src/core/engine/posts.ts'
import type { Run, RunOutcome } from '../../../src/core/engine/run.ts'
import { ModelmountError } from '../../../src/core/errors.ts'
import type { PredictInputs } from '../../../src/core/predict/types.ts'
import { checkInputs } from '../../../src/core/tensor/index.ts'
import type { ModelSignature } from '../../../src/core/tensor/types.ts'
import type { TrialPlan } from '../../../src/core/trial/plan.ts'
import type { RunAll } from '../../../src/core/trial/rows.ts'
import { tryOut } from '../../../src/core/trial/try.ts'
import { rehearse, warmUp } from '../../../src/core/trial/warm-up.ts'
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

const answerAll: RunAll = async (runs) => runs.map(answer)

const depsWith = (
  config: { batching?: typeof batching | false; warmup?: Record<string, unknown>[] } = {},
  runAll: RunAll = answerAll,
) => ({
  clock: createSimulatedClock(),
  signature,
  config: { batching, warmup: [], loadTimeoutMs: 1000, ...config } as never,
  take: (sample: PredictInputs) => checkInputs(signature, sample, { maxElements: 1000 }),
  findMixing: async () => undefined,
  tryOut: async (plan: TrialPlan) => tryOut(plan, { fetches: ['y'], runAll }),
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
  const warmup = await warmUp(willing(), deps)
  expect(warmup.batching.cap).toBe(8)
  const next = willing()
  expect(await rehearse(next, warmup, deps)).toBeUndefined()
  // In one message: nothing is posted to an instance that was closed meanwhile.
  expect(next.ran.map((runs) => runs.map(rowsOf))).toEqual([[1, 3, 1, 8]])
  // Samples outlive the runs that give their memory away.
  const tensors = next.ran[0]?.map(({ inputs }) => inputs.x)
  expect(Array.from(tensors?.[0]?.data as Float32Array)).toEqual([1, 2])
  expect(new Set(tensors?.map((tensor) => tensor && (tensor.data as Float32Array).buffer)).size).toBe(4)
  await rehearse(next, warmup, deps)
  expect(next.ran[1]?.map(({ inputs }) => inputs.x?.data)).toEqual(next.ran[0]?.map(({ inputs }) => inputs.x?.data))
})

test('an instance runs nothing that is made up without batching, or where there are samples', async () => {
  const off = { ...depsWith({ batching: false }), tryOut: async () => expect.fail('inputs were made up') }
  const first = willing()
  const warmup = await warmUp(first, off)
  const next = willing()
  await rehearse(next, warmup, off)
  expect([first.ran, next.ran]).toEqual([[], []])

  const sample = {
    x: [
      [7, 8],
      [9, 10],
    ],
  }
  const given = willing()
  await warmUp(given, depsWith({ warmup: [sample] }))
  const values = given.ran.flat().flatMap(({ inputs }) => Array.from(inputs.x?.data as Float32Array))
  expect(new Set(values)).toEqual(new Set([7, 8, 9, 10]))
})

test('an instance runs no made-up inputs but those that were tried, in no other sizes', async () => {
  const tried: string[] = []
  const shown = ({ inputs }: Run): string => JSON.stringify([inputs.x?.dims, Array.from(inputs.x?.data as Float32Array)])
  const deps = depsWith({}, async (runs) => {
    tried.push(...runs.map(shown))
    return runs.map(answer)
  })
  const first = willing()
  const warmup = await warmUp(first, deps)
  expect(warmup.batching.info.enabled).toBe(true)
  const next = willing()
  await rehearse(next, warmup, deps)
  for (const run of [...first.ran.flat(), ...next.ran.flat()]) expect(tried).toContain(shown(run))
})

test('a model that could not be tried is served unbatched, with the reason, and runs nothing', async () => {
  const deps = { ...depsWith(), tryOut: async () => 'its process was killed' }
  const first = willing()
  const warmup = await warmUp(first, deps)
  expect(warmup.batching.info).toEqual({
    state: 'untried',
    enabled: false,
    reason: 'it was not tried: its process was killed',
    maxSize: 1,
  })
  expect([first.ran, warmup.rehearsal()]).toEqual([[], []])
})

test('a run that fails is told and costs nothing; a lost worker is told the same way', async () => {
  const deps = depsWith()
  const warmup = await warmUp(willing(), deps)
  const error = new ModelmountError('INFERENCE_FAILED', 'out of memory')
  const failing = instanceThat((runs, done) => done(runs.map((run, i) => (i === 0 ? answer(run) : { error, inferMs: 1 }))))
  expect(await rehearse(failing, warmup, deps)).toBe('out of memory')
  const dying = instanceThat((_, done) => done('lost'))
  expect(await rehearse(dying, warmup, deps)).toMatch(/lost/)
})

test('a model that takes no made-up inputs has nothing to rehearse', async () => {
  const error = new ModelmountError('INPUT_REJECTED', 'no')
  const deps = depsWith({}, async (runs) => runs.map(() => ({ error, inferMs: 0 })))
  const warmup = await warmUp(willing(), deps)
  const next = willing()
  expect(await rehearse(next, warmup, deps)).toBeUndefined()
  expect(next.ran).toEqual([])
})

test.each(['first', 'further'] as const)('a %s instance that hangs is given up after loadTimeoutMs', async (which) => {
  const deps = depsWith()
  const warmup = which === 'further' ? await warmUp(willing(), deps) : undefined
  const hanging = instanceThat(() => {})
  const warm = warmup ? rehearse(hanging, warmup, deps) : warmUp(hanging, deps)
  const refused = expect(warm).rejects.toMatchObject({
    code: 'MODEL_LOAD_FAILED',
    message: expect.stringContaining('loadTimeoutMs (1000 ms)'),
  })
  await deps.clock.letPass(1001)
  await refused
})
