/** Completes a servable that an extension has made with all that the server needs of one. */

import { toModelmountError } from '../errors.ts'
import { NO_QUEUE } from '../model/no-queue.ts'
import { createStatistics } from '../model/statistics.ts'
import type { ModelInfo } from '../model/types.ts'
import { createIntake, type Intake } from '../model/view/intake.ts'
import { listed } from '../tensor/index.ts'
import type { ModelSignature } from '../tensor/types.ts'
import { faultIn } from './answered.ts'
import type { Answer, CheckedCall, Servable } from './call.ts'
import type { Served } from './served.ts'

/** Terms of what has none of its own. */
const TERMS = { priority: 'normal', timeoutMs: 30_000, maxTimeoutMs: 30_000, maxElements: 2 ** 26 } as const

const NOTHING = {
  isolation: 'thread',
  tier: { name: 'elsewhere', reason: 'it is no local model' },
  instances: { ready: 0, target: 0, min: 0, max: 0, threads: 0 },
  resident: true,
  batching: { state: 'off', enabled: false, reason: 'it is no local model', maxSize: 1 },
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

/** Its life is its own: the server ends it with `drain()`, and starts it in no way. */
export function adopt(servable: Servable): Served {
  const { name, version, kind } = servable
  const config = { ...TERMS, maxBatch: undefined, batching: false, sequences: undefined } as const
  let known: { readonly of: ModelSignature; readonly intake: Intake } | undefined

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
      inputs: signature.inputs.map(listed),
      outputs: signature.outputs.map(listed),
    }
  }

  return {
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
    info,
    intake(inputs, transfer) {
      const { signature } = servable
      if (known?.of !== signature) known = { of: signature, intake: createIntake(signature, TERMS) }
      return known.intake(inputs, transfer)
    },
    lean: undefined,
    buffers: undefined,
    get labels() {
      return servable.info().labels
    },
    cache: undefined,
    statistics: createStatistics(),
    example: undefined,
    sequences: undefined,
    async run(call: CheckedCall): Promise<Answer> {
      let answer: Answer
      try {
        answer = await servable.run(call)
      } catch (error) {
        throw toModelmountError(error)
      }
      const fault = faultIn(answer)
      if (fault) throw fault
      return answer
    },
    drain: () => servable.drain(),
  }
}

const isServed = (servable: Servable): servable is Served => 'intake' in servable

const adopted = new WeakMap<Servable, Served>()

/** The servable that a stage has chosen: one of the server's own, or any other. */
export function servedOf(servable: Servable): Served {
  if (isServed(servable)) return servable
  const known = adopted.get(servable) ?? adopt(servable)
  adopted.set(servable, known)
  return known
}
