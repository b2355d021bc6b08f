/** Chooses the tier of a model: a graph that a request can make crash ends the host when it runs in a thread. */

import type { OpenChannel } from '../../engine/channel.ts'
import { openProcess } from '../../engine/process.ts'
import { findHazard } from '../../onnx/index.ts'
import { decideIsolation } from '../isolation.ts'
import type { LoadContext } from './context.ts'
import type { Graph } from './read.ts'

/** A version that is given its tier. */
export interface Placed extends Graph {
  /** Starts its workers. */
  readonly open: OpenChannel
}

export async function place(graph: Graph, { known, deps, learn }: LoadContext): Promise<Placed> {
  const { admitted, edited, openThread } = graph
  const hazard = edited && (await findHazard(admitted.source, edited.facts, edited.patch))
  const { config, event } = decideIsolation(known().config, hazard)
  learn({ config, hazard })
  if (event) deps.emit(event)
  if (config.isolation === 'thread') return { ...graph, open: openThread }
  learn({ buffers: undefined })
  graph.dropThread()
  return { ...graph, open: openProcess({ maxMemoryBytes: config.maxMemoryBytes }) }
}
