/** Answers of runs: to the callers, or their requests go back into the queue to find out which of them a run failed for. */

import type { Instance } from '../engine/instance.ts'
import type { Pool } from '../engine/pool.ts'
import type { RunFacts, RunOutcome } from '../engine/run.ts'
import { ModelmountError } from '../errors.ts'
import type { Clock } from '../host/clock.ts'
import { discard } from '../tensor/index.ts'
import type { Accepted } from './accepted.ts'
import { createAgain } from './again.ts'
import { checkOne } from './check-run.ts'
import type { Batch, Dispatch, Entry, Held } from './entry.ts'
import type { FairQueue } from './fair-queue.ts'
import type { Recheck } from './recheck.ts'
import { type Sharing, stopSharing } from './sharing.ts'
import { originOf, type Suspects } from './suspects.ts'

export interface Answers {
  /** A run has ended. */
  finish(batch: Batch, dispatch: Dispatch, outcome: RunOutcome, endedAt: number): void
  /** The worker is gone. */
  lose(entries: readonly Entry[], how: 'lost' | 'unstarted'): void
}

interface Deps {
  readonly pool: Pool
  readonly clock: Clock
  readonly queue: FairQueue<Entry>
  readonly sharing: Sharing
  readonly suspects: Suspects
  readonly settle: Accepted['settle']
  readonly recheck?: Recheck | undefined
  readonly onRefuted?: ((reason: string) => void) | undefined
  /** An instance has ended the repetition of a row, and may be free. */
  onChecked(): void
}

export function createAnswers(deps: Deps): Answers {
  const { pool, clock, queue, sharing, suspects, settle, recheck, onRefuted, onChecked } = deps
  const again = createAgain(queue)
  let runs = 0

  function finish(batch: Batch, { instance, sentAt }: Dispatch, outcome: RunOutcome, endedAt: number): void {
    const { requests, bucket, rows } = batch
    const { inferMs } = outcome
    if ('error' in outcome) {
      const entries = batch.entries()
      if (entries.length > 1) again.inHalves(entries)
      else refuted(entries[0] as Entry, outcome.error)
      return
    }
    pool.succeeded(instance)
    recheck?.ran(inferMs)
    const { batching } = sharing
    batching.observe(bucket, rows, inferMs, endedAt)
    const pieces = batch.split(outcome.outputs)
    if (!pieces) {
      // Sharing may be off by now, for another reason: results of shared runs meanwhile are not trusted either.
      stopSharing(sharing, 'an output did not have as many rows as the inputs')
      again.alone(batch.entries())
      return
    }
    const isShared = requests.length > 1
    // Each has a copy of its own rows.
    if (isShared) discard(outcome.outputs)
    if (recheck && isShared && !recheck.passes(rows))
      checkOne(batch.parts(), workerFor(instance), pieces, batching.curveOf(bucket).estimate(1) ?? inferMs, {
        recheck,
        pool,
        clock,
        done: checked,
      })
    const run: RunFacts = Object.freeze({ batchId: ++runs, runMs: inferMs, tier: instance.tier })
    for (let index = 0; index < requests.length; index++) {
      const request = requests[index] as Held
      const outputs = pieces[index] ?? Object.create(null)
      settle(request, { outputs, queueMs: sentAt - request.enqueuedAt, inferMs, batchSize: rows, endedAt, run })
    }
  }

  /** The one that repeats a row: repetitions have no place on the host. */
  const workerFor = (instance: Instance): Instance | undefined => (instance.tier === 'inline' ? pool.instances[0] : instance)

  /** It failed by itself, so the cause is not a neighbour. */
  function refuted(entry: Entry, error: ModelmountError): void {
    if (sharing.batching.shared(entry.bucket)) suspects.add(originOf(entry))
    settle(entry, error)
  }

  function checked(reason: string | undefined): void {
    if (reason !== undefined && stopSharing(sharing, reason)) onRefuted?.(reason)
    onChecked()
  }

  /**
   * The worker is gone. Runs that had not started go back into the queue. Of those that ran, a single request may be the cause; its caller
   * decides. Several get another chance, each alone at once: halves would cost a worker each time that the culprit is among them.
   */
  function lose(entries: readonly Entry[], how: 'lost' | 'unstarted'): void {
    // A thread received large tensors for good; there is nothing left to run again.
    if (pool.killable && (how === 'unstarted' || entries.length > 1)) {
      if (how === 'lost') again.alone(entries)
      else again.unchanged(entries)
      return
    }
    for (const entry of entries) {
      if (how === 'lost' && entries.length === 1) suspects.add(originOf(entry))
      settle(entry, new ModelmountError('WORKER_LOST', 'the worker was lost while running this request', { retryAfterS: 1 }))
    }
  }

  return { finish, lose }
}
