/** Single requests of the lean path, for what runs them again or looks at them closely. */

import type { TensorRecord } from '../../engine/frame.ts'
import type { Run } from '../../engine/run.ts'
import type { Tensor } from '../../tensor/types.ts'
import type { Batching } from '../batching.ts'
import { createEntry, type Entry, type Part } from '../entry.ts'
import type { Priority } from '../types.ts'
import type { LeanInput, LeanLayout, NumericData } from './layout.ts'
import type { LeanRequest } from './request.ts'
import type { Segment } from './segment.ts'

/** On whose behalf requests wait. */
export interface Flow {
  readonly tenant: string
  readonly priority: Priority
}

/** Views of `rows` rows from row `from` on. */
export function viewsOf({ inputs }: LeanLayout, { data }: Segment, from: number, rows: number): TensorRecord {
  const views: Record<string, Tensor> = Object.create(null)
  for (let index = 0; index < inputs.length; index++) {
    const { name, type, rest, elements } = inputs[index] as LeanInput
    const view = (data[index] as NumericData).subarray(from * elements, (from + rows) * elements)
    views[name] = { type, dims: [rows, ...rest], data: view } as Tensor
  }
  return views
}

/** @param from row of the first request */
export function partsOf(layout: LeanLayout, segment: Segment, from: number, requests: readonly LeanRequest[]): Part[] {
  let at = from
  return requests.map(({ rows }) => {
    const inputs = viewsOf(layout, segment, at, rows)
    at += rows
    return { run: { inputs, fetches: layout.fetches }, rows, bytes: rows * layout.rowBytes }
  })
}

/** The same request as the fair queue knows requests. It settles the promise of the first one. */
export function entryOf(request: LeanRequest, run: Run, { tenant, priority }: Flow, batching: Batching): Entry {
  const { enqueuedAt, deadline, signal, connection, trace, phase } = request
  const ticket = { run, enqueuedAt, deadline, signal, connection, trace, tenant, priority, shareable: true }
  const entry = createEntry(ticket, batching.place(run, true), false)
  entry.phase = phase
  entry.resolve = (finished) => request.resolve(finished)
  entry.reject = (error) => request.reject(error)
  return entry
}
