/** Watches the walk through a model's file: tracks the position, counts, and notes forbidden contents. */

import { shown } from '../shown.ts'
import { MAX_OPSET, VENDOR_BINARY } from '../support.ts'
import { createFindings, type Findings, type ScanFindingId } from './findings.ts'
import { nameFault } from './names.ts'
import { createReferences, type References } from './references.ts'

/** Above the size of any known model. Larger ones cost ONNX Runtime minutes and gigabytes before it refuses them. */
const MAX_NODES = 1_000_000
const MAX_TENSORS = 1_000_000
/** `If` within `Loop` within `If`: exporters reach four or five. */
const MAX_SUBGRAPH_DEPTH = 16
/** All tensors of a file as they will lie in memory; a sparse one counts as dense, because ONNX Runtime unfolds it. */
const MAX_TOTAL_BYTES = 2n ** 40n

export interface Watch {
  readonly findings: Findings
  readonly references: References
  /** Enters a field; `index` for repeated ones. */
  enter(field: string, index?: number): void
  leave(): void
  /** Enters a graph below a node, and leaves it. */
  descend(): void
  ascend(): void
  where(): string
  find(id: ScanFindingId, message: string): void
  node(): void
  /** A tensor that takes this many bytes in memory. */
  tensor(bytes: bigint): void
  /** `domain:Op`, at its first use. */
  operator(id: string): void
  /** Imports of the model, or of one of its functions. */
  opset(opset: { readonly domain: string; readonly version: number }): void
  /** @param what the kind of thing, worded for a sentence: `the name of a tensor` */
  name(what: string, text: string): void
}

export function createWatch(): Watch {
  const findings = createFindings()
  const path: string[] = []
  const indices: number[] = []
  let depth = 0
  let nodes = 0
  let tensors = 0
  let bytes = 0n
  let tooLarge = false
  let tooDeep = false

  const where = (): string => path.map((field, i) => ((indices[i] ?? -1) < 0 ? field : `${field}[${indices[i]}]`)).join('.')
  const find = (id: ScanFindingId, message: string): void => findings.add(id, where(), message)

  return {
    findings,
    references: createReferences(),
    where,
    find,
    enter(field, index = -1) {
      path.push(field)
      indices.push(index)
    },
    leave() {
      path.pop()
      indices.pop()
    },
    descend() {
      depth++
      if (depth <= MAX_SUBGRAPH_DEPTH || tooDeep) return
      tooDeep = true
      find('subgraph-depth', `graphs lie in graphs more than ${MAX_SUBGRAPH_DEPTH} deep`)
    },
    ascend() {
      depth--
    },
    node() {
      nodes++
      if (nodes === MAX_NODES + 1) find('node-count', `there are more than ${MAX_NODES} nodes`)
    },
    tensor(more) {
      tensors++
      if (tensors === MAX_TENSORS + 1) find('tensor-count', `there are more than ${MAX_TENSORS} tensors`)
      bytes += more
      if (bytes <= MAX_TOTAL_BYTES || tooLarge) return
      tooLarge = true
      find('tensor-total-bytes', `the tensors up to here take more than ${MAX_TOTAL_BYTES} bytes of memory`)
    },
    operator(id) {
      // Even if the file has a function of that name: the file must not decide whose body runs.
      if (id === VENDOR_BINARY) find('ep-context', `a node is ${VENDOR_BINARY}, which runs a vendor's binary`)
      const fault = nameFault(id)
      if (fault) find(fault.id, `the operator "${shown(id)}" ${fault.message}`)
    },
    opset({ domain, version }) {
      if (domain === 'ai.onnx' && (version < 1 || version > MAX_OPSET))
        find('opset', `operator set ${version} of ai.onnx is used; ONNX Runtime knows 1 to ${MAX_OPSET}`)
    },
    name(what, text) {
      const fault = nameFault(text)
      if (fault) find(fault.id, `${what}, "${shown(text)}", ${fault.message}`)
    },
  }
}
