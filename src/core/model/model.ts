/** One served model version: reads the file, starts its instances, runs requests, drains. Wires the rooms onnx, engine and scheduler. */

import { type CallOptions, contentId, type ResultCache } from '../cache/index.ts'
import { type Ahead, startAhead } from '../engine/ahead.ts'
import type { Buffers, Memory } from '../engine/buffers.ts'
import type { CpuBudget, CpuDemand, CpuGrant } from '../engine/cpu.ts'
import { patchKey } from '../engine/derived/key.ts'
import { guessFootprint, type Holding, sharedBytes } from '../engine/footprint.ts'
import type { TensorRecord } from '../engine/frame.ts'
import type { Instance, LoadRequest } from '../engine/instance.ts'
import { formed, type SharedForm } from '../engine/launch.ts'
import type { Loaded } from '../engine/messages.ts'
import { createPool, type Pool, type PoolEvent } from '../engine/pool.ts'
import { openProcess } from '../engine/process.ts'
import { openThread } from '../engine/thread.ts'
import type { MemoryInfo } from '../engine/types.ts'
import { isModelmountError, ModelmountError } from '../errors.ts'
import type { Clock } from '../host/clock.ts'
import { printable } from '../host/printable.ts'
import type { Admitted, Gate, Integrity } from '../integrity/index.ts'
import { type Content, fixedContent, idOfBytes, openContent } from '../integrity/index.ts'
import { type Edited, findHazard, findMixing, isRandom } from '../onnx/index.ts'
import { NO_PATCH } from '../onnx/splice.ts'
import type { OnnxModelFacts } from '../onnx/types.ts'
import type { ModelConfig } from '../options/index.ts'
import type { PredictInputs } from '../predict/types.ts'
import { axesOf } from '../scheduler/axes.ts'
import type { BatchAxes } from '../scheduler/batch.ts'
import { findRagged } from '../scheduler/batching.ts'
import type { Finished } from '../scheduler/entry.ts'
import type { Ragged } from '../scheduler/ragged.ts'
import { createRecheck } from '../scheduler/recheck.ts'
import { runEndOf } from '../scheduler/report.ts'
import { createScheduler, type Scheduler } from '../scheduler/scheduler.ts'
import { createSequences, planSequences, type SequenceCall, type SequencePlan, type Sequences } from '../sequences/index.ts'
import type { Telemetry } from '../telemetry.ts'
import { checkInputs, type ExampleForm, exampleForms, exampleOf, exampleTensors } from '../tensor/index.ts'
import type { ModelSignature, Tensor } from '../tensor/types.ts'
import { type Attempt, createAttempt, type Description } from '../trial/attempt.ts'
import { sameWithin } from '../trial/compare.ts'
import type { TrialPlan } from '../trial/plan.ts'
import type { Trials } from '../trial/trials.ts'
import { type Acquaintance, getAcquainted, planOf, rehearse } from '../trial/warm-up.ts'
import { infoOf, leastInstances } from './info.ts'
import { decideIsolation, type IsolationEvent } from './isolation.ts'
import { admitFiles, type IntegrityEvent } from './load/admit.ts'
import { dataFilesOf, weightBytesOf } from './load/files.ts'
import { readModel } from './load/read.ts'
import { createLoadSteps } from './load/steps.ts'
import type { Residency, Seat, UnloadReason } from './residency.ts'
import { createStatistics, type Statistics } from './statistics.ts'
import type { ModelInfo, ModelState } from './types.ts'
import { type Contract, contractOf } from './view/contract.ts'
import { createIntake, type Intake } from './view/intake.ts'
import { type ServedSignature, signatureOf } from './view/signature.ts'
import { createWeights, type Weights, type WeightsEvent } from './weights.ts'

export interface Model {
  readonly config: ModelConfig
  readonly state: ModelState
  readonly reason: ModelmountError | undefined
  /** Valid once the state has been `ready`. */
  readonly signature: ModelSignature
  /** True when a request would be queued: ready, and not refused by the breaker. */
  readonly available: boolean
  /** Why it is ready and takes no requests. */
  readonly unavailableBecause: string | undefined
  info(isDefault: boolean): ModelInfo
  /** Loads it; rejects with the reason and leaves the state `failed`. */
  start(): Promise<void>
  /** Makes a caller's inputs ours; valid once the state has been `ready`. */
  readonly own: Intake
  /** Where large inputs that are given to `run` may lie, so that they need not be copied again; none where a run could not take them from there. */
  readonly room: Memory | undefined
  /** What is known of its files, once they were admitted and where somebody wanted to know. */
  readonly integrity: Integrity | undefined
  /** Queues one run. The tensors must have passed the check and belong to the engine from here on. */
  run(inputs: Readonly<Record<string, Tensor>>, opts: RunOptions): Promise<Finished>
  /** By output, what its elements stand for. */
  readonly labels: Labels | undefined
  /** What it has answered before, where that is kept. */
  readonly cache: ResultCache | undefined
  readonly statistics: Statistics
  /** How to make a request that it was seen to answer; none where that was not tried. */
  readonly example: ExampleForm | undefined
  /** Its open sequences, where it keeps state; valid once the state has been `ready`. */
  readonly sequences: Sequences | undefined
  /** True once `drain()` was called, also while it still loads. */
  readonly retired: boolean
  /** Takes no more requests, answers the accepted ones, frees the workers. */
  drain(): Promise<void>
  /** Gives up what `drain()` waits for. */
  abandon(error: ModelmountError): void
}

type Labels = NonNullable<ModelInfo['labels']>
type BatchSettings = Exclude<ModelConfig['batching'], false>

/** How one request wants to run. */
export interface RunOptions extends CallOptions {
  readonly sequence?: SequenceCall | undefined
}

export type ModelEvent =
  | PoolEvent
  | WeightsEvent
  | { readonly type: 'state'; readonly state: ModelState; readonly reason?: string; readonly manifestId?: string }
  | IntegrityEvent
  | { readonly type: 'residency'; readonly resident: boolean; readonly reason: UnloadReason | 'demand' }
  | { readonly type: 'warning'; readonly message: string }
  | { readonly type: 'untried'; readonly reason: string }
  | { readonly type: 'batching'; readonly enabled: false; readonly reason: string }
  | ProviderFallbackEvent
  | IsolationEvent

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
  readonly trials: Trials
  readonly buffers: Buffers
  readonly cache: ResultCache | undefined
  readonly telemetry: Telemetry | undefined
  readonly cacheDirectory: string | undefined
  readonly gate: Gate
  /** Whether files are looked through for what no honest model has. */
  readonly scan: boolean
  emit(event: ModelEvent): void
}

const withOptional = ({ inputs, outputs }: ModelSignature, name: string): ModelSignature => ({
  inputs: inputs.map((input) => (input.name === name ? { ...input, optional: true } : input)),
  outputs,
})

/** A verification that takes longer than this has the first worker thread started beside it. */
const AHEAD_AFTER_MS = 5

/** As long as a timer goes. */
const FOREVER_MS = 2 ** 31 - 1

/** A sequence of one request, as samples are. */
const ONE_SHOT: SequenceCall = { id: 1, start: true, end: true }

const withAxes = (batching: BatchSettings, { axes }: SequencePlan): BatchSettings => ({
  ...batching,
  axes: { ...axes, ...batching.axes },
})

/** For the log: what callers are told, and what lies behind it. */
function withRoot(error: Error): string {
  let root = error
  while (root.cause instanceof Error) root = root.cause
  return error.message.includes(root.message) ? error.message : `${error.message}: ${printable(root.message).slice(0, 1000)}`
}

/** Sequences answer by what came before, random operators by chance; and where the user answers for the rows there is nothing to ask. */
const isRecheckable = ({ batching, sequences }: ModelConfig, facts: OnnxModelFacts | undefined): boolean =>
  batching !== false && !batching.independentRows && !sequences && !facts?.operators.some(isRandom)

/** The settings' own come first. */
function labelsOf(edited: Edited | undefined, { labels }: ModelConfig): Labels | undefined {
  const all: Labels = { ...edited?.labels, ...labels }
  return Object.keys(all).length > 0 ? all : undefined
}

const EMPTY: ServedSignature = { inputs: [], outputs: [], leftOut: [] }

export const cpuDemandOf = (config: ModelConfig): CpuDemand => ({
  name: config.name,
  min: leastInstances(config),
  max: config.instances.max,
  threads: config.threads,
})

interface CreateOptions {
  /** Id of the manifest that it must have. */
  readonly mustBe?: string | undefined
}

export function createModel(given: ModelConfig, deps: Deps, opts: CreateOptions = {}): Model {
  /** As it was given, but for what its graph asks for. */
  let config = given
  const { clock, cpu, residency, trials, cache, cacheDirectory, telemetry, gate, scan, emit } = deps
  const statistics = createStatistics()
  // Only threads give memory back: what a child process reads from its pipe is memory of its own.
  let buffers = config.isolation === 'thread' ? deps.buffers : undefined
  const names = { model: config.name, version: config.version }
  const steps = createLoadSteps(clock)
  let state: ModelState = 'loading'
  let reason: ModelmountError | undefined
  /** Of the graph that is loaded. */
  let facts: OnnxModelFacts | undefined
  let edited: Edited | undefined
  let labels: Labels | undefined = config.labels
  let hazard: string | undefined
  /** As the graph has it, and as requests see it. */
  let graph: ServedSignature = EMPTY
  let contract: Contract = contractOf(EMPTY, { inputs: {}, outputs: {} })
  let ragged: Ragged | undefined
  let plan: SequencePlan | undefined
  let sequences: Sequences | undefined
  let own: Intake = createIntake(EMPTY, config)
  let loaded: Loaded | undefined
  let content: Content = fixedContent(undefined)
  let admitted: Admitted | undefined
  /** What is loaded: the file that was asked for, or the copy of it that was verified. */
  let source = config.source
  let data: Admitted['data'] = new Map()
  let request: LoadRequest | undefined
  let ahead: Ahead | undefined
  let pool: Pool | undefined
  let scheduler: Scheduler | undefined
  /** Ends the step of the load that is over when the first instance has loaded. */
  let endLoad = (): void => {}
  let attempt: Attempt | undefined
  let acquaintance: Acquaintance | undefined
  let example: ExampleForm | undefined
  let weights: Weights | undefined
  /** Instances that start, or change their form, after the model is ready. */
  let settling: Promise<void> = Promise.resolve()
  let weightBytes = 0
  let grant: CpuGrant | undefined
  let seat: Seat | undefined
  let cramped = false
  let started: Promise<void> | undefined
  let drained: Promise<void> | undefined

  function enter(next: ModelState): void {
    state = next
    const manifestId = admitted?.integrity?.manifestId
    const why = next === 'failed' ? reason?.message : undefined
    emit({ type: 'state', state: next, ...(why === undefined ? {} : { reason: why }), ...(manifestId ? { manifestId } : {}) })
  }

  async function startOnce(): Promise<void> {
    emit({ type: 'state', state })
    const startedAt = clock.now()
    // Its caller waits for the answer, whatever dies meanwhile that kept the process running.
    const awake = clock.after(FOREVER_MS, () => {})
    awake.hold(true)
    const unexpect = config.batching ? trials.expect() : undefined
    try {
      await bringUp()
    } finally {
      awake.cancel()
      unexpect?.()
      telemetry?.load?.({ ...names, error: reason?.code, startedAt, endedAt: clock.now(), steps: steps.done })
    }
  }

  async function bringUp(): Promise<void> {
    try {
      if (config.fault) throw config.fault
      if (config.isolation === 'thread') ahead = startAhead(openThread, clock, AHEAD_AFTER_MS)
      const files = await steps.time('verify', admitFiles(config, { gate, mustBe: opts.mustBe, emit }))
      admitted = files
      source = files.source
      data = files.data
      ahead?.settle()
      const areOurs = files.integrity !== undefined
      content = await contentFor(files)
      const read = await steps.time('read', readModel({ source, data, allowOrtFormat: config.allowOrtFormat, scan, areOurs }))
      edited = read?.edited
      facts = edited?.facts
      labels = labelsOf(edited, config)
      // All of them make its id, also those that an edit leaves out.
      if (typeof source === 'string') await content.begin(dataFilesOf(source, read?.facts))
      await isolate()
      grant = cpu.grant(cpuDemandOf(config))
      if (grant.excess) emit({ type: 'warning', message: grant.excess })
      const session = { ...config.session, intraOpNumThreads: grant.threads }
      const form = await steps.time('prepare', verify(session))
      pool = openPool(session, grant)
      const { maxQueue, maxQueueBytes, maxQueuePerTenant, maxWaitMs, batching } = config
      const { maxDelayMs, mixTenants } = batching || { maxDelayMs: 0, mixTenants: false }
      scheduler = createScheduler({
        pool,
        clock,
        maxQueue,
        maxQueueBytes,
        maxQueuePerTenant,
        maxWaitMs,
        maxDelayMs,
        mixTenants,
        memory: buffers,
        recheck: isRecheckable(config, facts) ? createRecheck({ same: sameWithin }) : undefined,
        onRefuted: (reason) => emit({ type: 'batching', enabled: false, reason }),
        onRun(run) {
          statistics.ran(run)
          if (telemetry?.run)
            telemetry.run(runEndOf(run, { model: config.name, version: config.version, provider: loaded?.provider }))
        },
      })
      seat = takeSeat(pool, scheduler, form)
      await seat.enter()
    } catch (error) {
      reason = isModelmountError(error)
        ? error
        : new ModelmountError('INTERNAL', `internal error: ${String(error)}`, { cause: error })
      enter('failed')
      // Not waited for: a thread that hangs in native code would keep the reason from its caller.
      void weights?.close()
      void pool?.close()
      leave()
      throw reason
    } finally {
      ahead?.drop()
    }
    if (!loaded) return
    for (const { provider, reason } of loaded.fallbacks)
      emit({ type: 'provider-fallback', wanted: provider, using: loaded.provider, reason })
    for (const message of loaded.warnings) emit({ type: 'warning', message })
    for (const { name, reason } of graph.leftOut)
      emit({ type: 'warning', message: `output '${printable(name)}' is left out: ${reason}` })
    for (const { field, reason } of contract.notes)
      emit({ type: 'warning', message: `${field} is not honoured as written: ${reason}` })
    emit({ type: 'worker-ready', loadMs: loaded.loadMs })
    enter('ready')
    if (pool && weights?.pending) settling = shareWeights(pool, weights)
  }

  /** What comes out of the store is verified there. */
  const contentFor = async ({ source, integrity }: Admitted): Promise<Content> =>
    typeof source !== 'string' || integrity ? fixedContent(integrity?.manifestId) : openContent(source, { wallNow: Date.now })

  /** What runs in threads can end the host, which some graphs let a request do. */
  async function isolate(): Promise<void> {
    hazard = facts && (await findHazard(source, facts, edited?.patch))
    const decision = decideIsolation(config, hazard)
    config = decision.config
    if (decision.event) emit(decision.event)
    if (config.isolation === 'thread') return
    buffers = undefined
    ahead?.drop()
    ahead = undefined
  }

  /** Finds the weights where they are shared. */
  async function verify(session: ModelConfig['session']): Promise<SharedForm | undefined> {
    weightBytes = await weightBytesOf(source, data, facts)
    weights = createWeights({ ...config, source, session }, facts, {
      clock,
      patch: edited?.patch ?? NO_PATCH,
      cacheDirectory,
      weightBytes,
      isUnchanged: content.isUnchanged,
      emit,
    })
    return weights.find()
  }

  async function firstLoad(pool: Pool, form: SharedForm | undefined): Promise<void> {
    attempt = newAttempt(form)
    try {
      const prepared = attempt.prepare()
      await (isCanary() ? steps.time('canary', prepared) : prepared)
      endLoad = steps.begin('load')
      // Weights that are going to be shared are not copied for every instance first.
      await pool.start({ form, count: weights?.pending ? 1 : undefined })
    } finally {
      endLoad()
      void attempt.end()
    }
    if (cache?.shares && loaded) cache.share(await contentOf(loaded))
  }

  /** With one instance at work already, makes the form that all of them share. */
  async function shareWeights(pool: Pool, weights: Weights): Promise<void> {
    const form = await weights.make(
      acquaintance?.usual() ?? [],
      graph.outputs.map(({ name }) => name),
    )
    if (drained) return
    if (form) return pool.adopt(form)
    if (!seat?.fits(0))
      emit({ type: 'warning', message: 'without shared weights the models take more memory than memory.budgetBytes' })
    await pool.fill()
  }

  function takeSeat(pool: Pool, scheduler: Scheduler, form: SharedForm | undefined): Seat {
    return residency.seat({
      idleUnloadMs: config.idleUnloadMs,
      loadTimeoutMs: config.loadTimeoutMs,
      bytes() {
        const instances = Math.max(leastInstances(config), pool.target)
        const { perInstanceBytes, sharedBytes } = memory()
        if (!weights?.pending) return sharedBytes + perInstanceBytes * instances
        // One has its own copy; the others will share theirs, or sharing would need the memory that it saves.
        const others = guessFootprint(weightBytes, config.isolation, 'mapped')
        return perInstanceBytes + others.sharedBytes + others.perInstanceBytes * (instances - 1)
      },
      size: () => `${weightBytes} bytes of weights, ${leastInstances(config)} instances`,
      busy: () => scheduler.stats.waiting + scheduler.stats.running > 0,
      settled: () => pool.settled,
      usedAt: () => pool.usedAt,
      load: () => (loaded ? pool.resume() : firstLoad(pool, form)),
      unload: () => pool.park(),
      moved: (resident, reason) => emit({ type: 'residency', resident, reason }),
      failed(error) {
        emit({ type: 'warning', message: withRoot(error) })
        scheduler.abandon(error)
      },
    })
  }

  function memory(): MemoryInfo {
    const packs = config.session.extra['session.disable_prepacking'] !== '1'
    const holding: Holding = weights?.info.form === 'shared' ? 'mapped' : packs ? 'packed' : 'raw'
    const perInstanceBytes = pool?.privateBytes
    return perInstanceBytes === undefined
      ? guessFootprint(weightBytes, config.isolation, holding)
      : { perInstanceBytes, sharedBytes: sharedBytes(weightBytes, holding), basis: 'measured' }
  }

  /** How many instances CPU and memory allow; the least number is never refused. */
  function claim(instances: number, grant: CpuGrant): number {
    const before = pool?.target ?? 0
    let most = grant.use(instances)
    const { perInstanceBytes } = memory()
    while (most > Math.max(before, leastInstances(config)) && !seat?.fits((most - before) * perInstanceBytes)) most--
    if (instances > before && most < instances && !cramped) {
      cramped = true
      const bound = grant.use(instances) < instances ? `the ${cpu.cpus} CPUs for models` : 'memory.budgetBytes'
      emit({ type: 'warning', message: `more than ${most} instances would help, but ${bound} are in use` })
    }
    return grant.use(most)
  }

  function leave(): void {
    admitted?.release()
    seat?.leave()
    grant?.release()
  }

  const isCanary = (): boolean => config.canary === true || (config.canary === 'unverified' && !admitted?.integrity?.signer)

  function newAttempt(form: SharedForm | undefined): Attempt {
    const { perInstanceBytes, sharedBytes } = guessFootprint(weightBytes, 'process', form ? 'mapped' : 'packed')
    const reserved = memory()
    const settings = {
      canary: isCanary(),
      wanted: isTried(),
      neededBytes: perInstanceBytes + (form ? 0 : sharedBytes),
      reservedBytes: reserved.perInstanceBytes + reserved.sharedBytes,
      maxBytes: config.maxMemoryBytes,
    }
    const wanted = request as LoadRequest
    return createAttempt(form ? formed(wanted, form) : wanted, settings, {
      trials,
      lend: residency.lend,
      describe(description) {
        describe(description)
        return descriptionOf()
      },
      onLine: (line) => emit({ type: 'worker-output', line }),
      untried: (reason) => emit({ type: 'untried', reason }),
    })
  }

  /** Whether there will be something to try, as far as that is known before it has loaded. */
  function isTried(): boolean {
    const { batching, warmup } = config
    if (batching === false || facts?.inputs.length === 0) return false
    return warmup.length === 0 || !facts || config.sequences !== undefined || typeof axesOf(facts, batching.axes) !== 'string'
  }

  function descriptionOf(): Description {
    const { signature, config, examples } = warmUpDeps()
    // A sample that does not fit is the warm-up's to complain of.
    const samples = config.warmup.map(fitting).filter((sample) => sample !== undefined)
    return {
      plan: planOf(signature, config.batching, samples, examples()),
      samples: signature.inputs.length === 0 ? [{}] : samples,
      fetches: signature.outputs.map(({ name }) => name),
    }
  }

  /** Every instance goes through this before requests get to it. */
  async function prepare(instance: Instance, description: Loaded, scheduler: Scheduler): Promise<void> {
    if (acquaintance) return rehearseWith(instance, acquaintance)
    describe(description)
    endLoad()
    const known = await steps.time('warmup', getAcquainted(instance, warmUpDeps()))
    scheduler.setBatching(known.batching)
    acquaintance = known
    example = known.example === undefined ? undefined : examples()[known.example]?.form
  }

  /** Takes down what a session tells of itself. */
  function describe(description: Loaded): void {
    // ONNX Runtime quotes names of the model raw.
    const fallbacks = description.fallbacks.map(({ provider, reason }) => ({
      provider,
      reason: printable(reason).slice(0, 1000),
    }))
    loaded = { ...description, fallbacks }
    graph = signatureOf(facts, loaded, edited?.leftOut)
    const found = findRagged(graph, config.batching)
    if (typeof found === 'object') {
      ragged = found
      graph = { ...withOptional(graph, found.mask), leftOut: graph.leftOut }
    }
    const { batching } = config
    plan = config.sequences && planSequences(graph, config.sequences, batching ? batching.axes : {})
    if (plan && config.sequences)
      sequences = createSequences(plan, { ...config, ...config.sequences, model: config.name }, { clock, memory: buffers })
    contract = contractOf({ ...(plan?.visible ?? graph), leftOut: graph.leftOut }, config, facts?.presetInputs)
    own = createIntake(contract.signature, config, buffers)
  }

  const warmUpDeps = () => ({
    clock,
    signature: graph,
    config: plan && config.batching ? { ...config, batching: withAxes(config.batching, plan) } : config,
    take: taken,
    examples: () => examples().map(({ inputs }) => inputs),
    tryOut: async (plan: TrialPlan) => (attempt ? attempt.tryOut(plan) : 'it has no trial'),
    findMixing: async (rows: BatchAxes) => (facts ? findMixing(source, graph.inputs, rows, edited?.patch) : undefined),
  })

  /** None where values of a request could end the process that tries them, or where that is not known. */
  function examples(): readonly { readonly form: ExampleForm; readonly inputs: TensorRecord }[] {
    if (!facts || hazard !== undefined || config.batching === false) return []
    const { inputs } = contract.signature
    return exampleForms(inputs).flatMap((form) => {
      const example = exampleOf(inputs, form)
      const inner = example && fitting(exampleTensors(example))
      return inner ? [{ form, inputs: inner }] : []
    })
  }

  const fitting = (inputs: PredictInputs): TensorRecord | undefined => {
    try {
      return taken(inputs)
    } catch {
      return undefined
    }
  }

  async function rehearseWith(instance: Instance, known: Acquaintance): Promise<void> {
    const problem = await rehearse(instance, known, warmUpDeps())
    if (problem === undefined) return
    // The next one must not fall for the same.
    if (!instance.ready) acquaintance = { ...known, rehearsal: () => [] }
    emit({ type: 'warning', message: `a further instance could not be warmed up: ${problem}` })
  }

  /** What must be equal for another process to give the same results. */
  async function contentOf({ provider }: Loaded): Promise<string> {
    const { graphOptimizationLevel, extra } = config.session
    const patch = edited?.patch ?? NO_PATCH
    const settings = { provider, graphOptimizationLevel, extra, ...(patch.length > 0 ? { patch: patchKey(patch) } : {}) }
    return contentId(content.id ?? (typeof source === 'string' ? source : await idOfBytes(source)), settings)
  }

  /** A mask that was left out is made up, whether or not requests share runs. */
  const completed = (inputs: TensorRecord): TensorRecord => (ragged ? ragged.complete(inputs) : inputs)

  /** A request's inputs, or a sample's, as the graph takes them. */
  const taken = (inputs: PredictInputs): TensorRecord => {
    const ours = contract.toGraph(checkInputs(contract.signature, inputs, config))
    return completed(plan ? { ...ours, ...plan.fresh(ours), ...plan.controls(ours, ONE_SHOT) } : ours)
  }

  function submit(inputs: TensorRecord, fetches: readonly string[], opts: RunOptions, enqueuedAt: number): Promise<Finished> {
    if (!scheduler) throw new ModelmountError('MODEL_NOT_READY', `model '${config.name}' is ${state}`)
    if (seat?.refusal) throw seat.refusal
    const finished = scheduler.submit({
      run: { inputs: completed(inputs), fetches },
      enqueuedAt,
      deadline: deadlineOf(opts),
      signal: opts.signal,
      shareable: opts.shareable,
      priority: opts.priority,
      tenant: opts.tenant ?? '',
      connection: opts.connection,
      trace: opts.trace,
    })
    // Queued first: what is out of memory comes back for those who wait.
    seat?.touch()
    buffers?.releaseAfter(finished, inputs)
    return finished
  }

  const deadlineOf = ({ at, timeoutMs }: RunOptions): number => at + (timeoutMs ?? config.timeoutMs)

  function openPool(session: ModelConfig['session'], grant: CpuGrant): Pool {
    request = {
      source,
      patch: edited?.patch ?? NO_PATCH,
      data: Array.from(data, ([path, bytes]) => ({ path, bytes })),
      providers: config.providers,
      strict: config.strictProviders,
      session,
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
      buffers,
      open: config.isolation === 'process' ? openProcess({ maxMemoryBytes: config.maxMemoryBytes }) : (ahead?.open ?? openThread),
      killable: config.isolation === 'process',
      async checkSource() {
        // At the first load the gate has just looked.
        if (loaded) await admitted?.recheck()
        return content.open()
      },
      async prepare(instance, description) {
        if (scheduler) await prepare(instance, description, scheduler)
      },
      onSharedLost: (reason) => weights?.lost(reason),
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
      // What was to be found out is of no use any more; a canary goes on, as the load does.
      if (!isCanary()) void attempt?.end()
      await started?.catch(() => {})
    }
    // Requests that still ask the shared cache were accepted: their runs are queued first.
    const lookUps = cache?.close()
    if (lookUps) await lookUps
    if (state !== 'failed') enter('draining')
    await sequences?.drain()
    await scheduler?.drain()
    await weights?.close()
    await pool?.close()
    await settling
    leave()
    enter('unloaded')
  }

  return {
    get config() {
      return config
    },
    cache,
    statistics,
    get state() {
      return state
    },
    get reason() {
      return reason
    },
    get available() {
      return state === 'ready' && pool?.unavailableForMs === undefined && seat?.refusal === undefined
    },
    get unavailableBecause() {
      if (state !== 'ready') return undefined
      const because = pool?.unavailableBecause
      return because === undefined ? seat?.refusal?.message : `the model ${because}`
    },
    get retired() {
      return drained !== undefined
    },
    get signature() {
      return contract.signature
    },
    get labels() {
      return labels
    },
    get own() {
      return own
    },
    get room() {
      return buffers
    },
    get sequences() {
      return sequences
    },
    get integrity() {
      return admitted?.integrity
    },
    get example() {
      return example
    },
    info: (isDefault) =>
      infoOf(config, {
        state,
        reason,
        isDefault,
        integrity: admitted?.integrity,
        contract,
        facts,
        edits: edited?.edits ?? [],
        labels,
        hazard,
        loaded,
        pool,
        scheduler,
        weights,
        grant,
        resident: seat?.resident ?? false,
        cache,
        sequences,
        memory,
      }),
    start() {
      started ??= startOnce()
      return started
    },
    run(inputs, opts) {
      if (state !== 'ready') throw new ModelmountError('MODEL_NOT_READY', `model '${config.name}' is ${state}`)
      const taken = contract.toGraph(inputs)
      const finished = sequences
        ? sequences.run(taken, { ...opts, deadline: deadlineOf(opts) }, (feed, fetches) =>
            submit(feed, fetches, opts, clock.now()),
          )
        : submit(taken, opts.fetches, opts, opts.at)
      const { fromGraph } = contract
      return fromGraph ? finished.then((done) => ({ ...done, outputs: fromGraph(done.outputs) })) : finished
    },
    drain() {
      drained ??= drainOnce()
      return drained
    },
    abandon(error) {
      sequences?.abandon(error)
      scheduler?.abandon(error)
      pool?.kill()
    },
  }
}
