/** Loads and unloads by name, from the current state of the model repository. */

import { join, resolve } from 'node:path'
import { ModelmountError, toModelmountError } from '../errors.ts'
import { createShared } from '../host/lines.ts'
import type { Registered, Registry } from './registry.ts'

interface Source {
  readonly name: string
  readonly version: string
  /** A path, or the bytes of the file. */
  readonly source: string | Uint8Array
}

interface Deps<C, S extends Registered> {
  readonly registry: Registry<S>
  /** How a version was loaded; `undefined` for one that was not: an extension has brought it. */
  configOf(entry: S): (C & Source) | undefined
  /** Directory of the repository, if the server has one. */
  readonly repository: string | undefined
  /** Current contents of the repository. @param name of a model to load: its ignored settings are warned of */
  scan(name?: string): Promise<readonly (C & Source)[]>
  /** Puts all versions in place, or none if one of the name serves. */
  load(name: string, configs: readonly (C & Source)[]): Promise<void>
  drop(entry: S): Promise<void>
  unload(name: string): Promise<void>
  /** Notes why a load failed, or that it succeeded. */
  loaded(name: string, failure: string | undefined): void
  warn(message: string): void
}

export interface RepositoryControl {
  /** Versions in the repository that the server does not know; none while the repository cannot be read. */
  absent(): Promise<readonly { readonly name: string; readonly version: string }[]>
  /**
   * Loads every version of a model in the repository, each beside the one it replaces. Once all are ready, versions gone from it are
   * unloaded. A failed load changes nothing. A model given in code is loaded again as it was given. Loads of one name that are requested
   * while another runs are merged.
   * @throws ModelmountError `MODEL_NOT_FOUND` if the repository does not hold it, and the error of the first failing load
   */
  load(name: string): Promise<void>
  /** @throws ModelmountError `MODEL_NOT_FOUND` */
  unload(name: string): Promise<void>
}

export function createControl<C, S extends Registered>(deps: Deps<C, S>): RepositoryControl {
  const { registry, repository } = deps
  const root = repository === undefined ? undefined : join(resolve(repository), '/')
  const isOfRepository = (config: Source | undefined): boolean =>
    root !== undefined && typeof config?.source === 'string' && config.source.startsWith(root)

  async function scan(name?: string): Promise<readonly (C & Source)[]> {
    return deps.scan(name).catch((cause: unknown) => {
      deps.warn(toModelmountError(cause).message)
      throw new ModelmountError('MODEL_LOAD_FAILED', 'the repository cannot be read', { cause })
    })
  }

  async function reload(name: string): Promise<void> {
    const found = (await scan(name)).filter((config) => config.name === name)
    const known = registry.versions(name)
    const others = known.filter((entry) => !isOfRepository(deps.configOf(entry)))
    // Models given in code take precedence over the repository, as at the start of the server.
    const isTaken = (version: string): boolean => others.some((entry) => entry.version === version)
    const fresh = found.filter(({ version }) => !isTaken(version))
    const byHand = others.flatMap((entry) => deps.configOf(entry) ?? [])
    const configs = fresh.length > 0 ? fresh : byHand
    // A folder that is missing for a moment, while it is being exchanged, is no request to unload.
    const fromThere = known.filter((entry) => isOfRepository(deps.configOf(entry)))
    if (fresh.length === 0 && (fromThere.length > 0 || byHand.length === 0)) throw notThere(name, known.length > 0)
    await deps.load(name, configs)
    const gone = fromThere.filter((entry) => !fresh.some(({ version }) => version === entry.version))
    await Promise.all(gone.map(deps.drop))
  }

  return {
    async absent() {
      const found = await scan().catch(() => [])
      return found.filter(({ name, version }) => registry.get(name, version) === undefined)
    },
    load: createShared(async (name) => {
      try {
        await reload(name)
        deps.loaded(name, undefined)
      } catch (error) {
        deps.loaded(name, toModelmountError(error).message)
        throw error
      }
    }),
    unload: deps.unload,
  }
}

function notThere(name: string, isServed: boolean): ModelmountError {
  const shown = name.slice(0, 130)
  const message = isServed
    ? `the repository holds no version of model '${shown}' now; the versions that are loaded stay, and an unload ends them`
    : `there is no model '${shown}' in the repository`
  return new ModelmountError('MODEL_NOT_FOUND', message, { details: { model: shown } })
}
