/**
 * How a model is tried: in a trial run before anything else of it is started, beside its own load, or once it serves. Where memory is short, it is
 * tried before its load, in the memory that is reserved for the model.
 */

import type { TensorRecord } from '../engine/frame.ts'
import type { LoadRequest } from '../engine/instance.ts'
import type { Loaded } from '../engine/messages.ts'
import { standingBack } from '../engine/options.ts'
import { ModelmountError } from '../errors.ts'
import type { Found, TrialPlan, TryOut } from './plan.ts'
import { type Job, type Trials, whyNot } from './trials.ts'

/** The session's description of the model, for a trial. */
export interface Description {
  /** `undefined` if there is nothing to try. */
  readonly plan: TrialPlan | undefined
  /** Replacements during a trial run. */
  readonly samples: readonly TensorRecord[]
  readonly fetches: readonly string[]
}

export interface AttemptSettings {
  /** The model must have loaded and run in a child before an instance starts. */
  readonly trialRun: boolean
  /** There is something to try. */
  readonly wanted: boolean
  /** It is tried once it serves, and not beside its load. */
  readonly later: boolean
  /** Private memory that the child will need, reserved for the model itself. */
  readonly neededBytes: number
  readonly reservedBytes: number
  /** An upper limit, whatever is free. */
  readonly maxBytes: number | undefined
}

interface Deps {
  readonly trials: Trials
  /** Reserves memory, if there is room for it. */
  lend(bytes: number): { readonly maxBytes: number; release(): void } | undefined
  describe(loaded: Loaded): Description
  onLine(line: string): void
  /** It should have been tried, but something failed. */
  untried(reason: string): void
}

export interface Attempt {
  /**
   * The work before the first instance.
   * @param isKnown whether the findings of an earlier trial are there, so that only a trial run is wanted
   * @throws ModelmountError `MODEL_LOAD_FAILED` when the trial run fails
   */
  prepare(isKnown: () => Promise<boolean>): Promise<void>
  readonly tryOut: TryOut
  /** Resolves once it takes no memory any more. */
  end(): Promise<void>
}

/** For a model that is unloaded before its trial. */
const OVER = 'its trial is over'

/** Memory of a trial without any other bound: the machine must be left with as much again. */
const spareBytes = (): number => process.availableMemory() / 2

export function createAttempt(request: LoadRequest, bounds: AttemptSettings, deps: Deps): Attempt {
  const { trialRun, wanted, later, neededBytes, reservedBytes } = bounds
  const { trials, describe, lend } = deps
  let job: Job | undefined
  let loan: ReturnType<Deps['lend']>
  let found: Found | string | undefined
  let ended = false

  function begin({ alone = false, standsBack = false }): Job {
    const maxBytes = (): number =>
      Math.min(
        bounds.maxBytes ?? Number.POSITIVE_INFINITY,
        Math.max(neededBytes, Math.min(loan?.maxBytes ?? Number.POSITIVE_INFINITY, spareBytes())),
      )
    const settings = { ...(later ? standingBack(request.settings) : request.settings), ...ON_CPU }
    return trials.begin({ ...request, settings, alone, later: standsBack, maxBytes, onLine: deps.onLine })
  }

  function fail(error: unknown): string {
    const reason = whyNot(error)
    deps.untried(reason)
    return reason
  }

  async function tryWith(job: Job, plan: TrialPlan): Promise<Found | string> {
    try {
      await job.loaded
      return await job.tryOut(plan)
    } catch (error) {
      return ended ? OVER : fail(error)
    }
  }

  /** The model runs in a child first, and must survive that. */
  async function runFirst(isKnown: () => Promise<boolean>): Promise<void> {
    job = begin({ alone: true })
    const { plan, samples, fetches } = describe(await job.loaded)
    for (const sample of samples) await job.run(sample, fetches)
    if (!plan) return
    await job.smoke(plan)
    if (!(later && hasRoomLater()) && !(await isKnown())) found = await tryWith(job, plan)
  }

  function hasRoomLater(): boolean {
    const room = lend(neededBytes)
    room?.release()
    return room !== undefined
  }

  async function tryFirst(): Promise<void> {
    job = begin({})
    try {
      const { plan } = describe(await job.loaded)
      found = plan ? await tryWith(job, plan) : undefined
    } catch (error) {
      found = ended ? OVER : fail(error)
    }
  }

  async function tryLater(plan: TrialPlan): Promise<Found | string> {
    loan ??= lend(neededBytes)
    if (!loan) return fail(noRoom())
    job = begin({ alone: trialRun, standsBack: true })
    return tryWith(job, plan)
  }

  async function giveBack(): Promise<void> {
    const [ending, lent] = [job, loan]
    job = undefined
    loan = undefined
    await ending?.end()
    lent?.release()
  }

  function end(): Promise<void> {
    ended = true
    return giveBack()
  }

  return {
    async prepare(isKnown) {
      if (!trialRun && !wanted) return
      loan = lend(trialRun ? Math.max(0, neededBytes - reservedBytes) : neededBytes)
      if (!trialRun && loan) {
        if (!later) job = begin({})
        return
      }
      try {
        if (!trialRun && (await isKnown())) return
        loan ??= lend(Math.max(0, neededBytes - reservedBytes))
        if (trialRun) await runFirst(isKnown)
        else if (loan) await tryFirst()
        else found = fail(noRoom())
      } finally {
        await giveBack()
      }
    },
    async tryOut(plan) {
      if (!found && !ended) found = await (job ? tryWith(job, plan) : tryLater(plan))
      await end()
      return found ?? OVER
    },
    end,
  }
}

const noRoom = (): ModelmountError => new ModelmountError('MODEL_LOAD_FAILED', 'memory.budgetBytes has no room for a trial')

/** A trial needs no device: it looks for effects between rows, which the graph causes. Devices are for serving. */
const ON_CPU = { providers: [{ name: 'cpu' }], strictProviders: false } as const
