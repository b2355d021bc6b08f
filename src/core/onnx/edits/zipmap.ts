/**
 * Replaces a ZipMap, which makes a dictionary of each row, from names of classes to probabilities. The binding cannot carry dictionaries.
 * Its input tensor holds the same numbers.
 */

import type { ValueInfo } from '../../tensor/types.ts'
import { elementDType, elementName } from '../element-types.ts'
import { shown } from '../shown.ts'
import { cut, message, text } from './changes.ts'
import type { Draft } from './draft.ts'
import type { LayoutNode } from './layout.ts'

const ZIPMAP = 'ai.onnx.ml:ZipMap'
const IDENTITY = 'ai.onnx:Identity'
const FLOAT = 1
/** Most Identity nodes in a row. */
const MAX_STEPS = 64

export function unzip(draft: Draft): void {
  const makers = new Map(draft.layout.nodes.flatMap((node) => node.outputs.map((name): [string, LayoutNode] => [name, node])))
  const taken = new Set(draft.layout.nodes.flatMap(({ inputs, below }) => [...inputs, ...below]))
  for (const [i, output] of draft.facts.outputs.entries()) {
    const maker = makers.get(output.name)
    // No operator takes dictionaries. Any other consumer needs them unchanged.
    if (output.type !== undefined || !maker || taken.has(output.name)) continue
    const zipMap = zipMapBehind(output.name, makers, draft)
    if (zipMap) unzipOutput(draft, i, output, maker, zipMap)
  }
}

/** The ZipMap whose unchanged result is an output. */
function zipMapBehind(output: string, makers: ReadonlyMap<string, LayoutNode>, { layout }: Draft): LayoutNode | undefined {
  let name = output
  for (let step = 0; step < MAX_STEPS; step++) {
    const node = makers.get(name)
    // A function of that name may do anything.
    if (!node || layout.functions.has(node.op)) return undefined
    if (node.op === ZIPMAP) return node.inputs[0] && node.classes ? node : undefined
    if (node.op !== IDENTITY) return undefined
    name = node.inputs[0] ?? ''
  }
  return undefined
}

function unzipOutput(draft: Draft, index: number, output: ValueInfo, maker: LayoutNode, zipMap: LayoutNode): void {
  const { layout, types, changes, edits, unzipped, replaced } = draft
  const within = [layout.graph]
  const [tensor = ''] = zipMap.inputs
  const identity = message(1, text(1, tensor), text(2, output.name), text(4, 'Identity'))
  changes.push({ ...cut(maker.span, within), bytes: identity })
  replaced.set(maker, [tensor])
  const place = layout.outputs[index]
  // Without its type, which ONNX Runtime infers: some exporters write a ZipMap of doubles, which does not exist.
  if (place) changes.push({ ...cut(place, within), bytes: message(12, text(1, output.name)) })
  const { classes = [] } = zipMap
  const type = types.get(tensor) || FLOAT
  const dims = [null, classes.length]
  const as = { ...output, type: elementDType(type), declaredType: `tensor(${elementName(type)})`, dims }
  unzipped.set(output.name, { as, classes })
  edits.push({
    edit: 'zipmap',
    target: output.name,
    detail: `the tensor "${shown(tensor)}" is served in place of the dictionaries that ZipMap makes of it`,
  })
}
