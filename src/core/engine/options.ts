/** Options of how a model's instances run: where, how many, with which CPU, provider and session. */

import { isMainThread } from 'node:worker_threads'
import { boolean, type Declared, decided, either, got, integer, milliseconds, object, oneOf } from '../options/kinds.ts'
import {
  type ExecutionProvider,
  executionProviders,
  ortSessionOptions,
  type ProviderRequest,
  providerRequest,
  type SessionOptions,
  session,
} from './session-options.ts'
import { BALANCE_STRATEGIES, type STRATEGIES } from './strategies.ts'

/** Where runs happen: in a worker thread, or in a child process that can be killed and cannot take the host down. */
export type Isolation = 'thread' | 'process'

/**
 * Which instance gets the next work: `fastest`, the one that is expected to be done first, by what is posted to it and how fast it was
 * lately; `round-robin`; `least-outstanding`; `response-time`, the lowest recent response time times its line; `two-choices`, the better
 * one of two drawn at random.
 */
export type BalanceStrategy = keyof typeof STRATEGIES

/** When instances are added and taken away between `instances.min` and `instances.max`. */
export interface ScalingOptions {
  /** Requests that wait longer than this, for a quarter of a second without a break, call for more instances. @default 20 */
  readonly targetDelayMs?: number
  /** Milliseconds of little load after which one instance goes. @default 60000 */
  readonly idleMs?: number
}

/** How the instances of a model run. */
export interface EngineOptions {
  /**
   * Where the model runs.
   * @default 'thread'; 'process' for a graph that can end its process by the values of a request, see {@link ModelInfo.hazard}, and inside a
   * worker thread, where 'thread' is refused: ending that one during a run would end the whole process
   */
  readonly isolation?: Isolation
  /**
   * Whether runs of up to 50 µs may happen on the host's own thread: `'auto'` while at most one batch waits and the event loop has room, `false`
   * never. See {@link ModelInfo.tier}.
   * @default false
   */
  readonly inline?: 'auto' | false
  /**
   * How many copies of the model run side by side; each runs one request, or one batch, at a time. With two bounds there are as many as the
   * load needs; a `min` of 0 unloads the model when no request comes (`idleUnloadMs` is `scaling.idleMs` then).
   * @default 1
   */
  readonly instances?: number | { readonly min: number; readonly max: number }
  /** When instances are added and taken away between two bounds. @default {} */
  readonly scaling?: ScalingOptions
  /**
   * Whether a small model shares one worker thread with other small models, until it needs a thread of its own; `false` for never. Small are
   * files of up to 1 MiB and 1000 nodes without control flow and custom operators, with one instance on the CPU and without `session` options.
   * See {@link ModelInfo.tier}.
   * @default 'auto'
   */
  readonly sharedWorker?: 'auto' | false
  /** Which of several free instances gets the next run. @default 'fastest' */
  readonly balance?: BalanceStrategy
  /**
   * Keep workers busy. A worker gets a part of the waiting requests while it still runs others, where that costs its runs little.
   * A worker thread takes them without a turn of its event loop. A higher priority cannot overtake the work at a worker.
   * @default false
   */
  readonly prefetch?: boolean
  /** Linux: how far workers stand back behind the host's own threads for CPU, from 0 to 19 (`nice`). @default 0 */
  readonly niceness?: number
  /** Execution providers in order of preference. @default ['cpu'] */
  readonly executionProviders?: readonly ExecutionProvider[]
  /** Fail the load when the first execution provider cannot start, instead of falling back to the next. @default false */
  readonly strictProviders?: boolean
  /** Options of ONNX Runtime's session. @default {} */
  readonly session?: SessionOptions
  /** Longest time that loading one instance may take, in milliseconds. @default 120000 */
  readonly loadTimeoutMs?: number
  /** Process tier on Linux: private memory at which a child is killed, in bytes. @default no cap */
  readonly maxMemoryBytes?: number
}

const SCALING = {
  targetDelayMs: milliseconds.default(20),
  idleMs: milliseconds.default(60_000),
} satisfies Declared<ScalingOptions>

const bounds = object<{ readonly min: number; readonly max: number }>({
  min: integer(0, 256).required(),
  max: integer(1, 256).required(),
}).refine((value, problems) => {
  const { min, max } = value as { readonly min: unknown; readonly max: unknown }
  if (Number(min) > Number(max)) problems.push((path) => `${path}.min (${got(min)}) must not be over ${path}.max (${got(max)})`)
})

export const ENGINE_OPTIONS = {
  // A worker thread can be ended by its owner at any time, and with it the whole process while a thread of ours is in a native call.
  isolation: oneOf('thread', 'process')
    .default(isMainThread ? 'thread' : 'process')
    .asFlag({ value: 'TIER', says: 'thread or process' }),
  inline: oneOf('auto', false).default(false),
  instances: either(integer(1, 256), bounds).default(1).asFlag({ value: 'N', says: 'copies of each model' }),
  scaling: object<ScalingOptions>(SCALING).default({}).joined(),
  sharedWorker: oneOf('auto', false).default('auto'),
  balance: oneOf(...BALANCE_STRATEGIES).default('fastest'),
  prefetch: boolean.default(false),
  niceness: integer(0, 19).default(0),
  executionProviders: executionProviders.default(['cpu']),
  strictProviders: boolean.default(false),
  session: session.joined(),
  loadTimeoutMs: milliseconds.default(120_000),
  maxMemoryBytes: integer(1024 * 1024, Number.MAX_SAFE_INTEGER),
} satisfies Declared<EngineOptions>

export type EngineConfig = ReturnType<typeof engineConfig>

/** The settings that every worker gets with its model. One named here goes no further way: `worker.ts` finds it in the message. */
export const workerSettings = ({
  providers,
  strictProviders,
  session,
  prefetch,
  niceness,
}: Pick<EngineConfig, 'providers' | 'strictProviders' | 'session' | 'prefetch' | 'niceness'>) => ({
  providers,
  strictProviders,
  session,
  prefetch,
  niceness,
})

/** For work beside requests. */
export const standingBack = (settings: WorkerSettings): WorkerSettings => ({
  ...settings,
  niceness: Math.max(BESIDE_REQUESTS, settings.niceness),
})
const BESIDE_REQUESTS = 10

export type WorkerSettings = ReturnType<typeof workerSettings>

/** Why a model has worker threads of its own, whatever its file; `undefined` where that decides. */
function reasonForOwnWorker(all: ReturnType<typeof decidedOptions>): string | undefined {
  const { sharedWorker, instances, executionProviders, niceness, session = {} } = all
  const isPlain = ([name, value]: [string, unknown]): boolean => name === 'intraOpNumThreads' && value === 1
  if (sharedWorker === false) return 'switched off with sharedWorker: false'
  if (instances !== 1 && (typeof instances === 'number' || instances.min !== 1 || instances.max !== 1))
    return 'it may have several instances'
  if (executionProviders.some((provider) => providerRequest(provider).name !== 'cpu'))
    return 'only the cpu execution provider shares a thread'
  if (niceness > 0) return 'niceness is of a whole thread'
  return Object.entries(session).every(isPlain) ? undefined : 'it has session options of its own'
}

const decidedOptions = (set: EngineOptions) => decided(ENGINE_OPTIONS, set)

/** Decides what was left open. */
export function engineConfig(set: EngineOptions) {
  const all = decidedOptions(set)
  const { instances, scaling, executionProviders: providers, session: given = {}, sharedWorker: _, ...rest } = all
  return {
    ...rest,
    ownWorker: reasonForOwnWorker(all),
    /** Else the graph may show that another tier is needed. */
    isolationGiven: set.isolation !== undefined,
    instances: typeof instances === 'number' ? { min: instances, max: instances } : { ...instances },
    scaling: decided(SCALING, scaling),
    providers: providers.map(providerRequest) as readonly ProviderRequest[],
    /** Threads of one run that were asked for; `undefined` for a fair share of the CPUs. */
    threads: given.intraOpNumThreads,
    session: ortSessionOptions(given),
  }
}
