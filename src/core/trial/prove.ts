/**
 * Whether a model's requests may share a run, and whether that pays. Read from the signature, then proved with the model itself: a dynamic
 * first dimension is no promise that rows do not influence each other, or that more of them are cheaper.
 */

import type { TensorRecord } from '../engine/frame.ts'
import { axesOf, type ModelAxes } from '../scheduler/axes.ts'
import { type BatchAxes, rowsOf } from '../scheduler/batch.ts'
import { type Batching, type BatchSettings, createBatching, findRagged, unbatched } from '../scheduler/batching.ts'
import { createCurve } from '../scheduler/curve.ts'
import type { Ragged } from '../scheduler/ragged.ts'
import { sizesFor } from '../scheduler/sizes.ts'
import type { BatchingInfo, ModelSignature } from '../types.ts'
import { measure, type Point } from './measure.ts'
import { refute, refutePadding } from './refute.ts'
import { findRows, type MakeRow, type RunAll, rowsFrom, type Trial } from './rows.ts'

/** Less than this and the copying eats the gain. */
const MIN_GAIN = 1.15
/** The cap is the smallest size that has this share of the best gain: beyond it only latency grows. */
const ENOUGH = 0.95

export interface Proof {
  readonly batching: Batching
  /** Single-row requests that the model takes, given or made up; nothing when it took none. */
  readonly makeRow: MakeRow | undefined
}

/**
 * Runs the model a few times, which also warms it up, and decides. Never rejects: a model that cannot be judged is served unbatched.
 * @param findMixing looks for an operator that certainly lets rows influence each other; trying can only refute, and not for all values
 */
export async function proveBatching(
  signature: ModelSignature,
  settings: BatchSettings | false,
  samples: readonly TensorRecord[],
  runAll: RunAll,
  findMixing: (rows: BatchAxes) => Promise<string | undefined>,
): Promise<Proof> {
  const curve = createCurve()
  const trial = { runAll, fetches: signature.outputs.map((output) => output.name) }
  const axes = settings === false ? 'switched off' : axesOf(signature, settings.axes)
  const found = findRagged(signature, settings)
  const ragged = typeof found === 'object' ? found : undefined
  const given = typeof axes === 'string' ? [] : alike(samples.filter((sample) => rowsOf(sample, axes.inputs) === 1))
  const makeRow =
    given.length > 0
      ? await rowsFrom(given, batchedOf(axes, ragged), trial)
      : await findRows(signature, typeof axes === 'string' ? undefined : axes, ragged, trial)
  const alone = (reason: string): Proof => {
    const batching = unbatched(reason, curve)
    if (found === undefined) return { batching, makeRow }
    const padding = { enabled: false, reason: typeof found === 'string' ? found : 'requests do not share runs' }
    return { batching: { ...batching, info: { ...batching.info, padding } }, makeRow }
  }
  if (settings === false || typeof axes === 'string') return alone(String(axes))
  if (!makeRow) return alone('the model refused made-up inputs, so batching could not be tried')

  const refuted = await refute(makeRow, axes, trial, ragged?.mask)
  const mixing = refuted || !settings.independentRows ? await findMixing(axes.inputs) : undefined
  if (refuted) return alone(mixing ? `${refuted}: ${mixing}` : refuted)
  if (mixing) return alone(`${mixing}; where that does no harm, say so with batching.independentRows`)
  const points = await measure(makeRow, axes, settings, trial)
  for (const { rows, ms } of points) curve.observe(rows, ms)
  const verdict = judge(points, settings)
  if (typeof verdict === 'string') return alone(verdict)
  const padding = found === undefined ? undefined : await judgePadding(makeRow, axes, found, trial)
  const sizes = sizesFor(makeRow(1, 1), settings)
  return { batching: createBatching(signature, axes, settings, { ...verdict, curve, sizes, ragged, padding }), makeRow }
}

/** Inputs in which rows differ: a mask says only that nothing is filled up. */
const batchedOf = (axes: ModelAxes | string, ragged: Ragged | undefined): readonly string[] =>
  typeof axes === 'string' ? [] : Object.keys(axes.inputs).filter((name) => name !== ragged?.mask)

/** Those with the shapes of the first: only they can be run together whatever the model does. */
function alike(samples: readonly TensorRecord[]): readonly TensorRecord[] {
  const shapes = (sample: TensorRecord | undefined): string =>
    JSON.stringify(Object.entries(sample ?? {}).map(([name, { dims }]) => [name, dims]))
  return samples.filter((sample) => shapes(sample) === shapes(samples[0]))
}

async function judgePadding(
  makeRow: MakeRow,
  axes: ModelAxes,
  ragged: Ragged | string,
  trial: Trial,
): Promise<NonNullable<BatchingInfo['padding']>> {
  const reason = typeof ragged === 'string' ? ragged : await refutePadding(makeRow, axes, ragged, trial)
  return reason === undefined
    ? { enabled: true, reason: 'filled-up rows were answered as they are alone' }
    : { enabled: false, reason }
}

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
