/** Follows the rows of a request through a graph, to find what lets them influence each other. */

import { printable } from '../printable.ts'
import type { ModelSignature } from '../types.ts'
import { fixed, type Known } from './flow.ts'
import { isRandom, mixes } from './mixing.ts'
import type { GraphNode, Nodes } from './nodes.ts'
import { outputsOf } from './shapes.ts'

const MAX_SHOWN_CHARS = 80

/** What is known of each value, up to the first operator that lets rows influence each other. */
interface Trail {
  readonly flows: ReadonlyMap<string, Known>
  /** That operator, as a sentence. */
  readonly mixing: string | undefined
}

/**
 * Follows the rows through the main graph. What cannot be followed is not held against the model; subgraphs and local functions are not
 * followed.
 * @param rows by input name, the dimension that counts rows; none for inputs that all rows share
 */
export function followRows(graph: Nodes, inputs: ModelSignature['inputs'], rows: Readonly<Record<string, number>>): Trail {
  const flows = new Map<string, Known>()
  for (const [name, { rank, ints }] of graph.constants) flows.set(name, fixed(rank, ints))
  for (const { name, dims } of inputs)
    if (dims) flows.set(name, { rank: dims.length, rows: rows[name], data: rows[name] !== undefined })
  for (const node of graph.nodes) {
    const known = node.inputs.map((name) => (name === '' ? undefined : flows.get(name)))
    if (mixes(node, known, graph.opset)) return { flows, mixing: sentence(node) }
    const outputs = outputsOf(node, known)
    for (const [i, name] of node.outputs.entries()) flows.set(name, outputs[i])
  }
  return { flows, mixing: undefined }
}

function sentence({ op, outputs }: GraphNode): string {
  const name = op.slice(op.indexOf(':') + 1)
  const what = isRandom(op) || name === 'Dropout' ? 'draws random numbers' : 'works across the rows'
  return `operator ${name} of '${printable(outputs[0] ?? '').slice(0, MAX_SHOWN_CHARS)}' ${what}`
}
