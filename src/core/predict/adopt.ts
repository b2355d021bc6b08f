/** Completes a servable that was made elsewhere with all that the server needs of one. */

import { toModelmountError } from '../errors.ts'
import { NO_QUEUE } from '../model/no-queue.ts'
import { createStatistics } from '../model/statistics.ts'
import type { ModelInfo } from '../model/types.ts'
import { createIntake, type Intake } from '../model/view/intake.ts'
import type { ModelSignature } from '../tensor/types.ts'
import type { Answer, Call, Servable } from './call.ts'
import type { Served } from './served.ts'

/** Terms of what has none of its own. */
const TERMS = { priority: 'normal', timeoutMs: 30_000, maxTimeoutMs: 30_000, maxElements: 2 ** 26 } as const

const NOTHING = {
  isolation: 'thread',
  instances: { ready: 0, target: 0, min: 0, max: 0, threads: 0 },
  resident: true,
  batching: { enabled: false, reason: 'it is no local model', maxSize: 1 },
  weights: { form: 'plain', reason: 'it is no local model' },
  queue: NO_QUEUE,
  providerFallbacks: [],
  opsets: {},
  producer: '',
  metadata: {},
  doc: '',
  edits: [],
  leftOut: [],
  configNotes: [],
} as const satisfies Partial<ModelInfo>

/** A servable as the fleet of a server holds it: its life is its own, so that nothing here starts or ends it but `drain()`. */
export function adopt(servable: Servable) {
  const { name, version, kind } = servable
  const config = { name, version, ...TERMS, maxBatch: undefined, batching: false, sequences: undefined } as const
  let intake: { readonly of: ModelSignature; readonly own: Intake } | undefined
  let isRetired = false

  function info(isDefault = false): ModelInfo {
    const { state, reason, signature } = servable
    return {
      ...NOTHING,
      ...servable.info(),
      name,
      version,
      state,
      ...(reason ? { reason: { code: reason.code, message: reason.message } } : {}),
      isDefault,
      inputs: signature.inputs,
      outputs: signature.outputs,
    }
  }

  const adopted = {
    name,
    version,
    kind,
    config,
    get state() {
      return servable.state
    },
    get reason() {
      return servable.reason
    },
    get available() {
      return servable.available
    },
    get unavailableBecause() {
      const isShut = servable.state === 'ready' && !servable.available
      return isShut ? 'it takes no requests now' : undefined
    },
    get signature() {
      return servable.signature
    },
    get retired() {
      return isRetired
    },
    info,
    own(inputs: Parameters<Intake>[0]) {
      const { signature } = servable
      if (intake?.of !== signature) intake = { of: signature, own: createIntake(signature, TERMS) }
      return intake.own(inputs)
    },
    room: undefined,
    get labels() {
      return servable.info().labels
    },
    cache: undefined,
    statistics: createStatistics(),
    example: undefined,
    sequences: undefined,
    integrity: undefined,
    async run(call: Call): Promise<Answer> {
      try {
        return await servable.run(call)
      } catch (error) {
        throw toModelmountError(error)
      }
    },
    async drain() {
      isRetired = true
      await servable.drain()
    },
    async start() {},
    abandon() {},
  }
  return adopted satisfies Served
}

const adopted = new WeakMap<Servable, Served>()

/** The servable that a stage has chosen: one of the server's own, or any other. */
export function servedOf(servable: Servable): Served {
  if ('own' in servable) return servable as Served
  const known = adopted.get(servable) ?? adopt(servable)
  adopted.set(servable, known)
  return known
}
