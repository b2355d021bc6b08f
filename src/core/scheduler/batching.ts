/**
 * Whether a model's requests may share a run, and whether that pays. Read from the signature, then proved with the model itself: a dynamic
 * first dimension is no promise that rows do not influence each other, or that more of them are cheaper.
 */

import type { TensorRecord } from '../engine/frame.ts'
import type { Run, RunOutcome } from '../engine/instance.ts'
import type { BatchingInfo, ModelSignature, ValueInfo } from '../types.ts'
import { type BatchAxes, concat, rowsOf, split } from './batch.ts'
import { type Curve, createCurve } from './curve.ts'
import { FREE_SIZES, sameWithin, sampleInputs } from './samples.ts'

export interface BatchSettings {
  readonly maxSize: number
  /** Longest time that a batch may be expected to take. */
  readonly maxRunMs: number
}

/** What the scheduler needs to form batches; `undefined` axes mean that every request runs by itself. */
export interface Batching {
  readonly inputAxes: BatchAxes | undefined
  readonly outputAxes: BatchAxes
  readonly curve: Curve
  /** Most rows of one run. */
  readonly cap: number
  readonly info: BatchingInfo
  /** Where a request waits: requests of one lane fit into one run. */
  place(run: Run, shareable: boolean): { readonly lane: string; readonly rows: number }
  /** True for lanes whose requests may share a run. */
  shared(lane: string): boolean
}

/** Sizes at which the curve is measured. */
const STEPS = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
/** Time that measuring may take; a slow model is judged by fewer sizes. */
const MEASURE_MS = 250
const FIRST_TRIES = 2
const MORE_TRIES = 10
const TRY_MS = 0.2
/** Less than this and the copying and waiting eat the gain. */
const MIN_GAIN = 1.15
/** The cap is the smallest size that has this share of the best gain: beyond it only latency grows. */
const ENOUGH = 0.9

/** The lane of requests that run by themselves. */
const SOLO = ''
/** The lane of requests that all have the same shapes and want all outputs: the usual case, found without building a key. */
const UNIFORM = '*'

const ALONE = { lane: SOLO, rows: 1 }

export function unbatched(reason: string, curve: Curve = createCurve()): Batching {
  return {
    inputAxes: undefined,
    outputAxes: {},
    curve,
    cap: 1,
    info: { enabled: false, reason, maxSize: 1 },
    place: () => ALONE,
    shared: () => false,
  }
}

/** True when all shapes but the batch dimension are fixed, so that any two requests for the same outputs fit together. */
const isUniform = (signature: ModelSignature): boolean =>
  signature.inputs.every(({ dims }) => dims?.slice(1).every((dim) => typeof dim === 'number'))

function createPlace(signature: ModelSignature, axes: BatchAxes): Batching['place'] {
  const uniform = isUniform(signature)
  const all = signature.outputs.length
  return (run, shareable) => {
    const rows = shareable ? rowsOf(run.inputs, axes) : undefined
    // Nothing to join, or not joinable.
    if (rows === undefined || rows === 0) return ALONE
    return { lane: uniform && run.fetches.length === all ? UNIFORM : laneKey(run, axes), rows }
  }
}

function laneKey({ inputs, fetches }: Run, axes: BatchAxes): string {
  const shapes = Object.keys(axes).map((name) => {
    const tensor = inputs[name]
    return tensor ? `${tensor.type}[${tensor.dims.map((dim, i) => (i === axes[name] ? 'n' : dim))}]` : '-'
  })
  return JSON.stringify([...shapes, ...fetches])
}

/** The first dimension of every input and output is dynamic, and one symbol where it has a name. */
function axesOf(signature: ModelSignature): { inputs: BatchAxes; outputs: BatchAxes } | string {
  if (signature.inputs.length === 0) return 'the model takes no input'
  const symbols = new Set<string>()
  const axes = (values: readonly ValueInfo[]): BatchAxes | string => {
    const found: Record<string, number> = Object.create(null)
    for (const { name, dims, type } of values) {
      if (!dims || type === undefined) return `the rank of '${name}' is unknown`
      const first = dims[0]
      if (first === undefined) return `'${name}' is a scalar`
      if (typeof first === 'number') return `the first dimension of '${name}' is fixed at ${first}`
      if (first !== null) symbols.add(first)
      found[name] = 0
    }
    return found
  }
  const inputs = axes(signature.inputs)
  if (typeof inputs === 'string') return inputs
  if (symbols.size > 1) return `the inputs have different first dimensions (${[...symbols].join(', ')})`
  const outputs = axes(signature.outputs)
  return typeof outputs === 'string' ? outputs : { inputs, outputs }
}

/** Runs one after the other, in one message: between hops a worker's caches go cold, and runs of microseconds would look slow. */
type RunAll = (runs: readonly Run[]) => Promise<readonly RunOutcome[]>

/** Runs the model a few times and decides. Never rejects: a model that cannot be judged is served unbatched. */
export async function proveBatching(
  signature: ModelSignature,
  settings: BatchSettings | false,
  runAll: RunAll,
): Promise<Batching> {
  const curve = createCurve()
  const fetches = signature.outputs.map((output) => output.name)
  const run = async (inputs: TensorRecord): Promise<RunOutcome> => (await runAll([{ inputs, fetches }]))[0] as RunOutcome
  const sample = await workingSample(signature, run)
  if (settings === false) return unbatched('switched off', curve)
  const axes = axesOf(signature)
  if (typeof axes === 'string') return unbatched(axes, curve)
  if (!sample) return unbatched('the model refused made-up inputs, so batching could not be tried', curve)

  const refuted = await refute(sample, axes, fetches, run)
  if (refuted) return unbatched(refuted, curve)
  const points = await measure(sample, axes.inputs, fetches, settings, runAll)
  for (const { rows, ms } of points) curve.observe(rows, ms)
  return decide(points, axes, signature, curve, settings)
}

interface Sample {
  /** Single-row requests that differ from each other. */
  readonly rows: readonly [TensorRecord, TensorRecord, TensorRecord]
}

/** Tries sizes for the free dimensions until the model takes one. */
async function workingSample(
  signature: ModelSignature,
  attempt: (inputs: TensorRecord) => Promise<RunOutcome>,
): Promise<Sample | undefined> {
  for (const size of FREE_SIZES) {
    for (const zeros of [false, true]) {
      const rows = [1, 2, 3].map((seed) => sampleInputs(signature, { size, seed, zeros })) as unknown as Sample['rows']
      if ('outputs' in (await attempt(rows[0]))) return { rows }
    }
    // Without free dimensions every size is the same.
    if (isUniform(signature)) break
  }
  return undefined
}

/** Looks for a difference between rows that run together and the same rows alone. */
async function refute(
  { rows }: Sample,
  axes: { readonly inputs: BatchAxes; readonly outputs: BatchAxes },
  fetches: readonly string[],
  run: (inputs: TensorRecord) => Promise<RunOutcome>,
): Promise<string | undefined> {
  const together = await run(concat(rows, axes.inputs))
  if ('error' in together) return 'the model fails when given more than one row'
  const pieces = split(together.outputs, [1, 1, 1], axes.outputs)
  if (!pieces) return 'the outputs do not have as many rows as the inputs'
  for (const [index, inputs] of rows.entries()) {
    const alone = await run(inputs)
    if ('error' in alone) return 'the model fails on single rows'
    for (const name of fetches) {
      const [a, b] = [alone.outputs[name], pieces[index]?.[name]]
      if (!a || !b || !sameWithin(a, b)) return `output '${name}' of a row changes when other rows run beside it`
    }
  }
  return undefined
}

interface Point {
  readonly rows: number
  readonly ms: number
}

/** Short runs get a second, longer look, which costs little. */
const moreTries = (best: number, tries: number): number => (tries === FIRST_TRIES && best < TRY_MS ? MORE_TRIES : 0)

async function measure(
  { rows }: Sample,
  axes: BatchAxes,
  fetches: readonly string[],
  { maxSize, maxRunMs }: BatchSettings,
  runAll: RunAll,
): Promise<Point[]> {
  const points: Point[] = []
  const start = performance.now()
  for (const size of [1, ...STEPS.filter((step) => step <= maxSize)]) {
    let best = Number.POSITIVE_INFINITY
    for (let tries = FIRST_TRIES; tries > 0; tries = moreTries(best, tries)) {
      const runs = Array.from({ length: tries }, () => {
        return {
          inputs: concat(
            Array.from({ length: size }, (_, i) => rows[i % 3] as TensorRecord),
            axes,
          ),
          fetches,
        }
      })
      // The best of some: noise only ever adds.
      for (const outcome of await runAll(runs)) {
        if ('error' in outcome) return points
        best = Math.min(best, outcome.inferMs)
      }
    }
    points.push({ rows: size, ms: best })
    if (best > maxRunMs || performance.now() - start + 6 * best > MEASURE_MS) break
  }
  return points
}

function decide(
  points: readonly Point[],
  axes: { readonly inputs: BatchAxes; readonly outputs: BatchAxes },
  signature: ModelSignature,
  curve: Curve,
  settings: BatchSettings,
): Batching {
  const single = points[0]?.ms
  if (single === undefined || points.length < 2) return unbatched('one run takes too long to try larger ones', curve)
  const gains = points
    .filter(({ ms }) => ms <= settings.maxRunMs)
    .map(({ rows, ms }) => ({ rows, gain: Math.min(rows, (rows * single) / ms) }))
  const best = gains.reduce((top, point) => (point.gain > top.gain ? point : top), { rows: 1, gain: 1 })
  if (best.gain < MIN_GAIN)
    return unbatched(`batching gains nothing: ${best.gain.toFixed(2)} times the rows per second at best`, curve)
  const enough = gains.find(({ gain }) => gain >= ENOUGH * best.gain) ?? best
  const cap = Math.min(enough.rows, settings.maxSize)
  return {
    inputAxes: axes.inputs,
    outputAxes: axes.outputs,
    curve,
    cap,
    place: createPlace(signature, axes.inputs),
    shared: (lane) => lane !== SOLO,
    info: { enabled: true, reason: `${enough.gain.toFixed(1)} times the rows per second at ${enough.rows} rows`, maxSize: cap },
  }
}
