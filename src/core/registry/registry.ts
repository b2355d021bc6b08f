/** name -> versions -> servable; picks the version for a request. It knows nothing of engines or files. */

import { ModelmountError } from '../errors.ts'
import type { Servable } from '../predict/call.ts'
import { compareVersions } from './versions.ts'

/** All that the registry asks of a servable. */
export type Registered = Pick<Servable, 'name' | 'version' | 'state'>

export interface Registry<S extends Registered> {
  /** The version that serves a request: the requested one, or the highest ready one. */
  resolve(name: string, version?: string): S
  /**
   * The requested version, or all of them, in any state; never empty.
   * @throws ModelmountError `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`
   */
  select(name: string, version?: string): readonly S[]
  /** The entry itself, in any state. */
  get(name: string, version: string): S | undefined
  versions(name: string): readonly S[]
  all(): readonly S[]
  /** Adds a version, replacing an earlier one of the same name. */
  set(entry: S): void
  /** Removes a version, if it still is this one. */
  remove(entry: S): void
  /** The version for requests without one, if any is ready. */
  defaultOf(name: string): S | undefined
  /**
   * The version that a label of a model points at, in any state.
   * @throws ModelmountError `MODEL_NOT_FOUND`, `LABEL_NOT_FOUND`, `VERSION_NOT_FOUND` if the version is gone
   */
  labelled(name: string, label: string): string
  /** Points a label at a version, which need not exist; `undefined` removes the label. */
  setLabel(name: string, label: string, version: string | undefined): void
  /** Labels of a model, with the versions they point at. */
  labels(name: string): ReadonlyMap<string, string>
}

const NO_LABELS: ReadonlyMap<string, string> = new Map()

/** A name from a request, safe to repeat in an error. */
const shown = (name: unknown): string => (typeof name === 'string' ? name.slice(0, 130) : `<${typeof name}>`)

export function createRegistry<S extends Registered>(): Registry<S> {
  /** Versions of each name, lowest first; a list is replaced, never changed. */
  const models = new Map<string, readonly S[]>()
  /** Labels of each name. They live as long as the name has any version. */
  const labels = new Map<string, Map<string, string>>()

  const versions = (name: string): readonly S[] => models.get(name) ?? []

  function defaultOf(name: string): S | undefined {
    const known = versions(name)
    // Not findLast(): this is asked for every request.
    for (let at = known.length - 1; at >= 0; at--) if (known[at]?.state === 'ready') return known[at]
    return undefined
  }

  function notReady(entry: S): ModelmountError {
    const { name, version } = entry
    return new ModelmountError('MODEL_NOT_READY', `model '${name}' version '${version}' is ${entry.state}`, {
      details: { model: name, version, state: entry.state },
      retryAfterS: entry.state === 'loading' ? 1 : 5,
    })
  }

  function select(name: string, version?: string): readonly S[] {
    const known = models.get(name)
    if (!known)
      throw new ModelmountError('MODEL_NOT_FOUND', `there is no model '${shown(name)}'`, { details: { model: shown(name) } })
    if (version === undefined) return known
    const entry = known.find((one) => one.version === version)
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
      throw notReady(known.at(-1) as S)
    },
    get: (name, version) => versions(name).find((entry) => entry.version === version),
    versions,
    all: () => [...models.keys()].sort().flatMap(versions),
    set(entry) {
      const { name, version } = entry
      const others = versions(name).filter((other) => other.version !== version)
      models.set(
        name,
        [...others, entry].sort((a, b) => compareVersions(a.version, b.version)),
      )
    },
    remove(entry) {
      const { name } = entry
      const others = versions(name).filter((other) => other !== entry)
      if (others.length > 0) models.set(name, others)
      else {
        models.delete(name)
        labels.delete(name)
      }
    },
    defaultOf,
    labelled(name, label) {
      const known = select(name)
      const version = labels.get(name)?.get(label)
      if (version === undefined) {
        const has = [...(labels.get(name)?.keys() ?? [])].map((other) => `'${other}'`).join(', ')
        const advice = has === '' ? 'it has none' : `it has ${has}`
        throw new ModelmountError('LABEL_NOT_FOUND', `model '${name}' has no label '${shown(label)}'; ${advice}`, {
          details: { model: name, got: shown(label) },
        })
      }
      if (known.some((entry) => entry.version === version)) return version
      throw new ModelmountError(
        'VERSION_NOT_FOUND',
        `label '${label}' of model '${name}' points at version '${version}', which is not there`,
        { details: { model: name, label, version } },
      )
    },
    setLabel(name, label, version) {
      const own = labels.get(name) ?? new Map<string, string>()
      labels.set(name, own)
      if (version === undefined) own.delete(label)
      else own.set(label, version)
    },
    labels: (name) => labels.get(name) ?? NO_LABELS,
  }
}
