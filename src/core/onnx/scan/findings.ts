/** Findings of a scan: stable ids for scripts, a place in the file, and a sentence. */

/** Kind of the fault, as an id that stays the same from release to release. */
export type ScanFindingId =
  | 'malformed'
  | 'ort-format'
  | 'file-bytes'
  | 'ir-version'
  | 'opset'
  | 'operator'
  | 'request-values'
  | 'ep-context'
  | 'node-count'
  | 'tensor-count'
  | 'tensor-total-bytes'
  | 'subgraph-depth'
  | 'name-length'
  | 'name-characters'
  | 'name-prototype'
  | 'tensor-type'
  | 'tensor-dims'
  | 'tensor-bytes'
  | 'external-count'
  | 'external-entry'
  | 'external-prepacked'
  | 'external-sparse'
  | 'external-location'
  | 'external-memory'
  | 'external-outside'
  | 'external-special'
  | 'external-hard-link'
  | 'external-missing'
  | 'external-in-bytes'
  | 'external-range'
  | 'external-length'

/** A part of a model's file that no honest model has, or that must be kept from ONNX Runtime. */
export interface ScanFinding {
  readonly id: ScanFindingId
  /** Path of protobuf fields, for example `graph.node[3].attribute[0].t`; empty for the file as a whole. */
  readonly where: string
  /** Text of the file in it is escaped and cut. */
  readonly message: string
}

export interface Findings {
  readonly list: readonly ScanFinding[]
  /** How many more there are than kept. */
  readonly more: number
  add(id: ScanFindingId, where: string, message: string): void
}

/** A file can consist of nothing but faults. */
const MAX_KEPT = 100

export function createFindings(): Findings {
  const list: ScanFinding[] = []
  let more = 0
  return {
    list,
    get more() {
      return more
    },
    add(id, where, message) {
      if (list.length < MAX_KEPT) list.push({ id, where, message })
      else more++
    },
  }
}
