/** Counts over a graph and its subgraphs, or over a function's body. */

import type { Watch } from './scan/watch.ts'
import type { Reader } from './wire.ts'

export interface Tally {
  nodes: number
  initializers: number
  weightBytes: number
  /** `domain:Op`. */
  readonly operators: Set<string>
  /** Locations of external data; shared by every tally of a model. */
  readonly externalData: Set<string>
  /** Shared likewise. */
  readonly watch: Watch
}

export const createTally = (externalData: Set<string>, watch: Watch): Tally => ({
  nodes: 0,
  initializers: 0,
  weightBytes: 0,
  operators: new Set(),
  externalData,
  watch,
})

export function addOnce(reader: Reader, set: Set<string>, text: string): void {
  if (set.has(text)) return
  reader.keep(text.length)
  set.add(text)
}
