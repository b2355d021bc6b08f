/** Decides where the next batch runs: on the host, where the model may and there is room, or on an instance of the pool. */

import type { Inline } from '../engine/inline/tier.ts'
import type { Instance } from '../engine/instance.ts'
import type { Pool } from '../engine/pool.ts'
import type { Bursts } from './bursts.ts'
import type { Curve, Line } from './curve.ts'
import type { Entry } from './entry.ts'
import type { FairQueue } from './fair-queue.ts'
import type { Lane } from './lean/lane.ts'
import type { Sharing } from './sharing.ts'

interface Deps {
  readonly pool: Pool
  readonly queue: FairQueue<Entry>
  readonly lane: Lane
  readonly sharing: Sharing
  readonly bursts: Bursts
  /** The session on the host. @default none */
  readonly inline?: Inline | undefined
}

/** @returns chooses the instance for the next work; nothing if it has to wait */
export function createPlacement({ pool, queue, lane, sharing, bursts, inline }: Deps): () => Instance | undefined {
  const fromPool = (): Instance | undefined => pool.balancer.pick(pool.instances, bursts.next())
  if (!inline) return fromPool
  const provedMs = createProof(sharing, inline)
  return () => inline.take(expectedMs(inline)) ?? fromPool()

  /** Of a run of all that waits; `undefined` for more than one batch, and for work that belongs in a worker. */
  function expectedMs({ rowBytes }: Inline): number | undefined {
    const { batching } = sharing
    if (lane.rows > 0)
      return queue.count === 0 && pool.instances.length > 0 && lane.rows <= batching.cap ? provedMs(lane.rows) : undefined
    const head = queue.peek()
    // Values that failed a run lately, or were lost with a worker, are not tried on the host.
    if (head?.partners !== 'any' || head.apart || pool.instances.length === 0) return undefined
    if (!batching.shared(head.bucket)) return queue.count === 1 && head.bytes <= rowBytes ? provedMs(1) : undefined
    return queue.rows <= batching.capOf(head.bucket) ? provedMs(queue.rows) : undefined
  }
}

/**
 * The cost of a run by the model's trial, or where there was none, by the first runs that were short enough. The curve that goes on learning
 * is none of it: it also learns how long a thread takes to wake up, which the host need not.
 */
function createProof(sharing: Sharing, { mostMs }: Inline): (rows: number) => number | undefined {
  let curve: Curve | undefined
  let line: Line | undefined
  return (rows) => {
    const { batching } = sharing
    if (curve !== batching.curve || !line) {
      curve = batching.curve
      const { fit } = curve
      line = fit && fit.baseMs + fit.perRowMs <= mostMs ? { ...fit } : undefined
    }
    return line && line.baseMs + line.perRowMs * rows
  }
}
