/**
 * Runs on instances that serve, between the requests of callers: one at a time, so that a request waits for one of them at most. Where requests
 * leave no gap, a run goes in front of them only when none that waits has waited for an earlier one.
 */

import type { Instance } from '../engine/instance.ts'
import type { Pool } from '../engine/pool.ts'
import type { Run, RunOutcome } from '../engine/run.ts'
import type { Clock } from '../host/clock.ts'
import { copyAll } from '../scheduler/join.ts'
import type { Scheduler } from '../scheduler/scheduler.ts'
import { LOST, type RunAll } from './rows.ts'

/** How long a gap is waited for. */
const PATIENCE_MS = 2
const LOOK_MS = 1
/** While there is no instance at all: the model is out of memory, or its worker is being replaced. */
const MOST_LOOK_MS = 1000

export interface Gaps {
  readonly runAll: RunAll
  /** Runs of each instance that is there now. */
  onEach(runs: readonly Run[]): Promise<void>
  /** Milliseconds inside ONNX Runtime so far. */
  elapsed(): number
  /** Runs that have not begun are given up. */
  end(): void
}

interface Deps {
  readonly pool: Pick<Pool, 'instances' | 'balancer'>
  readonly scheduler: Pick<Scheduler, 'stats' | 'oldestWaitMs' | 'wake'>
  readonly clock: Clock
}

/** A message costs about this beside its run. */
const MESSAGE_MS = 0.1

export function createGaps({ pool, scheduler, clock }: Deps): Gaps {
  let lastEnd = Number.NEGATIVE_INFINITY
  let spentMs = 0
  let mayLose = 1
  let over = false
  let endPause = (): void => {}

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = clock.after(ms, resolve)
      endPause = () => {
        timer.cancel()
        resolve()
      }
    })
  }

  const isIdle = ({ bursts }: Instance): boolean => bursts === 0

  /** An instance whose next work may be one of ours; `undefined` once it is over. @param wanted the only one, unless it has gone */
  async function gap(wanted: Instance | undefined): Promise<Instance | undefined> {
    let lookMs = LOOK_MS
    for (let since = clock.now(); !over; await pause(lookMs)) {
      const { instances } = pool
      if (wanted && !instances.includes(wanted)) return undefined
      const candidates = wanted ? [wanted] : instances
      lookMs = candidates.length > 0 ? LOOK_MS : Math.min(MOST_LOOK_MS, 2 * lookMs)
      const now = clock.now()
      if (candidates.length === 0) since = now
      const idle = scheduler.stats.waiting === 0 ? candidates.find(isIdle) : undefined
      if (idle) return idle
      // All that wait now have come after the last run of ours.
      if (now - since >= PATIENCE_MS && scheduler.oldestWaitMs < now - lastEnd) return candidates[0]
    }
    return undefined
  }

  /** A lost worker may be no fault of the run; a second one is not risked. */
  async function runOne(run: Run): Promise<RunOutcome> {
    const outcome = await runIn(await gap(undefined), run)
    if (outcome !== LOST || over || mayLose === 0) return outcome
    mayLose--
    return runIn(await gap(undefined), run)
  }

  async function runIn(instance: Instance | undefined, { inputs, fetches }: Run): Promise<RunOutcome> {
    if (!instance?.ready) return LOST
    // Large tensors are given away with the message.
    const run = { inputs: copyAll(inputs), fetches }
    const postedAt = clock.now()
    // Neutral: a run of another size says nothing about the speed of an instance.
    pool.balancer.posted(instance, 0)
    return new Promise((resolve) => {
      instance.run([run], (outcomes) => {
        const outcome = typeof outcomes === 'string' ? LOST : (outcomes[0] ?? LOST)
        lastEnd = clock.now()
        spentMs += outcome.inferMs + MESSAGE_MS
        pool.balancer.answered(instance, { expectedMs: 0, tookMs: 0, verdict: 'neutral' }, postedAt)
        scheduler.wake()
        resolve(outcome)
      })
    })
  }

  return {
    async runAll(runs) {
      const outcomes: RunOutcome[] = []
      for (const run of runs) outcomes.push(await runOne(run))
      return outcomes
    },
    async onEach(runs) {
      for (const instance of [...pool.instances]) for (const run of runs) await runIn(await gap(instance), run)
    },
    elapsed: () => spentMs,
    end() {
      over = true
      endPause()
    },
  }
}
