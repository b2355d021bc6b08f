/** createModelServer(): wires the rooms. `predict()` shows the way of a prediction on one screen. */

import { join } from 'node:path'
import type { Answer } from './cache/index.ts'
import { createDecrypt } from './crypto/index.ts'
import { createDecoding } from './decoding/index.ts'
import { createBuffers } from './engine/buffers.ts'
import { openProcess } from './engine/process.ts'
import { ModelmountError, toModelmountError } from './errors.ts'
import { systemClock } from './host/clock.ts'
import { checkHost, disableOrtTelemetry } from './host/environment.ts'
import { createIds } from './host/ids.ts'
import { onnxRuntimeVersion } from './host/packages.ts'
import { createHttp, createInFlight, type MountConfig, type RequestOptions, requestIdOf } from './http/index.ts'
import type { HttpRequest } from './http/types.ts'
import { createGate } from './integrity/index.ts'
import { createEvents } from './model/events.ts'
import { createFleet } from './model/fleet.ts'
import { dataNamesOf } from './model/load/files.ts'
import { createMaker } from './model/make.ts'
import type { Model } from './model/model.ts'
import type { RunOptions } from './model/run.ts'
import type { ModelInfo } from './model/types.ts'
import { describeServer, resolveOpenApi } from './openapi/index.ts'
import type { OpenApiDocument, OpenApiOptions } from './openapi/types.ts'
import {
  checkLoadOptions,
  checkPredictOptions,
  checkVersionLabel,
  type ModelConfig,
  resolveOptions,
  resolveSpec,
} from './options/index.ts'
import type { PredictInputs, PredictOptions, PredictResult } from './predict/types.ts'
import { createControl } from './registry/control.ts'
import { createRegistry } from './registry/registry.ts'
import { type Ignored, notesOf, resolveFound, scanRepository } from './registry/repository.ts'
import { sequenceKey } from './sequences/index.ts'
import type { ModelServer, ModelServerOptions } from './server/types.ts'
import { isolated, observeRequests, type Trace } from './telemetry.ts'
import type { Tensor } from './tensor/types.ts'
import { createTrials } from './trial/trials.ts'
import { VERSION } from './version.ts'

const NO_OPTIONS: PredictOptions = {}

/** How long close() waits for killed workers after it has given up on their runs. */
const ABANDON_MS = 1000

/**
 * Starts a server inside this process. Resolves when every model is ready or has failed; failed ones are reported by `health()`.
 * @throws ModelmountError `OPTIONS_INVALID`; with `strict: true` also the reason of the first model that failed
 */
export async function createModelServer(options: ModelServerOptions): Promise<ModelServer> {
  const config = resolveOptions(options)
  const clock = systemClock
  const registry = createRegistry<Model>()
  const ids = createIds()
  const buffers = createBuffers(clock)
  const decoding = createDecoding(config)
  const trials = createTrials(clock, openProcess({ maxMemoryBytes: undefined }))
  const { emit, subscribe } = createEvents(config.logger)
  const telemetry = config.telemetry && isolated(config.telemetry, (message) => emit({ type: 'warning', message }))
  const observer = telemetry && observeRequests(telemetry, clock, requestIdOf)
  const gate = await createGate(config.integrity, {
    dataNamesOf,
    wallNow: Date.now,
    warn: (message) => emit({ type: 'warning', message }),
    onnxruntime: onnxRuntimeVersion(),
    decrypt: createDecrypt(config.encryption),
  })
  let closing: Promise<void> | undefined

  const maker = createMaker({
    ...{ clock, trials, buffers, telemetry, gate, emit },
    ...{ cacheDirectory: config.cacheDirectory, scan: config.scan, memoryBudgetBytes: config.memoryBudgetBytes },
    holder: registry.get,
  })

  // ---------------------------------------------------------------- models

  const fleet = createFleet({ registry, create: maker.make, closed: () => (closing ? closed() : undefined) })

  function infoOf(model: Model): ModelInfo {
    const { name, version } = model.config
    const info = model.info(registry.defaultOf(name) === model)
    const versionLabels = [...registry.labels(name)].filter(([, target]) => target === version).map(([label]) => label)
    return versionLabels.length > 0 ? { ...info, versionLabels } : info
  }
  const closed = (): ModelmountError => new ModelmountError('SERVER_CLOSED', 'the model server is closed', { retryAfterS: 1 })

  function warnOf(ignored: readonly Ignored[]): void {
    for (const { path, reason } of ignored) emit({ type: 'warning', message: `${path} is not served: ${reason}` })
  }

  const control = createControl<ModelConfig, Model>({
    registry,
    repository: config.repository,
    async scan(name) {
      if (config.repository === undefined) return []
      const { models, ignored } = await scanRepository(config.repository, config.versionPolicy)
      const own = name === undefined ? undefined : join(config.repository, name)
      if (own !== undefined) warnOf(ignored.filter(({ path }) => path === own || path.startsWith(join(own, '/'))))
      return models.map((found) => resolveFound(found, config.settings))
    },
    async load(name, configs) {
      if (closing) throw closed()
      await fleet.loadTogether(name, configs)
    },
    drop: fleet.drop,
    unload: fleet.unload,
    loaded: fleet.noteReload,
    warn: (message) => emit({ type: 'warning', message }),
  })

  // ---------------------------------------------------------------- predict

  /** The way of every prediction once its inputs are checked tensors that belong to us. */
  function answer(
    model: Model,
    inputs: Readonly<Record<string, Tensor>>,
    opts: RequestOptions,
    start: number,
    trace?: Trace,
  ): Promise<PredictResult> {
    const fetches = outputNames(model, opts.outputs)
    const call: RunOptions = {
      fetches,
      timeoutMs: opts.timeoutMs,
      signal: opts.signal,
      shareable: opts.batch !== false,
      priority: opts.priority ?? model.config.priority,
      tenant: opts.tenant,
      connection: opts.connection,
      trace,
      at: start,
      sequence: opts.sequence,
    }
    const cache = opts.cache === false ? undefined : model.cache
    const { statistics } = model
    const found: Promise<Answer> = cache ? cache.getOrRun(inputs, call, model.run) : model.run(inputs, call)
    const failed = (error: unknown): never => {
      statistics.failed(clock.now() - start)
      observer?.failed(model.config, start, error, trace)
      throw error
    }
    return found.then(({ outputs, queueMs, inferMs, batchSize, endedAt, ageMs }) => {
      statistics.succeeded(endedAt - start, queueMs, ageMs !== undefined)
      const result = {
        id: opts.id ?? ids.next(),
        model: model.config.name,
        version: model.config.version,
        outputs,
        batchSize,
        cached: ageMs !== undefined,
        timings: { queueMs, inferMs, totalMs: endedAt - start },
      }
      observer?.answered(result, start, trace)
      return ageMs === undefined ? result : { ...result, ageMs }
    }, failed)
  }

  function run(
    model: Model,
    inputs: Readonly<Record<string, Tensor>>,
    opts: RequestOptions,
    start: number,
    headers?: HttpRequest['headers'],
  ): Promise<PredictResult> {
    if (!observer) return answer(model, inputs, opts, start)
    const trace = observer.begin(model.config, start, opts, headers)
    try {
      return answer(model, inputs, opts, start, trace)
    } catch (error) {
      observer.failed(model.config, start, error, trace)
      throw error
    }
  }

  /** The version that a request runs in: where it goes on with a sequence, the one that has it. One id is one sequence of all versions. */
  function holderOf(model: Model, { sequence, tenant, version }: RequestOptions): Model {
    if (!sequence) return model
    if (!model.sequences)
      throw new ModelmountError(
        'OPTIONS_INVALID',
        `opts.sequence: model '${model.config.name}' keeps no state between requests`,
        {
          details: { field: 'sequence' },
        },
      )
    const key = sequenceKey(tenant, sequence)
    const others = registry.versions(model.config.name).filter((other) => other !== model && other.sequences?.has(key))
    if (sequence.start) for (const other of others) other.sequences?.end(key)
    if (sequence.start || version !== undefined || model.sequences.has(key)) return model
    return others.find(({ state }) => state === 'ready') ?? model
  }

  /** Counts what failed before it ran, under the model that would have got it. */
  function refused(name: string, version: string | undefined, start: number, error: unknown): void {
    if (!observer) return
    const model =
      version === undefined ? (registry.defaultOf(name) ?? registry.versions(name).at(-1)) : registry.get(name, version)
    observer.refused(model?.config, start, error)
  }

  /** Not an async function: the promises that one makes on its way cost more than all the checks. */
  function predict(name: string, inputs: PredictInputs, opts: PredictOptions = NO_OPTIONS): Promise<PredictResult> {
    const start = clock.now()
    try {
      if (closing) throw closed()
      if (opts !== NO_OPTIONS) checkPredictOptions(opts)
      const version = opts.label === undefined ? opts.version : registry.labelled(name, opts.label)
      const model = holderOf(registry.resolve(name, version), opts)
      return run(model, model.own(inputs), opts, start)
    } catch (error) {
      refused(name, opts?.version ?? registry.labels(name).get(opts?.label ?? ''), start, error)
      return Promise.reject(error)
    }
  }

  // ---------------------------------------------------------------- closing

  async function close(opts: { readonly timeoutMs?: number } = {}): Promise<void> {
    closing ??= shutDown(opts.timeoutMs ?? 30_000)
    return closing
  }

  async function shutDown(timeoutMs: number): Promise<void> {
    const { models, done } = fleet.drain()
    const gaveUp = new Promise<void>((resolve) => {
      const timer = clock.after(timeoutMs, () => {
        void trials.close()
        for (const model of models) model.abandon(closed())
        // A thread that hangs in native code cannot be ended; the exit guard deals with it when the process ends.
        clock.after(ABANDON_MS, resolve).hold(true)
      })
      timer.hold(true)
      void done.then(() => timer.cancel())
    })
    await Promise.race([done, gaveUp])
    await trials.close()
    buffers.close()
    await decoding.close()
    gate.close()
    unwatch?.()
  }

  const describe = (
    mount: MountConfig,
    { prefix, title = config.name, version = VERSION }: OpenApiOptions = {},
  ): OpenApiDocument =>
    describeServer(
      registry
        .all()
        .filter(({ state }) => state === 'ready')
        .map((model) => ({ ...infoOf(model), example: model.example })),
      mount,
      { title, version, prefix },
    )

  const server: ModelServer = {
    name: config.name,
    // The types of a model's own inputs and outputs are the generated file's promise; here every model is the same.
    predict: predict as ModelServer['predict'],
    async load(spec, opts) {
      if (closing) throw closed()
      checkLoadOptions(opts)
      return infoOf(await fleet.load(resolveSpec(spec, config.settings), { replace: opts?.replace === true }))
    },
    unload: fleet.unload,
    setVersionLabel(name, label, version) {
      checkVersionLabel(label, version)
      if (version === undefined) registry.select(name)
      // Throws for one that is not ready.
      else registry.resolve(name, version)
      registry.setLabel(name, label, version)
    },
    purge(name, version) {
      const models = name === undefined ? registry.all() : registry.select(name, version)
      return models.reduce((dropped, { cache }) => dropped + (cache?.purge() ?? 0), 0)
    },
    model(name, version) {
      const known = registry.select(name, version)
      return infoOf(known.find((model) => model === registry.defaultOf(name)) ?? (known.at(-1) as Model))
    },
    models: () => registry.all().map(infoOf),
    health() {
      const models = registry.all()
      const names = new Set(models.map((model) => model.config.name))
      return {
        live: !closing,
        ready: !closing && [...names].every((name) => registry.defaultOf(name)?.available),
        models: models.map((model) => {
          const { config, state } = model
          const reason = model.reason?.message ?? model.unavailableBecause
          const reloadFailed = fleet.reloadFailure(model)
          return {
            name: config.name,
            version: config.version,
            state,
            ...(reason === undefined ? {} : { reason }),
            ...(reloadFailed === undefined ? {} : { reloadFailed }),
          }
        }),
      }
    },
    subscribe,
    openapi(options = {}) {
      const { mount, about } = resolveOpenApi(options)
      return describe(mount, about)
    },
    http: createHttp({
      serverName: config.name,
      maxBodyBytes: config.maxBodyBytes,
      maxJsonBytes: config.maxJsonBytes,
      bodyTimeoutMs: config.bodyTimeoutMs,
      inFlight: createInFlight(config.maxInflightBytes),
      decode: decoding.decode,
      now: clock.now,
      health: () => server.health(),
      resolve(name, version) {
        if (closing) throw closed()
        return registry.resolve(name, version)
      },
      versions: (name) =>
        registry
          .versions(name)
          .filter((model) => model.state === 'ready')
          .map((model) => model.config.version),
      known: (name, version) => (name === undefined ? registry.all() : registry.select(name, version)),
      labelled: registry.labelled,
      control,
      modelNames: () => [...new Set(registry.all().map((model) => model.config.name))],
      info: infoOf,
      openapi: (mount) => describe(mount),
      report: (error, requestId) =>
        emit({
          type: 'warning',
          message: `internal error${requestId === undefined ? '' : ` (request ${requestId})`}: ${whereFrom(error.cause)}`,
        }),
      run(model, inputs, opts, headers) {
        const holder = holderOf(model, opts)
        return run(holder, holder === model ? inputs : holder.own(inputs), opts, clock.now(), headers)
      },
      refused,
      metricsText: telemetry?.metricsText,
    }),
    close,
    [Symbol.asyncDispose]: () => close(),
  }

  // ---------------------------------------------------------------- starting

  const unwatch = telemetry?.watch?.(server)
  disableOrtTelemetry()
  checkHost()
  const specs = [...config.models]
  if (config.repository !== undefined) {
    const scan = await scanRepository(config.repository, config.versionPolicy)
    warnOf(scan.ignored)
    for (const found of scan.models) {
      if (specs.some((spec) => spec.name === found.name && spec.version === found.version))
        emit({
          type: 'warning',
          message: `${found.source} is not served: models names '${found.name}' version '${found.version}' already`,
        })
      else specs.push(resolveFound(found, config.settings))
    }
    for (const [model, notes] of notesOf(scan))
      for (const { file, field, reason } of notes)
        emit({ type: 'warning', message: `${model}: ${file}: ${field} is not honoured as written: ${reason}` })
  }
  maker.expect(specs)
  const results = await Promise.allSettled(specs.map((spec) => fleet.load(spec, { replace: false })))
  const failed = results.find((result) => result.status === 'rejected')
  if (failed && config.strict) {
    await close()
    throw toModelmountError(failed.reason)
  }
  return server
}

/** A stack in one line. */
const whereFrom = (cause: unknown): string =>
  cause instanceof Error && cause.stack !== undefined ? cause.stack.replace(/\s*\n\s*/g, ' ') : String(cause)

/** All outputs, or the ones asked for. The full list is one shared array, so that equal selections are recognised by identity. */
const allOutputs = new WeakMap<Model, readonly string[]>()

function outputNames(model: Model, wanted: readonly string[] | undefined): readonly string[] {
  let all = allOutputs.get(model)
  if (!all) {
    all = model.signature.outputs.map((output) => output.name)
    allOutputs.set(model, all)
  }
  if (wanted === undefined || wanted.length === 0) return all
  for (const name of wanted) {
    if (all.includes(name)) continue
    const left = model.signature.leftOut?.find((output) => output.name === name)
    if (left)
      throw new ModelmountError(
        'OUTPUT_NOT_FOUND',
        `model '${model.config.name}' does not serve its output '${name.slice(0, 100)}': ${left.reason}`,
        { details: { field: 'outputs', got: name.slice(0, 100), type: left.declaredType } },
      )
    throw new ModelmountError(
      'OUTPUT_NOT_FOUND',
      `model '${model.config.name}' has no output '${name.slice(0, 100)}'; it has ${all.map((known) => `'${known}'`).join(', ')}`,
      {
        details: { field: 'outputs', got: name.slice(0, 100) },
      },
    )
  }
  return [...new Set(wanted)]
}
