/** createModelServer(): wires the rooms. The way of a prediction is in `predict/`. */

import { createDecrypt } from './crypto/index.ts'
import { createDecoding } from './decoding/index.ts'
import { createBuffers } from './engine/buffers.ts'
import { openProcess } from './engine/process.ts'
import { ModelmountError, toModelmountError } from './errors.ts'
import { systemClock } from './host/clock.ts'
import { checkHost, disableOrtTelemetry } from './host/environment.ts'
import { createIds } from './host/ids.ts'
import { onnxRuntimeVersion } from './host/packages.ts'
import { createHttp, createInFlight, requestIdOf } from './http/index.ts'
import { createGate } from './integrity/index.ts'
import { createEvents } from './model/events.ts'
import { createFleet } from './model/fleet.ts'
import { dataNamesOf } from './model/load/files.ts'
import { createMaker } from './model/make.ts'
import type { Model } from './model/model.ts'
import { resolveOpenApi } from './openapi/index.ts'
import { checkLoadOptions, checkVersionLabel, resolveOptions, resolveSpec } from './options/index.ts'
import { createPrediction } from './predict/prediction.ts'
import { createRegistry } from './registry/registry.ts'
import { guardMethods } from './server/guarded.ts'
import { controlOf, firstModels } from './server/repository.ts'
import type { ModelServer, ModelServerOptions } from './server/types.ts'
import { createViews } from './server/views.ts'
import { isolated, observeRequests } from './telemetry/index.ts'
import { createTrials } from './trial/trials.ts'

/** How long close() waits for killed workers after it has given up on their runs. */
const ABANDON_MS = 1000

/**
 * Starts a server inside this process. Resolves when every model is ready or has failed; failed ones are reported by `health()`.
 * @throws ModelmountError `OPTIONS_INVALID`; with `strict: true` also the reason of the first model that failed; the error of an extension that
 *   does not start
 */
export async function createModelServer(options: ModelServerOptions): Promise<ModelServer> {
  const config = resolveOptions(options)
  const clock = systemClock
  const registry = createRegistry<Model>()
  const buffers = createBuffers(clock)
  const decoding = createDecoding(config)
  const trials = createTrials(clock, openProcess({ maxMemoryBytes: undefined }))
  const { emit, subscribe } = createEvents(config.logger)
  const warn = (message: string): void => emit({ type: 'warning', message })
  const telemetry = config.telemetry && isolated(config.telemetry, warn)
  const observer = telemetry && observeRequests(telemetry, clock, requestIdOf)
  const gate = await createGate(config.integrity, {
    dataNamesOf,
    wallNow: Date.now,
    warn,
    onnxruntime: onnxRuntimeVersion(),
    decrypt: createDecrypt(config.encryption),
  })
  let closing: Promise<void> | undefined
  const closed = (): ModelmountError => new ModelmountError('SERVER_CLOSED', 'the model server is closed', { retryAfterS: 1 })
  const refuseClosed = (): void => {
    if (closing) throw closed()
  }

  const { cacheDirectory, scan, memoryBudgetBytes } = config
  const lent = { clock, trials, buffers, telemetry, gate, emit, cacheDirectory, scan, memoryBudgetBytes }
  const maker = createMaker({ ...lent, holder: registry.get })
  const fleet = createFleet({ registry, create: maker.make, closed: () => (closing ? closed() : undefined) })
  const views = createViews({
    serverName: config.name,
    registry,
    isClosing: () => closing !== undefined,
    reloadFailure: fleet.reloadFailure,
  })
  const prediction = createPrediction(config.extensions, {
    registry,
    observer,
    now: clock.now,
    newId: createIds().next,
    refuseClosed,
    warn,
  })

  // ---------------------------------------------------------------- closing

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
    await prediction.close()
    buffers.close()
    await decoding.close()
    gate.close()
    unwatch?.()
  }

  async function close(opts: { readonly timeoutMs?: number } = {}): Promise<void> {
    closing ??= shutDown(opts.timeoutMs ?? 30_000)
    return closing
  }

  const server: ModelServer = {
    name: config.name,
    // The types of a model's own inputs and outputs are the generated file's promise; here every model is the same.
    predict: prediction.front as ModelServer['predict'],
    async load(spec, opts) {
      refuseClosed()
      checkLoadOptions(opts)
      return views.infoOf(await fleet.load(resolveSpec(spec, config.settings), { replace: opts?.replace === true }))
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
    model: views.model,
    models: views.models,
    health: views.health,
    subscribe,
    openapi(options = {}) {
      const { mount, about } = resolveOpenApi(options)
      return views.describe(mount, about)
    },
    http: createHttp({
      serverName: config.name,
      maxBodyBytes: config.maxBodyBytes,
      maxJsonBytes: config.maxJsonBytes,
      bodyTimeoutMs: config.bodyTimeoutMs,
      inFlight: createInFlight(config.maxInflightBytes),
      decode: decoding.decode,
      now: clock.now,
      health: views.health,
      resolve(name, version) {
        refuseClosed()
        return registry.resolve(name, version)
      },
      versions: (name) =>
        registry
          .versions(name)
          .filter(({ state }) => state === 'ready')
          .map(({ version }) => version),
      known: (name, version) => (name === undefined ? registry.all() : registry.select(name, version)),
      labelled: registry.labelled,
      control: controlOf({ config, registry, fleet, refuseClosed, warn }),
      modelNames: () => [...new Set(registry.all().map(({ name }) => name))],
      info: views.infoOf,
      openapi: (mount) => views.describe(mount),
      report(error, requestId) {
        const request = requestId === undefined ? '' : ` (request ${requestId})`
        warn(`internal error${request}: ${whereFrom(error.cause)}`)
      },
      predict: prediction.predict,
      target: prediction.target,
      ledger: prediction.ledger,
      ask: prediction.ask,
      routes: prediction.routes,
      metricsText: telemetry?.metricsText,
    }),
    close,
    [Symbol.asyncDispose]: () => close(),
  }

  // ---------------------------------------------------------------- starting

  const unwatch = telemetry?.watch?.(server)
  disableOrtTelemetry()
  checkHost()
  await prediction.start({ now: clock.now, predict: prediction.front, models: views.models, subscribe })
  const specs = await firstModels(config, warn)
  maker.expect(specs)
  const results = await Promise.allSettled(specs.map((spec) => fleet.load(spec, { replace: false })))
  const failed = results.find((result) => result.status === 'rejected')
  if (failed && config.strict) {
    await close()
    throw toModelmountError(failed.reason)
  }
  return guardMethods(server, prediction.ask)
}

/** A stack in one line. */
const whereFrom = (cause: unknown): string =>
  cause instanceof Error && cause.stack !== undefined ? cause.stack.replace(/\s*\n\s*/g, ' ') : String(cause)
