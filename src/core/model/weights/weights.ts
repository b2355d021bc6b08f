/**
 * Weights once: the instances of a model, here and in other processes, map one file of ready-packed weights instead of each holding its own
 * copy. That file is derived from the model, kept in a cache folder, and used only where it was seen to give the same answers as fast.
 * A fault here costs memory, never a load.
 */

import { type Builder, openBuilder } from '../../engine/derived/builder.ts'
import { openDirectory } from '../../engine/derived/directory.ts'
import type { TensorRecord } from '../../engine/frame.ts'
import type { SharedForm } from '../../engine/launch.ts'
import { openProcess } from '../../engine/process.ts'
import type { WeightsInfo } from '../../engine/types.ts'
import type { Clock } from '../../host/clock.ts'
import type { Patch } from '../../onnx/splice.ts'
import type { OnnxModelFacts } from '../../onnx/types.ts'
import type { ModelConfig } from '../../options/index.ts'
import { filesOf } from '../load/files.ts'
import { createEntry, type Entry, type Outcome } from './entry.ts'
import { reasonAgainst } from './policy.ts'

export interface WeightsEvent {
  readonly type: 'weights'
  readonly form: 'plain' | 'shared'
  readonly reason: string
  /** True for a fault, false for a decision. */
  readonly failed: boolean
}

/** The weights of one model. */
export interface Weights {
  readonly info: WeightsInfo
  /** True when `make()` is worth calling. */
  readonly pending: boolean
  /** The form that an earlier start has made, checked against its hash. Never rejects. */
  find(): Promise<SharedForm | undefined>
  /** Makes it and tries it with inputs that the model takes, each of which is timed. Never rejects. */
  make(samples: readonly TensorRecord[], fetches: readonly string[]): Promise<SharedForm | undefined>
  /** An instance could not load it. */
  lost(reason: string): void
  /** Ends builds under way, and removes files that are half written. */
  close(): Promise<void>
}

interface Deps {
  readonly clock: Clock
  /** Of the model's edits. */
  readonly patch: Patch
  readonly cacheDirectory: string | undefined
  readonly weightBytes: number
  /** False when the model's files are no longer the ones that were loaded. */
  isUnchanged(): Promise<boolean>
  emit(event: WeightsEvent): void
}

/** Builds follow each other: two at once would need the memory of both. */
let builds: Promise<unknown> = Promise.resolve()

export function createWeights(config: ModelConfig, facts: OnnxModelFacts | undefined, deps: Deps): Weights {
  const { clock, patch, cacheDirectory, weightBytes, isUnchanged, emit } = deps
  const files = filesOf(config.source, facts).filter((file) => typeof file === 'string')
  let info: WeightsInfo = { form: 'plain', reason: 'not tried yet' }
  let pending: Entry | undefined
  let closed = false
  let builder: Builder | undefined
  let working: Promise<unknown> = Promise.resolve()
  let stop = (): void => {}
  const stopped = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined)
  })

  function decide(form: WeightsInfo['form'], reason: string, failed = false): undefined {
    pending = undefined
    info = { form, reason }
    if (!closed) emit({ type: 'weights', form, reason, failed })
  }

  function startBuilder(): Builder {
    const cap = config.maxMemoryBytes
    // It holds the model up to three times: as it is written, plain, and derived.
    const started = openBuilder(openProcess({ maxMemoryBytes: cap && 3 * cap }), clock, { timeoutMs: 2 * config.loadTimeoutMs })
    builder = started
    return started
  }

  /** Runs a step with a builder. Its failure becomes an event, and the form stays plain. */
  function attempt(entry: Entry, step: (builder: Builder) => Promise<Outcome | undefined>): Promise<SharedForm | undefined> {
    const run = async (): Promise<SharedForm | undefined> => {
      if (closed) return undefined
      try {
        const outcome = await step(startBuilder())
        if (outcome) decide(outcome.form ? 'shared' : 'plain', outcome.reason)
        return outcome?.form
      } catch (error) {
        return decide('plain', `sharing failed: ${error instanceof Error ? error.message : String(error)}`, true)
      } finally {
        await builder?.end()
        builder = undefined
        await entry.tidy()
      }
    }
    const done = run()
    working = done
    return done
  }

  async function find(): Promise<SharedForm | undefined> {
    const ineligible = reasonAgainst(config, facts, weightBytes)
    if (ineligible) {
      info = { form: 'plain', reason: ineligible }
      return undefined
    }
    const directory = await openDirectory(cacheDirectory)
    if ('refused' in directory) return decide('plain', directory.refused, true)
    const isClosed = (): boolean => closed
    const entry = await createEntry(config, { root: directory.path, files, patch, weightBytes, isUnchanged, isClosed })
    pending = entry
    info = { form: 'plain', reason: 'being prepared' }
    return (await entry.isLikely()) ? attempt(entry, entry.find) : undefined
  }

  async function build(trial: Parameters<Entry['make']>[1]): Promise<SharedForm | undefined> {
    const entry = pending
    if (!entry || closed) return undefined
    const form = await attempt(entry, (builder) => entry.make(builder, trial))
    return form ?? (pending ? decide('plain', 'the shared weights could not be stored', true) : undefined)
  }

  return {
    get info() {
      return info
    },
    get pending() {
      return pending !== undefined && !closed
    },
    find,
    make(samples, fetches) {
      const turn = builds.then(() => build({ samples, fetches }))
      builds = turn
      // Closing does not wait for the builds of others.
      return Promise.race([turn, stopped])
    },
    lost: (reason) => decide('plain', `an instance could not load the shared weights: ${reason}`, true),
    async close() {
      closed = true
      stop()
      await builder?.end()
      await working
    },
  }
}
