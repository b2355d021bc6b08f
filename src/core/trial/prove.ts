/**
 * Whether a model's requests may share a run, and whether that pays. It is read from the signature, then proved with the model itself. A
 * dynamic first dimension does not promise that rows are independent, or that more of them are cheaper.
 */

import type { TensorRecord } from '../engine/frame.ts'
import { axesOf, type ModelAxes } from '../scheduler/axes.ts'
import { type BatchAxes, rowsOf } from '../scheduler/batch.ts'
import { cutInputs } from '../scheduler/batching.ts'
import type { BatchSettings } from '../scheduler/options.ts'
import type { ModelSignature } from '../tensor/types.ts'
import { type Evidence, foundIn } from './conclude.ts'
import { measure } from './measure.ts'
import type { Found } from './plan.ts'
import { type RunAll, runOne } from './rows.ts'

/** Most used rows of one sample; more prove no more. */
const ROWS_OF_SAMPLE = 16

export interface ProofDeps {
  /** The findings of a trial, or why there was none. */
  readonly tried: Found | string
  /** Runs on the instance that will serve: only there does a run have its later cost. */
  readonly runAll: RunAll
  /** Milliseconds that runs have taken. @default those of the clock */
  readonly elapsed?: (() => number) | undefined
  /** Looks for an operator that certainly lets rows influence each other; a trial can only refute, and not for all values. */
  findMixing(rows: BatchAxes): Promise<string | undefined>
}

/**
 * Adds the cost of runs on the serving instance to the findings of a trial. It runs only what the trial showed to be harmless, which also warms
 * the instance up. Never rejects.
 */
export async function prove(signature: ModelSignature, settings: BatchSettings | false, deps: ProofDeps): Promise<Evidence> {
  const { tried, runAll, elapsed, findMixing } = deps
  const trial = { runAll, elapsed, fetches: signature.outputs.map((output) => output.name) }
  const axes = settings === false ? 'switched off' : axesOf(signature, settings.axes)
  const { rows, lack, refuted, sizes } = foundIn(tried)
  if (settings !== false && typeof axes !== 'string' && !lack) {
    const mixing = refuted || !settings.independentRows ? await findMixing(axes.inputs) : undefined
    if (!refuted && !mixing)
      return { tried, mixing, points: await measure(rows, axes, { maxRunMs: settings.maxRunMs, sizes }, trial) }
    if (rows[0]) await runOne(trial, rows[0])
    return { tried, mixing, points: [] }
  }
  if (rows[0]) await runOne(trial, rows[0])
  return { tried, mixing: undefined, points: [] }
}

/** The rows of the samples, each as a request, as far as they have the same shapes. */
export function rowsOfSamples(samples: readonly TensorRecord[], axes: ModelAxes): readonly TensorRecord[] {
  return alike(samples.flatMap((sample) => singlesOf(sample, axes)))
}

/** The rows of a sample, each as a request. */
function singlesOf(sample: TensorRecord, axes: ModelAxes): readonly TensorRecord[] {
  const rows = rowsOf(sample, axes.inputs) ?? 0
  if (rows <= 1) return rows === 1 ? [sample] : []
  const used = Math.min(rows, ROWS_OF_SAMPLE)
  const sizes = [...Array.from({ length: used }, () => 1), ...(rows > used ? [rows - used] : [])]
  return cutInputs(sample, sizes, axes)?.slice(0, used) ?? []
}

/** Those with the shapes of the first: only they can run together in any case. */
function alike(samples: readonly TensorRecord[]): readonly TensorRecord[] {
  const shapes = (sample: TensorRecord | undefined): string =>
    JSON.stringify(Object.entries(sample ?? {}).map(([name, { dims }]) => [name, dims]))
  return samples.filter((sample) => shapes(sample) === shapes(samples[0]))
}
