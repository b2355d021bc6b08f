/**
 * Runs of microseconds on the host's own thread: while few requests wait and the event loop has room. The workers stay, and take all else.
 * Nothing of this can fail a load or a request: without it, runs happen in the workers.
 */

import type { Clock } from '../../host/clock.ts'
import { printable } from '../../host/printable.ts'
import type { Instance } from '../instance.ts'
import type { Loaded } from '../messages.ts'
import type { Run, RunOutcome } from '../run.ts'
import { createHostInstance } from './instance.ts'
import { MOST_MS, TOO_LONG } from './limits.ts'
import type { HostLoop } from './loop.ts'
import { type HostModel, type HostSession, openHostSession } from './session.ts'

/**
 * Runs of each size before requests get there, at least, and at most as long as none is short enough: ONNX Runtime's first run of a shape takes
 * thirty times as long as the tenth.
 */
const WARM_UP_RUNS = { min: 8, max: 40 }
/** An idle moment is looked for this often. */
const LOOK_MS = 50
const LOOKS = 100
/** Time until the next attempt, at first and at most. */
const RETRY_MS = { first: 5000, most: 300_000 }

/** Where the scheduler may send a batch that is not worth a hop. */
export interface Inline {
  /** Inputs of one row have so many bytes. Rows of a request that shares no runs are known by that alone. */
  readonly rowBytes: number
  /** Longest run that it takes, in milliseconds. */
  readonly mostMs: number
  /**
   * The session on the host, if it may have the next batch.
   * @param expectedMs of its run; `undefined` if more than one batch waits, or if nothing promises how long it takes
   */
  take(expectedMs: number | undefined): Instance | undefined
}

export interface InlineEvent {
  readonly type: 'tier'
  readonly tier: 'inline' | 'worker'
  readonly reason: string
}

export interface InlineTier extends Inline {
  readonly info: { readonly active: boolean; readonly reason: string }
  /** Memory of the session; 0 without one. */
  readonly bytes: number
  /** The model serves. */
  begin(terms: Terms): void
  /** The model leaves memory: the session ends after the run that it has. It returns with the requests. */
  rest(): Promise<void>
  close(): Promise<void>
}

/** The facts about a model that serves. */
export interface Terms {
  readonly model: HostModel
  readonly loaded: Loaded
  readonly rowBytes: number
  /** Why it must not run on the host, as far as that is known at once. */
  readonly against: string | undefined
  /** The same, if that takes a look at its graph. */
  lookInside(): Promise<string | undefined>
  /** Runs of the usual sizes that are expected to be short enough, one row first. */
  usual(): readonly Run[]
}

interface Deps {
  readonly clock: Clock
  readonly loop: HostLoop
  /** Makes the session. @default by the public API of onnxruntime-node */
  readonly open?: (model: HostModel) => Promise<HostSession>
  /** Memory that the session will take. */
  readonly sessionBytes: number
  /** Whether there is room for that many bytes more. */
  fits(bytes: number): boolean
  /** Rejects if the model's files must not be loaded now. @returns a check, after the load, that they were the right ones */
  checkSource(): Promise<() => Promise<void>>
  /** True while requests wait. */
  isBusy(): boolean
  /** Repeats a run in a worker, on copies of its inputs. @returns its shortest time; `undefined` if the worker was lost */
  repeat(run: Run): Promise<number | undefined>
  emit(event: InlineEvent): void
}

type State =
  /** Not for this model, or not any more. */
  | { readonly name: 'off'; readonly reason: string }
  /** Until requests come, and not before that time. */
  | { readonly name: 'resting'; readonly untilMs: number; readonly reason: string }
  | { readonly name: 'preparing' }
  | { readonly name: 'serving'; readonly instance: Instance }
  /** A run took too long, and is repeated in a worker. */
  | { readonly name: 'suspended'; readonly instance: Instance }

const NOT_SERVING = 'the model does not serve'
const IDLE = 'the host takes runs from the first second of requests on, if its event loop has room'
const READY: State = { name: 'resting', untilMs: 0, reason: IDLE }

const REASONS: { readonly [N in State['name']]: (state: Extract<State, { readonly name: N }>) => string } = {
  off: ({ reason }) => reason,
  resting: ({ reason }) => reason,
  preparing: () => 'a session on the host is made in an idle moment',
  serving: () => SERVES,
  suspended: () => `${SERVES}; a run that took too long is being repeated in a worker`,
}
const SERVES = 'runs are short: on the host while at most one batch waits and its event loop has room, else in a worker'

/** Why there is no session on the host, for good or for a while. */
type Refusal = { readonly never: string } | { readonly notNow: string }

export function createInline(deps: Deps): InlineTier {
  const { clock, loop, open = openHostSession, sessionBytes, fits, checkSource, isBusy, repeat, emit } = deps
  let terms: Terms | undefined
  let state: State = { name: 'off', reason: NOT_SERVING }
  let expected = 0
  let retryMs = RETRY_MS.first
  let ending: Promise<unknown> = Promise.resolve()

  const instanceIn = (): Instance | undefined => ('instance' in state ? state.instance : undefined)

  function take(expectedMs: number | undefined): Instance | undefined {
    // First: a model that is too slow costs no more than this.
    if (expectedMs === undefined || expectedMs > MOST_MS || state.name === 'off') return undefined
    const calm = loop.isCalm()
    if (state.name === 'resting' && clock.now() >= state.untilMs) void prepare()
    if (state.name !== 'serving' || !calm || !loop.free) return undefined
    expected = expectedMs
    return state.instance
  }

  // ---------------------------------------------------------------- before the first run

  async function prepare(): Promise<void> {
    const mine: State = { name: 'preparing' }
    state = mine
    const isWanted = (): boolean => state === mine
    const outcome = await start(isWanted).catch(
      (error: unknown): Refusal => ({ never: `no session on the host: ${textOf(error)}` }),
    )
    if (!isWanted()) {
      if ('instance' in outcome) await outcome.instance.close()
    } else if ('instance' in outcome) {
      state = { name: 'serving', instance: outcome.instance }
      emit({ type: 'tier', tier: 'inline', reason: SERVES })
    } else if ('never' in outcome) {
      state = { name: 'off', reason: outcome.never }
    } else {
      state = { name: 'resting', untilMs: clock.now() + retryMs, reason: outcome.notNow }
      retryMs = Math.min(RETRY_MS.most, 2 * retryMs)
    }
  }

  async function start(isWanted: () => boolean): Promise<{ readonly instance: Instance } | Refusal> {
    if (!terms) return { notNow: NOT_SERVING }
    const { model, loaded, lookInside, usual } = terms
    const never = await lookInside()
    if (never !== undefined) return { never }
    if (!fits(sessionBytes)) return { notNow: 'memory.budgetBytes leaves no room for a session on the host' }
    if (!(await idleMoment(isWanted))) return { notNow: 'there was no idle moment to make a session on the host' }
    const confirm = await checkSource()
    const instance = createHostInstance(await open(model), { loaded, clock, loop, onRan: judge })
    try {
      await confirm()
      const refusal = await warmUp(instance, usual(), isWanted)
      if (!refusal) return { instance }
      await instance.close()
      return refusal
    } catch (error) {
      await instance.close()
      throw error
    }
  }

  const pause = (ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve))

  async function idleMoment(isWanted: () => boolean): Promise<boolean> {
    for (let look = 0; look < LOOKS && isWanted(); look++) {
      if (loop.isCalm() && !isBusy()) return true
      await pause(LOOK_MS)
    }
    return false
  }

  /** One run in a turn, and only in turns that no other run wants. */
  async function warmUp(instance: Instance, runs: readonly Run[], isWanted: () => boolean): Promise<Refusal | undefined> {
    const { min, max } = WARM_UP_RUNS
    for (const [index, run] of runs.entries()) {
      let shortest = Number.POSITIVE_INFINITY
      for (let i = 0; (i < min || (i < max && shortest > MOST_MS)) && isWanted(); i++) {
        while (!loop.free) await pause(1)
        const [outcome] = await outcomesOf(instance, run)
        if (outcome && 'error' in outcome) return { never: `a run failed on the host: ${outcome.error.message}` }
        shortest = Math.min(shortest, outcome?.inferMs ?? shortest)
      }
      if (index === 0 && shortest > MOST_MS) return { notNow: `a run of one row takes ${shown(shortest)} on the host` }
    }
    return undefined
  }

  // ---------------------------------------------------------------- after each run

  function judge(run: Run, inferMs: number): void {
    if (state.name !== 'serving' || inferMs <= TOO_LONG * expected) return
    const { instance } = state
    const mine: State = { name: 'suspended', instance }
    const limit = TOO_LONG * expected
    const suspicion = `a run took ${shown(inferMs)} where ${shown(expected)} were expected`
    state = mine
    void repeat(run).then((ms) => {
      if (state !== mine) return
      if (ms !== undefined && ms <= limit) state = { name: 'serving', instance }
      else
        stop(
          ms === undefined ? `${suspicion}, and the worker that repeated it was lost` : `${suspicion}, and so did its repetition`,
        )
    })
  }

  function stop(reason: string): void {
    void end({ name: 'off', reason })
    emit({ type: 'tier', tier: 'worker', reason })
  }

  function end(next: State): Promise<unknown> {
    const instance = instanceIn()
    state = next
    if (instance) ending = Promise.all([ending, instance.close()])
    return ending
  }

  return {
    get rowBytes() {
      return terms?.rowBytes ?? 0
    },
    get info() {
      const active = instanceIn() !== undefined
      return { active, reason: (REASONS[state.name] as (of: State) => string)(state) }
    },
    get bytes() {
      return instanceIn() ? sessionBytes : 0
    },
    mostMs: MOST_MS,
    take,
    begin(given) {
      terms = given
      state = given.against === undefined ? READY : { name: 'off', reason: given.against }
    },
    async rest() {
      if (state.name !== 'off') await end(READY)
    },
    async close() {
      await end({ name: 'off', reason: NOT_SERVING })
    },
  }
}

const outcomesOf = (instance: Instance, run: Run): Promise<readonly RunOutcome[]> =>
  new Promise((resolve) => instance.run([run], (outcomes) => resolve(typeof outcomes === 'string' ? [] : outcomes)))

const shown = (ms: number): string => (ms < 1 ? `${Math.round(ms * 1000)} µs` : `${ms.toFixed(1)} ms`)

const textOf = (error: unknown): string => printable(error instanceof Error ? error.message : String(error)).slice(0, 500)
