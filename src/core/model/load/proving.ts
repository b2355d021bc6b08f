/**
 * Proves that requests of a model may share runs: as a part of its load, or beside its requests once it serves. Until then each of them runs
 * alone.
 */

import type { TensorRecord } from '../../engine/frame.ts'
import type { Instance } from '../../engine/instance.ts'
import type { Pool } from '../../engine/pool.ts'
import type { Scheduler } from '../../scheduler/scheduler.ts'
import type { ExampleForm } from '../../tensor/index.ts'
import type { Attempt } from '../../trial/attempt.ts'
import { beforeProof, type Evidence } from '../../trial/conclude.ts'
import { createGaps } from '../../trial/gaps.ts'
import { whyNot } from '../../trial/trials.ts'
import {
  gather,
  gatherOn,
  type Opening,
  open,
  planAfter,
  resultOf,
  type WarmupDeps,
  type WarmupResult,
} from '../../trial/warm-up.ts'
import type { LoadContext } from './context.ts'
import type { Keeper } from './keeper.ts'

/** The model to prove it of. */
export interface Subject {
  readonly warmUp: WarmupDeps
  /** The forms of `warmUp.examples()`. */
  readonly forms: readonly ExampleForm[]
  /** The execution provider of the session. */
  readonly provider: string
}

export interface Proving {
  /**
   * First runs of the first instance, and the proof where the load waits for it.
   * @throws ModelmountError `MODEL_LOAD_FAILED`
   */
  open(instance: Instance, subject: Subject): Promise<void>
  /** Inputs that further instances run before requests get to them. */
  rehearsal(): readonly TensorRecord[]
  /** Further instances run nothing any more: one was lost by it. */
  spare(): void
  /** The model serves. Resolves when the proof is there, or not wanted any more. Never rejects. */
  begin(): Promise<void>
  /** Inputs of the usual sizes; none before the proof. */
  usual(): readonly TensorRecord[]
  /** Rows were seen to influence each other while the model served. */
  refuted(reason: string): void
  /** Ends the proof. Resolves once it takes no memory any more. */
  end(): Promise<void>
}

interface Deps {
  readonly attempt: Attempt
  readonly keeper: Keeper
  readonly pool: Pool
  readonly scheduler: Scheduler
}

/** A model of which the first instance has loaded. */
interface Opened extends Subject {
  readonly opening: Opening
}

const NONE: readonly TensorRecord[] = []

export function createProving({ attempt, keeper, pool, scheduler }: Deps, { deps, known, learn }: LoadContext): Proving {
  const { clock, emit } = deps
  const { proof } = known().config
  const gaps = createGaps({ pool, scheduler, clock })
  let opened: Opened | undefined
  let result: WarmupResult | undefined
  let source: 'proof' | 'kept' = 'proof'
  let spared = false
  let over = false

  function settle({ opening, warmUp, forms }: Opened, evidence: Evidence): WarmupResult {
    const found = resultOf(opening, warmUp, evidence)
    result = found
    scheduler.setBatching(found.batching)
    learn({ example: found.example === undefined ? undefined : forms[found.example] })
    return found
  }

  function announce(): void {
    const { state, enabled, reason } = scheduler.batching.info
    if (state !== 'off') emit({ type: 'batching', state, enabled, reason, source })
  }

  async function prove(subject: Opened): Promise<void> {
    const { opening, warmUp } = subject
    const evidence = await gather(planAfter(opening, warmUp), warmUp, gaps).catch(failed)
    if (over) return
    const { usual } = settle(subject, evidence)
    announce()
    await keeper.keep(evidence, subject.provider)
    // The first one has run them.
    if (pool.instances.length > 1) await gaps.onEach(runsOf(usual(), warmUp))
  }

  function failed(error: unknown): Evidence {
    const reason = whyNot(error)
    if (!over) emit({ type: 'untried', reason })
    return { tried: reason, mixing: undefined, points: [] }
  }

  return {
    async open(instance, subject) {
      const { warmUp } = subject
      const opening = await open(instance, warmUp)
      opened = { ...subject, opening }
      const plan = planAfter(opening, warmUp)
      const kept = await keeper.evidence(plan, subject.provider)
      if (kept) {
        source = 'kept'
        settle(opened, kept)
        void attempt.end()
      } else if (proof === 'background' && plan) scheduler.setBatching(beforeProof(warmUp.signature, warmUp.config.batching))
      else {
        const evidence = await gatherOn(instance, plan, warmUp)
        settle(opened, evidence)
        void keeper.keep(evidence, subject.provider)
      }
    },
    rehearsal: () => (spared ? NONE : (result?.rehearsal() ?? opened?.opening.samples ?? NONE)),
    spare() {
      spared = true
    },
    usual: () => result?.usual() ?? NONE,
    async begin() {
      announce()
      if (opened && !result) await prove(opened)
    },
    refuted(reason) {
      emit({ type: 'batching', state: 'refuted', enabled: false, reason, source: 'serving' })
      void keeper.refute(reason)
    },
    end() {
      over = true
      gaps.end()
      return attempt.end()
    },
  }
}

const runsOf = (all: readonly TensorRecord[], { signature }: WarmupDeps) =>
  all.map((inputs) => ({ inputs, fetches: signature.outputs.map(({ name }) => name) }))
