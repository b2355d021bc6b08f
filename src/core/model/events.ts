/**
 * Tells listeners and the log what happens to models. Neither can do harm by throwing, nor by what it does to the server meanwhile: listeners run
 * once what has happened is complete.
 */

import type { ExecutionProviderName, WeightsInfo } from '../engine/types.ts'
import { type Level, type Logger, type Write, writeTo } from '../host/logger.ts'
import { printable } from '../host/printable.ts'
import type { BatchingState } from '../scheduler/types.ts'
import type { ModelState } from './types.ts'

/** Things that happen to models, for logs and telemetry. Never contains tensor values. */
export type ServerEvent =
  | {
      readonly type: 'model'
      readonly model: string
      readonly version: string
      readonly state: ModelState
      readonly reason?: string
      /** The identity of its files, where that is known; see {@link ModelInfo.manifestId}. */
      readonly manifestId?: string
      /** Set when the version goes on in a newer load: the model leaves, its name and version stay. */
      readonly replaced?: true
    }
  | {
      readonly type: 'provider-fallback'
      readonly model: string
      readonly version: string
      readonly wanted: ExecutionProviderName
      readonly using: ExecutionProviderName
      readonly reason: string
    }
  | {
      readonly type: 'worker-lost'
      readonly model: string
      readonly version: string
      readonly reason: string
      readonly restartInMs: number
    }
  | {
      /**
       * No worker was started, because the model's files are not the ones that were loaded, or must not run any more. This is no crash: the
       * instances that are there go on, and the files are looked at again until they are right. Told once for each reason.
       */
      readonly type: 'start-refused'
      readonly model: string
      readonly version: string
      readonly reason: string
      readonly retryInMs: number
    }
  | {
      /** The load needs more or fewer instances, or one that was to be added could not be loaded. */
      readonly type: 'scaled'
      readonly model: string
      readonly version: string
      /** As many as there should be now. */
      readonly instances: number
      readonly reason: 'queue' | 'idle' | 'failed'
      readonly detail?: string
    }
  | {
      /** A ready model left memory, or came back because it was asked for. */
      readonly type: 'residency'
      readonly model: string
      readonly version: string
      readonly resident: boolean
      readonly reason: 'idle' | 'memory' | 'demand'
    }
  | {
      /**
       * Whether requests of a version share runs has been found out, or is about to be: see {@link BatchingInfo.state}. From `serving` it means
       * that rows which were run again alone had other answers than together, so that requests do not share runs any more; from `kept`, that an earlier proof was found (`proofCache`).
       */
      readonly type: 'batching'
      readonly model: string
      readonly version: string
      readonly state: BatchingState
      readonly enabled: boolean
      readonly reason: string
      readonly source: 'proof' | 'kept' | 'serving'
    }
  | {
      /** The graph can end the process that runs it, so that the model runs in one of its own although nothing was said of `isolation`. */
      readonly type: 'isolation'
      readonly model: string
      readonly version: string
      readonly isolation: 'process'
      /** The operator and its node. */
      readonly reason: string
    }
  | {
      /**
       * Short runs happen on the host from now on, or not any more; or a small model that shared a worker thread gets one of its own, because it
       * needs one, and no request is lost. See {@link ModelInfo.tier}.
       */
      readonly type: 'tier'
      readonly model: string
      readonly version: string
      readonly tier: 'inline' | 'worker'
      /** Set for one that shared a thread. */
      readonly from?: 'shared'
      readonly reason: string
    }
  | { readonly type: 'worker-ready'; readonly model: string; readonly version: string; readonly loadMs: number }
  | {
      readonly type: 'breaker'
      readonly model: string
      readonly version: string
      readonly state: 'open' | 'closed'
      readonly crashes: number
    }
  | { readonly type: 'worker-output'; readonly model: string; readonly version: string; readonly line: string }
  | {
      /** It was decided how the instances hold their weights; only where sharing was tried. */
      readonly type: 'weights'
      readonly model: string
      readonly version: string
      readonly form: WeightsInfo['form']
      readonly reason: string
      /** True when sharing went wrong, and not only did not pay. */
      readonly failed: boolean
    }
  | {
      /** Made-up inputs could not be tried: its child crashed, hung or took too much memory. The model is served, and its requests run alone. */
      readonly type: 'untried'
      readonly model: string
      readonly version: string
      readonly reason: string
    }
  | {
      /** The origin of a model was checked: a trusted signer has signed it, no one has and it runs all the same, or it must not run. */
      readonly type: 'integrity'
      readonly model: string
      readonly version: string
      readonly outcome: 'verified' | 'unverified' | 'refused'
      readonly manifestId?: string
      readonly signer?: string
      /** The fault of its signature or its files. */
      readonly reason?: string
      /** Refused, because it is on the list of those that must never run again. */
      readonly revoked?: true
    }
  | { readonly type: 'warning'; readonly message: string }

export interface Events {
  /** The log has it at once; listeners get it in a microtask, before anybody who waits for what has happened goes on. */
  emit(event: ServerEvent): void
  subscribe(listener: (event: ServerEvent) => void): () => void
}

type Listener = (event: ServerEvent) => void

export function createEvents(logger: Logger): Events {
  const write = writeTo(logger)
  const listeners = new Set<Listener>()
  return {
    emit(given) {
      const event = shown(given)
      tell((event) => log(write, event), event)
      if (listeners.size === 0) return
      const told = [...listeners]
      queueMicrotask(() => {
        for (const listener of told) if (listeners.has(listener)) tell(listener, event)
      })
    },
    subscribe(listener) {
      // Two subscriptions of one function are two.
      const own: Listener = (event) => listener(event)
      listeners.add(own)
      return () => listeners.delete(own)
    },
  }
}

function tell(listener: Listener, event: ServerEvent): void {
  try {
    listener(event)
  } catch {
    // An observer's fault is not the model's.
  }
}

/** The event with text that stays on its line: reasons and messages quote names of files, graphs and requests. */
const shown = (event: ServerEvent): ServerEvent =>
  Object.fromEntries(
    Object.entries(event).map(([field, value]) => [field, typeof value === 'string' ? printable(value) : value]),
  ) as ServerEvent

type EventOf<T extends ServerEvent['type']> = Extract<ServerEvent, { readonly type: T }>
/** `undefined` for an event that is for listeners alone. */
type Line = readonly [level: Level, message: string] | undefined

type BatchingLine = (event: EventOf<'batching'>, of: string) => Line

const lostSharing: BatchingLine = ({ reason }, of) => ['warn', `${of}: requests do not share runs any more: ${reason}`]

/** Lines about the end of a proof. */
const BATCHING: { readonly [S in BatchingState]: BatchingLine } = {
  off: () => undefined,
  proving: () => undefined,
  proved: ({ enabled, reason }, of) => ['info', `${of}: requests ${enabled ? 'share runs' : 'run alone'}: ${reason}`],
  refuted: ({ reason }, of) => ['info', `${of}: requests run alone: ${reason}`],
  // A fault is an event of its own.
  untried: ({ reason }, of) => ['info', `${of}: requests run alone: ${reason}`],
}

/** Lines of the log; `of` is the model's name and version. */
const LINES: { readonly [T in ServerEvent['type']]: (event: EventOf<T>, of: string) => Line } = {
  model: ({ state, reason }, of) => (state === 'failed' ? ['error', `${of}: failed: ${reason}`] : ['info', `${of}: ${state}`]),
  'provider-fallback': ({ wanted, using, reason }, of) => [
    'warn',
    `${of}: execution provider '${wanted}' could not start, using '${using}': ${reason}`,
  ],
  'worker-lost': ({ reason, restartInMs }, of) => ['error', `${of}: worker lost (${reason}), restarting in ${restartInMs} ms`],
  'start-refused': ({ reason, retryInMs }, of) => [
    'error',
    `${of}: no worker is started (${reason}), looking again in ${retryInMs} ms`,
  ],
  weights: ({ failed, reason }, of) => (failed ? ['warn', `${of}: weights are not shared: ${reason}`] : undefined),
  untried: ({ reason }, of) => ['warn', `${of}: could not be tried, so its requests run alone: ${reason}`],
  breaker: ({ state, crashes }, of) => ['error', `${of}: circuit breaker ${state} after ${crashes} crashes`],
  scaled: ({ reason, instances, detail }, of) =>
    reason === 'failed'
      ? ['warn', `${of}: an instance could not be added, going on with ${instances}: ${detail}`]
      : ['info', `${of}: ${instances} instances (${reason})`],
  residency: ({ resident, reason }, of) => ['info', `${of}: ${resident ? 'loaded again' : 'out of memory'} (${reason})`],
  integrity({ outcome, reason, manifestId, signer }, of) {
    if (outcome === 'refused') return ['error', `${of}: refused: ${reason}`]
    if (outcome === 'verified') return ['info', `${of}: ${manifestId} signed by ${signer}`]
    return reason ? ['warn', `${of}: runs although it is not trusted: ${reason}`] : undefined
  },
  batching: (event, of) => (event.source === 'serving' ? lostSharing(event, of) : BATCHING[event.state](event, of)),
  tier({ tier, from, reason }, of) {
    if (from) return ['info', `${of}: gets a worker thread of its own: ${reason}`]
    return tier === 'inline' ? undefined : ['warn', `${of}: no more runs on the host: ${reason}`]
  },
  isolation: ({ reason }, of) => ['warn', `${of}: runs in a process of its own: ${reason}`],
  'worker-output': ({ line }, of) => ['warn', `${of}: ${line}`],
  'worker-ready': () => undefined,
  warning: ({ message }) => ['warn', message],
}

function log(write: Write, event: ServerEvent): void {
  const { type, ...rest } = event
  const line = LINES[type](event as never, 'model' in event ? `${event.model}@${event.version}` : '')
  if (!line) return
  const fields: Record<string, unknown> = { event: type, ...rest }
  // It is the line itself.
  delete fields.message
  write(line[0], line[1], fields)
}
