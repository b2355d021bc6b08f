/** The bucket where a request waits: requests of one bucket fit into one run. Found for every request, so it is put together from kept parts. */

import { createHash } from 'node:crypto'
import type { TensorRecord } from '../engine/frame.ts'
import type { Run } from '../engine/run.ts'
import type { ModelSignature, Tensor } from '../tensor/types.ts'
import type { ModelAxes } from './axes.ts'
import { axesIn, sizeAlong } from './batch.ts'
import type { Ragged } from './ragged.ts'

/** The place where a request waits. */
export interface Place {
  readonly bucket: string
  readonly rows: number
}

/** @param shareable false for requests that want to run by themselves */
export type FindPlace = (run: Run, shareable: boolean) => Place

/** The bucket of requests that run by themselves. */
export const SOLO = ''
/** The bucket of requests with the same shapes that want all outputs: the usual case, found without building a key. */
export const UNIFORM = '*'
/** Starts the key of buckets whose requests are padded to each other's length. */
const LENGTHS = '~'

export const ALONE: Place = { bucket: SOLO, rows: 1 }

/** True if all shapes are fixed except for the rows, and for padded lengths. Any two requests for the same outputs then fit together. */
export const isUniform = (signature: ModelSignature, axes: ModelAxes, ragged: Ragged | undefined): boolean =>
  axes.shared.length === 0 &&
  signature.inputs.every(({ name, dims }) =>
    dims?.every((dim, i) => typeof dim === 'number' || i === axes.inputs[name] || ragged?.inputs[name]?.includes(i)),
  )

/** The buckets of requests for the same outputs. */
interface Selection {
  /** Of uniform shapes. */
  readonly uniform: string
  /** The same by the class of their length. */
  readonly byClass: Map<number, string>
}

/** Lists of outputs whose buckets are kept. A model of few outputs has fewer; callers who try more lose only what is kept. */
const MOST_SELECTIONS = 64
/** Classes of length that are kept of each; a model has some dozens. */
const MOST_CLASSES = 1024

/** @param all the number of outputs */
function createSelections(all: number): (fetches: readonly string[]) => Selection {
  /** By identity: equal lists mostly are the same list. */
  const known = new Map<readonly string[], Selection>()
  let lastFetches: readonly string[] | undefined
  let last: Selection | undefined

  const find = (fetches: readonly string[]): Selection => {
    const kept = known.get(fetches)
    if (kept) return kept
    const uniform = fetches.length === all ? UNIFORM : JSON.stringify(fetches)
    const selection: Selection = { uniform, byClass: new Map() }
    if (known.size >= MOST_SELECTIONS) known.clear()
    known.set(fetches, selection)
    return selection
  }

  return (fetches) => {
    if (last && fetches === lastFetches) return last
    last = find(fetches)
    lastFetches = fetches
    return last
  }
}

function ofClass({ uniform, byClass }: Selection, length: number): string {
  const kept = byClass.get(length)
  if (kept !== undefined) return kept
  const bucket = uniform === UNIFORM ? `${LENGTHS}${length}` : `${LENGTHS}${length}${uniform}`
  if (byClass.size >= MOST_CLASSES) byClass.clear()
  byClass.set(length, bucket)
  return bucket
}

export function createPlace(signature: ModelSignature, axes: ModelAxes, ragged: Ragged | undefined): FindPlace {
  const uniform = isUniform(signature, axes, ragged)
  const inputs = axesIn(axes.inputs)
  const all = signature.outputs.length
  const selectionOf = createSelections(all)
  const oneRow: Place = { bucket: UNIFORM, rows: 1 }
  return (run, shareable) => {
    const rows = shareable ? sizeAlong(run.inputs, inputs) : undefined
    // Nothing to join, or not joinable.
    if (rows === undefined || rows === 0) return ALONE
    if (!ragged && uniform && run.fetches.length === all) return rows === 1 ? oneRow : { bucket: UNIFORM, rows }
    const selection = selectionOf(run.fetches)
    const length = ragged?.lengthOf(run.inputs)
    if (!ragged || length === undefined) {
      // Inputs that disagree on their length have shapes of their own.
      const bucket = uniform && !ragged ? selection.uniform : keyOf(run.inputs, axes, undefined, selection.uniform)
      return { bucket, rows }
    }
    const lengths = ofClass(selection, ragged.classOf(length))
    return { bucket: uniform ? lengths : keyOf(run.inputs, axes, ragged, lengths), rows }
  }
}

/**
 * Shapes without their rows, and without their lengths where those may differ; then the requested outputs and the class of the length; then the
 * values of shared inputs. Shapes are numbers and signs only, so that no name can be read as a part of them.
 */
function keyOf(inputs: TensorRecord, axes: ModelAxes, ragged: Ragged | undefined, wanted: string): string {
  let key = ''
  for (const name in axes.inputs) {
    const dims = inputs[name]?.dims ?? []
    const lengths = ragged?.inputs[name]
    for (let i = 0; i < dims.length; i++)
      key += i === axes.inputs[name] ? 'n,' : lengths?.includes(i) ? `${LENGTHS},` : `${dims[i]},`
    key += ';'
  }
  key += wanted
  if (axes.shared.length === 0) return key
  return key + JSON.stringify(axes.shared.map((name) => inputs[name] && [inputs[name].dims, contentOf(inputs[name])]))
}

/** Longer values enter a key as a hash: the key is built for every request, and kept with the bucket. */
const MAX_VALUE_BYTES = 256

/** Equal for equal elements only. */
function contentOf({ type, data }: Tensor): string | readonly string[] {
  if (type === 'string') return data
  // As text, both zeros are 0.
  if (data.byteLength <= MAX_VALUE_BYTES)
    return Array.from<number | bigint, string>(data, (value) => (Object.is(value, -0) ? '-0' : String(value)))
  return createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('base64')
}
