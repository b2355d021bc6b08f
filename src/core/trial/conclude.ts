/** The consequences of a proof: whether requests of a model share runs, and how. Nothing runs here. */

import type { TensorRecord } from '../engine/frame.ts'
import { axesOf } from '../scheduler/axes.ts'
import { type Batching, createBatching, findRagged, unbatched } from '../scheduler/batching.ts'
import { createCurve } from '../scheduler/curve.ts'
import type { BatchSettings } from '../scheduler/options.ts'
import { sizesFor } from '../scheduler/sizes.ts'
import type { BatchingInfo, BatchingState } from '../scheduler/types.ts'
import type { ModelSignature } from '../tensor/types.ts'
import type { KeptProof } from './kept/entry.ts'
import type { Point } from './measure.ts'
import type { Found, TrialPlan } from './plan.ts'
import { firstRows, type Made, makerOf } from './rows.ts'

/** Below this gain, copying takes more than it saves. */
const MIN_GAIN = 1.15
/** The cap is the smallest size that has this share of the best gain: beyond it only latency grows. */
const ENOUGH = 0.95

/** All that was found out about a model. */
export interface Evidence {
  /** The findings of a trial, or why there was none. */
  readonly tried: Found | string
  /** An operator of its graph that lets rows influence each other, as a sentence. */
  readonly mixing: string | undefined
  /** The cost of runs, smallest size first; none where that does not matter. */
  readonly points: readonly Point[]
}

/** As it is kept; `undefined` for a model that could not be tried or measured, which a later start may well do. */
export function keptOf({ tried, mixing, points }: Evidence, on: Pick<KeptProof, 'provider' | 'at'>): KeptProof | undefined {
  if (typeof tried === 'string') return undefined
  const { rows, ...found } = tried
  const isWhole = found.lack !== undefined || found.refuted !== undefined || mixing !== undefined || points.length > 0
  return isWhole ? { found, rows: rows.length, mixing, points, ...on } : undefined
}

/** @param plan the trial that would be wanted, of which the rows are */
export function evidenceOf({ found, rows, mixing, points }: KeptProof, plan: TrialPlan | undefined): Evidence {
  return { tried: { ...found, rows: rowsAgain(found.made, rows, plan) }, mixing, points }
}

/** The very rows that were tried. */
function rowsAgain(made: Made | undefined, count: number, plan: TrialPlan | undefined): readonly TensorRecord[] {
  if (!plan || plan.given.length > 0 || !made) return plan?.given ?? []
  const { signature, settings } = plan
  const axes = axesOf(signature, settings.axes)
  const ragged = findRagged(signature, settings)
  const makeRow = makerOf(
    signature,
    typeof axes === 'string' ? undefined : axes,
    typeof ragged === 'object' ? ragged : undefined,
    made,
  )
  return firstRows(makeRow).slice(0, count)
}

export interface ProvenBatching {
  readonly batching: Batching
  /** Single-row requests that the model accepts, given or made up. */
  readonly rows: readonly TensorRecord[]
  /** Most of them that may run together before requests do. */
  readonly most: number
}

/** Never fails: a model that cannot be judged is served unbatched. */
export function conclude(
  signature: ModelSignature,
  settings: BatchSettings | false,
  { tried, mixing, points }: Evidence,
): ProvenBatching {
  const curve = createCurve()
  const found = findRagged(signature, settings)
  const ragged = typeof found === 'object' ? found : undefined
  const { rows, lack, refuted, padding: unpadded, sizes: allowed } = foundIn(tried)
  const alone = (state: BatchingState, reason: string): ProvenBatching => {
    const batching = unbatched(reason, curve, state)
    const proof = { rows, most: 1 }
    if (found === undefined) return { ...proof, batching }
    const padding = { enabled: false, reason: typeof found === 'string' ? found : 'requests do not share runs' }
    return { ...proof, batching: { ...batching, info: { ...batching.info, padding } } }
  }
  const axes = settings === false ? 'switched off' : axesOf(signature, settings.axes)
  if (settings === false || typeof axes === 'string') return alone('off', String(axes))
  if (lack) return alone('untried', lack)
  if (refuted) return alone('refuted', mixing ? `${refuted}: ${mixing}` : refuted)
  if (mixing) return alone('refuted', `${mixing}; where that does no harm, say so with batching.independentRows`)
  for (const { rows, ms } of points) curve.observe(rows, ms)
  const verdict = judge(points, settings)
  if (typeof verdict === 'string') return alone('proved', verdict)
  const padding = found === undefined ? undefined : judgePadding(typeof found === 'string' ? found : unpadded)
  const sizes = sizesFor(rows[0] ?? {}, settings)
  const batching = createBatching(signature, axes, settings, { ...verdict, curve, sizes, ragged, padding })
  return { batching, rows, most: allowed.at(-1) ?? 1 }
}

/** The state of a model whose proof is still to come. A model that cannot share runs by its signature needs none. */
export function beforeProof(signature: ModelSignature, settings: BatchSettings | false): Batching {
  const ruledOut = settings === false || typeof axesOf(signature, settings.axes) === 'string'
  if (ruledOut) return conclude(signature, settings, { tried: 'there is nothing to try', mixing: undefined, points: [] }).batching
  const batching = unbatched('its rows are being proved independent', createCurve(), 'proving')
  if (findRagged(signature, settings) === undefined) return batching
  return { ...batching, info: { ...batching.info, padding: { enabled: false, reason: 'not tried yet' } } }
}

export const foundIn = (tried: Found | string): Found =>
  typeof tried === 'string'
    ? { rows: [], lack: `it was not tried: ${tried}`, refuted: undefined, padding: undefined, sizes: [] }
    : tried

const judgePadding = (problem: string | undefined): NonNullable<BatchingInfo['padding']> =>
  problem === undefined
    ? { enabled: true, reason: 'filled-up rows were answered as they are alone' }
    : { enabled: false, reason: problem }

/** The size worth batching for, or why there is none. */
function judge(points: readonly Point[], { maxRunMs }: BatchSettings): { readonly cap: number; readonly gain: number } | string {
  const single = points[0]?.ms
  if (single === undefined) return 'a run of one row failed while it was measured'
  if (points.length < 2) return 'one run takes too long to try larger ones'
  const gains = points
    .filter(({ ms }) => ms <= maxRunMs)
    .map(({ rows, ms, copyMs }) => ({ rows, gain: Math.min(rows, (rows * single) / (ms + copyMs)) }))
  const best = Math.max(1, ...gains.map(({ gain }) => gain))
  if (best < MIN_GAIN) return `batching gains nothing: ${best.toFixed(2)} times the rows per second at best`
  const enough = gains.find(({ gain }) => gain >= ENOUGH * best)
  return { cap: enough?.rows ?? 1, gain: enough?.gain ?? 1 }
}
