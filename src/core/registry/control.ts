/** Loading and unloading by name, out of the model repository as it is now. */

import { join, resolve } from 'node:path'
import { ModelmountError } from '../errors.ts'
import type { Registered, Registry } from './registry.ts'

interface Source {
  readonly name: string
  readonly version: string
  /** A path, or the bytes of the file. */
  readonly source: string | Uint8Array
}

interface Controlled<C> extends Registered {
  readonly config: C & Source
  drain(): Promise<void>
}

interface Deps<C, T> {
  readonly registry: Registry<T & Controlled<C>>
  /** Directory of the repository, if the server has one. */
  readonly repository: string | undefined
  /** What is in the repository now. */
  scan(): Promise<readonly (C & Source)[]>
  load(config: C & Source): Promise<unknown>
}

export interface RepositoryControl {
  /** Versions that are in the repository and not known to the server. */
  absent(): Promise<readonly { readonly name: string; readonly version: string }[]>
  /**
   * Loads every version of a model that the repository holds by now, each beside the one it replaces; a version that is gone from it is
   * unloaded. A model that was given to the server by hand is loaded again as it was given.
   * @throws ModelmountError `MODEL_NOT_FOUND`, and what the first failing load says
   */
  load(name: string): Promise<void>
  /** @throws ModelmountError `MODEL_NOT_FOUND` */
  unload(name: string): Promise<void>
}

export function createControl<C, T>({ registry, repository, scan, load }: Deps<C, T>): RepositoryControl {
  const root = repository === undefined ? undefined : join(resolve(repository), '/')
  const isOfRepository = ({ source }: Source): boolean =>
    root !== undefined && typeof source === 'string' && source.startsWith(root)

  async function drop(model: T & Controlled<C>): Promise<void> {
    await model.drain()
    registry.remove(model)
  }

  return {
    async absent() {
      return (await scan()).filter(({ name, version }) => registry.get(name, version) === undefined)
    },
    async load(name) {
      const found = (await scan()).filter((config) => config.name === name)
      const known = registry.versions(name)
      const byHand = known.filter(({ config }) => !isOfRepository(config))
      // By hand goes before the repository, as when the server starts.
      const isTaken = (version: string): boolean => byHand.some(({ config }) => config.version === version)
      const fresh = found.filter(({ version }) => !isTaken(version))
      const configs = fresh.length > 0 ? fresh : byHand.map(({ config }) => config)
      if (configs.length === 0 && known.length === 0) throw unknownModel(name)
      const results = await Promise.allSettled(configs.map(load))
      const gone = known.filter(
        ({ config }) => isOfRepository(config) && !fresh.some(({ version }) => version === config.version),
      )
      await Promise.all(gone.map(drop))
      const failed = results.find((result) => result.status === 'rejected')
      if (failed) throw failed.reason
    },
    async unload(name) {
      await Promise.all(registry.select(name).map(drop))
    },
  }
}

function unknownModel(name: string): ModelmountError {
  const shown = name.slice(0, 130)
  return new ModelmountError('MODEL_NOT_FOUND', `there is no model '${shown}' in the repository`, { details: { model: shown } })
}
