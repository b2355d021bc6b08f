/** How requests of a model share runs, according to its trial. */

import type { BufferPool } from '../engine/buffer-pool.ts'
import type { TensorRecord } from '../engine/frame.ts'
import type { Run } from '../engine/run.ts'
import type { ModelSignature } from '../tensor/types.ts'
import { axesOf, type ModelAxes } from './axes.ts'
import { axesIn, type BatchAxes, concat, split } from './batch.ts'
import { type Cap, createCap } from './cap.ts'
import { type Curve, createCurve, rowsWithin } from './curve.ts'
import { copySome, join } from './join.ts'
import { type LeanLayout, layoutOf } from './lean/layout.ts'
import type { BatchSettings } from './options.ts'
import { ALONE, createPlace, type FindPlace, isUniform, SOLO, UNIFORM } from './place.ts'
import { type Ragged, raggedOf } from './ragged.ts'
import type { BatchingInfo, BatchingState } from './types.ts'

/** One request of a shared run. */
export interface Member {
  readonly run: Run
}

/** Everything that the scheduler needs to form batches. */
export interface Batching {
  /** Of all shapes. */
  readonly curve: Curve
  /** For the shapes of one bucket: a sentence of 16 tokens costs less than one of 512. */
  curveOf(bucket: string): Curve
  /** Longest expected time of a batch. */
  readonly maxRunMs: number
  /** Most rows of one run, whatever their shapes. Changes while the model serves, if another size proves better. */
  readonly cap: number
  /** The same for the shapes of one bucket. */
  capOf(bucket: string): number
  /** The same for the next run of a bucket with that many waiting rows: now and then another size is tried. */
  nextCap(bucket: string, waiting: number, now: number): number
  /** Learns from a run. */
  observe(bucket: string, rows: number, ms: number, now: number): void
  /** Most rows of such a run within the bound on elements. */
  roomFor(run: Run, rows: number): number
  /** How rows lie in memory where any requests for all outputs may share a run; else why they do not. */
  readonly layout: LeanLayout | string
  /** As of now. */
  readonly info: BatchingInfo
  /** The bucket of a request: requests of one bucket fit into one run. */
  readonly place: FindPlace
  /** True for buckets whose requests may share a run. */
  shared(bucket: string): boolean
  /** @param memory for the joined tensors */
  join(requests: readonly TensorRecord[], buffers?: BufferPool): TensorRecord
  /** Elements that joining them adds as padding. */
  padding(members: readonly Member[]): number
  /** Each request's own rows of the outputs, in their own length; `undefined` if the outputs lack them. */
  split(outputs: TensorRecord, rows: readonly number[], members: readonly Member[]): readonly TensorRecord[] | undefined
  /** Splits the inputs of one request. */
  cut(inputs: TensorRecord, rows: readonly number[]): readonly TensorRecord[] | undefined
  /** Joins the outputs of such pieces. */
  paste(outputs: readonly TensorRecord[]): TensorRecord
}

/** Further shapes share one curve. */
const MAX_CURVES = 64

const PROVED: BatchingState = 'proved'

export function unbatched(reason: string, curve: Curve = createCurve(), state: BatchingState = 'off'): Batching {
  return {
    curve,
    curveOf: () => curve,
    maxRunMs: Number.POSITIVE_INFINITY,
    cap: 1,
    capOf: () => 1,
    nextCap: () => 1,
    observe: (_, rows, ms) => curve.observe(rows, ms),
    roomFor: () => 1,
    layout: reason,
    info: { state, enabled: false, reason, maxSize: 1 },
    place: () => ALONE,
    shared: () => false,
    join: ([first]) => first ?? {},
    padding: () => 0,
    split: () => undefined,
    cut: () => undefined,
    paste: ([first]) => first ?? {},
  }
}

/** Support for rows of different lengths, if declared and possible; or why it is impossible. */
export function findRagged(signature: ModelSignature, settings: BatchSettings | false): Ragged | string | undefined {
  if (settings === false || !settings.ragged) return undefined
  const axes = axesOf(signature, settings.axes)
  return typeof axes === 'string' ? axes : raggedOf(signature, axes, settings.ragged)
}

/** The trial's findings about a model whose requests may share runs. */
export interface Verdict {
  /** The cost of runs. */
  readonly curve: Curve
  /** Most rows of a run at first, and the factor by which that raises the rows per second. */
  readonly cap: number
  readonly gain: number
  /** The sizes that a run may have, ascending. */
  readonly sizes: readonly number[]
  /** Rows of different lengths, if declared. */
  readonly ragged: Ragged | undefined
  readonly padding: BatchingInfo['padding'] | undefined
}

export function createBatching(signature: ModelSignature, axes: ModelAxes, settings: BatchSettings, verdict: Verdict): Batching {
  const { maxRunMs } = settings
  const { curve, cap: first, gain, sizes, padding } = verdict
  const filler = padding?.enabled ? verdict.ragged : undefined
  const caps = createCaps(first, () => createCap(first, sizes, maxRunMs))
  const curveOf = createCurves(curve)
  return {
    curve,
    curveOf,
    maxRunMs,
    get cap() {
      return caps.most
    },
    capOf: (bucket) => caps.of(bucket).rows,
    nextCap: (bucket, waiting, now) => caps.of(bucket).next(waiting, now),
    observe(bucket, rows, ms, now) {
      curveOf(bucket).observe(rows, ms)
      if (bucket !== SOLO) caps.observe(bucket, rows, ms, now)
    },
    roomFor: createRoom(signature, axes, filler, settings.maxElements),
    layout: filler ? 'rows of different lengths share runs' : layoutOf(signature, axes),
    get info() {
      const cap = caps.most
      const maxSize = rowsWithin(curve, cap, maxRunMs)
      const found = `${gain.toFixed(1)} times the rows per second at ${first} rows`
      const since = cap === first ? '' : `; ${cap} rows were found better while serving`
      const slow = maxSize < cap ? `; more than ${maxSize} take longer than maxRunMs (${maxRunMs} ms) now` : ''
      return { state: PROVED, enabled: true, reason: `${found}${since}${slow}`, maxSize, ...(padding ? { padding } : {}) }
    },
    place: createPlace(signature, axes, filler),
    shared: (bucket) => bucket !== SOLO,
    join: (requests, buffers) => (filler ? filler.join(requests, buffers) : join(requests, axes, buffers)),
    padding: (members) => (filler && members.length > 1 ? filler.paddingOf(members.map(inputsOf)) : 0),
    split: (outputs, rows, members) =>
      filler ? filler.split(outputs, rows, members.map(inputsOf)) : split(outputs, rows, axes.outputs),
    cut: (inputs, rows) => cutInputs(inputs, rows, axes),
    paste: (outputs) => concat(outputs, pick(axes.outputs, outputs[0])),
  }
}

const inputsOf = ({ run }: Member): TensorRecord => run.inputs

/** Curves of buckets, each starting from the model's own. */
function createCurves(all: Curve): Batching['curveOf'] {
  const curves = new Map<string, Curve>([[UNIFORM, all]])
  return (bucket) => {
    let curve = curves.get(bucket)
    if (!curve) {
      if (curves.size >= MAX_CURVES) return all
      curve = all.fork()
      curves.set(bucket, curve)
    }
    return curve
  }
}

interface Caps {
  /** The largest of them; read on every request. */
  readonly most: number
  of(bucket: string): Cap
  observe(bucket: string, rows: number, ms: number, now: number): void
}

/** Caps of buckets, each starting from the warm-up's result. Buckets beyond the bound keep that. */
function createCaps(first: number, make: () => Cap): Caps {
  const caps = new Map<string, Cap>()
  const rest: Cap = { rows: first, next: () => first, observe() {} }
  let most = first
  const compare = (): void => {
    most = Math.max(...Array.from(caps.values(), ({ rows }) => rows))
  }

  function of(bucket: string): Cap {
    const known = caps.get(bucket)
    if (known) return known
    if (caps.size >= MAX_CURVES) return rest
    const cap = make()
    caps.set(bucket, cap)
    compare()
    return cap
  }

  return {
    get most() {
      return most
    },
    of,
    observe(bucket, rows, ms, now) {
      const cap = of(bucket)
      const before = cap.rows
      cap.observe(rows, ms, now)
      if (cap.rows !== before) compare()
    },
  }
}

/** Splits the inputs of one request. A copy of the shared ones goes with every piece. */
export function cutInputs(inputs: TensorRecord, rows: readonly number[], axes: ModelAxes): readonly TensorRecord[] | undefined {
  const batched = Object.fromEntries(Object.keys(axes.inputs).flatMap((name) => (inputs[name] ? [[name, inputs[name]]] : [])))
  return split(batched, rows, axes.inputs)?.map((piece) => Object.assign(piece, copySome(inputs, axes.shared)))
}

/** The axes of the requested outputs. */
const pick = (axes: BatchAxes, outputs: TensorRecord | undefined): BatchAxes =>
  Object.fromEntries(Object.entries(axes).filter(([name]) => outputs?.[name] !== undefined))

/** If all rows are equally large, the measured cap already respects the bound. */
function createRoom(
  signature: ModelSignature,
  axes: ModelAxes,
  ragged: Ragged | undefined,
  maxElements: number,
): Batching['roomFor'] {
  if (isUniform(signature, axes, undefined)) return () => Number.POSITIVE_INFINITY
  const batched = axesIn(axes.inputs)
  return ({ inputs }, rows) => {
    let elements = 0
    for (const { name } of batched) elements += inputs[name]?.data.length ?? 0
    const length = ragged?.lengthOf(inputs)
    // Padded to the longest request that it may meet.
    if (ragged && length !== undefined) elements += ragged.growthOf(inputs, ragged.classOf(length))
    return Math.max(1, Math.floor((maxElements * rows) / Math.max(1, elements)))
  }
}
