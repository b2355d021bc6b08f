/** Versions that earn their traffic: a share of the callers gets the candidate, and both are counted. A sketch that compiles. */

import { createHash } from 'node:crypto'
import type { Call, Extension, Servable } from 'modelmount/extension'

interface Counters {
  readonly answered: number
  readonly failed: number
}

export interface Rollout extends Extension {
  start(context: Parameters<NonNullable<Extension['start']>>[0]): void
  /** @param weight share of callers that get the candidate, 0 to 1 */
  route(model: string, candidate: Servable, weight: number): void
  status(model: string): Readonly<Record<'baseline' | 'candidate', Counters>> | undefined
}

interface Running {
  readonly candidate: Servable
  readonly weight: number
  readonly counters: Record<'baseline' | 'candidate', Counters>
}

/** Monotone as the weight grows: a caller that has the candidate keeps it. */
const shareOf = ({ tenant, connection, model }: Call): number =>
  createHash('sha256')
    .update(`${model} ${tenant ?? connection?.toString() ?? ''}`)
    .digest()
    .readUInt32BE() /
  2 ** 32

export function rollout(): Rollout {
  const running = new Map<string, Running>()
  let warn: (message: string) => void = () => {}
  return {
    apiVersion: 1,
    name: 'rollout',
    start(context) {
      warn = context.warn
    },
    route(model, candidate, weight) {
      const zero = { answered: 0, failed: 0 }
      running.set(model, { candidate, weight, counters: { baseline: zero, candidate: zero } })
    },
    status: (model) => running.get(model)?.counters,
    stages: {
      route: (next) => async (call) => {
        const found = running.get(call.model)
        // A request that names a version gets that version, and is no evidence.
        if (!found || call.version !== undefined || call.label !== undefined) return next(call)
        const { candidate, weight, counters } = found
        const arm = candidate.available && shareOf(call) < weight ? 'candidate' : 'baseline'
        const { answered, failed } = counters[arm]
        try {
          const answer = await next(arm === 'candidate' ? { ...call, servable: candidate } : call)
          counters[arm] = { answered: answered + 1, failed }
          return answer
        } catch (error) {
          counters[arm] = { answered, failed: failed + 1 }
          if (arm === 'candidate') warn(`version ${candidate.version} of ${call.model} failed`)
          throw error
        }
      },
    },
    sources: [{ name: 'rollouts', read: () => [...running.keys()] }],
  }
}
