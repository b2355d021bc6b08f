/** The models that a server begins with, and the control over those of its repository. */

import { join } from 'node:path'
import { startSpareThread } from '../engine/thread.ts'
import { type ModelmountError, toModelmountError } from '../errors.ts'
import type { Fleet } from '../model/fleet.ts'
import type { Maker } from '../model/make.ts'
import { isSmall } from '../model/seating.ts'
import type { ModelConfig, ServerConfig } from '../options/index.ts'
import type { Served } from '../predict/served.ts'
import { createControl } from '../registry/control.ts'
import type { Registry } from '../registry/registry.ts'
import { type Ignored, notesOf, resolveFound, scanRepository } from '../registry/repository.ts'

type Config = Pick<ServerConfig, 'models' | 'repository' | 'versionPolicy' | 'settings'>
type Warn = (message: string) => void

function warnOf(ignored: readonly Ignored[], warn: Warn): void {
  for (const { path, reason } of ignored) warn(`${path} is not served: ${reason}`)
}

/** All that is to be loaded at first. */
export async function firstModels(config: Config, warn: Warn): Promise<readonly ModelConfig[]> {
  const specs = [...config.models]
  if (config.repository === undefined) return specs
  const scan = await scanRepository(config.repository, config.versionPolicy)
  warnOf(scan.ignored, warn)
  for (const found of scan.models) {
    if (specs.some((spec) => spec.name === found.name && spec.version === found.version))
      warn(`${found.source} is not served: models names '${found.name}' version '${found.version}' already`)
    else specs.push(resolveFound(found, config.settings))
  }
  for (const [model, notes] of notesOf(scan))
    for (const { file, field, reason } of notes) warn(`${model}: ${file}: ${field} is not honoured as written: ${reason}`)
  return specs
}

/**
 * Loads them side by side. The first threads start while the first models are read: each takes about as long.
 * @param isBounded whether models may have to wait for memory, which a thread would take from them
 * @returns the failure of the first one that has not loaded
 */
export async function loadFirst(
  configs: readonly ModelConfig[],
  { load, prestart }: Pick<Fleet, 'load'> & Pick<Maker, 'prestart'>,
  isBounded: boolean,
): Promise<ModelmountError | undefined> {
  const isInThread = ({ isolation, trialRun }: ModelConfig): boolean => isolation === 'thread' && trialRun === false
  const inThreads = isBounded ? [] : configs.filter(isInThread)
  const small = await Promise.all(inThreads.map(isSmall))
  const unused = [...(small.includes(true) ? [prestart()] : []), ...(small.includes(false) ? [startSpareThread()] : [])]
  const results = await Promise.allSettled(configs.map((config) => load(config, { replace: false })))
  for (const end of unused) end()
  const failed = results.find((result) => result.status === 'rejected')
  return failed && toModelmountError(failed.reason)
}

interface Deps {
  readonly config: Config
  readonly registry: Registry<Served>
  readonly fleet: Fleet
  /** @throws ModelmountError `SERVER_CLOSED` */
  refuseClosed(): void
  readonly warn: Warn
}

export function controlOf({ config, registry, fleet, refuseClosed, warn }: Deps) {
  const { repository, versionPolicy, settings } = config
  return createControl<ModelConfig, Served>({
    registry,
    configOf: fleet.configOf,
    repository,
    async scan(name) {
      if (repository === undefined) return []
      const { models, ignored } = await scanRepository(repository, versionPolicy)
      const own = name === undefined ? undefined : join(repository, name)
      const isOwn = ({ path }: Ignored): boolean => own !== undefined && (path === own || path.startsWith(join(own, '/')))
      warnOf(ignored.filter(isOwn), warn)
      return models.map((found) => resolveFound(found, settings))
    },
    async load(name, configs) {
      refuseClosed()
      await fleet.loadTogether(name, configs)
    },
    drop: fleet.drop,
    unload: fleet.unload,
    loaded: fleet.noteReload,
    warn,
  })
}
