/** Infers element types of a graph's values that its file does not declare. */

import type { Nodes } from './nodes.ts'
import { resultTypes } from './result-types.ts'
import { type Domain, walk } from './walk.ts'

interface Typed {
  /** TensorProto.DataType; 0 if unknown or if the value is no tensor. */
  readonly type: number
}

/** Operators that return something else than tensors. */
const CONTAINERS: ReadonlySet<string> = new Set(
  'Optional SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceMap SplitToSequence'
    .split(' ')
    .map((op) => `ai.onnx:${op}`),
)
const INT64 = 7
const UNKNOWN: Typed = { type: 0 }

/**
 * Types by name of the main graph's values. A value without an inferred type is 0 or missing.
 * @throws Malformed if the graph is too large to be followed
 */
export function outputTypes(graph: Nodes): ReadonlyMap<string, number> {
  const domain: Domain<Typed> = {
    constant: ({ type }) => ({ type }),
    declared: (_, type) => ({ type }),
    either: (a, b) => (a && b && a.type === b.type ? a : UNKNOWN),
    same: (a, b) => a?.type === b?.type,
    widened: () => UNKNOWN,
    slice: (_, value) => value,
    stacked: (value) => value,
    round: () => ({ type: INT64 }),
    decides: () => undefined,
    visit: (node, inputs) =>
      CONTAINERS.has(node.op) ? node.outputs.map(() => UNKNOWN) : resultTypes(node, inputs).map((type) => ({ type })),
  }
  const inputs = new Map(graph.inputs.map((name): [string, Typed] => [name, { type: graph.types.get(name) ?? 0 }]))
  const types = new Map<string, number>()
  for (const [name, value] of walk(graph, inputs, domain)) types.set(name, value?.type ?? 0)
  return types
}
