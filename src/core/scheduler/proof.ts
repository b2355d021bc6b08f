/** Tries a model: does it run, do its rows keep out of each other's way, what does a run of n rows cost? */

import type { Memory } from '../engine/buffers.ts'
import type { TensorRecord } from '../engine/frame.ts'
import type { Run, RunOutcome } from '../engine/instance.ts'
import type { ModelSignature, Tensor } from '../types.ts'
import type { ModelAxes } from './axes.ts'
import { concat, split } from './batch.ts'
import type { Ragged } from './ragged.ts'
import { FREE_SIZES, INTEGERS, sameWithin, sampleInputs } from './samples.ts'

/** Runs one after the other, in one message: between hops a worker's caches go cold, and runs of microseconds would look slow. */
export type RunAll = (runs: readonly Run[]) => Promise<readonly RunOutcome[]>

/** Makes a single-row request; requests of different seeds differ. `scale` multiplies what is made up of floats. */
export type MakeRow = (seed: number, scale: number) => TensorRecord

export interface Trial {
  readonly fetches: readonly string[]
  readonly runAll: RunAll
}

const runOne = async ({ fetches, runAll }: Trial, inputs: TensorRecord): Promise<RunOutcome> =>
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

/** Made-up neighbours, quiet and loud: a model may let rows influence each other only where one of them is out of the ordinary. */
const SCALES = [1, -1000, 1e6]

/** What became of rows that ran alone and together. */
type Finding = 'alone-failed' | 'together-failed' | 'no-rows' | { readonly differs: string }

const SENTENCES = {
  'alone-failed': 'the model fails on single rows',
  'together-failed': 'the model fails when given more than one row',
  'no-rows': 'the outputs do not have as many rows as the inputs',
} as const

/**
 * Looks for a difference between rows that run together and the same rows alone.
 * @returns what was found, or nothing
 */
export async function refute(makeRow: MakeRow, axes: ModelAxes, trial: Trial): Promise<string | undefined> {
  for (const scale of SCALES) {
    const rows = sharing([makeRow(1, 1), makeRow(2, scale), makeRow(3, 1)], axes)
    const cut = (outputs: TensorRecord) => split(outputs, ONE_EACH, axes.outputs)
    const finding = await compare(rows, join(rows, axes), cut, trial)
    // Values that the model refuses by themselves prove nothing about sharing.
    if (finding === undefined || (finding === 'alone-failed' && scale !== 1)) continue
    if (typeof finding === 'string') return SENTENCES[finding]
    return `output '${finding.differs}' of a row changes when other rows run beside it`
  }
  return undefined
}

const ONE_EACH = [1, 1, 1]

/** Only the long row is loud: it is the one that is not filled up. */
const PADDING_SCALES = [1, -1000]

const PADDING_SENTENCES = {
  'alone-failed': 'the model fails on shorter rows',
  'together-failed': 'the model fails when rows are filled up',
  'no-rows': 'an output does not have the length that went in',
} as const

/** The same for rows of different lengths that are filled up to run together. */
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
    const cut = (outputs: TensorRecord): readonly TensorRecord[] | undefined => {
      const pieces = split(outputs, ONE_EACH, axes.outputs)
      return pieces && ragged.trim(pieces, rows)
    }
    const finding = await compare(rows, join(ragged.pad(rows), axes), cut, trial)
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
  for (const [index, outcome] of alone.entries()) {
    for (const name of trial.fetches) {
      const [a, b] = ['outputs' in outcome ? outcome.outputs[name] : undefined, pieces[index]?.[name]]
      if (!a || !b || !sameWithin(a, b)) return { differs: name }
    }
  }
  return undefined
}

/** The batched inputs joined, and the shared ones of the first. Never shares memory with the requests, which may have to run again. */
export function join(requests: readonly TensorRecord[], axes: ModelAxes, memory?: Memory): TensorRecord {
  return { ...concat(requests, axes.inputs, memory), ...copySome(requests[0] ?? {}, axes.shared, memory) }
}

/** The rows with the shared inputs of the first: only such may run together. */
const sharing = (rows: readonly TensorRecord[], { shared }: ModelAxes): readonly TensorRecord[] =>
  rows.map((row) => ({ ...row, ...copySome(rows[0] ?? {}, shared) }))

/** Copies of those tensors that are there. */
export function copySome(inputs: TensorRecord, names: readonly string[], memory?: Memory): TensorRecord {
  const copies: Record<string, Tensor> = Object.create(null)
  for (const name of names) {
    const tensor = inputs[name]
    if (!tensor) continue
    const data = tensor.type === 'string' ? tensor.data : memory ? memory.copy(tensor.data) : tensor.data.slice()
    copies[name] = { ...tensor, data } as Tensor
  }
  return copies
}

/** Sizes at which the cost is measured. */
const STEPS = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
/** Time that one pass over the sizes may take; a slow model is judged by fewer sizes. */
const PASS_MS = 250
/** Every model gets this many passes, as far as half of that time goes. */
const PASSES = 3
/** A pass that finds runs shorter than this share of what was known says that the machine was disturbed before: it is looked at again. */
const SETTLED = 0.97
/** Time after which nothing is looked at again. */
const MEASURE_MS = 3 * PASS_MS
const FIRST_TRIES = 2
const MORE_TRIES = 10
/** Runs shorter than this get a second, longer look, which costs little. */
const SHORT_MS = 0.2

export interface Point {
  readonly rows: number
  /** Shortest of several runs: noise only ever adds. */
  readonly ms: number
  /** What joining the inputs and cutting the outputs apart takes; nothing for one row. */
  readonly copyMs: number
}

/**
 * Into fresh memory, where it is faulted in page by page: 6 to 8 GB/s were measured for some megabytes. Only counts for rows that are large
 * beside the work that they make, such as images that are hardly touched.
 */
const COPIED_BYTES_PER_MS = 6e6

/** The sizes that a run may have, ascending. @param row one of its rows */
export function sizesFor(row: TensorRecord, bounds: { readonly maxSize: number; readonly maxElements: number }): number[] {
  const elements = Object.values(row).reduce((sum, { data }) => sum + data.length, 0)
  return [1, ...STEPS.filter((step) => step <= bounds.maxSize && step * elements <= bounds.maxElements)]
}

/**
 * Measures runs of growing size until the bounds are met or the time is used up, then again, and on a machine with other work again and again:
 * a neighbour that was busy for a moment must not decide what the model is worth.
 */
export async function measure(
  makeRow: MakeRow,
  axes: ModelAxes,
  bounds: { readonly maxSize: number; readonly maxRunMs: number; readonly maxElements: number },
  trial: Trial,
): Promise<Point[]> {
  const points = new Map<number, Point>()
  const rows = [makeRow(1, 1), makeRow(2, 1), makeRow(3, 1)]
  const sizes = sizesFor(rows[0] ?? {}, bounds)
  const start = performance.now()
  const elapsed = (): number => performance.now() - start
  let settled = false
  // The first pass also warms caches and code up.
  for (let pass = 0; pass === 0 || (pass < PASSES && elapsed() < PASS_MS / 2) || (!settled && elapsed() < MEASURE_MS); pass++) {
    const passStart = performance.now()
    settled = pass > 0
    for (const size of sizes) {
      const requests = Array.from({ length: size }, (_, i) => rows[i % 3] as TensorRecord)
      const found = await shortest(join(requests, axes), trial)
      if (found === undefined) break
      const { ms, bytes } = found
      const known = points.get(size)?.ms ?? ms
      if (ms < SETTLED * known) settled = false
      points.set(size, { rows: size, ms: Math.min(ms, known), copyMs: size === 1 ? 0 : bytes / COPIED_BYTES_PER_MS })
      // The next size may take twice as long, several times.
      if (ms > bounds.maxRunMs || performance.now() - passStart + 2 * FIRST_TRIES * ms > PASS_MS) break
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
    if (tries === MORE_TRIES && best > SHORT_MS) break
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

/** For runs that must not share memory: large tensors are given away with the message. */
export function copyAll(inputs: TensorRecord): TensorRecord {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() }]),
  ) as TensorRecord
}
