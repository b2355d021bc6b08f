/** One served model version: reads the file, starts its instances, runs requests, drains. Wires the rooms onnx, engine and scheduler. */

import { type CallOptions, contentId, type ResultCache } from './cache/index.ts'
import type { Clock } from './clock.ts'
import type { CpuBudget, CpuDemand, CpuGrant } from './engine/cpu.ts'
import { type Footprint, guessFootprint } from './engine/footprint.ts'
import type { Run, RunOutcome } from './engine/instance.ts'
import type { Loaded } from './engine/messages.ts'
import { createPool, type Pool, type PoolEvent } from './engine/pool.ts'
import { openProcess } from './engine/process.ts'
import { openThread } from './engine/thread.ts'
import { isModelmountError, ModelmountError } from './errors.ts'
import { filesOf, fingerprintOf, readFacts, unreachableData, weightBytesOf } from './model-files.ts'
import { unsupportedReason } from './onnx/index.ts'
import type { ModelConfig } from './options.ts'
import { createIntake, type Intake } from './own-inputs.ts'
import { printable } from './printable.ts'
import type { Residency, Seat, UnloadReason } from './residency.ts'
import { type Batching, findRagged, proveBatching } from './scheduler/batching.ts'
import type { Finished } from './scheduler/entry.ts'
import { copyAll } from './scheduler/proof.ts'
import type { Ragged } from './scheduler/ragged.ts'
import { createScheduler, type Scheduler } from './scheduler/scheduler.ts'
import { signatureOf } from './signature.ts'
import type { LoadStep, Telemetry } from './telemetry.ts'
import { checkInputs } from './tensor/index.ts'
import type { BatchingInfo, ModelInfo, ModelSignature, ModelState, OnnxModelFacts, QueueInfo, Tensor } from './types.ts'

export interface Model {
  readonly config: ModelConfig
  readonly state: ModelState
  readonly reason: ModelmountError | undefined
  /** Valid once the state has been `ready`. */
  readonly signature: ModelSignature
  /** True when a request would be queued: ready, and not refused by the breaker. */
  readonly available: boolean
  info(isDefault: boolean): ModelInfo
  /** Loads it; rejects with the reason and leaves the state `failed`. */
  start(): Promise<void>
  /** Makes a caller's inputs ours; valid once the state has been `ready`. */
  readonly own: Intake
  /** Queues one run. The tensors must have passed the check and belong to the engine from here on. */
  run(inputs: Readonly<Record<string, Tensor>>, opts: RunOptions): Promise<Finished>
  /** What it has answered before, where that is kept. */
  readonly cache: ResultCache | undefined
  /** True once `drain()` was called, also while it still loads. */
  readonly retired: boolean
  /** Takes no more requests, answers the accepted ones, frees the workers. */
  drain(): Promise<void>
  /** Gives up what `drain()` waits for. */
  abandon(error: ModelmountError): void
}

/** How one request wants to run. */
export type RunOptions = CallOptions

export type ModelEvent =
  | PoolEvent
  | { readonly type: 'state'; readonly state: ModelState; readonly reason?: string }
  | { readonly type: 'residency'; readonly resident: boolean; readonly reason: UnloadReason | 'demand' }
  | { readonly type: 'warning'; readonly message: string }
  | ProviderFallbackEvent
interface ProviderFallbackEvent {
  readonly type: 'provider-fallback'
  readonly wanted: ModelInfo['providerFallbacks'][number]['provider']
  readonly using: ModelInfo['providerFallbacks'][number]['provider']
  readonly reason: string
}

interface Deps {
  readonly clock: Clock
  readonly cpu: CpuBudget
  readonly residency: Residency
  readonly cache: ResultCache | undefined
  readonly telemetry: Telemetry | undefined
  emit(event: ModelEvent): void
}

const NO_QUEUE: QueueInfo = {
  waiting: 0,
  running: 0,
  batches: 0,
  rows: 0,
  padding: 0,
  released: { full: 0, idle: 0, window: 0, deadline: 0, drain: 0 },
}
const withOptional = ({ inputs, outputs }: ModelSignature, name: string): ModelSignature => ({
  inputs: inputs.map((input) => (input.name === name ? { ...input, optional: true } : input)),
  outputs,
})
const EMPTY: ModelSignature = { inputs: [], outputs: [] }

/** Instances of a model that is in memory: one at least. */
const leastInstances = ({ instances }: ModelConfig): number => Math.max(1, instances.min)

export const cpuDemandOf = (config: ModelConfig): CpuDemand => ({
  name: config.name,
  min: leastInstances(config),
  max: config.instances.max,
  threads: config.threads,
})

export function createModel(config: ModelConfig, { clock, cpu, residency, cache, telemetry, emit }: Deps): Model {
  const names = { model: config.name, version: config.version }
  const steps: { name: LoadStep; startedAt: number; endedAt: number }[] = []
  let state: ModelState = 'loading'
  let reason: ModelmountError | undefined
  let facts: OnnxModelFacts | undefined
  let signature = EMPTY
  let ragged: Ragged | undefined
  let own: Intake = createIntake(EMPTY, config)
  let loaded: Loaded | undefined
  let fingerprint = ''
  let pool: Pool | undefined
  let scheduler: Scheduler | undefined
  let weightBytes = 0
  let grant: CpuGrant | undefined
  let seat: Seat | undefined
  let cramped = false
  let started: Promise<void> | undefined
  let drained: Promise<void> | undefined

  function enter(next: ModelState): void {
    state = next
    emit(reason && next === 'failed' ? { type: 'state', state: next, reason: reason.message } : { type: 'state', state: next })
  }

  /** Times a step of the load. */
  async function step<T>(name: LoadStep, work: Promise<T>): Promise<T> {
    const startedAt = clock.now()
    try {
      return await work
    } finally {
      steps.push({ name, startedAt, endedAt: clock.now() })
    }
  }

  async function startOnce(): Promise<void> {
    emit({ type: 'state', state })
    const startedAt = clock.now()
    try {
      await bringUp()
    } finally {
      telemetry?.load?.({ ...names, error: reason?.code, startedAt, endedAt: clock.now(), steps })
    }
  }

  async function bringUp(): Promise<void> {
    try {
      if (config.fault) throw config.fault
      facts = await step('read', readFacts(config.source, config.allowOrtFormat))
      const refusal = facts && (unsupportedReason(facts) ?? unreachableData(config.source, facts))
      if (refusal) throw new ModelmountError('MODEL_UNSUPPORTED', refusal)
      fingerprint = await step('verify', fingerprintOf(config.source, facts))
      weightBytes = await weightBytesOf(config.source, facts)
      grant = cpu.grant(cpuDemandOf(config))
      if (grant.excess) emit({ type: 'warning', message: grant.excess })
      pool = openPool(grant)
      const { maxQueue, maxQueueBytes, maxQueuePerTenant, batching } = config
      const { maxDelayMs, mixTenants } = batching || { maxDelayMs: 0, mixTenants: false }
      scheduler = createScheduler({
        pool,
        clock,
        maxQueue,
        maxQueueBytes,
        maxQueuePerTenant,
        maxDelayMs,
        mixTenants,
        onRun: telemetry?.run && ((run) => telemetry.run?.({ ...run, ...names, provider: loaded?.provider })),
      })
      seat = takeSeat(pool, scheduler)
      await seat.enter()
    } catch (error) {
      reason = isModelmountError(error)
        ? error
        : new ModelmountError('INTERNAL', `internal error: ${String(error)}`, { cause: error })
      enter('failed')
      // Not waited for: a thread that hangs in native code would keep the reason from its caller.
      void pool?.close()
      leave()
      throw reason
    }
    if (!loaded) return
    for (const { provider, reason } of loaded.fallbacks)
      emit({ type: 'provider-fallback', wanted: provider, using: loaded.provider, reason })
    for (const message of loaded.warnings) emit({ type: 'warning', message })
    emit({ type: 'worker-ready', loadMs: loaded.loadMs })
    enter('ready')
  }

  async function firstLoad(pool: Pool, scheduler: Scheduler): Promise<void> {
    const { fallbacks, ...rest } = await step('load', pool.start())
    // ONNX Runtime quotes names of the model raw.
    loaded = {
      ...rest,
      fallbacks: fallbacks.map(({ provider, reason }) => ({ provider, reason: printable(reason).slice(0, 1000) })),
    }
    signature = signatureOf(facts, loaded)
    const found = findRagged(signature, config.batching)
    if (typeof found === 'object') {
      ragged = found
      signature = withOptional(signature, found.mask)
    }
    own = createIntake(signature, config)
    await step('warmup', warmUp(pool, scheduler))
    if (cache?.shares) cache.share(await contentOf(loaded))
  }

  function takeSeat(pool: Pool, scheduler: Scheduler): Seat {
    return residency.seat({
      idleUnloadMs: config.idleUnloadMs,
      loadTimeoutMs: config.loadTimeoutMs,
      bytes: () => footprint().perInstanceBytes * Math.max(leastInstances(config), pool.target),
      size: () => `${weightBytes} bytes of weights, ${leastInstances(config)} instances`,
      busy: () => scheduler.stats.waiting + scheduler.stats.running > 0,
      settled: () => pool.settled,
      usedAt: () => pool.usedAt,
      load: () => (loaded ? pool.resume() : firstLoad(pool, scheduler)),
      unload: () => pool.park(),
      moved: (resident, reason) => emit({ type: 'residency', resident, reason }),
      failed: (error) => scheduler.abandon(error),
    })
  }

  const footprint = (): Footprint =>
    pool?.footprint ?? guessFootprint(weightBytes, config.isolation, config.session.extra['session.disable_prepacking'] !== '1')

  /** How many instances CPU and memory allow; the least number is never refused. */
  function claim(instances: number, grant: CpuGrant): number {
    const before = pool?.target ?? 0
    let most = grant.use(instances)
    const { perInstanceBytes } = footprint()
    while (most > Math.max(before, leastInstances(config)) && !seat?.fits((most - before) * perInstanceBytes)) most--
    if (instances > before && most < instances && !cramped) {
      cramped = true
      const bound = grant.use(instances) < instances ? `the ${cpu.cpus} CPUs for models` : 'memory.budgetBytes'
      emit({ type: 'warning', message: `more than ${most} instances would help, but ${bound} are in use` })
    }
    return grant.use(most)
  }

  function leave(): void {
    seat?.leave()
    grant?.release()
  }

  /** Runs the model before the first request does, which also tells whether batching pays. */
  async function warmUp(pool: Pool, scheduler: Scheduler): Promise<void> {
    const [instance] = pool.instances
    if (!instance) return
    const lost = { error: new ModelmountError('WORKER_LOST', 'the worker was lost while warming up'), inferMs: 0 }
    const runAll = (runs: readonly Run[]): Promise<readonly RunOutcome[]> =>
      new Promise((resolve) =>
        instance.run(runs, (outcomes) => resolve(typeof outcomes === 'string' ? runs.map(() => lost) : outcomes)),
      )
    const proof = tryOut(runAll)
    const hung = new Promise<never>((_, reject) => {
      const timer = clock.after(config.loadTimeoutMs, () => {
        instance.kill('the warm-up hung')
        reject(
          new ModelmountError('MODEL_LOAD_FAILED', `the warm-up took longer than loadTimeoutMs (${config.loadTimeoutMs} ms)`),
        )
      })
      void proof.catch(() => {}).then(() => timer.cancel())
    })
    scheduler.setBatching(await Promise.race([proof, hung]))
  }

  /** What must be equal for another process to give the same results. */
  async function contentOf({ provider }: Loaded): Promise<string> {
    const { graphOptimizationLevel, extra } = config.session
    const settings = { provider, graphOptimizationLevel, extra }
    const id = await contentId(filesOf(config.source, facts), settings).catch(() => undefined)
    if (id !== undefined && (await fingerprintOf(config.source, facts)) === fingerprint) return id
    throw new ModelmountError('MODEL_LOAD_FAILED', 'the model file changed on disk while it was loaded')
  }

  /** A mask that was left out is made up, whether or not requests share runs. */
  const completed = (inputs: Run['inputs']): Run['inputs'] => (ragged ? ragged.complete(inputs) : inputs)

  async function tryOut(runAll: (runs: readonly Run[]) => Promise<readonly RunOutcome[]>): Promise<Batching> {
    const fetches = signature.outputs.map((output) => output.name)
    const samples: Run['inputs'][] = []
    for (const [index, sample] of config.warmup.entries()) {
      try {
        const inputs = completed(checkInputs(signature, sample, config))
        // Each run gets its own copy: large tensors are given away with the message.
        samples.push(inputs)
        const [outcome] = await runAll([{ inputs: copyAll(inputs), fetches }])
        if (outcome && 'error' in outcome) throw outcome.error
      } catch (cause) {
        const why = isModelmountError(cause) ? cause.message : String(cause)
        throw new ModelmountError('MODEL_LOAD_FAILED', `warmup[${index}] failed: ${why}`, { cause })
      }
    }
    return proveBatching(signature, config.batching, samples, runAll)
  }

  function batchingInfo(): BatchingInfo {
    if (!scheduler) return { enabled: false, reason: 'the model is not loaded', maxSize: 1 }
    const { info, curve } = scheduler.batching
    const ms = curve.estimate(info.maxSize)
    return curve.fit && ms ? { ...info, curve: curve.fit, rowsPerSecond: (1000 * info.maxSize) / ms } : info
  }

  function openPool(grant: CpuGrant): Pool {
    const request = {
      source: config.source,
      providers: config.providers,
      strict: config.strictProviders,
      session: { ...config.session, intraOpNumThreads: grant.threads },
      niceness: config.niceness,
      timeoutMs: config.loadTimeoutMs,
    }
    const settings = {
      ...config.scaling,
      min: leastInstances(config),
      max: config.instances.max,
      balance: config.balance,
    }
    return createPool(request, settings, {
      clock,
      open: config.isolation === 'process' ? openProcess({ maxMemoryBytes: config.maxMemoryBytes }) : openThread,
      killable: config.isolation === 'process',
      async checkSource() {
        if ((await fingerprintOf(config.source, facts)) !== fingerprint)
          throw new ModelmountError(
            'MODEL_LOAD_FAILED',
            'the model file changed on disk since it was loaded; load() it as a new version',
          )
      },
      emit,
      onChange: () => scheduler?.wake(),
      oldestWaitMs: () => scheduler?.oldestWaitMs ?? 0,
      claim: (instances) => claim(instances, grant),
    })
  }

  async function drainOnce(): Promise<void> {
    if (state === 'loading') {
      // Still in line for memory: it need not have any.
      if (seat?.resident === false) seat.leave()
      await started?.catch(() => {})
    }
    // Requests that still ask the shared cache were accepted: their runs are queued first.
    const lookUps = cache?.close()
    if (lookUps) await lookUps
    if (state !== 'failed') enter('draining')
    await scheduler?.drain()
    await pool?.close()
    leave()
    enter('unloaded')
  }

  return {
    config,
    cache,
    get state() {
      return state
    },
    get reason() {
      return reason
    },
    get available() {
      return state === 'ready' && pool?.unavailableForMs === undefined && seat?.refusal === undefined
    },
    get retired() {
      return drained !== undefined
    },
    get signature() {
      return signature
    },
    get own() {
      return own
    },
    info: (isDefault) => ({
      name: config.name,
      version: config.version,
      state,
      ...(reason ? { reason: { code: reason.code, message: reason.message } } : {}),
      isDefault,
      inputs: signature.inputs,
      outputs: signature.outputs,
      isolation: config.isolation,
      instances: {
        ...config.instances,
        ready: pool?.instances.length ?? 0,
        target: pool?.target ?? leastInstances(config),
        threads: grant?.threads ?? config.session.intraOpNumThreads,
      },
      resident: seat?.resident ?? false,
      ...(pool ? { memory: footprint() } : {}),
      batching: batchingInfo(),
      queue: scheduler?.stats ?? NO_QUEUE,
      ...(cache ? { cache: cache.info() } : {}),
      ...(loaded ? { executionProvider: loaded.provider, loadMs: loaded.loadMs } : {}),
      providerFallbacks: loaded?.fallbacks ?? [],
      opsets: facts?.opsets ?? {},
      producer: facts?.producer ?? '',
      metadata: { ...facts?.metadata, ...config.metadata },
      doc: facts?.doc ?? '',
      ...(config.labels ? { labels: config.labels } : {}),
      ...(config.tritonConfig ? { tritonConfig: config.tritonConfig } : {}),
      configNotes: config.configNotes,
    }),
    start() {
      started ??= startOnce()
      return started
    },
    run(inputs, opts) {
      if (!scheduler || state !== 'ready') throw new ModelmountError('MODEL_NOT_READY', `model '${config.name}' is ${state}`)
      if (seat?.refusal) throw seat.refusal
      const finished = scheduler.submit({
        run: { inputs: completed(inputs), fetches: opts.fetches },
        enqueuedAt: opts.at,
        deadline: opts.at + (opts.timeoutMs ?? config.timeoutMs),
        signal: opts.signal,
        shareable: opts.shareable,
        priority: opts.priority,
        tenant: opts.tenant ?? '',
        trace: opts.trace,
      })
      // Queued first: what is out of memory comes back for those who wait.
      seat?.touch()
      return finished
    },
    drain() {
      drained ??= drainOnce()
      return drained
    },
    abandon(error) {
      scheduler?.abandon(error)
      pool?.kill()
    },
  }
}
