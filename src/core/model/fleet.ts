/**
 * All versions of a server: loaded, replaced, labelled, unloaded. Loads of one version take turns, and a version serves on until its
 * replacement is ready.
 */

import { ModelmountError, toModelmountError } from '../errors.ts'
import { createLines } from '../host/lines.ts'
import type { ModelConfig } from '../options/index.ts'
import type { Servable } from '../predict/call.ts'
import type { Served } from '../predict/served.ts'
import type { Registry } from '../registry/registry.ts'
import { createLabels, type Labels } from './labels.ts'
import type { Model } from './model.ts'

/** Loads of one version that may wait for the one that runs: each holds what it was given. */
const MAX_WAITING = 8

interface Deps {
  readonly registry: Registry<Served>
  /** @param mustBe id of the manifest that it must have */
  create(config: ModelConfig, mustBe: string | undefined): Model
  /** Set once the server is closing. */
  closed(): ModelmountError | undefined
}

export interface Fleet {
  /**
   * Loads a version; one that serves under its name goes on until the new one is ready.
   * @param opts.replace whether it may be other bytes than the version was
   * @throws ModelmountError `QUEUE_FULL` when too many loads of this version wait, `SERVER_CLOSED`, and the reason of the model
   */
  load(config: ModelConfig, opts: { readonly replace: boolean }): Promise<Model>
  /**
   * Loads several versions of one name, whatever bytes they are. Where a version of that name serves, either all of them take their places
   * or none does.
   */
  loadTogether(name: string, configs: readonly ModelConfig[]): Promise<void>
  /** @throws ModelmountError `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND` */
  unload(name: string, version?: string): Promise<void>
  /** Takes one away, after what it has accepted. */
  drop(servable: Served): Promise<void>
  /** How a version was loaded; `undefined` for one that an extension has brought. */
  configOf(servable: Servable): ModelConfig | undefined
  readonly setVersionLabel: Labels['set']
  /**
   * Drops kept results: of one version, of all versions of a name, or of all names. @returns how many
   * @throws ModelmountError `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`
   */
  purge(name?: string, version?: string): number
  /** Notes why the versions of a name were not replaced, or that they were. */
  noteReload(name: string, failure: string | undefined): void
  /** Why a version that serves was not replaced when that was last asked for. */
  reloadFailure(servable: Servable): string | undefined
  /** Ends all of them, also those that still load. `abandon` gives up what `done` waits for. */
  drain(): { readonly done: Promise<unknown>; abandon(error: ModelmountError): void }
}

/** A model that has loaded and does not serve yet. */
interface Prepared {
  readonly model: Model
  /** @throws ModelmountError when it was unloaded meanwhile */
  commit(): void
  discard(): Promise<void>
}

const keyOf = ({ name, version }: Pick<Servable, 'name' | 'version'>): string => JSON.stringify([name, version])

export function createFleet({ registry, create, closed }: Deps): Fleet {
  const lines = createLines(MAX_WAITING)
  const labels = createLabels(registry)
  /** By name and version. */
  const failures = new Map<string, string>()
  /** Those among the servables of the registry that are models. */
  const models = new WeakMap<Servable, Model>()
  /** Started, and neither in service nor given up. */
  const coming = new Set<Model>()
  const drains = new Set<Promise<void>>()

  /** @param visible to callers from the start, unless a version that serves has its place */
  async function prepare(config: ModelConfig, opts: { readonly replace: boolean; readonly visible: boolean }): Promise<Prepared> {
    const previous = registry.get(config.name, config.version)
    if (previous && !models.has(previous))
      throw new ModelmountError('MODEL_CONFLICT', `version '${config.version}' of '${config.name}' is a servable of an extension`)
    const mustBe = opts.replace || !previous ? undefined : models.get(previous)?.integrity?.manifestId
    const model = create(config, mustBe)
    models.set(model, model)
    const serves = previous?.state === 'ready'
    if (opts.visible && !serves) registry.set(model)
    const undeclare = opts.visible ? labels.declare(config) : () => {}
    coming.add(model)
    try {
      await model.start()
      refuseRetired(model)
    } catch (error) {
      coming.delete(model)
      if (serves) {
        undeclare()
        failures.set(keyOf(config), toModelmountError(error).message)
      }
      throw error
    }
    return {
      model,
      commit() {
        coming.delete(model)
        refuseRetired(model)
        registry.set(model)
        failures.delete(keyOf(config))
        labels.declare(config)
        labels.move(config)
        if (previous) retire(previous)
      },
      async discard() {
        coming.delete(model)
        await model.drain()
      },
    }
  }

  function refuseRetired(model: Model): void {
    if (!model.retired) return
    throw closed() ?? new ModelmountError('MODEL_LOAD_FAILED', `model '${model.name}' was unloaded while it loaded`)
  }

  function retire(servable: Servable): void {
    const drain = servable.drain().finally(() => drains.delete(drain))
    drains.add(drain)
  }

  async function turnOf(config: ModelConfig): Promise<() => void> {
    const turn = lines.enter(keyOf(config))
    if (turn) return turn
    throw tooManyLoads(config)
  }

  async function load(config: ModelConfig, { replace }: { readonly replace: boolean }): Promise<Model> {
    const end = await turnOf(config)
    try {
      refuseClosed()
      const prepared = await prepare(config, { replace, visible: true })
      prepared.commit()
      return prepared.model
    } finally {
      end()
    }
  }

  function refuseClosed(): void {
    const error = closed()
    if (error) throw error
  }

  const serves = (name: string): boolean => registry.versions(name).some(({ state }) => state === 'ready')

  async function loadEach(configs: readonly ModelConfig[]): Promise<void> {
    const results = await Promise.allSettled(configs.map((config) => load(config, { replace: true })))
    const failed = results.find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
  }

  async function loadAllOrNone(configs: readonly ModelConfig[]): Promise<void> {
    const turns = await Promise.allSettled(configs.map(turnOf))
    try {
      for (const turn of turns) if (turn.status === 'rejected') throw turn.reason
      refuseClosed()
      const results = await Promise.allSettled(configs.map((config) => prepare(config, { replace: true, visible: false })))
      const prepared = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      const failed = results.find((result) => result.status === 'rejected')
      const problem = failed?.reason ?? prepared.find(({ model }) => model.retired)
      if (problem !== undefined) await Promise.all(prepared.map((one) => one.discard()))
      if (failed) throw failed.reason
      for (const one of prepared) one.commit()
    } finally {
      for (const turn of turns) if (turn.status === 'fulfilled') turn.value()
    }
  }

  async function drop(servable: Served): Promise<void> {
    await servable.drain()
    registry.remove(servable)
    failures.delete(keyOf(servable))
  }

  return {
    load,
    loadTogether: (name, configs) => (serves(name) ? loadAllOrNone(configs) : loadEach(configs)),
    async unload(name, version) {
      const servables = registry.select(name, version)
      const onTheWay = [...coming].filter((model) => model.name === name && (version === undefined || model.version === version))
      await Promise.all([...servables.map(drop), ...onTheWay.map((model) => model.drain())])
    },
    drop,
    configOf: (servable) => models.get(servable)?.config,
    setVersionLabel: labels.set,
    purge(name, version) {
      const servables = name === undefined ? registry.all() : registry.select(name, version)
      return servables.reduce((dropped, { cache }) => dropped + (cache?.purge() ?? 0), 0)
    },
    noteReload(name, failure) {
      for (const servable of registry.versions(name)) {
        if (failure === undefined) failures.delete(keyOf(servable))
        else if (servable.state === 'ready') failures.set(keyOf(servable), failure)
      }
    },
    reloadFailure: (servable) => failures.get(keyOf(servable)),
    drain() {
      const servables = [...new Set([...registry.all(), ...coming])]
      return {
        done: Promise.all([...drains, ...servables.map((servable) => servable.drain()), lines.idle()]),
        abandon(error) {
          for (const servable of servables) models.get(servable)?.abandon(error)
        },
      }
    },
  }
}

const tooManyLoads = ({ name, version }: ModelConfig): ModelmountError =>
  new ModelmountError('QUEUE_FULL', `${MAX_WAITING} loads of model '${name}' version '${version}' are waiting already`, {
    retryAfterS: 1,
  })
