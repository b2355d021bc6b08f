/** Follows the rows of a request through a graph, to find operators that let them influence each other. */

import { printable } from '../host/printable.ts'
import type { ModelSignature } from '../tensor/types.ts'
import { fixed, type Int, type MaybeFlow, numbersOf, ROWS } from './flow.ts'
import { Malformed } from './malformed.ts'
import { isRandom, mixes } from './mixing.ts'
import type { GraphNode, Nodes } from './nodes.ts'
import { outputsOf } from './shapes.ts'
import { type Domain, walk } from './walk.ts'

const MAX_SHOWN_CHARS = 80

/** The known facts about each value of the main graph. */
interface Trail {
  readonly flows: ReadonlyMap<string, MaybeFlow>
  /** An operator that lets rows influence each other, as a sentence. */
  readonly mixing: string | undefined
}

/** Origin of a value, known even if its dimensions are not. */
interface Trace {
  readonly flow: MaybeFlow
  /** Values of the rows went into it. */
  readonly fromRows: boolean
  /** The number of the rows went into it. */
  readonly fromCount: boolean
}

const NOTHING: Trace = { flow: undefined, fromRows: false, fromCount: false }

/**
 * Follows the rows through the graph, its subgraphs and its functions. Unknown operators are not held against the model.
 * Decisions about which nodes run must not depend on the rows or their number.
 * @param rows by input name, the dimension that counts rows; none for inputs that all rows share
 */
export function followRows(graph: Nodes, inputs: ModelSignature['inputs'], rows: Readonly<Record<string, number>>): Trail {
  let mixing: string | undefined
  const start = new Map<string, Trace>()
  for (const { name, dims } of inputs) {
    const fromRows = rows[name] !== undefined
    start.set(name, { flow: dims && { rank: dims.length, rows: rows[name], data: fromRows }, fromRows, fromCount: false })
  }
  const domain: Domain<Trace> = {
    constant: ({ rank, ints }) => ({ ...NOTHING, flow: fixed(rank, ints) }),
    declared: (value) => value,
    either: (a = NOTHING, b = NOTHING) => ({
      flow: sameFlow(a.flow, b.flow) ? a.flow : undefined,
      fromRows: a.fromRows || b.fromRows,
      fromCount: a.fromCount || b.fromCount,
    }),
    same: (a = NOTHING, b = NOTHING) => a.fromRows === b.fromRows && a.fromCount === b.fromCount && sameFlow(a.flow, b.flow),
    widened: (value = NOTHING) => ({ ...value, flow: undefined }),
    slice(node, value = NOTHING, axis) {
      const { flow } = value
      if (flow?.data && flow.rows !== undefined && (axis < 0 ? axis + flow.rank : axis) === flow.rows)
        mixing ??= sentence(node, 'goes from row to row')
      if (!flow || axis < 0 || flow.rank === 0) return { ...value, flow: undefined }
      const below = flow.rows !== undefined && axis < flow.rows ? 1 : 0
      return {
        ...value,
        flow: { rank: flow.rank - 1, rows: flow.rows === undefined ? undefined : flow.rows - below, data: flow.data },
      }
    },
    stacked(value = NOTHING, axis) {
      const { flow } = value
      if (!flow || axis < 0) return { ...value, flow: undefined }
      const above = flow.rows !== undefined && axis <= flow.rows ? 1 : 0
      return {
        ...value,
        flow: { rank: flow.rank + 1, rows: flow.rows === undefined ? undefined : flow.rows + above, data: flow.data },
      }
    },
    round: () => ({ ...NOTHING, flow: fixed(0) }),
    decides(node, value = NOTHING) {
      if (value.fromRows || (value.fromCount && !isRearrangement(node)))
        mixing ??= sentence(node, `decides by the ${value.fromRows ? '' : 'number of '}rows`)
      const known = numbersOf(value.flow)
      return known?.length === 1 ? known[0] !== 0 : undefined
    },
    visit(node, traces, opset) {
      const flows = traces.map((trace) => trace?.flow)
      const fromRows = traces.map((trace) => trace?.fromRows === true)
      if (mixes({ node, inputs: flows, fromRows, opset })) mixing ??= sentence(node)
      const fromCount = traces.some((trace) => trace?.fromCount === true)
      const outputs = outputsOf(node, flows)
      const isShape = SHAPES.has(node.op)
      return node.outputs.map((_, i): Trace => {
        const flow = outputs[i]
        if (isShape)
          return { flow, fromRows: false, fromCount: countOf(flows[0], flow?.ints, fromRows.includes(true) || fromCount) }
        // Elements known one by one: those that are the number of rows are known, too.
        const counts = flow?.ints ? flow.ints.includes(ROWS) || (fromCount && flow.ints.includes(undefined)) : fromCount
        const isKnown = flow?.ints !== undefined && !flow.ints.includes(undefined)
        return { flow, fromRows: !isKnown && fromRows.includes(true), fromCount: counts }
      })
    },
  }
  let flows: ReadonlyMap<string, MaybeFlow> = new Map()
  try {
    const traces = walk(graph, start, domain)
    flows = new Map(Array.from(traces, ([name, trace]) => [name, trace?.flow]))
  } catch (error) {
    if (!(error instanceof Malformed)) throw error
    mixing ??= error.message
  }
  return { flows, mixing }
}

/** Operators that keep every element and the order of elements. */
const REARRANGING: ReadonlySet<string> = new Set(
  ['Constant', 'Flatten', 'Identity', 'Reshape', 'Squeeze', 'Unsqueeze'].map((op) => `ai.onnx:${op}`),
)

/** A choice between shapes alone: PyTorch writes one for each dimension that it drops if its size is 1. */
const isRearrangement = ({ op, graphs }: GraphNode): boolean =>
  op === 'ai.onnx:If' && [...graphs.values()].every(({ nodes }) => nodes.every((node) => REARRANGING.has(node.op)))

const SHAPES: ReadonlySet<string> = new Set(['ai.onnx:Shape', 'ai.onnx:Size'])

/** Whether the number of rows is part of a value's sizes. */
function countOf(of: MaybeFlow, ints: readonly Int[] | undefined, isOfRequest: boolean): boolean {
  if (ints && !ints.includes(undefined)) return ints.includes(ROWS)
  return of ? of.rows !== undefined : isOfRequest
}

const sameFlow = (a: MaybeFlow, b: MaybeFlow): boolean =>
  a === b ||
  (a !== undefined && b !== undefined && a.rank === b.rank && a.rows === b.rows && a.data === b.data && sameInts(a.ints, b.ints))

const sameInts = (a: readonly Int[] | undefined, b: readonly Int[] | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && a.length === b.length && a.every((int, i) => int === b[i]))

function sentence({ op, outputs }: GraphNode, what?: string): string {
  const name = op.slice(op.indexOf(':') + 1)
  const does = what ?? (isRandom(op) || name === 'Dropout' ? 'draws random numbers' : 'works across the rows')
  return `operator ${name} of '${printable(outputs[0] ?? '').slice(0, MAX_SHOWN_CHARS)}' ${does}`
}
