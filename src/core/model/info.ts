/** Puts together the facts that a model reports, from its parts. */

import type { ResultCache } from '../cache/index.ts'
import type { Scheduler } from '../scheduler/scheduler.ts'
import type { BatchingInfo } from '../scheduler/types.ts'
import { listed } from '../tensor/index.ts'
import type { About } from './about.ts'
import { NO_QUEUE } from './no-queue.ts'
import { failureIn, type Phase, runningIn, STATES } from './phases.ts'
import { leastInstances } from './provision.ts'
import { tierOf } from './tier.ts'
import type { ModelInfo } from './types.ts'

interface Now {
  readonly phase: Phase
  readonly isDefault: boolean
  readonly cache: ResultCache | undefined
}

export function infoOf(about: About, { phase, isDefault, cache }: Now): ModelInfo {
  const { config, contract, facts, labels, hazard } = about
  const running = runningIn(phase)
  const tier = tierOf(about, running)
  const failure = failureIn(phase)
  const sequences = 'serving' in phase ? phase.serving.sequences : undefined
  return {
    name: config.name,
    version: config.version,
    state: STATES[phase.name],
    ...(failure ? { reason: { code: failure.reason.code, message: failure.reason.message } } : {}),
    isDefault,
    ...about.integrity,
    inputs: contract.signature.inputs.map(listed),
    outputs: contract.signature.outputs.map(listed),
    isolation: config.isolation,
    tier,
    ...(hazard ? { hazard } : {}),
    instances: {
      ...config.instances,
      ready: running?.pool.instances.length ?? 0,
      target: running?.pool.target ?? leastInstances(config),
      threads: tier.name === 'shared' ? 1 : (running?.grant.threads ?? config.session.intraOpNumThreads),
    },
    resident: running?.provision.slot.resident ?? false,
    ...(running ? { memory: running.provision.memory() } : {}),
    batching: batchingOf(running?.scheduler),
    weights: running?.weights.info ?? { form: 'plain', reason: 'the model is not loaded' },
    queue: running?.scheduler.stats ?? NO_QUEUE,
    ...(cache ? { cache: cache.info() } : {}),
    ...(sequences ? { sequences: sequences.info } : {}),
    ...about.session,
    opsets: facts?.opsets ?? {},
    producer: facts?.producer ?? '',
    metadata: { ...facts?.metadata, ...config.metadata },
    doc: facts?.doc ?? '',
    edits: about.edits,
    leftOut: contract.signature.leftOut ?? [],
    ...(labels ? { labels } : {}),
    ...(config.tritonConfig ? { tritonConfig: config.tritonConfig } : {}),
    configNotes: [...config.configNotes, ...contract.notes],
  }
}

function batchingOf(scheduler: Scheduler | undefined): BatchingInfo {
  if (!scheduler) return { state: 'off', enabled: false, reason: 'the model is not loaded', maxSize: 1 }
  const { info, curve } = scheduler.batching
  const ms = curve.estimate(info.maxSize)
  return curve.fit && ms ? { ...info, curve: curve.fit, rowsPerSecond: (1000 * info.maxSize) / ms } : info
}
