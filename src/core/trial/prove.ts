/**
 * Whether a model's requests may share a run, and whether that pays. It is read from the signature, then proved with the model itself. A
 * dynamic first dimension does not promise that rows are independent, or that more of them are cheaper.
 */

import type { TensorRecord } from '../engine/frame.ts'
import { axesOf, type ModelAxes } from '../scheduler/axes.ts'
import { type BatchAxes, rowsOf } from '../scheduler/batch.ts'
import { type Batching, createBatching, cutInputs, findRagged, unbatched } from '../scheduler/batching.ts'
import { createCurve } from '../scheduler/curve.ts'
import type { BatchSettings } from '../scheduler/options.ts'
import { sizesFor } from '../scheduler/sizes.ts'
import type { BatchingInfo } from '../scheduler/types.ts'
import type { ModelSignature } from '../tensor/types.ts'
import { measure, type Point } from './measure.ts'
import type { Found } from './plan.ts'
import { type RunAll, runOne } from './rows.ts'

/** Below this gain, copying takes more than it saves. */
const MIN_GAIN = 1.15
/** The cap is the smallest size that has this share of the best gain: beyond it only latency grows. */
const ENOUGH = 0.95

/** Most used rows of one sample; more prove no more. */
const ROWS_OF_SAMPLE = 16

export interface ProvenBatching {
  readonly batching: Batching
  /** Single-row requests that the model accepts, given or made up. */
  readonly rows: readonly TensorRecord[]
  /** Most of them that may run together before requests do. */
  readonly most: number
}

interface Deps {
  /** The findings of a trial, or why there was none. */
  readonly tried: Found | string
  /** Runs on the instance that will serve: only there does a run have its later cost. */
  readonly runAll: RunAll
  /** Looks for an operator that certainly lets rows influence each other; a trial can only refute, and not for all values. */
  findMixing(rows: BatchAxes): Promise<string | undefined>
}

/**
 * Decides by the findings of a trial, and by the cost of runs on the serving instance. It runs only what the trial showed to be harmless,
 * which also warms the instance up. Never rejects: a model that cannot be judged is served unbatched.
 */
export async function proveBatching(
  signature: ModelSignature,
  settings: BatchSettings | false,
  { tried, runAll, findMixing }: Deps,
): Promise<ProvenBatching> {
  const curve = createCurve()
  const trial = { runAll, fetches: signature.outputs.map((output) => output.name) }
  const axes = settings === false ? 'switched off' : axesOf(signature, settings.axes)
  const found = findRagged(signature, settings)
  const ragged = typeof found === 'object' ? found : undefined
  const { rows, lack, refuted, padding: unpadded, sizes: allowed } = typeof tried === 'string' ? untried(tried) : tried
  const alone = async (reason: string): Promise<ProvenBatching> => {
    if (rows[0]) await runOne(trial, rows[0])
    const batching = unbatched(reason, curve)
    const proof = { rows, most: 1 }
    if (found === undefined) return { ...proof, batching }
    const padding = { enabled: false, reason: typeof found === 'string' ? found : 'requests do not share runs' }
    return { ...proof, batching: { ...batching, info: { ...batching.info, padding } } }
  }
  if (settings === false || typeof axes === 'string') return alone(String(axes))
  if (lack) return alone(lack)

  const mixing = refuted || !settings.independentRows ? await findMixing(axes.inputs) : undefined
  if (refuted) return alone(mixing ? `${refuted}: ${mixing}` : refuted)
  if (mixing) return alone(`${mixing}; where that does no harm, say so with batching.independentRows`)
  const points = await measure(rows, axes, { maxRunMs: settings.maxRunMs, sizes: allowed }, trial)
  for (const { rows, ms } of points) curve.observe(rows, ms)
  const verdict = judge(points, settings)
  if (typeof verdict === 'string') return alone(verdict)
  const padding = found === undefined ? undefined : judgePadding(typeof found === 'string' ? found : unpadded)
  const sizes = sizesFor(rows[0] ?? {}, settings)
  const batching = createBatching(signature, axes, settings, { ...verdict, curve, sizes, ragged, padding })
  return { batching, rows, most: allowed.at(-1) ?? 1 }
}

const untried = (why: string): Found => ({
  rows: [],
  lack: `it was not tried: ${why}`,
  refuted: undefined,
  padding: undefined,
  sizes: [],
})

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

const judgePadding = (problem: string | undefined): NonNullable<BatchingInfo['padding']> =>
  problem === undefined
    ? { enabled: true, reason: 'filled-up rows were answered as they are alone' }
    : { enabled: false, reason: problem }

/** The size worth batching for, or why there is none. */
function judge(points: readonly Point[], { maxRunMs }: BatchSettings): { readonly cap: number; readonly gain: number } | string {
  const single = points[0]?.ms
  if (single === undefined || points.length < 2) return 'one run takes too long to try larger ones'
  const gains = points
    .filter(({ ms }) => ms <= maxRunMs)
    .map(({ rows, ms, copyMs }) => ({ rows, gain: Math.min(rows, (rows * single) / (ms + copyMs)) }))
  const best = Math.max(1, ...gains.map(({ gain }) => gain))
  if (best < MIN_GAIN) return `batching gains nothing: ${best.toFixed(2)} times the rows per second at best`
  const enough = gains.find(({ gain }) => gain >= ENOUGH * best)
  return { cap: enough?.rows ?? 1, gain: enough?.gain ?? 1 }
}
