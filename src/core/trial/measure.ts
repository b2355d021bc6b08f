/** Measures the cost of a run of n rows. */

import type { TensorRecord } from '../engine/frame.ts'
import type { ModelAxes } from '../scheduler/axes.ts'
import { copyAll, join } from '../scheduler/join.ts'
import type { Trial } from './rows.ts'

/** Time limit of one pass over the sizes; a slow model is judged by fewer sizes. */
const PASS_MS = 250
/** Every model gets this many passes, as far as half of that time allows. */
const PASSES = 3
/** A pass whose runs are shorter than this share of the known times shows that the machine was disturbed before: measure again. */
const SETTLED = 0.97
/** Time limit of all repetitions. */
const MEASURE_MS = 3 * PASS_MS
const FIRST_TRIES = 2
const MORE_TRIES = 10
/** Runs shorter than this get a second, longer look, which costs little. */
const SHORT_MS = 0.2
/** Size limit for copies of inputs in that look, because they are made on the event loop. */
const MORE_BYTES = 4 * 2 ** 20

export interface Point {
  readonly rows: number
  /** Shortest of several runs: noise only ever adds. */
  readonly ms: number
  /** Time of joining the inputs and cutting the outputs apart; nothing for one row. */
  readonly copyMs: number
}

/**
 * Into fresh memory, where it is faulted in page by page: 6 to 8 GB/s were measured for some megabytes. It matters only for rows that are
 * large beside their work, such as images that are hardly touched.
 */
const COPIED_BYTES_PER_MS = 6e6

interface Bounds {
  readonly maxRunMs: number
  /** The sizes that may be run: those that a trial has shown to be harmless. */
  readonly sizes: readonly number[]
}

/** The given single-row requests, repeated in turn to that number. */
export const rowsAt = (rows: readonly TensorRecord[], size: number): readonly TensorRecord[] =>
  Array.from({ length: size }, (_, i) => rows[i % rows.length] as TensorRecord)

/**
 * Measures runs of growing size until the bounds are met or the time is used up, then again, and on a busy machine again and again. A
 * neighbour that was busy for a moment must not decide the result.
 * @param rows requests of one row
 */
export async function measure(rows: readonly TensorRecord[], axes: ModelAxes, bounds: Bounds, trial: Trial): Promise<Point[]> {
  const points = new Map<number, Point>()
  const { elapsed: time = () => performance.now() } = trial
  const start = time()
  const elapsed = (): number => time() - start
  let settled = false
  // The first pass also warms caches and code up.
  for (let pass = 0; pass === 0 || (pass < PASSES && elapsed() < PASS_MS / 2) || (!settled && elapsed() < MEASURE_MS); pass++) {
    const passStart = time()
    settled = pass > 0
    for (const size of bounds.sizes) {
      const found = await shortest(join(rowsAt(rows, size), axes), trial)
      if (found === undefined) break
      const { ms, bytes } = found
      const known = points.get(size)?.ms ?? ms
      if (ms < SETTLED * known) settled = false
      points.set(size, { rows: size, ms: Math.min(ms, known), copyMs: size === 1 ? 0 : bytes / COPIED_BYTES_PER_MS })
      // The next size may take twice as long, several times.
      if (ms > bounds.maxRunMs || time() - passStart + 2 * FIRST_TRIES * ms > PASS_MS) break
    }
  }
  return [...points.values()]
}

/** The shortest run, and the bytes that went in and came out of it. */
async function shortest(
  inputs: TensorRecord,
  { fetches, runAll }: Trial,
): Promise<{ readonly ms: number; readonly bytes: number } | undefined> {
  let best = Number.POSITIVE_INFINITY
  let bytes = 0
  for (const tries of [FIRST_TRIES, MORE_TRIES]) {
    if (tries === MORE_TRIES && (best > SHORT_MS || tries * bytes > MORE_BYTES)) break
    // Large tensors are given away with the message, so that each run needs its own.
    const outcomes = await runAll(Array.from({ length: tries }, () => ({ inputs: copyAll(inputs), fetches })))
    for (const outcome of outcomes) {
      if ('error' in outcome) return undefined
      best = Math.min(best, outcome.inferMs)
      bytes = bytesOf(inputs) + bytesOf(outcome.outputs)
    }
  }
  return { ms: best, bytes }
}

/** Strings are not worth counting: a model of strings takes far longer than they do. */
const bytesOf = (tensors: TensorRecord): number =>
  Object.values(tensors).reduce((sum, { type, data }) => sum + (type === 'string' ? 0 : data.byteLength), 0)
