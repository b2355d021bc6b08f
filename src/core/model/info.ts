/** What a model tells of itself, put together from its parts. */

import type { ResultCache } from '../cache/index.ts'
import type { CpuGrant } from '../engine/cpu.ts'
import type { Loaded } from '../engine/messages.ts'
import type { Pool } from '../engine/pool.ts'
import type { MemoryInfo } from '../engine/types.ts'
import type { ModelmountError } from '../errors.ts'
import type { Integrity } from '../integrity/index.ts'
import type { GraphEdit, OnnxModelFacts } from '../onnx/types.ts'
import type { ModelConfig } from '../options/index.ts'
import type { Scheduler } from '../scheduler/scheduler.ts'
import type { BatchingInfo, QueueInfo } from '../scheduler/types.ts'
import type { Sequences } from '../sequences/index.ts'
import type { ModelInfo, ModelState } from './types.ts'
import type { Contract } from './view/contract.ts'
import type { Weights } from './weights.ts'

/** What there is of a model now; parts that are not there yet are `undefined`. */
export interface Parts {
  readonly state: ModelState
  readonly reason: ModelmountError | undefined
  readonly isDefault: boolean
  readonly integrity: Integrity | undefined
  readonly contract: Contract
  readonly facts: OnnxModelFacts | undefined
  readonly edits: readonly GraphEdit[]
  readonly labels: ModelInfo['labels']
  readonly hazard: string | undefined
  readonly loaded: Loaded | undefined
  readonly pool: Pool | undefined
  readonly scheduler: Scheduler | undefined
  readonly weights: Weights | undefined
  readonly grant: CpuGrant | undefined
  readonly resident: boolean
  readonly cache: ResultCache | undefined
  readonly sequences: Sequences | undefined
  /** Asked for only when there are instances. */
  memory(): MemoryInfo
}

const NO_QUEUE: QueueInfo = {
  waiting: 0,
  running: 0,
  batches: 0,
  rows: 0,
  padding: 0,
  released: { full: 0, idle: 0, window: 0, deadline: 0, drain: 0 },
}

/** Instances of a model that is in memory: one at least. */
export const leastInstances = ({ instances }: ModelConfig): number => Math.max(1, instances.min)

export function infoOf(config: ModelConfig, parts: Parts): ModelInfo {
  const {
    state,
    reason,
    isDefault,
    integrity,
    contract,
    facts,
    edits,
    labels,
    hazard,
    loaded,
    pool,
    scheduler,
    weights,
    grant,
    resident,
    cache,
    sequences,
  } = parts
  return {
    name: config.name,
    version: config.version,
    state,
    ...(reason ? { reason: { code: reason.code, message: reason.message } } : {}),
    isDefault,
    ...integrity,
    inputs: contract.signature.inputs,
    outputs: contract.signature.outputs,
    isolation: config.isolation,
    ...(hazard ? { hazard } : {}),
    instances: {
      ...config.instances,
      ready: pool?.instances.length ?? 0,
      target: pool?.target ?? leastInstances(config),
      threads: grant?.threads ?? config.session.intraOpNumThreads,
    },
    resident,
    ...(pool ? { memory: parts.memory() } : {}),
    batching: batchingOf(scheduler),
    weights: weights?.info ?? { form: 'plain', reason: 'the model is not loaded' },
    queue: scheduler?.stats ?? NO_QUEUE,
    ...(cache ? { cache: cache.info() } : {}),
    ...(sequences ? { sequences: sequences.info } : {}),
    ...(loaded ? { executionProvider: loaded.provider, loadMs: loaded.loadMs } : {}),
    providerFallbacks: loaded?.fallbacks ?? [],
    opsets: facts?.opsets ?? {},
    producer: facts?.producer ?? '',
    metadata: { ...facts?.metadata, ...config.metadata },
    doc: facts?.doc ?? '',
    edits,
    leftOut: contract.signature.leftOut ?? [],
    ...(labels ? { labels } : {}),
    ...(config.tritonConfig ? { tritonConfig: config.tritonConfig } : {}),
    configNotes: [...config.configNotes, ...contract.notes],
  }
}

function batchingOf(scheduler: Scheduler | undefined): BatchingInfo {
  if (!scheduler) return { enabled: false, reason: 'the model is not loaded', maxSize: 1 }
  const { info, curve } = scheduler.batching
  const ms = curve.estimate(info.maxSize)
  return curve.fit && ms ? { ...info, curve: curve.fit, rowsPerSecond: (1000 * info.maxSize) / ms } : info
}
