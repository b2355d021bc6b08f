/**
 * Finds operators that can end the process inside ONNX Runtime by the values of a request.
 * These are integer divisions by a value of the request, and STFT with a frame length that is no constant.
 * Values are followed far enough to leave alone the many divisions that exporters write.
 */

import { printable } from '../host/printable.ts'
import { Malformed } from './malformed.ts'
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

const DIVISIONS: ReadonlySet<string> = new Set(['ai.onnx:Div', 'ai.onnx:Mod'])
const [INT32, INT64] = [6, 7]
const STFT = 'ai.onnx:STFT'
const FRAME_LENGTH = 3
const MAX_SHOWN_CHARS = 80

/** Whether the file has such operators at all. @param operators of the file, `domain:Op` */
export const needsJudging = (operators: readonly string[]): boolean => operators.some((op) => DIVISIONS.has(op) || op === STFT)

/** Answers that the caller does not send, but that are unknown all the same. */
const DRAWN = /^ai\.onnx:(Random|Multinomial|Bernoulli)/

const UNKNOWN: Fact = { origin: 'request', type: 0, range: undefined }

/** The first such operator, as a sentence with its node; `undefined` if the graph has none. */
export function findHazard(graph: Nodes): string | undefined {
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
  try {
    walk(graph, inputs, domain)
  } catch (error) {
    if (!(error instanceof Malformed)) throw error
    return `its values cannot be judged: ${error.message}`
  }
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
const given = (node: GraphNode, facts: readonly (Fact | undefined)[]): readonly (Fact | undefined)[] =>
  facts.map((fact, i) => fact ?? (node.inputs[i] === '' ? undefined : UNKNOWN))

function reasonOf(node: GraphNode, facts: readonly (Fact | undefined)[]): string | undefined {
  if (node.op === STFT) {
    const length = given(node, facts)[FRAME_LENGTH]
    return length && length.origin !== 'constants'
      ? sentence(node, 'takes its frame length from values of the request')
      : undefined
  }
  if (!DIVISIONS.has(node.op)) return undefined
  const [dividend = UNKNOWN, divisor = UNKNOWN] = facts
  const type = divisor.type || dividend.type
  if (type !== 0 && type !== INT32 && type !== INT64) return undefined
  return isHarmless(divisor) ? undefined : sentence(node, 'divides integers by values of the request')
}

const isHarmless = ({ origin, range }: Fact): boolean =>
  origin === 'shapes' || (range !== undefined && (range[0] >= 1 || range[1] < -1))

function sentence({ op, name, outputs }: GraphNode, what: string): string {
  const node = name === '' ? `the node of '${shown(outputs[0] ?? '')}'` : `node '${shown(name)}'`
  return `operator ${op.slice(op.indexOf(':') + 1)} (${node}) ${what}`
}

const shown = (name: string): string => printable(name).slice(0, MAX_SHOWN_CHARS)
