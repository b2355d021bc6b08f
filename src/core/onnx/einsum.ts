/** The dimensions that an Einsum sums over and keeps, and their places in the result. */

import type { Flow, MaybeFlow } from './flow.ts'
import type { GraphNode } from './nodes.ts'

const DOTS = '...'

interface Equation {
  /** For each input, a label for each of its dimensions. */
  readonly terms: readonly (readonly string[])[]
  readonly result: readonly string[]
}

/** `undefined` if an input's rank is unknown or the equation is invalid. */
function equationOf(node: GraphNode, inputs: readonly MaybeFlow[]): Equation | undefined {
  const text = node.texts.get('equation')?.replaceAll(' ', '')
  if (text === undefined || inputs.some((flow) => flow === undefined)) return undefined
  const [left = '', right] = text.split('->')
  const parts = left.split(',')
  if (parts.length !== inputs.length) return undefined
  const unnamed = (part: string, { rank }: Flow): number => (part.includes(DOTS) ? rank - (part.length - DOTS.length) : 0)
  const widest = Math.max(0, ...parts.map((part, i) => unnamed(part, inputs[i] as Flow)))
  // Broadcast dimensions, counted from the last.
  const labels = (part: string, dots: number): string[] =>
    part
      .split(DOTS)
      .flatMap((letters, i) => [...(i > 0 ? Array.from({ length: dots }, (_, at) => `.${dots - at}`) : []), ...letters])
  const terms = parts.map((part, i) => labels(part, unnamed(part, inputs[i] as Flow)))
  if (right !== undefined) return { terms, result: labels(right, widest) }
  const letters = terms.flat().filter((label) => label.length === 1)
  const once = letters.filter((label) => letters.indexOf(label) === letters.lastIndexOf(label))
  return { terms, result: [...labels(DOTS, widest), ...once.sort()] }
}

/** The labels that count rows of the request. */
const rowsOf = ({ terms }: Equation, inputs: readonly MaybeFlow[]): ReadonlySet<string> =>
  new Set(inputs.flatMap((flow, i) => (flow?.data && flow.rows !== undefined ? [terms[i]?.[flow.rows] ?? ''] : [])))

/** Whether rows are summed up or meet other rows. */
export function einsumMixes(node: GraphNode, inputs: readonly MaybeFlow[]): boolean {
  const equation = equationOf(node, inputs)
  if (!equation) return false
  const rows = [...rowsOf(equation, inputs)]
  return rows.length > 1 || rows.some((label) => !equation.result.includes(label))
}

/** The known facts about the result. */
export function einsumOutput(node: GraphNode, inputs: readonly MaybeFlow[]): MaybeFlow {
  const equation = equationOf(node, inputs)
  if (!equation) return undefined
  const [label, ...others] = rowsOf(equation, inputs)
  const at = label === undefined ? -1 : equation.result.indexOf(label)
  if (others.length > 0 || (label !== undefined && at < 0)) return undefined
  return { rank: equation.result.length, rows: at < 0 ? undefined : at, data: inputs.some((flow) => flow?.data) }
}
