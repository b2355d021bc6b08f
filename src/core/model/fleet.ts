/** All model versions of a server: loaded, replaced, unloaded, one name at a time. What serves goes on until its replacement is ready. */

import { ModelmountError, toModelmountError } from '../errors.ts'
import { createLines } from '../host/lines.ts'
import type { ModelConfig } from '../options/index.ts'
import type { Registry } from '../registry/registry.ts'
import type { Model } from './model.ts'

/** Loads of one version that may wait for the one that runs: each holds what it was given. */
const MAX_WAITING = 8

interface Deps {
  readonly registry: Registry<Model>
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
  drop(model: Model): Promise<void>
  /** Notes why the versions of a name were not replaced, or that they were. */
  noteReload(name: string, failure: string | undefined): void
  /** Why a version that serves was not replaced when that was last asked for. */
  reloadFailure(model: Model): string | undefined
  /** Ends all of them, and what is on its way. */
  drain(): { readonly models: readonly Model[]; readonly done: Promise<unknown> }
}

/** A model that has loaded and does not serve yet. */
interface Prepared {
  readonly model: Model
  /** @throws ModelmountError when it was unloaded meanwhile */
  commit(): void
  discard(): Promise<void>
}

const keyOf = ({ name, version }: { readonly name: string; readonly version: string }): string => JSON.stringify([name, version])

export function createFleet({ registry, create, closed }: Deps): Fleet {
  const lines = createLines(MAX_WAITING)
  /** By name and version. */
  const failures = new Map<string, string>()
  /** Started, and neither in service nor given up. */
  const coming = new Set<Model>()
  const drains = new Set<Promise<void>>()

  /** @param visible to callers from the start, unless a version that serves has its place */
  async function prepare(config: ModelConfig, opts: { readonly replace: boolean; readonly visible: boolean }): Promise<Prepared> {
    const previous = registry.get(config.name, config.version)
    const model = create(config, opts.replace ? undefined : previous?.integrity?.manifestId)
    const serves = previous?.state === 'ready'
    if (opts.visible && !serves) registry.set(model)
    const undeclare = opts.visible ? declareLabels(registry, config) : () => {}
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
        declareLabels(registry, config)
        moveLabels(registry, config)
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
    throw closed() ?? new ModelmountError('MODEL_LOAD_FAILED', `model '${model.config.name}' was unloaded while it loaded`)
  }

  function retire(model: Model): void {
    const drain = model.drain().finally(() => drains.delete(drain))
    drains.add(drain)
  }

  async function turnOf(config: ModelConfig): Promise<() => void> {
    const turn = lines.enter(keyOf(config))
    if (turn) return turn
    throw new ModelmountError(
      'QUEUE_FULL',
      `${MAX_WAITING} loads of model '${config.name}' version '${config.version}' are waiting already`,
      { retryAfterS: 1 },
    )
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

  async function drop(model: Model): Promise<void> {
    await model.drain()
    registry.remove(model)
    failures.delete(keyOf(model.config))
  }

  return {
    load,
    loadTogether: (name, configs) => (serves(name) ? loadAllOrNone(configs) : loadEach(configs)),
    async unload(name, version) {
      const models = registry.select(name, version)
      const onTheWay = [...coming].filter(
        ({ config }) => config.name === name && (version === undefined || config.version === version),
      )
      await Promise.all([...models.map(drop), ...onTheWay.map((model) => model.drain())])
    },
    drop,
    noteReload(name, failure) {
      for (const { config, state } of registry.versions(name)) {
        if (failure === undefined) failures.delete(keyOf(config))
        else if (state === 'ready') failures.set(keyOf(config), failure)
      }
    },
    reloadFailure: ({ config }) => failures.get(keyOf(config)),
    drain() {
      const models = [...new Set([...registry.all(), ...coming])]
      return { models, done: Promise.all([...drains, ...models.map((model) => model.drain()), lines.idle()]) }
    },
  }
}

/** A label that is new points at once at what it will be; until that is ready its callers are told so. */
function declareLabels(registry: Registry<Model>, { name, versionLabels }: ModelConfig): () => void {
  const declared = [...versionLabels].filter(([label]) => !registry.labels(name).has(label))
  for (const [label, version] of declared) registry.setLabel(name, label, version)
  return () => {
    for (const [label, version] of declared)
      if (registry.labels(name).get(label) === version) registry.setLabel(name, label, undefined)
  }
}

/** One that is in use waits for the version that it moves to. */
function moveLabels(registry: Registry<Model>, { name, version, versionLabels }: ModelConfig): void {
  for (const [label, target] of versionLabels) if (target === version) registry.setLabel(name, label, version)
}
