/** Single-row requests that a model takes: given, or made up. */

import type { TensorRecord } from '../engine/frame.ts'
import type { Run, RunOutcome } from '../engine/instance.ts'
import type { ModelAxes } from '../scheduler/axes.ts'
import { copyAll } from '../scheduler/join.ts'
import type { Ragged } from '../scheduler/ragged.ts'
import type { ModelSignature } from '../types.ts'
import { FREE_SIZES, INTEGERS, sampleInputs } from './samples.ts'

/** Runs one after the other, in one message: between hops a worker's caches go cold, and runs of microseconds would look slow. */
export type RunAll = (runs: readonly Run[]) => Promise<readonly RunOutcome[]>

/** Makes a single-row request; requests of different seeds differ. `scale` multiplies what is made up of floats. */
export type MakeRow = (seed: number, scale: number) => TensorRecord

export interface Trial {
  readonly fetches: readonly string[]
  readonly runAll: RunAll
}

export const runOne = async ({ fetches, runAll }: Trial, inputs: TensorRecord): Promise<RunOutcome> =>
  (await runAll([{ inputs: copyAll(inputs), fetches }]))[0] as RunOutcome

/** Made-up requests that the model takes, or nothing when it takes none. */
export async function findRows(
  signature: ModelSignature,
  axes: ModelAxes | undefined,
  ragged: Ragged | undefined,
  trial: Trial,
): Promise<MakeRow | undefined> {
  const mask = ragged?.mask
  for (const free of FREE_SIZES) {
    for (const integers of INTEGERS) {
      const make: MakeRow = (seed, scale) => {
        const inputs = sampleInputs(signature, { free, seed, scale, integers, axes: axes?.inputs })
        if (!ragged || mask === undefined) return inputs
        // At random it would hide what is to be seen, and all zeros is nothing a caller sends.
        delete inputs[mask]
        return ragged.complete(inputs)
      }
      if ('outputs' in (await runOne(trial, make(1, 1)))) return make
    }
    // Without free dimensions every size is the same.
    if (signature.inputs.every(({ dims }) => dims?.every((dim, i) => typeof dim === 'number' || i === 0))) break
  }
  return undefined
}

/** Rows that were given, in turn. */
export function rowsFrom(samples: readonly TensorRecord[]): MakeRow {
  return (seed) => samples[seed % samples.length] as TensorRecord
}
