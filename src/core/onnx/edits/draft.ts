/** The state of a graph while its edits are made, one after the other. */

import type { LeftOutput, ValueInfo } from '../../tensor/types.ts'
import type { GraphEdit, OnnxModelFacts } from '../types.ts'
import type { Change } from './changes.ts'
import type { Layout, LayoutNode } from './layout.ts'

export interface Unzipped {
  readonly as: ValueInfo
  readonly classes: readonly string[]
}

export interface Draft {
  /** Of the file, with the types of outputs that it does not declare, as far as they follow from its graph. */
  readonly facts: OnnxModelFacts
  readonly layout: Layout
  /** Element types of the graph's values, as far as they follow; 0 where they do not. */
  readonly types: ReadonlyMap<string, number>
  /** Something in the file that came with the IR version that is to be lowered. */
  readonly newer: string | undefined
  readonly changes: Change[]
  readonly edits: GraphEdit[]
  readonly leftOut: LeftOutput[]
  /** Outputs that are served as something else, and the names of their classes. */
  readonly unzipped: Map<string, Unzipped>
  /** Nodes that were replaced, with what they take now. */
  readonly replaced: Map<LayoutNode, readonly string[]>
}

export const draftOf = (file: Pick<Draft, 'facts' | 'layout' | 'types' | 'newer'>): Draft => ({
  ...file,
  changes: [],
  edits: [],
  leftOut: [],
  unzipped: new Map(),
  replaced: new Map(),
})
