/** One served model version: reads the file, starts its instances, runs requests, drains. Wires the rooms onnx, engine and scheduler. */

import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { contentId, type ResultCache } from './cache/index.ts'
import type { Clock } from './clock.ts'
import type { Run, RunOutcome } from './engine/instance.ts'
import type { Loaded, SessionValue } from './engine/messages.ts'
import { createPool, type Pool, type PoolEvent } from './engine/pool.ts'
import { openProcess } from './engine/process.ts'
import { openThread } from './engine/thread.ts'
import { isModelmountError, ModelmountError } from './errors.ts'
import { readOnnx, servableOutputs, unsupportedReason } from './onnx/index.ts'
import type { ModelConfig } from './options.ts'
import { proveBatching } from './scheduler/batching.ts'
import { createScheduler, type Finished, type Scheduler } from './scheduler/scheduler.ts'
import { isDType } from './tensor/index.ts'
import type { BatchingInfo, DType, ModelInfo, ModelSignature, ModelState, OnnxModelFacts, Tensor, ValueInfo } from './types.ts'

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

export interface RunOptions {
  readonly fetches: readonly string[]
  readonly timeoutMs: number | undefined
  readonly signal: AbortSignal | undefined
  /** False keeps the request out of shared runs. */
  readonly shareable: boolean
  readonly tenant: string | undefined
}

export type ModelEvent =
  | PoolEvent
  | { readonly type: 'state'; readonly state: ModelState; readonly reason?: string }
  | ProviderFallbackEvent
interface ProviderFallbackEvent {
  readonly type: 'provider-fallback'
  readonly wanted: ModelInfo['providerFallbacks'][number]['provider']
  readonly using: ModelInfo['providerFallbacks'][number]['provider']
  readonly reason: string
}

interface Deps {
  readonly clock: Clock
  readonly cache: ResultCache | undefined
  emit(event: ModelEvent): void
}

const EMPTY: ModelSignature = { inputs: [], outputs: [] }

export function createModel(config: ModelConfig, { clock, cache, emit }: Deps): Model {
  let state: ModelState = 'loading'
  let reason: ModelmountError | undefined
  let facts: OnnxModelFacts | undefined
  let signature = EMPTY
  let loaded: Loaded | undefined
  let fingerprint = ''
  let pool: Pool | undefined
  let scheduler: Scheduler | undefined
  let started: Promise<void> | undefined
  let drained: Promise<void> | undefined

  function enter(next: ModelState): void {
    state = next
    emit(reason && next === 'failed' ? { type: 'state', state: next, reason: reason.message } : { type: 'state', state: next })
  }

  async function startOnce(): Promise<void> {
    emit({ type: 'state', state })
    try {
      facts = await readFacts(config)
      const refusal = facts && (unsupportedReason(facts) ?? unreachableData(config.source, facts))
      if (refusal) throw new ModelmountError('MODEL_UNSUPPORTED', refusal)
      fingerprint = await fingerprintOf(config.source, facts)
      pool = openPool()
      scheduler = createScheduler({ pool, clock, maxQueue: config.maxQueue, maxQueueBytes: config.maxQueueBytes })
      loaded = await pool.start()
      signature = signatureOf(facts, loaded)
      await warmUp(pool, scheduler)
      if (cache?.shares) cache.share(await contentOf(loaded))
    } catch (error) {
      reason = isModelmountError(error)
        ? error
        : new ModelmountError('INTERNAL', `internal error: ${String(error)}`, { cause: error })
      enter('failed')
      // Not waited for: a thread that hangs in native code would keep the reason from its caller.
      void pool?.close()
      throw reason
    }
    for (const { provider, reason } of loaded.fallbacks)
      emit({ type: 'provider-fallback', wanted: provider, using: loaded.provider, reason })
    emit({ type: 'worker-ready', loadMs: loaded.loadMs })
    enter('ready')
  }

  /** Runs the model before the first request does, which also tells whether batching pays. */
  async function warmUp(pool: Pool, scheduler: Scheduler): Promise<void> {
    const [instance] = pool.instances
    if (!instance) return
    const lost = { error: new ModelmountError('WORKER_LOST', 'the worker was lost while warming up'), inferMs: 0 }
    const runAll = (runs: readonly Run[]): Promise<readonly RunOutcome[]> =>
      new Promise((resolve) => instance.run(runs, (outcomes) => resolve(outcomes ?? runs.map(() => lost))))
    const proof = proveBatching(signature, config.batching, runAll)
    const hung = new Promise<never>((_, reject) => {
      const timer = clock.after(config.loadTimeoutMs, () => {
        instance.kill('the warm-up hung')
        reject(
          new ModelmountError('MODEL_LOAD_FAILED', `the warm-up took longer than loadTimeoutMs (${config.loadTimeoutMs} ms)`),
        )
      })
      void proof.then(() => timer.cancel())
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

  function batchingInfo(): BatchingInfo {
    if (!scheduler) return { enabled: false, reason: 'the model is not loaded', maxSize: 1 }
    const { info, curve } = scheduler.batching
    return curve.fit ? { ...info, curve: curve.fit } : info
  }

  function openPool(): Pool {
    const request = {
      source: config.source,
      providers: config.providers,
      strict: config.strictProviders,
      session: config.session,
      timeoutMs: config.loadTimeoutMs,
    }
    return createPool(request, config.instances, {
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
    })
  }

  async function drainOnce(): Promise<void> {
    if (state === 'loading') await started?.catch(() => {})
    // Requests that still ask the shared cache were accepted: their runs are queued first.
    const lookUps = cache?.close()
    if (lookUps) await lookUps
    if (state !== 'failed') enter('draining')
    await scheduler?.drain()
    await pool?.close()
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
      return state === 'ready' && pool?.unavailableForMs === undefined
    },
    get retired() {
      return drained !== undefined
    },
    get signature() {
      return signature
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
      instances: { ready: pool?.instances.length ?? 0, target: config.instances },
      batching: batchingInfo(),
      ...(cache ? { cache: cache.info() } : {}),
      ...(loaded ? { executionProvider: loaded.provider, loadMs: loaded.loadMs } : {}),
      providerFallbacks: loaded?.fallbacks ?? [],
      opsets: facts?.opsets ?? {},
      producer: facts?.producer ?? '',
      metadata: facts?.metadata ?? {},
      doc: facts?.doc ?? '',
    }),
    start() {
      started ??= startOnce()
      return started
    },
    run(inputs, { fetches, timeoutMs, signal, shareable }) {
      if (!scheduler || state !== 'ready') throw new ModelmountError('MODEL_NOT_READY', `model '${config.name}' is ${state}`)
      return scheduler.submit({
        run: { inputs, fetches },
        deadline: clock.now() + (timeoutMs ?? config.timeoutMs),
        signal,
        shareable,
      })
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

/** `.ort` files are flatbuffers; their graph is known only once ONNX Runtime has loaded them. */
async function readFacts(config: ModelConfig): Promise<OnnxModelFacts | undefined> {
  if (config.allowOrtFormat && typeof config.source === 'string' && config.source.endsWith('.ort')) return undefined
  return readOnnx(config.source)
}

/** ONNX Runtime would look for the files beside the process's working directory. */
function unreachableData(source: string | Uint8Array, facts: OnnxModelFacts): string | undefined {
  if (typeof source === 'string' || facts.externalData.length === 0) return undefined
  return `the model keeps weights in other files (${facts.externalData.length}), which a Uint8Array source does not have; pass its path`
}

/** Identity of the files behind a model, so that a restarted worker never silently runs other bytes than its siblings. */
async function fingerprintOf(source: string | Uint8Array, facts: OnnxModelFacts | undefined): Promise<string> {
  const parts = await Promise.all(
    filesOf(source, facts).map(async (file) => {
      if (typeof file !== 'string') return ''
      const { dev, ino, size, mtimeMs } = await stat(file).catch(() => ({ dev: 0, ino: 0, size: -1, mtimeMs: 0 }))
      return `${dev}:${ino}:${size}:${mtimeMs}`
    }),
  )
  return parts.join(' ')
}

function filesOf(source: string | Uint8Array, facts: OnnxModelFacts | undefined): readonly (string | Uint8Array)[] {
  if (typeof source !== 'string') return [source]
  return [source, ...(facts?.externalData ?? []).map((location) => join(dirname(source), location))]
}

/** What the file declares, reduced to the values that the loaded session really takes and gives. */
function signatureOf(facts: OnnxModelFacts | undefined, loaded: Loaded): ModelSignature {
  const declared = facts ? { inputs: facts.inputs, outputs: servableOutputs(facts) } : undefined
  const pick = (values: readonly SessionValue[], known: readonly ValueInfo[] | undefined): ValueInfo[] =>
    values.flatMap((value) => known?.find((info) => info.name === value.name) ?? (known ? [] : fromSession(value)))
  const inputs = pick(loaded.inputs, declared?.inputs)
  const outputs = pick(loaded.outputs, declared?.outputs).filter((output) => output.type !== undefined)
  const bad = [...inputs, ...pick(loaded.outputs, facts ? declared?.outputs : undefined)].find(
    (value) => value.type === undefined,
  )
  if (bad && (inputs.includes(bad) || bad.declaredType.includes('int4')))
    throw new ModelmountError('MODEL_UNSUPPORTED', `'${bad.name}' is ${bad.declaredType}, which onnxruntime-node cannot carry`)
  if (outputs.length === 0)
    throw new ModelmountError('MODEL_UNSUPPORTED', 'the model has no output that is a tensor of a supported type')
  return { inputs, outputs }
}

function fromSession(value: SessionValue): ValueInfo[] {
  const type: DType | undefined = value.isTensor && isDType(value.type) ? value.type : undefined
  return [
    {
      name: value.name,
      type,
      declaredType: value.isTensor ? `tensor(${value.type})` : 'not a tensor',
      // ONNX Runtime reports [] for a scalar and for an unknown rank alike.
      dims: value.dims.length === 0 ? undefined : value.dims,
    },
  ]
}
