/** Follows where the values of a graph come from: its constants, the shapes of a request, or its values. */

import { printable } from '../host/printable.ts'
import type { Constant, GraphNode, Nodes } from './nodes.ts'
import { FIXED_TYPES, resultTypes } from './result-types.ts'
import { hull, type Range, rangeOfResult, rangeOfType } from './value-ranges.ts'
import { type Domain, walk } from './walk.ts'

/** Origin of a value, in order of decreasing knowledge: a file's constants, the shapes of a request, its values. */
type Origin = 'constants' | 'shapes' | 'request'

/** The known facts about a value. */
export interface Fact {
  readonly origin: Origin
  /** TensorProto.DataType; 0 if unknown. */
  readonly type: number
  readonly range: Range | undefined
}

type Facts = readonly (Fact | undefined)[]

const INT64 = 7
const MAX_SHOWN_CHARS = 80

/** Answers that the caller does not send, but that are unknown all the same. */
const DRAWN = /^ai\.onnx:(Random|Multinomial|Bernoulli)/

export const UNKNOWN: Fact = { origin: 'request', type: 0, range: undefined }

/**
 * The first sentence that `reasonOf` has about a node, given the facts about its inputs; `undefined` if it has none about any.
 * @throws Malformed if the graph cannot be followed
 */
export function firstReason(graph: Nodes, reasonOf: (node: GraphNode, facts: Facts) => string | undefined): string | undefined {
  let found: string | undefined
  const inputs = new Map(
    graph.inputs
      .filter((name) => !graph.constants.has(name))
      .map((name): [string, Fact] => [name, declared(UNKNOWN, graph.types.get(name) ?? 0)]),
  )
  const domain: Domain<Fact> = {
    constant: ({ type, range }: Constant) => ({ origin: 'constants', type, range }),
    declared,
    either(a = UNKNOWN, b = UNKNOWN) {
      return { origin: later([a, b]), type: a.type === b.type ? a.type : 0, range: hull([a.range, b.range]) }
    },
    same: (a, b) =>
      a?.origin === b?.origin && a?.type === b?.type && a?.range?.[0] === b?.range?.[0] && a?.range?.[1] === b?.range?.[1],
    widened: (value = UNKNOWN) => ({ ...value, range: undefined }),
    slice: (_, value) => value,
    stacked: (value) => value,
    round: () => ({ origin: 'request', type: INT64, range: [0, Number.MAX_SAFE_INTEGER] }),
    decides: () => undefined,
    visit(node, facts) {
      found ??= reasonOf(node, facts)
      return resultsOf(node, facts)
    },
  }
  walk(graph, inputs, domain)
  return found
}

function declared(value: Fact | undefined, type: number): Fact {
  const known = value ?? UNKNOWN
  return { ...known, type, range: known.range ?? rangeOfType(type) }
}

const ORDER: readonly Origin[] = ['constants', 'shapes', 'request']
const later = (facts: readonly (Fact | undefined)[]): Origin =>
  ORDER[Math.max(0, ...facts.map((fact) => (fact ? ORDER.indexOf(fact.origin) : 0)))] ?? 'request'

function resultsOf(node: GraphNode, facts: readonly (Fact | undefined)[]): readonly Fact[] {
  const origin: Origin = FIXED_TYPES.shapes.has(node.op) ? 'shapes' : DRAWN.test(node.op) ? 'request' : later(given(node, facts))
  const types = resultTypes(node, facts)
  return node.outputs.map((_, i) => {
    const type = types[i] ?? 0
    const range = i === 0 ? rangeOfResult(node, facts, type) : undefined
    return { origin, type, range: range ?? rangeOfType(type) }
  })
}

/** The worst is assumed of inputs that exist but are unknown. */
export const given = (node: GraphNode, facts: readonly (Fact | undefined)[]): readonly (Fact | undefined)[] =>
  facts.map((fact, i) => fact ?? (node.inputs[i] === '' ? undefined : UNKNOWN))

/** @param what the node does */
export function sentence({ op, name, outputs }: GraphNode, what: string): string {
  const node = name === '' ? `the node of '${shown(outputs[0] ?? '')}'` : `node '${shown(name)}'`
  return `operator ${op.slice(op.indexOf(':') + 1)} (${node}) ${what}`
}

const shown = (name: string): string => printable(name).slice(0, MAX_SHOWN_CHARS)
