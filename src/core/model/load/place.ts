/**
 * Chooses the tier of a model: a graph that a request can make crash ends the host when it runs in a thread, and small models share one.
 */

import { stat } from 'node:fs/promises'
import type { OpenChannel } from '../../engine/channel.ts'
import { openProcess } from '../../engine/process.ts'
import { createBerth } from '../../engine/seats/berth.ts'
import { findHazard } from '../../onnx/index.ts'
import type { OnnxModelFacts } from '../../onnx/types.ts'
import { decideIsolation } from '../isolation.ts'
import { reasonForOwnWorker } from '../seating.ts'
import type { LoadContext } from './context.ts'
import { weightBytesOf } from './files.ts'
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
  if (config.isolation === 'thread') {
    const ownWorker = reasonForOwnWorker(config, edited?.facts, await sizeOf(admitted, edited?.facts))
    learn({ ownWorker })
    if (ownWorker !== undefined) return { ...graph, open: openThread }
    const moved = (reason: string): void => deps.emit({ type: 'tier', tier: 'worker', from: 'shared', reason })
    const berth = createBerth({ threads: deps.threads, openThread, moved })
    learn({ berth })
    return { ...graph, open: berth.open }
  }
  learn({ buffers: undefined })
  graph.dropThread()
  return { ...graph, open: openProcess({ maxMemoryBytes: config.maxMemoryBytes }) }
}

/** Of the file as it is, and of its weights in other files. */
async function sizeOf({ source, data }: Placed['admitted'], facts: OnnxModelFacts | undefined): Promise<number> {
  const weightBytes = await weightBytesOf(source, data, facts)
  return Math.max(weightBytes, typeof source === 'string' ? (await stat(source)).size : source.byteLength)
}
