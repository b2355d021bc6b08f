/** A model whose runs take long for some values, without any operator that would show it: a tree that is a path of thousands of steps. */

import { attr, node, value, writeModel } from '../../tools/onnx-writer.mjs'

const STEPS = 4000
/** Beyond what is made up to try a model. */
const LARGE = 1e20

/** Rows of x: float32 [N, 2]. The usual ones leave the tree at its first node, the slow ones at its last. */
export function longPath() {
  const inner = Array.from({ length: STEPS }, (_, i) => i)
  // Node i leads to leaf STEPS + i, or on to node i + 1; the last to another leaf.
  const ids = Array.from({ length: 2 * STEPS + 1 }, (_, i) => i)
  const isLeaf = (id: number): boolean => id >= STEPS
  const source = writeModel({
    opsets: { '': 17, 'ai.onnx.ml': 1 },
    graph: {
      name: 'path',
      inputs: [value('x', 'float', ['N', 2])],
      outputs: [value('y', 'float', ['N', 1])],
      nodes: [
        node(
          'TreeEnsembleRegressor',
          ['x'],
          ['y'],
          {
            n_targets: attr.int(1),
            nodes_treeids: attr.ints(ids.map(() => 0)),
            nodes_nodeids: attr.ints(ids),
            nodes_featureids: attr.ints(ids.map(() => 0)),
            nodes_modes: attr.strings(ids.map((id) => (isLeaf(id) ? 'LEAF' : 'BRANCH_LT'))),
            nodes_values: attr.floats(ids.map((id) => (isLeaf(id) ? 0 : LARGE))),
            nodes_truenodeids: attr.ints(ids.map((id) => (isLeaf(id) ? 0 : STEPS + id))),
            nodes_falsenodeids: attr.ints(ids.map((id) => (isLeaf(id) ? 0 : id + 1 === STEPS ? 2 * STEPS : id + 1))),
            target_treeids: attr.ints([...inner, 0].map(() => 0)),
            target_nodeids: attr.ints([...inner.map((id) => STEPS + id), 2 * STEPS]),
            target_ids: attr.ints([...inner, 0].map(() => 0)),
            target_weights: attr.floats([...inner, 0].map(() => 1)),
          },
          { domain: 'ai.onnx.ml' },
        ),
      ],
    },
  })
  const rows = (count: number, first: number) => ({
    x: { type: 'float32' as const, dims: [count, 2], data: new Float32Array(2 * count).fill(first) },
  })
  return { source, usual: (count: number) => rows(count, 1), slow: (count: number) => rows(count, 2 * LARGE) }
}
