/** The memory that requests of the lean path are written to, laid out as the model's runs take it. */

import type { TensorRecord } from '../../engine/frame.ts'
import type { Clock } from '../../host/clock.ts'
import type { Sharing } from '../sharing.ts'
import type { LeanLayout } from './layout.ts'
import { createSegments, type Segment, type Segments } from './segment.ts'
import { writeTensors, writeValues } from './write.ts'

export interface Store {
  /** As of the last `lay()`. */
  readonly layout: LeanLayout | undefined
  /** False once the model shares runs in another way. */
  readonly isCurrent: boolean
  /** False while a request is written: a getter of its inputs may call `predict()` itself. */
  readonly isFree: boolean
  /** Lays memory out as the model shares runs now; `undefined` if it does not, or not any requests with any. */
  lay(): LeanLayout | undefined
  /** Writes behind the rows of the open segment. @returns the rows; 0 if they cannot be taken */
  write(values: unknown, maxElements: number | undefined, maxRows: number): number
  /** The one that was written to last. */
  readonly open: Segment
  /** No more is written to it. */
  shut(segment: Segment): void
  close(): void
}

export function createStore(sharing: Sharing, clock: Pick<Clock, 'after'>): Store {
  let layout: LeanLayout | undefined
  let memory: Segments | undefined
  let open: Segment | undefined
  let isFree = true

  function lay(): LeanLayout | undefined {
    const found = sharing.batching.layout
    if (found === layout) return layout
    memory?.close()
    open = undefined
    layout = typeof found === 'string' ? undefined : found
    memory = layout && createSegments(layout, sharing.batching.cap, clock)
    return layout
  }

  function openFor(rows: number): Segment {
    if (!open || open.tail + rows > open.capacity) open = (memory as Segments).open()
    return open
  }

  function write(values: unknown, maxElements: number | undefined, maxRows: number): number {
    const most = Math.min(maxRows, sharing.batching.cap)
    const { tail, capacity } = openFor(1)
    const written = writeTo(openFor(1), values, maxElements, most)
    // Several rows may not fit behind the others.
    if (written > 0 || tail === 0 || tail + most <= capacity) return written
    return writeTo(openFor(most), values, maxElements, most)
  }

  function writeTo({ data, tail, capacity }: Segment, values: unknown, maxElements: number | undefined, maxRows: number): number {
    const { inputs } = layout as LeanLayout
    const most = Math.min(maxRows, capacity - tail)
    if (maxElements === undefined) return writeTensors(inputs, data, tail, most, values as TensorRecord)
    isFree = false
    try {
      return writeValues(inputs, data, tail, most, maxElements, values)
    } catch {
      // A getter of the caller's has thrown. The long way meets it again, and says so.
      return 0
    } finally {
      isFree = true
    }
  }

  return {
    get layout() {
      return layout
    },
    get isCurrent() {
      return sharing.batching.layout === layout
    },
    get isFree() {
      return isFree
    },
    lay,
    write,
    get open() {
      return open as Segment
    },
    shut(segment) {
      if (open === segment) open = undefined
    },
    close: () => memory?.close(),
  }
}
