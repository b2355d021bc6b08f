/** Looks for rows that influence each other, by running them alone and together. */

import type { TensorRecord } from '../engine/frame.ts'
import type { ModelAxes } from '../scheduler/axes.ts'
import { split } from '../scheduler/batch.ts'
import { copyAll, copySome, join } from '../scheduler/join.ts'
import type { Ragged } from '../scheduler/ragged.ts'
import { sameWithin } from './compare.ts'
import { rowsAt } from './measure.ts'
import { inputAlike, type MakeRow, runOne, type Trial } from './rows.ts'

/**
 * Neighbours of each row: each a seed and a factor. A model may let rows influence each other only for unusual values, or heed only the
 * first or last row. The first row therefore stands in all places, and beside quiet, loud and other neighbours.
 */
const NEIGHBOURHOODS: readonly (readonly (readonly [seed: number, scale: number])[])[] = [
  [
    [1, 1],
    [2, 1],
    [3, 1],
  ],
  [
    [4, 1],
    [5, 1],
    [1, 1],
  ],
  [
    [1, 1],
    [2, -1000],
    [3, 1],
  ],
  [
    [2, 1e6],
    [1, 1],
    [3, 1],
  ],
  [
    [1, 1],
    [2, 20],
    [3, -20],
  ],
]

/** Results of rows that ran alone and together. */
type Finding = 'alone-failed' | 'together-failed' | 'no-rows' | { readonly differs: string }

const SENTENCES = {
  'alone-failed': 'the model fails on single rows',
  'together-failed': 'the model fails when given more than one row',
  'no-rows': 'the outputs do not have as many rows as the inputs',
} as const

/**
 * Looks for a difference between rows that run together and the same rows alone.
 * @param mask an input that is the same in all rows, because it only says that nothing is padded
 * @returns the difference, or nothing
 */
export async function refute(makeRow: MakeRow, axes: ModelAxes, trial: Trial, mask?: string): Promise<string | undefined> {
  const alike = inputAlike(
    makeRow,
    Object.keys(axes.inputs).filter((name) => name !== mask),
  )
  if (alike !== undefined)
    return `no rows that differ in input '${alike}' were taken, so batching could not be tried: give it samples in warmup that differ there`
  for (const neighbourhood of NEIGHBOURHOODS) {
    const rows = sharing(
      neighbourhood.map(([seed, scale]) => makeRow(seed, scale)),
      axes,
    )
    const cut = (outputs: TensorRecord) => split(outputs, ONE_EACH, axes.outputs)
    const finding = await compare(rows, join(rows, axes), cut, trial)
    const isUsual = neighbourhood === NEIGHBOURHOODS[0]
    // Values that the model refuses by themselves prove nothing about sharing.
    if (finding === undefined || (finding === 'alone-failed' && !isUsual)) continue
    if (typeof finding === 'string') return SENTENCES[finding]
    return `output '${finding.differs}' of a row changes when other rows run beside it`
  }
  return undefined
}

const ONE_EACH = [1, 1, 1]

/** The same for a run of that many rows, repeating the given ones: a model may depend on their number. */
export async function refuteSize(
  given: readonly TensorRecord[],
  size: number,
  axes: ModelAxes,
  trial: Trial,
): Promise<string | undefined> {
  const rows = sharing(given, axes)
  const cut = (outputs: TensorRecord) =>
    split(
      outputs,
      Array.from({ length: size }, () => 1),
      axes.outputs,
    )
  const finding = await compare(rows, join(rowsAt(rows, size), axes), cut, trial)
  if (finding === undefined) return undefined
  return typeof finding === 'string'
    ? SENTENCES[finding]
    : `output '${finding.differs}' of a row changes when ${size - 1} other rows run beside it`
}

/** Only the long row is loud: it is the one without padding. */
const PADDING_SCALES = [1, -1000]

const PADDING_SENTENCES = {
  'alone-failed': 'the model fails on shorter rows',
  'together-failed': 'the model fails when rows are filled up',
  'no-rows': 'an output does not have the length that went in',
} as const

/** The same for rows of different lengths that are padded to run together. */
export async function refutePadding(
  makeRow: MakeRow,
  axes: ModelAxes,
  ragged: Ragged,
  trial: Trial,
): Promise<string | undefined> {
  for (const scale of PADDING_SCALES) {
    const whole = sharing([makeRow(1, 1), makeRow(2, scale), makeRow(3, 1)], axes)
    const length = ragged.lengthOf(whole[1] ?? {}) ?? 0
    if (length < 2) return 'no row was longer than one, so that filling up could not be tried: give a longer sample in warmup'
    const lengths = [Math.max(1, length >> 2), length, Math.max(1, length - 1)]
    const rows = whole.map((row, i) => ragged.shorten(row, lengths[i] ?? length))
    const cut = (outputs: TensorRecord): readonly TensorRecord[] | undefined => ragged.split(outputs, ONE_EACH, rows)
    const finding = await compare(rows, ragged.join(rows), cut, trial)
    if (finding === undefined || (finding === 'alone-failed' && scale !== 1)) continue
    return typeof finding === 'string'
      ? PADDING_SENTENCES[finding]
      : `output '${finding.differs}' of a row changes when it is filled up`
  }
  return undefined
}

async function compare(
  rows: readonly TensorRecord[],
  joined: TensorRecord,
  cut: (outputs: TensorRecord) => readonly TensorRecord[] | undefined,
  trial: Trial,
): Promise<Finding | undefined> {
  const together = await runOne(trial, joined)
  const alone = await trial.runAll(rows.map((inputs) => ({ inputs: copyAll(inputs), fetches: trial.fetches })))
  if (alone.some((outcome) => 'error' in outcome)) return 'alone-failed'
  if ('error' in together) return 'together-failed'
  const pieces = cut(together.outputs)
  if (!pieces) return 'no-rows'
  for (const [index, piece] of pieces.entries()) {
    const outcome = alone[index % alone.length]
    for (const name of trial.fetches) {
      const [a, b] = [outcome && 'outputs' in outcome ? outcome.outputs[name] : undefined, piece[name]]
      if (!a || !b || !sameWithin(a, b)) return { differs: name }
    }
  }
  return undefined
}

/** The rows with the shared inputs of the first: only such rows may run together. */
const sharing = (rows: readonly TensorRecord[], { shared }: ModelAxes): readonly TensorRecord[] =>
  rows.map((row) => ({ ...row, ...copySome(rows[0] ?? {}, shared) }))
