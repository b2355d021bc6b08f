/** One served model version: loads, runs requests, drains. It wires the rooms that do the work of each phase. */

import { isModelmountError, ModelmountError } from '../errors.ts'
import type { ModelConfig } from '../options/index.ts'
import type { Served } from '../predict/served.ts'
import { type About, unread } from './about.ts'
import type { ModelDeps, ModelEvent } from './deps.ts'
import { infoOf } from './info.ts'
import type { LoadContext } from './load/context.ts'
import { LOAD } from './load/load.ts'
import { createLoadTimes } from './load/times.ts'
import { failureIn, type Phase, runningIn, STATES } from './phases.ts'
import { createResources } from './resources.ts'
import type { Running } from './running.ts'
import { createStatistics } from './statistics.ts'
import type { ModelState } from './types.ts'

/** The servable of a local model. */
export interface Model extends Served {
  readonly kind: 'model'
  readonly config: ModelConfig
  /** Loads it; rejects with the reason and leaves the state `failed`. */
  start(): Promise<void>
  /** The identity of its files and their signer, once they were admitted, where the server's options ask for them. */
  readonly integrity: About['integrity']
  /** True once `drain()` was called, also while it still loads. */
  readonly retired: boolean
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
      void serving.improve()
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
    get intake() {
      return about.intake
    },
    get lean() {
      return phase.name === 'serving' ? phase.serving.lean.front : undefined
    },
    get buffers() {
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
  pool.unavailableForMs === undefined && provision.slot.refusal === undefined

function whyNotTaking({ pool, provision }: Running): string | undefined {
  const because = pool.unavailableBecause
  return because === undefined ? provision.slot.refusal?.message : `the model ${because}`
}
