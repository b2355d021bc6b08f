/** name -> versions -> served model; picks the version a request gets. Knows nothing of engines or files. */

import { ModelmountError } from '../errors.ts'
import type { ModelState } from '../types.ts'

/** What the registry needs to know of a model version. */
export interface Registered {
  readonly config: { readonly name: string; readonly version: string }
  readonly state: ModelState
}

export interface Registry<T extends Registered> {
  /** The version that serves a request: the one asked for, or the highest ready one. */
  resolve(name: string, version?: string): T
  /**
   * The version asked for, or all of them, in whatever state; never empty.
   * @throws ModelmountError `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`
   */
  select(name: string, version?: string): readonly T[]
  /** The entry itself, in whatever state. */
  get(name: string, version: string): T | undefined
  versions(name: string): readonly T[]
  all(): readonly T[]
  /** Puts a version in, in place of an earlier one of the same name. */
  set(entry: T): void
  /** Takes a version out, if it still is this one. */
  remove(entry: T): void
  /** The version that requests without a version get, if any is ready. */
  defaultOf(name: string): T | undefined
}

const numeric = new Intl.Collator('en', { numeric: true })

/** Digits compare as numbers, so `10` follows `9` and `v10` follows `v9`. */
export const compareVersions = (a: string, b: string): number => numeric.compare(a, b)

/** A name from a request as an error may repeat it. */
const shown = (name: unknown): string => (typeof name === 'string' ? name.slice(0, 130) : `<${typeof name}>`)

export function createRegistry<T extends Registered>(): Registry<T> {
  /** Versions of each name, lowest first; a list is replaced, never changed. */
  const models = new Map<string, readonly T[]>()

  const versions = (name: string): readonly T[] => models.get(name) ?? []

  const defaultOf = (name: string): T | undefined => versions(name).findLast((entry) => entry.state === 'ready')

  function notReady(entry: T): ModelmountError {
    const { name, version } = entry.config
    return new ModelmountError('MODEL_NOT_READY', `model '${name}' version '${version}' is ${entry.state}`, {
      details: { model: name, version, state: entry.state },
      retryAfterS: entry.state === 'loading' ? 1 : 5,
    })
  }

  function select(name: string, version?: string): readonly T[] {
    const known = models.get(name)
    if (!known)
      throw new ModelmountError('MODEL_NOT_FOUND', `there is no model '${shown(name)}'`, { details: { model: shown(name) } })
    if (version === undefined) return known
    const entry = known.find(({ config }) => config.version === version)
    if (entry) return [entry]
    throw new ModelmountError('VERSION_NOT_FOUND', `model '${name}' has no version '${shown(version)}'`, {
      details: { model: name, version: shown(version) },
    })
  }

  return {
    select,
    resolve(name, version) {
      const known = select(name, version)
      const entry = version === undefined ? defaultOf(name) : known[0]
      if (entry?.state === 'ready') return entry
      throw notReady(known.at(-1) as T)
    },
    get: (name, version) => versions(name).find(({ config }) => config.version === version),
    versions,
    all: () => [...models.keys()].sort().flatMap(versions),
    set(entry) {
      const { name, version } = entry.config
      const others = versions(name).filter(({ config }) => config.version !== version)
      models.set(
        name,
        [...others, entry].sort((a, b) => compareVersions(a.config.version, b.config.version)),
      )
    },
    remove(entry) {
      const { name } = entry.config
      const others = versions(name).filter((other) => other !== entry)
      if (others.length > 0) models.set(name, others)
      else models.delete(name)
    },
    defaultOf,
  }
}
