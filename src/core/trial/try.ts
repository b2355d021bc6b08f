/** A trial, as the child runs it: no made-up input leaves the child before it was seen to do no harm. */

import type { TensorRecord } from '../engine/frame.ts'
import { axesOf, type ModelAxes } from '../scheduler/axes.ts'
import { findRagged } from '../scheduler/batching.ts'
import { join } from '../scheduler/join.ts'
import type { BatchSettings } from '../scheduler/options.ts'
import type { Ragged } from '../scheduler/ragged.ts'
import { sizesFor } from '../scheduler/sizes.ts'
import { rowsAt } from './measure.ts'
import type { Found, TrialPlan } from './plan.ts'
import { refute, refutePadding, refuteSize } from './refute.ts'
import {
  findMade,
  firstRows,
  MAX_MADE_UP,
  type MakeRow,
  makerOf,
  rowsFrom,
  runOne,
  sizesWithin,
  TOGETHER,
  type Trial,
} from './rows.ts'

/** Time inside ONNX Runtime for trying the sizes; a slow model is judged by fewer. */
const SIZES_MS = 1000
/** A run with more output elements is the last: the next size may need twice the memory. */
const MAX_ANSWER = 2 ** 22

const TOO_LARGE = `a row has more elements than are made up for a run (${MAX_MADE_UP}): give the model samples in warmup`

const REFUSED = 'the model refused made-up inputs, so batching could not be tried: give it a sample in warmup'

const NOTHING: Found = { rows: [], lack: undefined, refuted: undefined, padding: undefined, sizes: [] }

/** @param opts.rowsOnly ends once the model has run */
export async function tryOut(plan: TrialPlan, trial: Trial, opts: { readonly rowsOnly?: boolean } = {}): Promise<Found> {
  const found = await tryRows(plan, trial, opts)
  return opts.rowsOnly ? found : { ...found, example: await firstTaken(plan.examples ?? [], trial) }
}

async function firstTaken(examples: readonly TensorRecord[], trial: Trial): Promise<number | undefined> {
  for (const [index, example] of examples.entries()) if (!('error' in (await runOne(trial, example)))) return index
  return undefined
}

async function tryRows(plan: TrialPlan, trial: Trial, opts: { readonly rowsOnly?: boolean }): Promise<Found> {
  const { signature, settings, given } = plan
  const axes = axesOf(signature, settings.axes)
  const known = typeof axes === 'string' ? undefined : axes
  const found = findRagged(signature, settings)
  const ragged = typeof found === 'object' ? found : undefined

  if (given.length > 0) {
    if (!known || opts.rowsOnly) return { ...NOTHING, rows: given }
    const makeRow = await rowsFrom(given, batchedOf(known, ragged), trial)
    return prove(makeRow, given, known, ragged, settings, trial)
  }
  const together = known && sizesWithin(signature, known, TOGETHER).length > 0 ? TOGETHER : 1
  if (sizesWithin(signature, known, together).length === 0) return { ...NOTHING, lack: TOO_LARGE }
  const made = await findMade(signature, known, ragged, trial, together)
  if (!made) return { ...NOTHING, lack: REFUSED }
  const makeRow = makerOf(signature, known, ragged, made)
  if (!known || together < TOGETHER || opts.rowsOnly) return { ...NOTHING, rows: [makeRow(1, 1)], made, lack: known && TOO_LARGE }
  const rows = firstRows(makeRow)
  const maxElements = Math.min(settings.maxElements, MAX_MADE_UP)
  return { ...(await prove(makeRow, rows, known, ragged, { ...settings, maxElements }, trial)), made }
}

async function prove(
  makeRow: MakeRow,
  rows: readonly TensorRecord[],
  axes: ModelAxes,
  ragged: Ragged | undefined,
  settings: BatchSettings,
  trial: Trial,
): Promise<Found> {
  const refuted = await refute(makeRow, axes, trial, ragged?.mask)
  if (refuted) return { ...NOTHING, rows, refuted }
  const padding = ragged && (await refutePadding(makeRow, axes, ragged, trial))
  const sizes = await trySizes(rows, axes, settings, trial)
  const largest = sizes.at(-1) ?? 1
  // One of them is odd: some models mix rows only in runs of certain sizes.
  for (const size of [largest - 1, largest]) {
    const refutedLater = size > TOGETHER ? await refuteSize(rows, size, axes, trial) : undefined
    if (refutedLater) return { ...NOTHING, rows, refuted: refutedLater }
  }
  return { ...NOTHING, rows, padding, sizes }
}

/** Inputs in which rows differ: a mask only says that nothing is padded. */
const batchedOf = (axes: ModelAxes, ragged: Ragged | undefined): readonly string[] =>
  Object.keys(axes.inputs).filter((name) => name !== ragged?.mask)

/** Runs each size that will be measured once, with the very inputs of the measurement. */
async function trySizes(
  rows: readonly TensorRecord[],
  axes: ModelAxes,
  { maxSize, maxElements, maxRunMs }: BatchSettings,
  trial: Trial,
): Promise<number[]> {
  const tried: number[] = []
  let spentMs = 0
  for (const size of sizesFor(rows[0] ?? {}, { maxSize, maxElements })) {
    const outcome = await runOne(trial, join(rowsAt(rows, size), axes))
    if ('error' in outcome) break
    tried.push(size)
    const answered = Object.values(outcome.outputs).reduce((sum, { data }) => sum + data.length, 0)
    const { inferMs } = outcome
    spentMs += inferMs
    // The next size may take twice as long.
    if (inferMs > maxRunMs || answered > MAX_ANSWER || spentMs + 2 * inferMs > SIZES_MS) break
  }
  return tried
}
