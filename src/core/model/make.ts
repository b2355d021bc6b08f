/** Makes the model versions of one server: with the CPUs and the memory that they share, a cache each, and their name on what they tell. */

import { createResultCache, type ResultCache } from '../cache/index.ts'
import { createCpuBudget } from '../engine/cpu.ts'
import { hostLoop } from '../engine/inline/loop.ts'
import { createSharedThreads } from '../engine/seats/threads.ts'
import type { ModelConfig } from '../options/index.ts'
import type { Servable } from '../predict/call.ts'
import { createProofs } from '../trial/kept/proofs.ts'
import type { ModelDeps, ModelEvent } from './deps.ts'
import type { ServerEvent } from './events.ts'
import { createModel, type Model } from './model.ts'
import { cpuDemandOf } from './provision.ts'
import { createResidency } from './residency/residency.ts'

interface Deps extends Omit<ModelDeps, 'cache' | 'cpu' | 'loop' | 'residency' | 'proofs' | 'threads' | 'emit'> {
  /** Bytes for the instances of all models; `undefined` for no bound. */
  readonly memoryBudgetBytes: number | undefined
  /** The version that has the place of this name and version. */
  holder(name: string, version: string): Servable | undefined
  emit(event: ServerEvent): void
}

export interface Maker {
  /** @param mustBe id of the manifest that it must have */
  make(config: ModelConfig, mustBe: string | undefined): Model
  /** Announces models that are about to load together, so that they share the CPUs fairly whichever comes first. */
  expect(configs: readonly ModelConfig[]): void
  /** Those that came with the server are loaded. From here on requests come, which no load may hold up. */
  serve(): void
  /** Starts the thread that small models share. @returns ends it if there are none */
  prestart(): () => void
}

export function createMaker({ memoryBudgetBytes, holder, emit, ...rest }: Deps): Maker {
  const cpu = createCpuBudget()
  const loop = hostLoop()
  const threads = createSharedThreads(rest.clock)
  const residency = createResidency(rest.clock, memoryBudgetBytes)
  const proofs = createProofs({ cacheDirectory: rest.cacheDirectory, wallNow: Date.now })

  function cacheFor({ cache, ...config }: ModelConfig): ResultCache | undefined {
    if (cache === false) return undefined
    const warn = (message: string): void => emit({ type: 'warning', message })
    return createResultCache({ cache, ...config }, { clock: rest.clock, wallNow: Date.now, warn })
  }

  function make(config: ModelConfig, mustBe: string | undefined): Model {
    const named = (event: ModelEvent): ServerEvent => eventOf(event, config, () => holder(config.name, config.version) !== made)
    const own = {
      ...{ cpu, loop, residency, proofs, threads, cache: cacheFor(config) },
      emit: (event: ModelEvent) => emit(named(event)),
    }
    const made: Model = createModel(config, { ...rest, ...own }, { mustBe })
    return made
  }

  return { make, expect: (configs) => cpu.expect(configs.map(cpuDemandOf)), serve: threads.serve, prestart: threads.prestart }
}

/** With the model that it is about. @param isReplaced whether another load has its place */
function eventOf(event: ModelEvent, { name: model, version }: ModelConfig, isReplaced: () => boolean): ServerEvent {
  if (event.type === 'warning') return { ...event, message: `${model}@${version}: ${event.message}` }
  if (event.type !== 'state') return { ...event, model, version }
  const leaving = event.state === 'draining' || event.state === 'unloaded'
  return { ...event, type: 'model', model, version, ...(leaving && isReplaced() ? { replaced: true } : {}) }
}
