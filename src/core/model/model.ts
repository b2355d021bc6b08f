/** One served model version: loads, runs requests, drains. What it does in each phase is in the rooms that it wires. */

import type { ResultCache } from '../cache/index.ts'
import type { Memory } from '../engine/buffers.ts'
import { isModelmountError, ModelmountError } from '../errors.ts'
import type { ModelConfig } from '../options/index.ts'
import type { Call } from '../predict/call.ts'
import type { Finished } from '../scheduler/entry.ts'
import type { Sequences } from '../sequences/index.ts'
import type { ModelSignature } from '../tensor/types.ts'
import { type About, unread } from './about.ts'
import type { ModelDeps, ModelEvent } from './deps.ts'
import { infoOf } from './info.ts'
import type { LoadContext } from './load/context.ts'
import { LOAD } from './load/load.ts'
import { createLoadTimes } from './load/times.ts'
import { failureIn, type Phase, runningIn, STATES } from './phases.ts'
import { createResources } from './resources.ts'
import type { Running } from './running.ts'
import { createStatistics, type Statistics } from './statistics.ts'
import type { ModelInfo, ModelState } from './types.ts'
import type { Intake } from './view/intake.ts'

export interface Model {
  readonly name: string
  readonly version: string
  readonly kind: 'model'
  readonly config: ModelConfig
  readonly state: ModelState
  readonly reason: ModelmountError | undefined
  /** Valid once the state has been `ready`. */
  readonly signature: ModelSignature
  /** True when a request would be queued: ready, and not refused by the breaker. */
  readonly available: boolean
  /** Why it is ready and takes no requests. */
  readonly unavailableBecause: string | undefined
  info(isDefault?: boolean): ModelInfo
  /** Loads it; rejects with the reason and leaves the state `failed`. */
  start(): Promise<void>
  /** Makes a caller's inputs ours; valid once the state has been `ready`. */
  readonly own: Intake
  /** Where large inputs that are given to `run` may lie, so that they need not be copied again; none where a run could not take them from there. */
  readonly room: Memory | undefined
  /** What is known of its files, once they were admitted and where somebody wanted to know. */
  readonly integrity: About['integrity']
  /** Queues one run. The tensors must have passed the check and belong to the engine from here on. */
  run(call: Call): Promise<Finished>
  /** By output, what its elements stand for. */
  readonly labels: ModelInfo['labels']
  /** What it has answered before, where that is kept. */
  readonly cache: ResultCache | undefined
  readonly statistics: Statistics
  /** How to make a request that it was seen to answer; none where that was not tried. */
  readonly example: About['example']
  /** Its open sequences, where it keeps state; valid once the state has been `ready`. */
  readonly sequences: Sequences | undefined
  /** True once `drain()` was called, also while it still loads. */
  readonly retired: boolean
  /** Takes no more requests, answers the accepted ones, frees the workers. */
  drain(): Promise<void>
  /** Gives up what `drain()` waits for. */
  abandon(error: ModelmountError): void
}

/** As long as a timer goes. */
const FOREVER_MS = 2 ** 31 - 1

interface CreateOptions {
  /** Id of the manifest that it must have. */
  readonly mustBe?: string | undefined
}

export function createModel(given: ModelConfig, deps: ModelDeps, { mustBe }: CreateOptions = {}): Model {
  const { clock, cache, telemetry, emit } = deps
  const statistics = createStatistics()
  const times = createLoadTimes(clock)
  const resources = createResources()
  const hurried: (() => void)[] = []
  const endings: (() => void)[] = []
  let about: About = unread(given, deps.buffers)
  let phase: Phase = { name: 'waiting' }
  let retired = false
  let start = (): Promise<void> => {
    const started = load()
    phase = { name: 'reading', loading: { ended: started.catch(() => {}), hurry: () => callAll(hurried) } }
    start = () => started
    return started
  }
  let drain = (): Promise<void> => {
    const drained = leave()
    retired = true
    drain = () => drained
    return drained
  }

  const context: LoadContext = {
    ...{ deps, times, statistics, take: resources.add },
    atEnd: (action) => endings.push(action),
    whenUnwanted: (action) => hurried.push(action),
    unwanted: () => retired,
    known: () => about,
    learn(more) {
      about = { ...about, ...more }
    },
    begun(running) {
      if (phase.name === 'reading') phase = { name: 'starting', loading: phase.loading, running }
    },
  }

  const stateOf = (): ModelState => STATES[phase.name]
  const reasonOf = (): ModelmountError | undefined => failureIn(phase)?.reason

  function enter(next: Phase): void {
    phase = next
    emit(stateEvent(phase, about))
  }

  async function load(): Promise<void> {
    emit({ type: 'state', state: stateOf() })
    const startedAt = clock.now()
    // Its caller waits for the answer, whatever dies meanwhile that kept the process running.
    const awake = clock.after(FOREVER_MS, () => {})
    awake.hold(true)
    endings.push(() => awake.cancel())
    if (given.batching) endings.push(deps.trials.expect())
    try {
      const serving = await LOAD.run({ mustBe }, context)
      enter({ name: 'serving', serving })
      serving.improve()
    } catch (error) {
      const reason = reasonOfFailure(error)
      // Not waited for: a thread that hangs in native code would keep the reason from its caller.
      const failure = { reason, running: runningIn(phase), closed: resources.closeAtOnce() }
      enter({ name: 'failed', failure })
      throw reason
    } finally {
      callAll(endings)
      const { name: model, version } = given
      telemetry?.load?.({ model, version, error: reasonOf()?.code, startedAt, endedAt: clock.now(), steps: times.done })
    }
  }

  async function leave(): Promise<void> {
    if ('loading' in phase) {
      phase.loading.hurry()
      await phase.loading.ended
    }
    // Requests that still ask the shared cache were accepted: their runs are queued first.
    const lookUps = cache?.close()
    if (lookUps) await lookUps
    if (phase.name === 'serving') {
      const { serving } = phase
      enter({ name: 'draining', serving })
      await resources.close()
      enter({ name: 'unloaded', serving })
    } else {
      const failure = failureIn(phase)
      await failure?.closed
      enter({ name: 'dropped', failure })
    }
  }

  return {
    name: given.name,
    version: given.version,
    kind: 'model',
    get config() {
      return about.config
    },
    cache,
    statistics,
    get state() {
      return stateOf()
    },
    get reason() {
      return reasonOf()
    },
    get available() {
      return phase.name === 'serving' && isTaking(phase.serving)
    },
    get unavailableBecause() {
      return phase.name === 'serving' ? whyNotTaking(phase.serving) : undefined
    },
    get retired() {
      return retired
    },
    get signature() {
      return about.contract.signature
    },
    get labels() {
      return about.labels
    },
    get own() {
      return about.own
    },
    get room() {
      return about.buffers
    },
    get sequences() {
      return 'serving' in phase ? phase.serving.sequences : undefined
    },
    get integrity() {
      return about.integrity
    },
    get example() {
      return about.example
    },
    info: (isDefault = false) => infoOf(about, { phase, isDefault, cache }),
    start: () => start(),
    run(call) {
      if (phase.name === 'serving') return phase.serving.run(call)
      throw new ModelmountError('MODEL_NOT_READY', `model '${about.config.name}' is ${stateOf()}`)
    },
    drain: () => drain(),
    abandon: resources.abandon,
  }
}

const reasonOfFailure = (error: unknown): ModelmountError =>
  isModelmountError(error) ? error : new ModelmountError('INTERNAL', `internal error: ${String(error)}`, { cause: error })

function callAll(actions: readonly (() => void)[]): void {
  for (const action of actions) action()
}

function stateEvent(phase: Phase, { integrity }: About): ModelEvent {
  const manifestId = integrity?.manifestId
  const reason = phase.name === 'failed' ? phase.failure.reason.message : undefined
  return {
    type: 'state',
    state: STATES[phase.name],
    ...(reason === undefined ? {} : { reason }),
    ...(manifestId ? { manifestId } : {}),
  }
}

const isTaking = ({ pool, provision }: Running): boolean =>
  pool.unavailableForMs === undefined && provision.seat.refusal === undefined

function whyNotTaking({ pool, provision }: Running): string | undefined {
  const because = pool.unavailableBecause
  return because === undefined ? provision.seat.refusal?.message : `the model ${because}`
}
