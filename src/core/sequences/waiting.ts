/** The requests that wait for earlier ones of their sequence: bounded, each until its deadline, or until its caller gives up. */

import { ModelmountError } from '../errors.ts'
import { type AbortSignalLike, onAbort } from '../host/abort.ts'
import type { Clock } from '../host/clock.ts'
import { createDeadlines } from '../scheduler/deadlines.ts'
import { lateInLine, tooManyWaiting, tooManyWaitingOfTenant } from './refusals.ts'
import { createTenantCounts } from './tenant-counts.ts'
import type { Turn } from './turn.ts'

export interface WaitingBounds {
  readonly maxQueue: number
  readonly maxQueueBytes: number
  readonly maxQueuePerTenant: number
}

export interface Waiting extends Iterable<Turn> {
  readonly size: number
  has(turn: Turn): boolean
  /** Why a request of so many bytes may not wait as well, if so. */
  refusal(tenant: string, bytes: number): ModelmountError | undefined
  add(turn: Turn): void
  /** Does nothing for a request that does not wait. */
  remove(turn: Turn): void
}

/** @param giveUp called for a request that must not wait any longer */
export function createWaiting(
  { maxQueue, maxQueueBytes, maxQueuePerTenant }: WaitingBounds,
  clock: Clock,
  giveUp: (turn: Turn, error: ModelmountError) => void,
): Waiting {
  /** Each with the end of its listening for an abort. */
  const turns = new Map<Turn, () => void>()
  const perTenant = createTenantCounts()
  const deadlines = createDeadlines(
    clock,
    () => turns.keys(),
    ({ request }) => request.deadline,
    (turn) => giveUp(turn, lateInLine()),
  )
  let bytes = 0

  return {
    get size() {
      return turns.size
    },
    has: (turn) => turns.has(turn),
    refusal(tenant, added) {
      if (turns.size >= maxQueue || (turns.size > 0 && bytes + added > maxQueueBytes)) return tooManyWaiting(turns.size)
      if (tenant !== '' && perTenant.of(tenant) >= maxQueuePerTenant) return tooManyWaitingOfTenant(perTenant.of(tenant))
      return undefined
    },
    add(turn) {
      const { signal, deadline } = turn.request
      turns.set(turn, signal ? onAbort(signal, () => giveUp(turn, aborted(signal))) : noSignal)
      perTenant.add(turn.sequence.tenant, 1)
      bytes += turn.bytes
      deadlines.watch(deadline)
    },
    remove(turn) {
      const stopListening = turns.get(turn)
      if (!stopListening) return
      turns.delete(turn)
      perTenant.add(turn.sequence.tenant, -1)
      bytes -= turn.bytes
      stopListening()
      if (turns.size === 0) deadlines.rest()
    },
    // A copy: callers remove turns while they iterate.
    [Symbol.iterator]: () => [...turns.keys()][Symbol.iterator](),
  }
}

const noSignal = (): void => {}

export const aborted = (signal: AbortSignalLike): ModelmountError =>
  new ModelmountError('ABORTED', 'the request was aborted', { cause: signal.reason })
