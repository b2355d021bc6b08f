/** The state of a graph during its edits. */

import type { LeftOutput, ValueInfo } from '../../tensor/types.ts'
import type { GraphEdit, OnnxModelFacts } from '../types.ts'
import type { Change } from './changes.ts'
import type { Layout, LayoutNode } from './layout.ts'

export interface Unzipped {
  readonly as: ValueInfo
  readonly classes: readonly string[]
}

export interface Draft {
  /** Facts of the file, with inferred types of outputs that it does not declare. */
  readonly facts: OnnxModelFacts
  readonly layout: Layout
  /** Element types of the graph's values, as far as they can be inferred; 0 otherwise. */
  readonly types: ReadonlyMap<string, number>
  /** A part of the file that came with the IR version to be lowered. */
  readonly newer: string | undefined
  readonly changes: Change[]
  readonly edits: GraphEdit[]
  readonly leftOut: LeftOutput[]
  /** Outputs that are served as something else, with the names of their classes. */
  readonly unzipped: Map<string, Unzipped>
  /** Replaced nodes, with their new inputs. */
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
