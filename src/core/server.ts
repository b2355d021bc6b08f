/** createModelServer(): wires the rooms. The way of a prediction is in `predict/`. */

import { createDecoding } from './decoding/index.ts'
import { createBufferPool } from './engine/buffer-pool.ts'
import { openProcess } from './engine/process.ts'
import { systemClock } from './host/clock.ts'
import { checkHost, disableOrtTelemetry } from './host/environment.ts'
import { createIds } from './host/ids.ts'
import { createHttp, createInFlight, requestIdOf } from './http/index.ts'
import { createEvents } from './model/events.ts'
import { createFleet } from './model/fleet.ts'
import { createMaker } from './model/make.ts'
import { checkLoadOptions, resolveOptions, resolveSpec } from './options/index.ts'
import { createPrediction } from './predict/prediction.ts'
import type { Served } from './predict/served.ts'
import { createRegistry } from './registry/registry.ts'
import { createClosing, shutDown } from './server/closing.ts'
import { openGate } from './server/gate.ts'
import { guardMethods } from './server/guarded.ts'
import { controlOf, firstModels, loadFirst } from './server/repository.ts'
import type { ModelServer, ModelServerOptions } from './server/types.ts'
import { createViews } from './server/views.ts'
import { isolated, observeRequests } from './telemetry/index.ts'
import { createTrials } from './trial/trials.ts'

/**
 * Starts a server inside this process. Resolves when every model is ready or has failed; failed ones are reported by `health()`.
 * @throws ModelmountError `OPTIONS_INVALID`; with `strict: true` also the reason of the first model that failed; the error of an extension that
 *   does not start
 */
export async function createModelServer(options: ModelServerOptions): Promise<ModelServer> {
  const config = resolveOptions(options)
  const clock = systemClock
  const registry = createRegistry<Served>()
  const buffers = createBufferPool(clock)
  const decoding = createDecoding(config)
  const trials = createTrials(clock, openProcess({ maxMemoryBytes: undefined, holds: false }))
  const { emit, subscribe } = createEvents(config.logger)
  const warn = (message: string): void => emit({ type: 'warning', message })
  const telemetry = config.telemetry && isolated(config.telemetry, warn)
  const observer = telemetry && observeRequests(telemetry, clock, requestIdOf)
  const gate = await openGate(config, warn)
  const closing = createClosing()

  const { cacheDirectory, scan, memoryBudgetBytes } = config
  const lent = { clock, trials, buffers, telemetry, gate, emit, cacheDirectory, scan, memoryBudgetBytes }
  const maker = createMaker({ ...lent, holder: registry.get })
  const fleet = createFleet({ registry, create: maker.make, closed: closing.refusal })
  const views = createViews({
    serverName: config.name,
    registry,
    isClosing: () => closing.hasBegun,
    reloadFailure: fleet.reloadFailure,
  })
  const prediction = createPrediction(config.extensions, {
    registry,
    observer,
    clock,
    newId: createIds().next,
    refuseClosed: closing.refuse,
    warn,
  })

  const close = (opts: { readonly timeoutMs?: number } = {}): Promise<void> =>
    closing.begin(() =>
      shutDown(opts.timeoutMs ?? 30_000, {
        ...{ clock, fleet, trials, refusal: closing.refusal },
        ends: [prediction.close, buffers.close, decoding.close, gate.close, () => unwatch?.()],
      }),
    )

  const server: ModelServer = {
    name: config.name,
    // The types of a model's own inputs and outputs are the generated file's promise; here every model is the same.
    predict: prediction.front as ModelServer['predict'],
    async load(spec, opts) {
      closing.refuse()
      checkLoadOptions(opts)
      return views.infoOf(await fleet.load(resolveSpec(spec, config.settings), { replace: opts?.replace === true }))
    },
    unload: fleet.unload,
    setVersionLabel: fleet.setVersionLabel,
    purge: fleet.purge,
    model: views.model,
    models: views.models,
    health: views.health,
    subscribe,
    openapi: views.openapi,
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
        closing.refuse()
        return registry.resolve(name, version)
      },
      versions: (name) =>
        registry
          .versions(name)
          .filter(({ state }) => state === 'ready')
          .map(({ version }) => version),
      known: (name, version) => (name === undefined ? registry.all() : registry.select(name, version)),
      labelled: registry.labelled,
      control: controlOf({ config, registry, fleet, refuseClosed: closing.refuse, warn }),
      modelNames: () => [...new Set(registry.all().map(({ name }) => name))],
      info: views.infoOf,
      openapi: (mount) => views.describe(mount),
      report(error, requestId) {
        const request = requestId === undefined ? '' : ` (request ${requestId})`
        warn(`internal error${request}: ${whereFrom(error.cause)}`)
      },
      pipeline: prediction.pipeline,
      target: prediction.target,
      ledger: prediction.ledger,
      ask: prediction.guards?.ask,
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
  const failure = await loadFirst(specs, { load: fleet.load, prestart: maker.prestart }, memoryBudgetBytes !== undefined)
  maker.serve()
  if (failure && config.strict) {
    await close()
    throw failure
  }
  return guardMethods(server, prediction.guards)
}

/** A stack in one line. */
const whereFrom = (cause: unknown): string =>
  cause instanceof Error && cause.stack !== undefined ? cause.stack.replace(/\s*\n\s*/g, ' ') : String(cause)
