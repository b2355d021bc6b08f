/** Takes outputs that the binding cannot carry out of the graph, with the nodes that served them alone. */

import type { ValueInfo } from '../../tensor/types.ts'
import { leftOut } from '../left-out.ts'
import { shown } from '../shown.ts'
import { isOpen } from '../support.ts'
import { cut } from './changes.ts'
import type { Draft } from './draft.ts'
import type { LayoutNode } from './layout.ts'

/** Does nothing if no output would be left. */
export function cutOutputs(draft: Draft): void {
  const { facts, layout, unzipped } = draft
  const isServed = (output: ValueInfo): boolean => output.type !== undefined || isOpen(output) || unzipped.has(output.name)
  const kept = facts.outputs.filter(isServed)
  if (kept.length > 0)
    for (const [i, output] of facts.outputs.entries()) {
      const place = layout.outputs[i]
      if (!place || isServed(output)) continue
      draft.changes.push(cut(place, [layout.graph]))
      draft.leftOut.push(leftOut(output))
      draft.edits.push({
        edit: 'cut-output',
        target: output.name,
        detail: `onnxruntime-node cannot carry ${shown(output.declaredType)}`,
      })
    }
  if (draft.changes.length > 0) sweep(draft, kept.length > 0 ? kept : facts.outputs)
}

/** Cuts the nodes that worked only for removed values. */
function sweep(draft: Draft, kept: readonly ValueInfo[]): void {
  const { facts, layout, replaced } = draft
  const before = workers(
    layout.nodes,
    facts.outputs.map(({ name }) => name),
    ({ inputs }) => inputs,
  )
  const after = workers(
    layout.nodes,
    kept.map(({ name }) => name),
    (node) => replaced.get(node) ?? node.inputs,
  )
  const idle = layout.nodes.filter((node) => before.has(node) && !after.has(node))
  for (const { span } of idle) draft.changes.push(cut(span, [layout.graph]))
}

/** The nodes that compute the values of these names. */
function workers(
  nodes: readonly LayoutNode[],
  names: readonly string[],
  inputsOf: (node: LayoutNode) => readonly string[],
): ReadonlySet<LayoutNode> {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((name): [string, LayoutNode] => [name, node])))
  const found = new Set<LayoutNode>()
  const queue = [...names]
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const node = makers.get(name)
    if (!node || found.has(node)) continue
    found.add(node)
    for (const input of inputsOf(node)) queue.push(input)
    for (const input of node.below) queue.push(input)
  }
  return found
}
