/** Single-row requests that a model accepts: given, or made up. */

import type { TensorRecord } from '../engine/frame.ts'
import type { Run, RunOutcome } from '../engine/run.ts'
import { ModelmountError } from '../errors.ts'
import type { ModelAxes } from '../scheduler/axes.ts'
import { copyAll } from '../scheduler/join.ts'
import type { Ragged } from '../scheduler/ragged.ts'
import { isFloat } from '../tensor/index.ts'
import type { ModelSignature } from '../tensor/types.ts'
import { FREE_SIZES, RANGES, sampleInputs } from './samples.ts'
import { equal, scaleFloats, VARIATIONS, varied } from './vary.ts'

/** Runs one after the other, in one message: between hops a worker's caches go cold, and runs of microseconds would look slow. */
export type RunAll = (runs: readonly Run[]) => Promise<readonly RunOutcome[]>

/** Makes a single-row request; requests of different seeds differ. `scale` multiplies made-up floats. */
export type MakeRow = (seed: number, scale: number) => TensorRecord

/** For runs on a worker that has gone. */
export const LOST: RunOutcome = {
  error: new ModelmountError('WORKER_LOST', 'the worker was lost while warming up'),
  inferMs: 0,
}

export interface Trial {
  readonly fetches: readonly string[]
  readonly runAll: RunAll
  /** Milliseconds that runs have taken, for limits on them. @default those of the clock */
  readonly elapsed?: (() => number) | undefined
}

/** Most elements of all inputs of a made-up run. */
export const MAX_MADE_UP = 2 ** 20

export const runOne = async ({ fetches, runAll }: Trial, inputs: TensorRecord): Promise<RunOutcome> =>
  (await runAll([{ inputs: copyAll(inputs), fetches }]))[0] as RunOutcome

/** How requests were made up, as plain data: enough to make the same ones again. */
export interface Made {
  /** Size of dimensions that do not count rows. */
  readonly free: number
  /** How many different integers or texts an input takes, from 0 on; inputs of floats are not among them. */
  readonly ranges: readonly (readonly [input: string, range: number])[]
}

export function makerOf(
  signature: ModelSignature,
  axes: ModelAxes | undefined,
  ragged: Ragged | undefined,
  { free, ranges }: Made,
): MakeRow {
  const mask = ragged?.mask
  const known = new Map(ranges)
  const rangeOf = (name: string): number => known.get(name) ?? 1
  return (seed, scale) => {
    const inputs = sampleInputs(signature, { free, seed, scale, rangeOf, axes: axes?.inputs })
    if (!ragged || mask === undefined) return inputs
    // Random values would hide the effect, and no caller sends all zeros.
    delete inputs[mask]
    return ragged.complete(inputs)
  }
}

/**
 * Made-up requests that the model accepts, or nothing if it accepts none.
 * @param together rows that will run together: their elements, all in all, stay within `MAX_MADE_UP`
 */
export async function findMade(
  signature: ModelSignature,
  axes: ModelAxes | undefined,
  ragged: Ragged | undefined,
  trial: Trial,
  together = 1,
): Promise<Made | undefined> {
  for (const free of sizesWithin(signature, axes, together)) {
    const works = (ranges: Ranges): Promise<boolean> =>
      takes(makerOf(signature, axes, ragged, { free, ranges: [...ranges] }), trial)
    const ranges = await widest(signature, works)
    if (ranges) return { free, ranges: [...ranges] }
  }
  return undefined
}

/**
 * Sizes of dimensions that do not count rows, such that that many rows stay within the bound, in the order of trying. Computed before
 * anything is allocated.
 */
export function sizesWithin(signature: ModelSignature, axes: ModelAxes | undefined, together: number): readonly number[] {
  const fitting = FREE_SIZES.filter((free) => together * elementsOf(signature, axes, free) <= MAX_MADE_UP)
  // Without free dimensions every size is the same.
  return elementsOf(signature, axes, 1) === elementsOf(signature, axes, 2) ? fitting.slice(0, 1) : fitting
}

function elementsOf({ inputs }: ModelSignature, axes: ModelAxes | undefined, free: number): number {
  let elements = 0
  for (const { name, dims = [] } of inputs) {
    const axis = axes ? axes.inputs[name] : 0
    elements += dims.reduce<number>((n, dim, i) => n * (typeof dim === 'number' ? dim : i === axis ? 1 : free), 1)
  }
  return elements
}

type Ranges = ReadonlyMap<string, number>

/** As many different integers and texts as the model accepts: for all inputs, then for one after the other. */
async function widest({ inputs }: ModelSignature, works: (ranges: Ranges) => Promise<boolean>): Promise<Ranges | undefined> {
  const ranged = inputs.flatMap(({ name, type }) => (type !== undefined && isFloat(type) ? [] : [name]))
  const alike = (range: number): Ranges => new Map(ranged.map((name) => [name, range]))
  if (ranged.length === 0) return (await works(alike(1))) ? alike(1) : undefined
  const common = await firstOf(RANGES, (range) => works(alike(range)))
  if (common === undefined) return undefined
  const ranges = new Map(alike(common))
  if (ranged.length === 1) return ranges
  for (const name of ranged) {
    const wider = RANGES.filter((range) => range > common)
    const own = await firstOf(wider, (range) => works(new Map([...ranges, [name, range]])))
    if (own !== undefined) ranges.set(name, own)
  }
  return ranges
}

async function firstOf<T>(candidates: readonly T[], works: (candidate: T) => Promise<boolean>): Promise<T | undefined> {
  for (const candidate of candidates) if (await works(candidate)) return candidate
  return undefined
}

/** Rows that a proof runs together. */
export const TOGETHER = 3

/** The rows of a proof. */
export const firstRows = (makeRow: MakeRow): readonly TensorRecord[] => SEEDS.map((seed) => makeRow(seed, 1))

/** Rows that a proof runs beside each other: an index that is in range in one of them may be out of it in the next. */
const SEEDS = [1, 2, 3]

async function takes(makeRow: MakeRow, { fetches, runAll }: Trial): Promise<boolean> {
  // One first: a model usually refuses every row or none.
  for (const seeds of [SEEDS.slice(0, 1), SEEDS.slice(1)]) {
    const outcomes = await runAll(seeds.map((seed) => ({ inputs: makeRow(seed, 1), fetches })))
    if (outcomes.some((outcome) => 'error' in outcome)) return false
  }
  return true
}

/**
 * Given rows, in turn, the first unchanged. If they do not differ in an input, or there is only one, the others are varied as far as the
 * model accepts that.
 * @param batched inputs that have rows
 */
export async function rowsFrom(samples: readonly TensorRecord[], batched: readonly string[], trial: Trial): Promise<MakeRow> {
  const given: MakeRow = (seed) => samples[(seed - 1) % samples.length] as TensorRecord
  const scaled =
    (makeRow: MakeRow): MakeRow =>
    (seed, scale) =>
      scale === 1 ? makeRow(seed, scale) : scaleFloats(makeRow(seed, scale), batched, scale)
  if (inputAlike(given, batched) === undefined) return scaled(given)
  const variations = VARIATIONS.map(
    (vary): MakeRow =>
      (seed, scale) =>
        varied(given(seed, scale), batched, seed, vary),
  )
  const varies = await firstOf(variations, async (make) => inputAlike(make, batched) === undefined && (await takes(make, trial)))
  return scaled(varies ?? given)
}

/** An input whose rows are equal in a proof although they could differ. */
export function inputAlike(makeRow: MakeRow, batched: readonly string[]): string | undefined {
  const rows = SEEDS.map((seed) => makeRow(seed, 1))
  return batched.find((name) =>
    rows.some((row, i) => {
      const [a, b] = [row[name], rows[i - 1]?.[name]]
      return a && b && a.data.length > 0 && equal(a, b)
    }),
  )
}
